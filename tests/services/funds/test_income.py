"""Money-market income, dividends and regular plans."""

from datetime import date
from typing import Any

from libs.decider import Cause
from libs.fund_arithmetic import DividendMode
from libs.registrar_files import DividendRow
from libs.suitability import InvestorClass
from services.funds.cash import DIV
from services.funds.domain import plan as plans
from services.funds.domain.order_terms import DividendModeChange, Terms
from services.funds.domain.ta_day import Purpose
from services.funds.parts import Parts
from services.funds.queries import unended_orders_of
from services.funds.serials import trading_account_of
from tests.services.funds.dealing import (
    BUY,
    DAY,
    FEE,
    NEXT,
    TEN_THOUSAND,
    UNITS,
    cut_off,
    held,
    own,
    place,
)
from tests.services.funds.purse import AFTER, income, own_money
from tests.services.funds.scripted import CONFIRM, FUND, Scripted, classify, set_up
from tests.services.funds.worlds import (
    INVESTOR,
    OTHER,
    OTHER_WALLET,
    TA,
    WALLET,
    World,
    at,
    order_id,
)

# The day after a mode was changed, and its confirm date.
PAID_ON = date(2026, 9, 30), date(2026, 10, 8)


async def test_each_natural_days_income_is_accrued_and_whole_cents_become_units() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await own_money(world, parts, registrar)
        await cut_off(world, parts, NEXT)
        registrar.begin(NEXT, AFTER)
        # 10,000.00 / 10,000 * 0.5432 = 0.5432: 0.54 is credited, 0.0032 stays.
        await registrar.hand_in(parts, {"07": [income(CONFIRM, 5_432)]})
        await world.until(f"holding-{INVESTOR}-{FUND}", "HoldingIncomeAccrued")
        state = (await parts.aggregates.holdings.load(f"{INVESTOR}-{FUND}")).state
    assert (state.shares, state.bucket) == (1_000_054, 32)


async def test_a_dividend_is_paid_into_the_wallet_when_the_registrar_has_paid() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await own(world, parts, registrar)
        await cut_off(world, parts, NEXT)
        registrar.begin(NEXT, AFTER)
        await registrar.hand_in(parts, {"07": [registrar.price()]})
        # 0.0350 on 9,895.89 units.
        row = dividend(34_636, "1", confirmed_amount=34_636)
        world.now_us = at("2026-10-08 09:00")
        rows = {"04": [], "05": [registrar.balance(UNITS)], "06": [row]}
        await registrar.hand_in(parts, rows)
        await world.until(f"ta_day-{TA}-{NEXT}", "TaDayCashSettled")
        await world.until_many("fund_order-", "FundOrderPartPaid")
        assert await held(parts) == (UNITS, 0)
    assert (world.journal.balances[WALLET], world.journal.sums(DIV)) == (34_636, 0)


async def choose_units(
    world: World, parts: Parts, registrar: Scripted, number: int, *holders: str
) -> None:
    """Dividends come as units from here on; and the day after is cut off and priced."""
    await place(world, parts, DividendModeChange(FUND, DividendMode.REINVEST), number)
    await cut_off(world, parts, NEXT)
    registrar.begin(NEXT, AFTER)
    (order,) = registrar.orders()
    await registrar.hand_in(parts, {"07": [registrar.price()]})
    row = registrar.bought(order, 0, 0, nav=0, agency_fee=0, confirmed_amount=0)
    world.now_us = at("2026-09-29 09:00")
    balances = [registrar.balance(UNITS, each) for each in holders]
    await registrar.hand_in(parts, {"04": [row], "05": balances})
    await world.until_order(number, "Settled")
    await world.until(f"ta_day-{TA}-{NEXT}", "TaDayReconciled")
    await cut_off(world, parts, PAID_ON[0])
    registrar.begin(*PAID_ON)
    await registrar.hand_in(parts, {"07": [registrar.price()]})


async def test_who_has_chosen_so_gets_units_for_a_dividend() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await own(world, parts, registrar)
        await choose_units(world, parts, registrar, 2, INVESTOR)
        later, confirm = PAID_ON
        # 346.36 at 1.0025.
        paid = dividend(34_636, "0", later, confirm, vol_of_dividend_for_reinvestment=34_550)
        world.now_us = at("2026-10-08 09:00")
        rows = {"04": [], "05": [registrar.balance(UNITS + 34_550)], "06": [paid]}
        await registrar.hand_in(parts, rows)
        await world.until(f"ta_day-{TA}-{later}", "TaDayCashSettled")
        assert await held(parts) == (UNITS + 34_550, 0)
    assert world.journal.balances[WALLET] == 0


