"""Lots of a holding in the order they are sold: what selling costs now, and after a wait."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from services.recommendations.domain.catalogue import Fund
from services.recommendations.domain.facts import DAY_US, Fact, Kind

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Lot:
    """Shares of one confirmation that are still held, and the day they count from."""

    day: int
    shares: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a holding with one redemption fee. Money in minor units, rates in millionths."""

    worth_minor: int
    rate_millionths: int
    # What the rate will be when the next rebalance is due.
    later_millionths: int
    # The day (since 1970) from which it is cheaper, and its rate then; 0: it stays as it is.
    cheaper_day: int = 0
    cheaper_millionths: int = 0

    @property
    def saved_millionths(self) -> int:
        """What waiting for the next rebalance would save."""
        return max(self.rate_millionths - self.later_millionths, 0)


def lots_of(facts: Iterable[Fact], code: str) -> Sequence[Lot]:
    """What is held of a fund, the oldest first; what was taken away came off the oldest."""
    held: list[Lot] = []
    gone = 0
    ours = (f for f in facts if f.kind == Kind.SHARES.value and f.fund_code == code)
    for fact in sorted(ours, key=lambda f: (f.business_us, f.recorded_us, f.event_id)):
        if fact.amount > 0:
            held.append(Lot(fact.business_us // DAY_US, fact.amount))
        else:
            gone -= fact.amount
    left: list[Lot] = []
    for lot in held:
        taken = min(gone, lot.shares)
        gone -= taken
        if lot.shares > taken:
            left.append(Lot(lot.day, lot.shares - taken))
    return left


def parts_of(
    fund: Fund, lots: Sequence[Lot], worth_minor: int, price: int, today: int, wait_days: int = 0
) -> tuple[Part, ...]:
    """So much of a holding, the oldest lots first; what no lot is known of is as if bought today.

    `price`: minor units of ten thousand shares. `wait_days`: until the next rebalance.
    """
    found: list[Part] = []
    for part in _parts(fund, lots, worth_minor, price, (today, wait_days)):
        if found and replace(part, worth_minor=found[-1].worth_minor) == found[-1]:
            found[-1] = replace(part, worth_minor=found[-1].worth_minor + part.worth_minor)
        elif part.worth_minor:
            found.append(part)
    return tuple(found)


def _parts(
    fund: Fund, lots: Sequence[Lot], worth_minor: int, price: int, when: tuple[int, int]
) -> Iterator[Part]:
    today, wait_days = when
    shares = reached = 0
    for lot in lots:
        shares += lot.shares
        upto = min(shares * price // 10_000, worth_minor)
        yield _part(fund, upto - reached, lot.day, today, wait_days)
        reached = upto
    yield _part(fund, worth_minor - reached, today, today, wait_days)


def _part(fund: Fund, worth_minor: int, day: int, today: int, wait_days: int) -> Part:
    age = today - day
    rate = _rate(fund, age)
    cheaper = next(
        (s for s in fund.redemption if s.from_days > age and s.rate_millionths < rate), None
    )
    later = _rate(fund, age + wait_days)
    if cheaper is None:
        return Part(worth_minor, rate, later)
    return Part(worth_minor, rate, later, day + cheaper.from_days, cheaper.rate_millionths)


def _rate(fund: Fund, days: int) -> int:
    steps = reversed(fund.redemption)
    return next((step.rate_millionths for step in steps if days >= step.from_days), 0)


def fee_minor(parts: Iterable[Part], amount_minor: int) -> int:
    """Minor units it costs to sell for so much, the first parts first; rounded up."""
    return -(
        -sum(part.worth_minor * part.rate_millionths for part in taken(parts, amount_minor))
        // MILLION
    )


def taken(parts: Iterable[Part], amount_minor: int) -> Iterator[Part]:
    """The parts that are sold for so much, the last of them as far as it is needed."""
    left = amount_minor
    for part in parts:
        worth = min(part.worth_minor, left)
        if worth > 0:
            yield replace(part, worth_minor=worth)
        left -= worth


def kept(parts: Iterable[Part], amount_minor: int) -> Iterator[Part]:
    """The parts that stay when so much is sold."""
    left = amount_minor
    for part in parts:
        worth = min(part.worth_minor, left)
        if part.worth_minor > worth:
            yield replace(part, worth_minor=part.worth_minor - worth)
        left -= worth
