"""What an account stood at when earlier days ended, for postings that are dated back.

Only days on which it was touched are kept, and only as far back as a posting may be dated; a bank's
fact dated ahead counts from the business date it was posted on.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

from services.accounts.domain.callers import BACKDATE_DAYS


class Closing(NamedTuple):
    """`posted` in minor units at the end of a business date, value-dated."""

    day: str
    posted: int


def horizon_of(business_date: str) -> str:
    """The earliest day that a posting of this business date may still change."""
    return (date.fromisoformat(business_date) - timedelta(days=BACKDATE_DAYS)).isoformat()


def closed_day(closings: Sequence[Closing], closing: Closing, horizon: str) -> tuple[Closing, ...]:
    """The closings with one more day; of those before the horizon only the last is needed."""
    kept = [*closings, closing]
    while len(kept) > 1 and kept[1].day <= horizon:
        del kept[0]
    return tuple(kept)


def dated_back(closings: Sequence[Closing], day: str, delta: int) -> tuple[Closing, ...]:
    """The closings once `delta` counts from the end of `day` on."""
    before = [closing for closing in closings if closing.day < day]
    after = [closing for closing in closings if closing.day >= day]
    if not after or after[0].day != day:
        after.insert(0, Closing(day, before[-1].posted if before else 0))
    return (*before, *(Closing(each, posted + delta) for each, posted in after))


def lowest_from(closings: Sequence[Closing], day: str, delta: int) -> int:
    """The lowest end of a day from `day` on, once `delta` counts from there."""
    changed = dated_back(closings, day, delta)
    return min(posted for each, posted in changed if each >= day)
