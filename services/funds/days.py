"""The days of fund orders, by the exchanges that a fund names; past what is known, none is told."""

from collections.abc import Sequence
from datetime import date, time
from typing import Final

from libs.trading_calendar import (
    Calendar,
    CalendarUnknown,
    DealingDays,
    Extension,
    cut_off_us,
    extended,
    load_calendar,
    local_time,
    session_after,
    session_from,
    trade_day,
)
from services.funds.domain.product import Dealing, FundTerms

# A process has one set of calendars, as it has one cache of their seeds; a start publishes anew.
_PUBLISHED: Final[dict[str, Calendar]] = {}


def today_of(dealing: Dealing, now_us: int) -> date:
    """The fund's own natural day."""
    return local_time(now_us, dealing.time_zone).date()


def trade_day_of(funds: Sequence[FundTerms], now_us: int, *, is_buying: bool) -> date | None:
    """T of an instant for one fund, or for both of a switch; None: a day it needs is not known."""
    try:
        days = dealing_of(funds, now_us, is_buying=is_buying)
    except CalendarUnknown:
        return None
    return days.trade


def dealing_of(funds: Sequence[FundTerms], from_us: int, *, is_buying: bool) -> DealingDays:
    """T, confirm date and settlement date. Raises `CalendarUnknown`."""
    cut_off = min(fund.dealing.cut_off for fund in funds)
    trade = trade_day(from_us, calendars_of(*funds), funds[0].dealing.time_zone, cut_off)
    return _dealing(funds, trade, is_buying=is_buying)


def dealing_after(funds: Sequence[FundTerms], trade: date, *, is_buying: bool) -> DealingDays:
    """The same of the session after a trade day. Raises `CalendarUnknown`."""
    return _dealing(funds, session_after(trade, calendars_of(*funds)), is_buying=is_buying)


def _dealing(funds: Sequence[FundTerms], trade: date, *, is_buying: bool) -> DealingDays:
    first, calendars = funds[0].dealing, calendars_of(*funds)
    settle = first.settle_subscribe_days if is_buying else first.settle_redeem_days
    confirm = session_after(trade, calendars)
    return DealingDays(trade, confirm, session_after(trade, calendars, settle))


def next_trade_day(fund: FundTerms, after: date) -> date:
    """The session after a day. Raises `CalendarUnknown`."""
    return session_after(after, calendars_of(fund))


def session_on_or_after(fund: FundTerms, day: date) -> date:
    """The day itself where the fund trades on it, else the next. Raises `CalendarUnknown`."""
    return session_from(day, calendars_of(fund))


def closing_us(funds: Sequence[FundTerms], trade: date) -> int:
    """The instant at which a trade day closes, in microseconds."""
    cut_off: time = min(fund.dealing.cut_off for fund in funds)
    return cut_off_us(trade, funds[0].dealing.time_zone, cut_off)


def calendars_of(*funds: FundTerms) -> list[Calendar]:
    """Calendars of the exchanges that funds name. Raises `CalendarUnknown`."""
    names = dict.fromkeys(name for fund in funds for name in fund.dealing.calendars)
    return [calendar_of(name) for name in names]


def calendar_of(name: str) -> Calendar:
    """An exchange's sessions, with what operators have published. Raises `CalendarUnknown`."""
    return _PUBLISHED.get(name) or load_calendar(name)


def publish(name: str, extensions: Sequence[Extension]) -> None:
    """From now on the exchange's sessions are the seed and these. Raises `CalendarUnknown`."""
    if extensions:
        _PUBLISHED[name] = extended(load_calendar(name), extensions)
    else:
        _PUBLISHED.pop(name, None)


def utc_day(now_us: int) -> date:
    """The day where no fund tells its zone."""
    return local_time(now_us, "UTC").date()
