"""Day counts, to twelve decimals."""

from collections.abc import Callable
from datetime import date
from fractions import Fraction

import pytest

from libs.day_counts import (
    actual_365,
    actual_actual_afb,
    actual_actual_isda,
    days_30_360_us,
    days_30e_360_german,
)


def day(text: str) -> date:
    return date.fromisoformat(text)


@pytest.mark.parametrize(
    ("count", "begin", "end", "expected"),
    [
        (actual_actual_isda, "2003-11-01", "2004-05-01", "0.497724380567"),
        (actual_actual_afb, "2003-11-01", "2004-05-01", "0.497267759563"),
        (actual_actual_isda, "1999-07-01", "2000-07-01", "1.001377348604"),
        (actual_actual_isda, "2003-07-15", "2004-01-15", "0.504004790778"),
        (actual_actual_isda, "2000-01-30", "2000-06-30", "0.415300546448"),
        # Published by ISDA beside the same rules.
        (actual_actual_afb, "1999-02-01", "1999-07-01", "0.410958904110"),
        (actual_actual_afb, "1999-07-01", "2000-07-01", "1.000000000000"),
        (actual_actual_afb, "2002-08-15", "2003-07-15", "0.915068493151"),
        (actual_actual_afb, "2000-01-30", "2000-06-30", "0.415300546448"),
    ],
)
def test_a_part_of_a_year(
    count: Callable[[date, date], Fraction], begin: str, end: str, expected: str
) -> None:
    assert f"{float(count(day(begin), day(end))):.12f}" == expected


@pytest.mark.parametrize(
    ("begin", "end", "actual", "us", "german"),
    [("2007-12-28", "2008-02-29", 63, 61, 62), ("2008-02-01", "2009-05-31", 485, 480, 479)],
)
def test_days_of_thirty_day_months(begin: str, end: str, actual: int, us: int, german: int) -> None:
    first, last = day(begin), day(end)

    assert actual_365(first, last) == Fraction(actual, 365)
    assert days_30_360_us(first, last) == us
    assert days_30e_360_german(first, last) == german


def test_the_american_count_knows_the_end_of_february() -> None:
    assert days_30_360_us(day("2006-08-31"), day("2007-02-28")) == 178
    assert days_30_360_us(day("2007-02-28"), day("2007-08-31")) == 180
    assert days_30_360_us(day("2008-02-29"), day("2009-02-28")) == 360
