"""What investors and operators do, said in one line each."""

from datetime import date

from libs.money import Money
from services.funds.domain import order_lifecycle as life
from services.funds.domain import ta_day
from services.funds.domain.order_terms import Kind, Redemption, Subscription, Terms
from services.funds.parts import Parts
from tests.services.funds.scripted import FUND, NAV, OTHER_FUND, Scripted, T
from tests.services.funds.worlds import CURRENCY, INVESTOR, TA, WALLET, World, at, order_id

DAY = f"ta_day-{TA}-{T}"
TEN_THOUSAND = Money(CURRENCY, 1_000_000)
UNITS, FEE = 989_589, 7_937
NEXT = date(2026, 9, 28)
BUY = Subscription(FUND, TEN_THOUSAND)


async def place(
    world: World, parts: Parts, kind: Kind = BUY, number: int = 1, until: str = "Accepted"
) -> None:
    """Place an order, with money for it; to where it waits for its trade day."""
    if isinstance(kind, Subscription):
        world.journal.balances[WALLET] += kind.amount.minor
    await parts.placing.place(order_id(number), Terms(INVESTOR, WALLET, kind), "wallet")
    await world.until_order(number, until)


async def cut_off(world: World, parts: Parts, day: date = T, ta_id: str = TA) -> None:
    """The day closes, and the registrar has its orders."""
    world.now_us = at(f"{day} 15:00")
    await parts.fund_days.cut_off(ta_id, day, "operator")
    await world.until(f"ta_day-{ta_id}-{day}", "TaDayAcknowledged")


async def order_of(parts: Parts, number: int = 1) -> life.Begun:
    state = (await parts.aggregates.orders.load(order_id(number))).state
    assert isinstance(state, life.Begun)
    return state


async def day_of(parts: Parts, day: date = T) -> ta_day.Begun:
    state = (await parts.aggregates.ta_days.load(f"{TA}-{day}")).state
    assert isinstance(state, ta_day.Begun)
    return state


async def held(parts: Parts, code: str = FUND, investor_id: str = INVESTOR) -> tuple[int, int]:
    """Units, and those of them that are frozen."""
    holding = (await parts.aggregates.holdings.load(f"{investor_id}-{code}")).state
    return holding.shares, holding.frozen


async def own(world: World, parts: Parts, registrar: Scripted) -> None:
    """Ten thousand at 0.8 % on T: 9,895.89 units from the day after, and all of it settled."""
    await place(world, parts)
    await cut_off(world, parts)
    (order,) = registrar.orders()
    await registrar.hand_in(parts, {"07": [registrar.price(NAV)]})
    world.now_us = at("2026-09-28 09:00")
    rows = {"04": [registrar.bought(order, UNITS, FEE)], "05": [registrar.balance(UNITS)]}
    await registrar.hand_in(parts, rows)
    await world.until(DAY, "TaDayCashSettled")


def sell(shares: int) -> Redemption:
    return Redemption(FUND, shares)


__all__ = ["FUND", "OTHER_FUND"]