async def test_money_that_is_taken_as_units_is_not_owed_beside_what_is_paid() -> None:
    world = World()
    registrar = Scripted(world)
    later, confirm = PAID_ON
    async with world.funds() as parts:
        await set_up(parts)
        await own_alike(world, parts, registrar)
        await choose_units(world, parts, registrar, 3, INVESTOR, OTHER)
        in_units = dividend(34_636, "0", later, confirm, vol_of_dividend_for_reinvestment=34_550)
        in_cash = dividend(34_636, "1", later, confirm, confirmed_amount=34_636)._replace(
            ta_serial_no="OTHERS", transaction_account_id=trading_account_of(OTHER)
        )
        world.now_us = at("2026-10-20 09:00")
        balances = [registrar.balance(UNITS + 34_550), registrar.balance(UNITS, OTHER)]
        await registrar.hand_in(parts, {"04": [], "05": balances, "06": [in_units, in_cash]})
        await world.until(f"ta_day-{TA}-{later}", "TaDayCashSettled")
        await world.until_many("fund_order-", "FundOrderPartPaid")
        await parts.projection.wait_for(await world.store.head())
        owed = await parts.tying_out.cash(TA)
        assert (await held(parts), owed[Purpose.DIV]) == ((UNITS + 34_550, 0), 0)
        assert await parts.database.read(lambda c: unended_orders_of(c, TA)) == []
    balances_now = world.journal.balances
    assert (balances_now[WALLET], balances_now[OTHER_WALLET]) == (0, 34_636)
    assert world.journal.sums(DIV) == 0


async def own_alike(world: World, parts: Parts, registrar: Scripted) -> None:
    """Two investors with as much as each other, each with an account at the registrar."""
    await place(world, parts)
    world.journal.balances[OTHER_WALLET] += TEN_THOUSAND.minor
    await parts.placing.place(order_id(2), Terms(OTHER, OTHER_WALLET, BUY), "wallet")
    await world.until_order(2, "Accepted")
    await cut_off(world, parts)
    rows = [registrar.bought(order, UNITS, FEE) for order in registrar.orders()]
    await registrar.hand_in(parts, {"07": [registrar.price()]})
    world.now_us = at("2026-09-28 09:00")
    balances = [registrar.balance(UNITS), registrar.balance(UNITS, OTHER)]
    await registrar.hand_in(parts, {"04": rows, "05": balances})
    await world.until(DAY, "TaDayCashSettled")


def dividend(
    cash: int,
    method: str,
    ex: date = NEXT,
    confirm: date = AFTER,
    **more: Any,  # noqa: ANN401 - fields of the row
) -> DividendRow:
    row = DividendRow(
        f"D{ex:%Y%m%d}",
        FUND,
        confirm,
        ex,
        ex,
        confirm,
        transaction_account_id=trading_account_of(INVESTOR),
        basis_vol=UNITS,
        dividend_per_unit=350,
        dividend_amount=cash,
        nav=10_025,
        def_dividend_method=method,
    )
    return row._replace(**more)


def monthly(**more: object) -> plans.Terms:
    said: dict[str, object] = {
        "investor_id": INVESTOR,
        "wallet_account_id": WALLET,
        "fund_code": FUND,
        "amount": TEN_THOUSAND,
        "frequency": plans.Frequency.MONTH,
        "send_day": 10,
        "begin_date": date(2026, 9, 1),
        **more,
    }
    return plans.Terms(**said)  # type: ignore[arg-type]


async def begin_plan(parts: Parts, plan_terms: plans.Terms) -> str:
    plan_id = order_id(77)
    fund = (await parts.aggregates.funds.load(FUND)).state
    investor = (await parts.aggregates.investors.load(INVESTOR)).state
    setting = plans.Setting(fund, investor, date(2026, 9, 1))
    create = plans.Create(plan_id, plan_terms, "wallet", 0, setting)
    await parts.aggregates.plans.transact(plan_id, create, Cause("create"))
    await parts.projection.wait_for(await parts.fund_days.store.head())
    return plan_id


async def test_each_due_date_of_a_plan_is_one_order_however_often_it_is_run() -> None:
    world = World(now_us=at("2026-10-12 09:00"))
    async with world.funds(is_simulated=True) as parts:
        await set_up(parts)
        plan_id = await begin_plan(parts, monthly())
        world.journal.balances[WALLET] = 3_000_000
        ran = await parts.planning.run_due(date(2026, 10, 12))
        again = await parts.planning.run_due(date(2026, 10, 12))
        orders = await world.until_many("fund_order-", "FundOrderAccepted", 2)
        names = await world.events(f"plan-{plan_id}")
    assert (ran.issued, again.issued, len(set(orders))) == (2, 0, 2)
    assert names.count("PlanInstallmentPlaced") == 2
    assert world.journal.balances[WALLET] == 1_000_000


async def test_three_instalments_without_money_suspend_a_plan() -> None:
    world = World(now_us=at("2026-12-11 09:00"))
    async with world.funds(is_simulated=True) as parts:
        await set_up(parts)
        plan_id = await begin_plan(parts, monthly())
        ran = await parts.planning.run_due(date(2026, 12, 11))
        names = await world.events(f"plan-{plan_id}")
    assert (ran.issued, ran.skipped, ran.suspended) == (0, 3, 1)
    assert names[-1] == "PlanSuspended"


async def test_a_plan_is_suspended_where_its_fund_is_too_risky_for_the_investor_now() -> None:
    world = World(now_us=at("2026-09-11 09:00"))
    async with world.funds(is_simulated=True) as parts:
        await set_up(parts)
        plan_id = await begin_plan(parts, monthly())
        await classify(parts, INVESTOR, InvestorClass.C2)
        world.journal.balances[WALLET] = 1_000_000
        ran = await parts.planning.run_due(date(2026, 9, 11))
        names = await world.events(f"plan-{plan_id}")
    assert (ran.skipped, ran.suspended) == (1, 1)
    assert names[-2:] == ["PlanInstallmentSkipped", "PlanSuspended"]
    assert world.journal.balances[WALLET] == 1_000_000
