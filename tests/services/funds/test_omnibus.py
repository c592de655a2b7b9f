"""An omnibus fund: the registrar knows our nominee alone, and what it does is shared behind it."""

from datetime import date

from hefu.funds.v1 import funds_pb2 as pb
from libs.money import Money
from libs.registrar_files import BalanceRow, DividendRow, OrderRow
from services.funds.batching import NOMINEE
from services.funds.cash import DIV, RED
from services.funds.domain.breaks import BreakType, Repair
from services.funds.domain.order_terms import Subscription, Terms
from services.funds.domain.product import RegisterModel
from services.funds.parts import Parts
from tests.services.funds.conftest import Served
from tests.services.funds.dealing import DAY, FEE, NEXT, UNITS, cut_off, held, place, sell
from tests.services.funds.scripted import CONFIRM, FUND, NAV, Scripted, set_up, terms
from tests.services.funds.served import bring_to_market, clock, deliver, sent_to_the_registrar
from tests.services.funds.test_differences import repair, standing
from tests.services.funds.worlds import (
    CURRENCY,
    INVESTOR,
    OTHER,
    OTHER_WALLET,
    TA,
    WALLET,
    World,
    at,
    order_id,
)

AFTER = date(2026, 9, 29)
# 2,000.00 and 1,000.00 at 0.8 % and 1.0025.
ANNAS, BELAS, FEES = 197_918, 98_959, (15_87, 7_94)
ALL = ANNAS + BELAS


def balance(registrar: Scripted, shares: int) -> BalanceRow:
    return BalanceRow("TA00000001", FUND, registrar.confirm_date, shares, shares, 0, NOMINEE)


async def own_together(world: World, parts: Parts, registrar: Scripted) -> None:
    """Anna has twice as much as Bela, and the registrar knows neither."""
    await set_up(parts, terms(register_model=RegisterModel.OMNIBUS))
    await place(world, parts, Subscription(FUND, Money(CURRENCY, 200_000)), 1)
    world.journal.balances[OTHER_WALLET] = 100_000
    bela = Terms(OTHER, OTHER_WALLET, Subscription(FUND, Money(CURRENCY, 100_000)))
    await parts.placing.place(order_id(2), bela, "wallet")
    await world.until_order(2, "Accepted")
    await cut_off(world, parts)
    orders: list[OrderRow] = registrar.orders()
    assert {order.transaction_account_id for order in orders} == {NOMINEE}
    await registrar.hand_in(parts, {"07": [registrar.price()]})
    world.now_us = at("2026-09-28 09:00")
    told = zip(orders, (ANNAS, BELAS), FEES, strict=True)
    rows = [registrar.bought(order, shares, fee) for order, shares, fee in told]
    await registrar.hand_in(parts, {"04": rows, "05": [balance(registrar, ALL)]})
    await world.until(DAY, "TaDayCashSettled")
    assert (await held(parts), await held(parts, investor_id=OTHER)) == ((ANNAS, 0), (BELAS, 0))


async def next_day(world: World, parts: Parts, registrar: Scripted) -> None:
    await cut_off(world, parts, NEXT)
    registrar.begin(NEXT, AFTER)
    await registrar.hand_in(parts, {"07": [registrar.price()]})
    world.now_us = at("2026-10-08 09:00")


def dividend(cash: int, **more: object) -> DividendRow:
    row = DividendRow(
        "D1",
        FUND,
        AFTER,
        NEXT,
        NEXT,
        AFTER,
        transaction_account_id=NOMINEE,
        basis_vol=ALL,
        dividend_per_unit=350,
        dividend_amount=cash,
        confirmed_amount=cash,
        nav=NAV,
        def_dividend_method="1",
    )
    return row._replace(**more)  # type: ignore[arg-type]


async def test_a_dividend_of_the_nominee_is_shared_to_the_last_cent() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await own_together(world, parts, registrar)
        await next_day(world, parts, registrar)
        # 0.0350 on 2,968.77 units: 103.91, of which 69.27 1/3 and 34.63 2/3.
        rows = {"04": [], "05": [balance(registrar, ALL)], "06": [dividend(103_91)]}
        await registrar.hand_in(parts, rows)
        await world.until(f"ta_day-{TA}-{NEXT}", "TaDayCashSettled")
        await world.until_many("fund_order-", "FundOrderPartPaid", 2)
        assert await standing(parts) == []
    paid = world.journal.balances[WALLET], world.journal.balances[OTHER_WALLET]
    assert paid == (69_27, 34_64)
    assert world.journal.sums(DIV) == 0


async def test_a_reinvested_one_is_shared_to_the_last_unit_and_the_register_agrees() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await own_together(world, parts, registrar)
        await next_day(world, parts, registrar)
        # 103.91 at 1.0025.
        more = 103_65
        row = dividend(
            103_91,
            confirmed_amount=0,
            vol_of_dividend_for_reinvestment=more,
            def_dividend_method="0",
        )
        rows = {"04": [], "05": [balance(registrar, ALL + more)], "06": [row]}
        await registrar.hand_in(parts, rows)
        await world.until(f"ta_day-{TA}-{NEXT}", "TaDayCashSettled")
        (anna, _), (bela, _) = await held(parts), await held(parts, investor_id=OTHER)
        assert await standing(parts) == []
    assert (anna - ANNAS, bela - BELAS) == (69_10, 34_55)


