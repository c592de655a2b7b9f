"""What came of advice that was followed: its items by their weights, beside equal weights."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from services.recommendations.domain.proposal import Accepted, Issued, OutcomeMeasured, Proposal

DAY_US: Final = 86_400_000_000
MILLION: Final = 1_000_000
# Days after the advice at which it is looked at.
SPANS_DAYS: Final = (30, 90, 180)
# A fund that has no newer price so many days after the span stands at its last one.
GRACE_DAYS: Final = 14
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one unit of a fund, what was paid out included, by day since 1970, rising."""

    days: Sequence[int]
    values: Sequence[float]

    def at(self, day: int) -> float | None:
        """The newest value up to a day; None: there was none yet."""
        place = bisect_right(self.days, day)
        return self.values[place - 1] if place else None

    def reaches(self, day: int) -> bool:
        """Whether there is a value of this day or of a later one."""
        return bool(self.days) and self.days[-1] >= day


def first_day(as_of_date: str, as_of_us: int) -> int:
    """The day that spans run from, in days since 1970: the business date, where it was kept."""
    if not as_of_date:
        return as_of_us // DAY_US
    return (date.fromisoformat(as_of_date) - _EPOCH).days


def next_span(measured: int) -> int | None:
    """Days of the span that comes after so many were measured; None: all are."""
    return SPANS_DAYS[measured] if measured < len(SPANS_DAYS) else None


def weights_of(issued: Issued, accepted: Accepted) -> Mapping[str, int]:
    """A portfolio's target weights; of a list, what was bought of each."""
    held = {item.fund_code: item.weight for item in issued.items if item.weight}
    return held or {item.fund_code: item.amount_minor for item in accepted.items}


def outcome(
    proposal: Proposal, prices: Mapping[str, Series], today: int, now_us: int
) -> OutcomeMeasured | None:
    """The next span's, once it is over and prices have reached its end; None: not yet.

    Nothing after the span's last day counts. Equal weights are of all that was advised.
    """
    span = next_span(len(proposal.outcomes))
    if proposal.accepted is None or span is None:
        return None
    first = first_day(proposal.issued.as_of_date, proposal.issued.as_of_us)
    last = first + span
    weights = weights_of(proposal.issued, proposal.accepted)
    advised = [item.fund_code for item in proposal.issued.items if item.amount_minor >= 0]
    if today < last or not _is_told(prices, {*weights, *advised}, last, today):
        return None
    grown = {code: _growth(prices.get(code), first, last) for code in {*weights, *advised}}
    total = sum(weights.values())
    if total <= 0 or not advised:
        return None
    own = sum(weight * grown[code] for code, weight in sorted(weights.items())) / total
    equal = sum(grown[code] for code in advised) / len(advised)
    return OutcomeMeasured(now_us, span, round(own * MILLION), round(equal * MILLION))


def _is_told(prices: Mapping[str, Series], codes: set[str], last: int, today: int) -> bool:
    """Whether each fund has a price of the last day or later, or has been waited for."""
    if today >= last + GRACE_DAYS:
        return True
    return all(code in prices and prices[code].reaches(last) for code in codes)


def _growth(series: Series | None, first: int, last: int) -> float:
    before = None if series is None else series.at(first)
    after = None if series is None else series.at(last)
    return after / before - 1.0 if before and after else 0.0
