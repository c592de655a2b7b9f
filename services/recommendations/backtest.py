"""The weights of a proposal held through the prices before it, beside equal weights."""

from array import array
from collections.abc import Mapping, Sequence

from services.recommendations.construction.problem import Quotes
from services.recommendations.domain.facts import DAY_US
from services.recommendations.queries import date_of

MILLION = 1_000_000
# Days shown at most.
DAYS_MAX = 756


def growth(
    quotes: Sequence[Quotes], weights: Sequence[int], as_of_us: int
) -> Sequence[tuple[str, int, int]]:
    """(date, growth, growth of equal weights) from 1, weights kept; nothing from after the advice.

    A day counts when every fund has a price; in millionths.
    """
    last = as_of_us // DAY_US
    series = [_prices(each, last) for each in quotes]
    if not series:
        return []
    days = sorted(set.intersection(*(set(each) for each in series)))[-DAYS_MAX:]
    total = sum(weights)
    own = equal = 1.0
    points = []
    for place, day in enumerate(days):
        if place:
            before = days[place - 1]
            moves = [each[day] / each[before] - 1.0 for each in series]
            own *= 1.0 + sum(w * m for w, m in zip(weights, moves, strict=True)) / total
            equal *= 1.0 + sum(moves) / len(moves)
        points.append((date_of(day), round(own * MILLION), round(equal * MILLION)))
    return points


def _prices(quotes: Quotes, last: int) -> Mapping[int, float]:
    days, values = array("i", quotes.days), array("d", quotes.values)
    return {day: value for day, value in zip(days, values, strict=True) if day <= last}