async def test_what_is_redeemed_by_force_leaves_whoever_has_free_units() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await own_together(world, parts, registrar)
        # Half of Anna's are promised to an order of hers.
        await place(world, parts, sell(ANNAS // 2), 3)
        await next_day(world, parts, registrar)
        (order,) = registrar.orders()
        # 98,959 free of each: 1,000.01 units and their 1,002.51 are halved.
        forced = registrar.forced(NOMINEE, 100_001, 100_251)
        net, fee = 977_18, 14_88
        rows = [registrar.sold(order, net, fee), forced]
        left = ALL - ANNAS // 2 - 100_001
        await registrar.hand_in(parts, {"04": rows, "05": [balance(registrar, left)]})
        await world.until(f"ta_day-{TA}-{NEXT}", "TaDayCashSettled")
        await world.until_many("fund_order-", "FundOrderPartPaid", 3)
        (anna, _), (bela, _) = await held(parts), await held(parts, investor_id=OTHER)
        assert await standing(parts) == []
    assert sorted((anna, bela)) == [48_958, 48_959]
    assert world.journal.balances[WALLET] + world.journal.balances[OTHER_WALLET] == net + 100_251
    assert world.journal.sums(RED) == 0


async def test_a_sum_that_is_not_ours_is_booked_for_those_alone_whose_part_it_does_not_change() -> (
    None
):
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await own_together(world, parts, registrar)
        await next_day(world, parts, registrar)
        rows = {"04": [], "05": [balance(registrar, ALL)], "06": [dividend(103_92)]}
        await registrar.hand_in(parts, rows)
        await world.until(f"ta_day-{TA}-{NEXT}", "TaDayReconciled")
        (found,) = await standing(parts)
        assert found.terms.type is BreakType.AMOUNT_DIFF
        assert found.terms.investor_id == INVESTOR

        await repair(parts, found, Repair.ACCEPT_THEIRS)
        await world.until_many("fund_order-", "FundOrderPartPaid", 2)
    paid = world.journal.balances[WALLET], world.journal.balances[OTHER_WALLET]
    assert paid == (69_28, 34_64)


async def test_nobody_behind_the_nominee_is_a_break_and_nothing_is_booked() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts, terms(register_model=RegisterModel.OMNIBUS))
        await cut_off(world, parts)
        await registrar.hand_in(parts, {"07": [registrar.price()]})
        world.now_us = at(f"{CONFIRM} 09:00")
        forced = registrar.forced(NOMINEE, 100_000, 100_250)
        await registrar.hand_in(parts, {"04": [forced], "05": []})
        await world.until(DAY, "TaDayReconciled")
        (found,) = await standing(parts)
    assert found.terms.type is BreakType.MISSING_HERE


async def test_a_wallet_back_end_sees_an_investors_part_of_what_the_nominee_got(
    served: Served,
) -> None:
    await bring_to_market(served, register_model=RegisterModel.OMNIBUS)
    registrar, order = await sent_to_the_registrar(served)
    await deliver(served, registrar, {"07": [registrar.price()]})
    await clock(served, "2026-09-28 09:00")
    rows = {"04": [registrar.bought(order, UNITS, FEE)], "05": [balance(registrar, UNITS)]}
    await deliver(served, registrar, rows)
    await served.wallet.wait(order_id(1))
    await clock(served, f"{NEXT} 15:00")
    await served.operator.RunCutOff(pb.RunCutOffRequest(ta_id=TA, trade_date=NEXT.isoformat()))
    await served.world.until(f"ta_day-{TA}-{NEXT}", "TaDayAcknowledged")
    registrar.begin(NEXT, AFTER)
    await deliver(served, registrar, {"07": [registrar.price()]})
    await clock(served, "2026-10-08 09:00")

    rows = {"04": [], "05": [balance(registrar, UNITS)], "06": [dividend(346_36)]}
    await deliver(served, registrar, rows)

    await served.world.until_many("fund_order-", "FundOrderPartPaid")
    listing = pb.ListOrdersRequest(investor_id=INVESTOR)
    listing.min_position = await served.world.store.head()
    orders = (await served.wallet.stub.ListOrders(listing)).orders
    (paid,) = [each for each in orders if each.business_code == "143"]
    assert (paid.terms.investor_id, paid.confirmed_minor) == (INVESTOR, 346_36)
    assert served.world.journal.balances[WALLET] == 346_36


async def test_units_that_come_with_the_same_file_can_be_taken_by_force() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts, terms(register_model=RegisterModel.OMNIBUS))
        await place(world, parts)
        await cut_off(world, parts)
        (order,) = registrar.orders()
        await registrar.hand_in(parts, {"07": [registrar.price()]})
        world.now_us = at("2026-09-28 09:00")
        # The registrar has booked the purchase before it took 1,000.00 of it: at 1.0025.
        forced = registrar.forced(NOMINEE, 100_000, 100_250)
        rows = [forced, registrar.bought(order, UNITS, FEE)]
        left = balance(registrar, UNITS - 100_000)
        await registrar.hand_in(parts, {"04": rows, "05": [left]})
        await world.until(DAY, "TaDayReconciled")
        assert await held(parts) == (UNITS - 100_000, 0)
        assert await standing(parts) == []
