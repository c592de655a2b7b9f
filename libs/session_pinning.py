"""Writes down the sessions of exchanges as exchange_calendars has them: `python -m` this module.

Its pandas takes seconds and a hundred MiB of a process that wants nothing but dates. A test holds
what is written against the library.
"""

import sys
import warnings
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path

from libs.trading_calendar import KNOWN_FROM, KNOWN_UNTIL, PINNED, Calendar

_DAY = timedelta(days=1)
_FRIDAY = 4


def calendar_of(name: str) -> Calendar:
    """An exchange's sessions, asked of the library."""
    with warnings.catch_warnings():
        # The library calls what its own pandas deprecates; nothing of it reaches us.
        warnings.simplefilter("ignore")
        import exchange_calendars  # noqa: PLC0415 - brings pandas, for whoever asks this alone

        found = exchange_calendars.get_calendar(
            name, start=str(KNOWN_FROM[name]), end=str(KNOWN_UNTIL)
        )
        sessions = tuple(each.date() for each in found.sessions)
        zone = str(found.tz)
    return Calendar(name, zone, KNOWN_FROM[name], KNOWN_UNTIL, sessions)


def text_of(calendar: Calendar) -> str:
    """The calendar as its file: the zone, the days between, and weekdays that are no session."""
    if any(each.weekday() > _FRIDAY for each in calendar.sessions):
        raise AssertionError(f"{calendar.name} trades on weekends: that has no place in the file")
    sessions, closed = set(calendar.sessions), list[date]()
    day = calendar.known_from
    while day <= calendar.known_until:
        if day.weekday() <= _FRIDAY and day not in sessions:
            closed.append(day)
        day += _DAY
    lines = [
        f"# weekdays without a session; exchange_calendars {version('exchange_calendars')}",
        calendar.zone,
        f"{calendar.known_from} {calendar.known_until}",
        *map(str, closed),
    ]
    return "\n".join(lines) + "\n"


def main(folder: Path = PINNED) -> None:
    """Write all files anew."""
    for name in KNOWN_FROM:
        (folder / f"{name}.txt").write_text(text_of(calendar_of(name)))
        sys.stdout.write(f"{name}.txt\n")


if __name__ == "__main__":
    main()
