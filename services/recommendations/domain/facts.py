"""Facts of investors and funds: what was told, when it happened, and when it was recorded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar

DAY_US: Final = 86_400_000_000
MILLION: Final = 1_000_000


class Kind(Enum):
    """What a fact says; the names are storage."""

    BOUGHT = "BOUGHT"  # amount: minor units ordered
    SOLD = "SOLD"  # amount: shares ordered
    SHARES = "SHARES"  # amount: shares added or taken away
    CASH_IN = "CASH_IN"  # amount: minor units
    CASH_OUT = "CASH_OUT"
    OPENED = "OPENED"
    DISMISSED = "DISMISSED"
    WARNED = "WARNED"
    PLAN = "PLAN"  # amount: +1 begun or resumed, -1 stopped
    LEVEL = "LEVEL"  # amount: the level that was published
    NAV = "NAV"  # amount: price at the fund's scale
    FEE = "FEE"  # amount: of a year's holding, millionths
    SIZE = "SIZE"  # amount: minor units held here
    WALLET = "WALLET"  # amount: minor units that orders of funds, or a refund, moved into a wallet
    FEE_PAID = "FEE_PAID"  # amount: minor units, in a confirmation
    CONFIRMED = "CONFIRMED"  # amount: minor units that a confirmation moved
    TURNED_DOWN = "TURNED_DOWN"  # stood in a proposal that was dismissed
    GATE = "GATE"  # amount: 1 when nobody may sell, 0 when it is over
    FED = "FED"  # amount: price of a feed, times a thousand million
    DEFERRED = "DEFERRED"  # of a trade day: a large redemption was not paid out whole


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """One event, as features see it. Microseconds since 1970; the order is that of recording."""

    recorded_us: int
    event_id: str
    kind: str
    business_us: int
    investor_id: str = ""
    fund_code: str = ""
    amount: int = 0
    # Of the fund, as it was known at the time that is asked about; its kind where no feed told it.
    theme: str = ""
    # Of an amount of money without a fund; that of all else is its fund's.
    currency: str = ""


Features = Mapping[str, int]
Day = TypeVar("Day", int, str)
Price = TypeVar("Price", int, float)


def known(facts: Iterable[Fact], at_us: int) -> Sequence[Fact]:
    """Those that count at a time, in one order whatever the order they came in."""
    return sorted(f for f in facts if f.recorded_us <= at_us and f.business_us <= at_us)


def shares_of(facts: Iterable[Fact]) -> Mapping[str, int]:
    """Shares held by fund, none left out but those that came to nothing."""
    held: dict[str, int] = {}
    for fact in facts:
        if fact.kind == Kind.SHARES.value:
            held[fact.fund_code] = held.get(fact.fund_code, 0) + fact.amount
    return {code: shares for code, shares in held.items() if shares > 0}


_OF_MONEY: Final = frozenset(
    kind.value
    for kind in (
        *(Kind.BOUGHT, Kind.SHARES, Kind.CASH_IN, Kind.CASH_OUT),
        *(Kind.WALLET, Kind.FEE_PAID, Kind.CONFIRMED),
    )
)


def by_currency(
    facts: Iterable[Fact], currencies: Mapping[str, str]
) -> Mapping[str, Sequence[Fact]]:
    """What is told of money and of what money is worth; `currencies`: of funds, by code.

    Amounts of different currencies are never added. Where nothing is told there is no currency.
    """
    found: dict[str, list[Fact]] = {}
    for fact in facts:
        if fact.kind in _OF_MONEY:
            currency = fact.currency or currencies.get(fact.fund_code, "")
            found.setdefault(currency, []).append(fact)
    return found or {"": ()}


def planned(facts: Iterable[Fact]) -> tuple[str, ...]:
    """Funds of plans that run, in the order of codes."""
    running: dict[str, int] = {}
    for fact in facts:
        if fact.kind == Kind.PLAN.value:
            running[fact.fund_code] = running.get(fact.fund_code, 0) + fact.amount
    return tuple(sorted(code for code, count in running.items() if count > 0))


def bought_since(facts: Iterable[Fact], since_us: int) -> Mapping[str, int]:
    """Minor units ordered by fund since a time."""
    bought: dict[str, int] = {}
    for fact in facts:
        if fact.kind == Kind.BOUGHT.value and fact.business_us >= since_us:
            bought[fact.fund_code] = bought.get(fact.fund_code, 0) + fact.amount
    return bought


def series(facts: Iterable[Fact], at_us: int, kind: Kind = Kind.NAV) -> Sequence[tuple[int, int]]:
    """(business time, price) by day, each as last recorded by then."""
    told = known((f for f in facts if f.kind == kind.value), at_us)
    return sorted({f.business_us: f.amount for f in told}.items())


def whole_series(facts: Sequence[Fact], at_us: int) -> Sequence[tuple[int, int]]:
    """The same with prices of feeds before the first of a fund's own; their scale is any."""
    own = [each for each in series(facts, at_us) if each[1] > 0]
    told = {us: price for us, price in series(facts, at_us, Kind.FED) if price > 0}
    if not own or not told:
        return own
    first_us, first = own[0]
    before, met = until(told, first_us)
    if not before or met is None:
        return own
    # Both at one scale, and exactly: what follows are ratios.
    return [
        *((us, price * first) for us, price in sorted(before.items())),
        *((us, price * met) for us, price in own),
    ]


def until(told: Mapping[Day, Price], first: Day) -> tuple[Mapping[Day, Price], Price | None]:
    """Prices of feeds before a fund's own first one, and the newest of them that its own meets.

    That may be of the very day, or a day before, where the feed has none of it.
    """
    reached = {day: price for day, price in told.items() if day <= first}
    if not reached:
        return {}, None
    met = reached[max(reached)]
    reached.pop(first, None)
    return reached, met
