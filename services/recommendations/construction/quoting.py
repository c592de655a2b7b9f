"""Prices of one fund as one packed series: it is made once a price, and goes to another process."""

from array import array
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final, TypeAlias

from services.recommendations.construction.problem import Quotes
from services.recommendations.domain.facts import until

# (date, price, accumulated price or 0, income of ten thousand shares).
Row: TypeAlias = tuple[str, int, int, int]

# Income of ten thousand shares has four decimals.
_INCOME_SCALE: Final = 1e8
_EPOCH: Final = date(1970, 1, 1).toordinal()


def packed(
    code: str, rows: Sequence[Row], *, pays_income: bool, fed: Mapping[str, str] | None = None
) -> Quotes:
    """Value of one unit by day, with what was paid out; rows oldest first, corrections last.

    `fed`: prices of a feed by date. They count before the first of ours, scaled so that both meet.
    """
    own = _values({row[0]: row for row in rows}, pays_income=pays_income)
    told = {day: float(price) for day, price in (fed or {}).items()}
    if own:
        first = min(own)
        before, met = until(told, first)
        scale = own[first] / met if met else 1.0
        told = {day: price * scale for day, price in before.items()}
    series = sorted({**told, **own}.items())
    days = array("i", (date.fromisoformat(day).toordinal() - _EPOCH for day, _ in series))
    return Quotes(code, days.tobytes(), array("d", (value for _, value in series)).tobytes())


def _values(rows: Mapping[str, Row], *, pays_income: bool) -> dict[str, float]:
    found = {}
    value = 1.0
    for day, (_, nav, accumulated, income) in rows.items():
        if pays_income:
            value *= 1.0 + income / _INCOME_SCALE
            found[day] = value * nav
        else:
            found[day] = float(accumulated or nav)
    return found
