"""Day counts of the market: how much of a year lies between two dates, as exact fractions.

ISDA 2006 definitions section 4.16 (b), (f), (h); actual/actual AFB after the French FBF rules.
"""

from calendar import isleap, monthrange
from datetime import date, timedelta
from fractions import Fraction

_YEAR, _LEAP_YEAR, _FEBRUARY = 365, 366, 2
_MONTH_END = 30


def actual_365(begin: date, end: date) -> Fraction:
    """Actual/365 fixed."""
    return Fraction((end - begin).days, _YEAR)


def actual_actual_isda(begin: date, end: date) -> Fraction:
    """Days in leap years over 366 and the others over 365."""
    total = Fraction(0)
    for year in range(begin.year, end.year + 1):
        first = max(begin, date(year, 1, 1))
        last = min(end, date(year + 1, 1, 1))
        total += Fraction((last - first).days, _LEAP_YEAR if isleap(year) else _YEAR)
    return total


def actual_actual_afb(begin: date, end: date) -> Fraction:
    """Whole years back from the end, and the rest over 366 where a 29 February lies in it."""
    years, last = 0, end
    while (earlier := _year_before(last)) >= begin:
        years, last = years + 1, earlier
    leap_days = (date(y, 2, 29) for y in range(begin.year, last.year + 1) if isleap(y))
    is_leap = any(begin <= day < last for day in leap_days)
    return years + Fraction((last - begin).days, _LEAP_YEAR if is_leap else _YEAR)


def days_30_360_us(begin: date, end: date) -> int:
    """30/360 of the American bond market, with its rule for the end of February."""
    first, last = begin.day, end.day
    if _ends_february(begin):
        if _ends_february(end):
            last = _MONTH_END
        first = _MONTH_END
    if last > _MONTH_END and first >= _MONTH_END:
        last = _MONTH_END
    return _days_360(begin, min(first, _MONTH_END), end, last)


def days_30e_360_german(begin: date, end: date) -> int:
    """30E/360 in its German form: every end of a month is the 30th, February's too."""
    first = _MONTH_END if _ends_february(begin) else min(begin.day, _MONTH_END)
    last = _MONTH_END if _ends_february(end) else min(end.day, _MONTH_END)
    return _days_360(begin, first, end, last)


def _days_360(begin: date, first: int, end: date, last: int) -> int:
    return 360 * (end.year - begin.year) + 30 * (end.month - begin.month) + last - first


def _ends_february(day: date) -> bool:
    return day.month == _FEBRUARY and (day + timedelta(days=1)).day == 1


def _year_before(day: date) -> date:
    # A year before the end of February is the end of February.
    if _ends_february(day):
        return date(day.year - 1, _FEBRUARY, monthrange(day.year - 1, _FEBRUARY)[1])
    return day.replace(year=day.year - 1)
