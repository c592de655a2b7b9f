"""A subscription from the wallet's money to units, and its money to the registrar."""

from datetime import date

from libs.money import Money
from services.funds.cash import SUB, fee_income
from services.funds.domain.order_terms import Subscription, Terms
from services.funds.domain.ta_day import Stage
from services.funds.parts import Parts
from tests.services.funds.scripted import FUND, NAV, REGISTRAR, Scripted, T, set_up
from tests.services.funds.worlds import CURRENCY, INVESTOR, TA, WALLET, World, at, order_id

DAY = f"ta_day-{TA}-{T}"
BUY = Terms(INVESTOR, WALLET, Subscription(FUND, Money(CURRENCY, 1_000_000)))


async def buy(world: World, parts: Parts, number: int = 1) -> None:
    """Ten thousand, from a wallet that has them; to where it waits for its trade day."""
    world.journal.balances[WALLET] += 1_000_000
    await parts.placing.place(order_id(number), BUY, "wallet")
    await world.until_order(number, "Accepted")


async def cut_off(world: World, parts: Parts, day: date = T) -> None:
    world.now_us = at(f"{day} 15:00")
    await parts.fund_days.cut_off(TA, day, "operator")


async def stage_of(parts: Parts, day: date = T) -> Stage:
    state = (await parts.aggregates.ta_days.load(f"{TA}-{day}")).state
    return state.stage  # type: ignore[union-attr]


async def test_money_becomes_units_and_the_registrar_is_paid() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await buy(world, parts)
        assert (world.journal.balances[WALLET], world.journal.sums(SUB)) == (0, 1_000_000)
        await cut_off(world, parts)
        await world.until(DAY, "TaDayAcknowledged")
        (order,) = registrar.orders()
        evening = registrar.package({"07": [registrar.price(NAV)]})
        await parts.intake.take(REGISTRAR, evening)
        await world.until_order(1, "Priced")
        rows = {"04": [registrar.bought(order, 989_589, 7_937)], "05": [registrar.balance(989_589)]}
        world.now_us = at("2026-09-28 09:00")
        await parts.intake.take(REGISTRAR, registrar.package(rows))
        names = await world.until(DAY, "TaDayCashSettled")
        await world.until_order(1, "Settled")
        holding = (await parts.aggregates.holdings.load(f"{INVESTOR}-{FUND}")).state
        assert (holding.shares, holding.cost_minor) == (989_589, 1_000_000)
        assert await stage_of(parts) is Stage.CASH_SETTLED
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
