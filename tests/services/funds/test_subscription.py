"""A subscription from the wallet's money to units, and its money to the registrar."""

from services.funds.cash import SUB, fee_income
from services.funds.domain.ta_day import Stage
from tests.services.funds.dealing import DAY, FEE, UNITS, cut_off, day_of, held, order_of, place
from tests.services.funds.scripted import Scripted, set_up
from tests.services.funds.worlds import CURRENCY, WALLET, World, at, order_id


async def test_money_becomes_units_and_the_registrar_is_paid() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await place(world, parts)
        assert (world.journal.balances[WALLET], world.journal.sums(SUB)) == (0, 1_000_000)
        await cut_off(world, parts)
        (order,) = registrar.orders()
        await registrar.hand_in(parts, {"07": [registrar.price()]})
        await world.until_order(1, "Priced")
        world.now_us = at("2026-09-28 09:00")
        rows = {"04": [registrar.bought(order, UNITS, FEE)], "05": [registrar.balance(UNITS)]}
        await registrar.hand_in(parts, rows)
        names = await world.until(DAY, "TaDayCashSettled")
        await world.until_order(1, "Settled")
        assert await held(parts) == (989_589, 0)
        assert (await day_of(parts)).stage is Stage.CASH_SETTLED
    assert names == [
        "TaDayOpened",
        "TaDayCutOff",
        "TaDayOrdersBatched",
        "TaDayAcknowledged",
        "TaDayFileReceived",
        "TaDayFileApplied",
        "TaDayFileReceived",
        "TaDayFileReceived",
        "TaDayFileApplied",
        "TaDayFileApplied",
        "TaDayReconciled",
        "TaDayCashRequested",
        "TaDayCashDone",
        "TaDayCashSettled",
    ]
    ((way, _, bank, amount),) = world.banks.asked.values()
    assert (way, bank.bank_id, amount.minor) == ("pay", "CD", 992_063)
    assert world.journal.sums(SUB) == 0
    assert world.journal.balances[fee_income(CURRENCY).account_id] == 7_937


async def test_too_little_money_ends_the_order_and_nothing_is_kept() -> None:
    world = World()
    async with world.funds() as parts:
        await set_up(parts)
        world.journal.balances[WALLET] = -1_000_000
        await place(world, parts, until="FundingFailed")
        refusal = (await order_of(parts)).refusal
    assert refusal is not None
    assert refusal.reason == "BALANCE_TOO_LOW"
    assert world.journal.sums(SUB) == 0


async def test_an_order_cancelled_before_the_cut_off_gives_the_money_back() -> None:
    world = World()
    async with world.funds() as parts:
        await set_up(parts)
        await place(world, parts)
        await parts.placing.cancel(order_id(1), order_id(99), "wallet")
        names = await world.until_order(1, "Returned")
    assert names[-2:] == ["Cancelled", "Returned"]
    assert (world.journal.balances[WALLET], world.journal.sums(SUB)) == (1_000_000, 0)


async def test_what_the_registrar_rejects_is_back_in_the_wallet() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await place(world, parts)
        await cut_off(world, parts)
        (order,) = registrar.orders()
        row = registrar.bought(order, 0, 0, return_code="0003", confirmed_amount=0)
        await registrar.hand_in(parts, {"07": [registrar.price()]})
        await registrar.hand_in(parts, {"04": [row], "05": []})
        await world.until_order(1, "Returned")
        refusal = (await order_of(parts)).refusal
        await world.until(DAY, "TaDayCashSettled")
    assert refusal is not None
    assert refusal.reason == "FUND_CLOSED"
    assert (world.journal.balances[WALLET], world.journal.sums(SUB)) == (1_000_000, 0)


async def test_an_order_after_the_cut_off_is_of_the_next_session() -> None:
    world = World(now_us=at("2026-09-24 15:00"))
    async with world.funds() as parts:
        await set_up(parts)
        await place(world, parts)
        order = await order_of(parts)
    assert str(order.trade_date) == "2026-09-28"


async def test_a_day_that_is_cut_off_takes_no_order_however_early_it_was_placed() -> None:
    world = World(now_us=at("2026-09-24 14:59"))
    Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await place(world, parts)
        world.journal.is_away = True
        await place(world, parts, number=2, until="SuitabilityPassed")
        await cut_off(world, parts)
        world.journal.is_away = False
        await world.until_order(2, "Accepted")
        days = [str((await order_of(parts, number)).trade_date) for number in (1, 2)]
    assert days == ["2026-09-24", "2026-09-28"]
