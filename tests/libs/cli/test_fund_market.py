"""The market of the fund days: real prices on real sessions, incomes of every natural day."""

from datetime import UTC, date, datetime, time

import pytest

from libs.cli.fund_market import Market, NoSessions, cut_off, instant
from libs.fund_samples import load_samples

MARKET = Market(load_samples())


def test_a_year_has_its_sessions() -> None:
    sessions = MARKET.sessions(date(2015, 1, 5), date(2015, 12, 31))

    assert len(sessions) == 251
    assert sessions[0].day == date(2015, 1, 5)
    # Martin Luther King's day is none.
    assert date(2015, 1, 19) not in {session.day for session in sessions}
    assert sessions[-1].confirm == date(2016, 1, 4)


def test_prices_are_those_of_the_day() -> None:
    prices = {price.fund_code: price.nav for price in MARKET.prices(date(2015, 1, 5))}

    assert prices["KO0001"] == 32_103
    assert "MM0001" not in prices


def test_income_comes_for_each_day_up_to_the_confirm_date() -> None:
    friday = MARKET.sessions(date(2015, 1, 9), date(2015, 1, 9))[0]

    assert [income.date for income in MARKET.incomes(friday)] == [
        "2015-01-09",
        "2015-01-10",
        "2015-01-11",
    ]


def test_there_are_no_prices_of_tomorrow() -> None:
    with pytest.raises(NoSessions, match="prices go from 2014-01-02 to 2022-12-28"):
        MARKET.sessions(date(2030, 1, 1), date(2030, 1, 31))


def test_the_day_closes_at_four_in_new_york() -> None:
    winter = instant(date(2015, 1, 5), time(16, 0)).ToDatetime(UTC)

    assert winter == datetime(2015, 1, 5, 21, 0, tzinfo=UTC)
    assert cut_off(date(2015, 7, 6)).ToDatetime(UTC) == datetime(2015, 7, 6, 20, 0, 1, tzinfo=UTC)
