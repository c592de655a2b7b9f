"""Trade days on real calendars, and nothing beyond what is known of them."""

from datetime import date, datetime, time

import pytest

from libs import session_pinning
from libs.trading_calendar import (
    KNOWN_FROM,
    PINNED,
    Calendar,
    CalendarUnknown,
    DealingDays,
    Extension,
    cut_off_us,
    days_left,
    dealing_days,
    extended,
    instant_us,
    is_ending,
    load_calendar,
    session_after,
    trade_day,
)

SHANGHAI = "Asia/Shanghai"


@pytest.fixture(scope="module")
def xshg() -> Calendar:
    return load_calendar("XSHG")


def at(text: str) -> int:
    return instant_us(datetime.fromisoformat(text), SHANGHAI)


@pytest.mark.parametrize(
    ("moment", "trade", "confirm"),
    [
        ("2026-09-24T14:59:59.999", date(2026, 9, 24), date(2026, 9, 28)),
        ("2026-09-30T15:00:00", date(2026, 10, 8), date(2026, 10, 9)),
        ("2026-10-10T10:00", date(2026, 10, 12), date(2026, 10, 13)),
        ("2026-02-13T14:00", date(2026, 2, 13), date(2026, 2, 24)),
    ],
)
def test_an_instant_has_its_trade_day_and_confirm_day(
    xshg: Calendar, moment: str, trade: date, confirm: date
) -> None:
    found = trade_day(at(moment), [xshg], SHANGHAI)

    assert found == trade
    assert dealing_days(found, [xshg], 2) == DealingDays(
        trade, confirm, session_after(confirm, [xshg])
    )


def test_the_last_known_day_has_no_confirm_day_and_is_refused(xshg: Calendar) -> None:
    trade = trade_day(at("2026-12-31T14:00"), [xshg], SHANGHAI)

    with pytest.raises(CalendarUnknown):
        dealing_days(trade, [xshg], 1)
    with pytest.raises(CalendarUnknown):
        trade_day(at("2026-12-31T15:00"), [xshg], SHANGHAI)


@pytest.mark.parametrize("moment", ["2027-01-04T10:00", "1991-12-31T10:00"])
def test_outside_of_what_is_known_nothing_is_guessed(xshg: Calendar, moment: str) -> None:
    with pytest.raises(CalendarUnknown):
        trade_day(at(moment), [xshg], SHANGHAI)


def test_a_working_saturday_is_no_session(xshg: Calendar) -> None:
    assert not xshg.is_session(date(2026, 10, 10))


def test_two_funds_deal_when_both_exchanges_do(xshg: Calendar) -> None:
    # Shanghai rests until 8 October; New York trades all week and rests on the 12th of none.
    both = [xshg, load_calendar("XNYS")]

    assert trade_day(at("2026-10-01T10:00"), both, SHANGHAI) == date(2026, 10, 8)
    # Shanghai trades on Thanksgiving Day, New York does not.
    assert trade_day(at("2026-11-26T10:00"), both, SHANGHAI) == date(2026, 11, 27)


def test_the_cut_off_is_an_instant_of_the_funds_zone() -> None:
    cut_off = cut_off_us(date(2015, 1, 5), "America/New_York", time(16, 0))

    assert cut_off == instant_us(datetime(2015, 1, 5, 21, 0), "UTC")  # noqa: DTZ001 - zone is given


def test_sixty_days_before_the_end_it_is_an_alarm(xshg: Calendar) -> None:
    assert days_left(xshg, date(2026, 11, 1)) == 60
    assert is_ending(xshg, date(2026, 11, 1))
    assert not is_ending(xshg, date(2026, 10, 31))


def test_what_operators_publish_extends_the_calendar(xshg: Calendar) -> None:
    published = Extension("XSHG", date(2027, 1, 8), (date(2027, 1, 4), date(2027, 1, 5)))

    longer = extended(xshg, [published, Extension("XNYS", date(2028, 1, 1), ())])

    assert dealing_days(date(2026, 12, 31), [longer], 2) == DealingDays(
        date(2026, 12, 31), date(2027, 1, 4), date(2027, 1, 5)
    )
    with pytest.raises(CalendarUnknown):
        session_after(date(2027, 1, 5), [longer])
    assert extended(longer, [published]) == longer


def test_an_extension_without_sessions_is_refused(xshg: Calendar) -> None:
    with pytest.raises(CalendarUnknown):
        extended(xshg, [Extension("XSHG", date(2027, 1, 8), ())])


def test_an_exchange_nobody_knows_is_refused() -> None:
    with pytest.raises(CalendarUnknown):
        load_calendar("XXXX")


@pytest.mark.parametrize("name", sorted(KNOWN_FROM))
def test_what_is_written_down_is_what_the_library_says(name: str) -> None:
    told = session_pinning.calendar_of(name)

    assert load_calendar(name) == told
    assert (PINNED / f"{name}.txt").read_text() == session_pinning.text_of(told)
