"""Exchange sessions: trade day, confirm day and settlement day of fund orders, failing closed.

Seeds come from exchange_calendars, written down by `session_pinning`; what operators publish
extends them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

# The year of the library's release: what it says of later years is a guess by its rules, and a
# holiday moved by a government is in no rule.
KNOWN_UNTIL = date(2026, 12, 31)
ALARM_DAYS = 60
CUT_OFF = time(15, 0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A file for each exchange: its zone, the days between, and its weekdays without a session.
PINNED = Path(__file__).parent / "exchange_sessions"
_FRIDAY = 4
# Exchanges we have sessions of, and the first day that is asked of the library.
KNOWN_FROM = {"XSHG": date(1992, 1, 1), "XNYS": date(1990, 1, 1), "XETR": date(1995, 1, 1)}


class CalendarUnknown(ValueError):
    """A day is needed that is outside what is known of a calendar: refuse, never guess."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The sessions of one exchange between two days; beyond them nothing is known."""

    name: str
    zone: str
    known_from: date
    known_until: date
    sessions: tuple[date, ...]

    def is_session(self, day: date) -> bool:
        """Whether the exchange trades that day. Raises `CalendarUnknown`."""
        self._check(day)
        place = bisect_left(self.sessions, day)
        return place < len(self.sessions) and self.sessions[place] == day

    def first_from(self, day: date) -> date:
        """That day if it is a session, or else the next one. Raises `CalendarUnknown`."""
        self._check(day)
        place = bisect_left(self.sessions, day)
        if place == len(self.sessions):
            raise CalendarUnknown(f"{self.name} has no session known from {day} on")
        return self.sessions[place]

    def last_before(self, day: date) -> date:
        """The session before a day. Raises `CalendarUnknown`."""
        self._check(day)
        place = bisect_left(self.sessions, day)
        if place == 0:
            raise CalendarUnknown(f"{self.name} has no session known before {day}")
        return self.sessions[place - 1]

    def between(self, first: date, last: date) -> Sequence[date]:
        """Sessions from one day to another, both included. Raises `CalendarUnknown`."""
        self._check(first)
        self._check(last)
        return self.sessions[bisect_left(self.sessions, first) : bisect_right(self.sessions, last)]

    def _check(self, day: date) -> None:
        if not self.known_from <= day <= self.known_until:
            known = f"{self.known_from} to {self.known_until}"
            raise CalendarUnknown(f"{self.name} is known from {known}, not on {day}")


@dataclass(frozen=True, slots=True)
class Extension:
    """What an operator published after the library's data ends, under maker and checker."""

    calendar: str
    until: date
    sessions: tuple[date, ...]


@dataclass(frozen=True, slots=True)
class DealingDays:
    """The days of one order: priced on, confirmed on, paid by."""

    trade: date
    confirm: date
    settle: date


@cache
def load_calendar(name: str) -> Calendar:
    """The seed of a calendar, by ISO 10383 code: weekdays that its file does not except.

    Raises `CalendarUnknown` for an exchange we have no sessions of.
    """
    if name not in KNOWN_FROM:
        raise CalendarUnknown(f"no sessions are known of {name!r}")
    lines = (PINNED / f"{name}.txt").read_text().splitlines()
    _, zone, known, *without = lines
    first, last = (date.fromisoformat(each) for each in known.split())
    closed = set(without)
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    sessions = tuple(
        day for day in days if day.weekday() <= _FRIDAY and day.isoformat() not in closed
    )
    return Calendar(name, zone, first, last, sessions)


def extended(calendar: Calendar, extensions: Sequence[Extension]) -> Calendar:
    """The calendar with what was published of later days. Raises `CalendarUnknown` for a gap."""
    for each in sorted(extensions, key=lambda extension: extension.until):
        if each.calendar != calendar.name or each.until <= calendar.known_until:
            continue
        later = tuple(sorted(day for day in set(each.sessions) if day > calendar.known_until))
        if not later or later[-1] > each.until:
            raise CalendarUnknown(f"sessions published of {calendar.name} are not up to the end")
        calendar = replace(calendar, known_until=each.until, sessions=(*calendar.sessions, *later))
    return calendar


def days_left(calendar: Calendar, today: date) -> int:
    """Natural days until nothing is known any more; at or below `ALARM_DAYS` it is an alarm."""
    return (calendar.known_until - today).days


def is_ending(calendar: Calendar, today: date) -> bool:
    """Whether an operator must publish more of the calendar soon."""
    return days_left(calendar, today) <= ALARM_DAYS


def local_time(instant_us: int, zone: str) -> datetime:
    """Microseconds since 1970 UTC as local time."""
    return (_EPOCH + timedelta(microseconds=instant_us)).astimezone(ZoneInfo(zone))


def instant_us(local: datetime, zone: str) -> int:
    """Local time without a zone of its own as microseconds since 1970 UTC."""
    return (local.replace(tzinfo=ZoneInfo(zone)) - _EPOCH) // timedelta(microseconds=1)


def session_from(day: date, calendars: Sequence[Calendar]) -> date:
    """The first day from this one on that is a session of every calendar."""
    found = day
    while True:
        latest = max(each.first_from(found) for each in calendars)
        if latest == found:
            return found
        found = latest


def session_after(day: date, calendars: Sequence[Calendar], count: int = 1) -> date:
    """The `count`-th day after this one that is a session of every calendar."""
    for _ in range(count):
        day = session_from(day + timedelta(days=1), calendars)
    return day


def trade_day(
    instant: int, calendars: Sequence[Calendar], zone: str, cut_off: time = CUT_OFF
) -> date:
    """T of an instant (microseconds UTC): today before the cut-off, or else the next session.

    Two funds in a switch: the calendars of both. Raises `CalendarUnknown` (funds, section 7).
    """
    local = local_time(instant, zone)
    today = local.date()
    is_in_time = local.time() < cut_off
    return session_from(today if is_in_time else today + timedelta(days=1), calendars)


def cut_off_us(trade: date, zone: str, cut_off: time = CUT_OFF) -> int:
    """The instant at which T closes, in microseconds UTC; strictly before it is in time."""
    return instant_us(datetime.combine(trade, cut_off), zone)


def dealing_days(trade: date, calendars: Sequence[Calendar], settle_sessions: int) -> DealingDays:
    """Confirm day and settlement day of T; all three must be known. Raises `CalendarUnknown`."""
    confirm = session_after(trade, calendars)
    return DealingDays(trade, confirm, session_after(trade, calendars, settle_sessions))
