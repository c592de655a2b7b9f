"""Looks ahead: a calendar of ours that ends within sixty days is an alarm, and a break to repair.

Past its end every order is refused; an operator publishes its days in time.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from libs.clock import Clock
from libs.read_model import Database
from libs.trading_calendar import Calendar, days_left, is_ending
from libs.transient import is_transient
from services.funds import days, queries
from services.funds.aggregates import Aggregates
from services.funds.breaking import Breaking, about
from services.funds.calendars import Calendars
from services.funds.domain import fund as funds
from services.funds.domain.breaks import BreakType

# A calendar ends days from now, never hours.
LOOK_EVERY_S: Final = 3600.0

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CalendarWatch:
    """Reads the catalogue's calendars; what ends soon is told again with each look."""

    aggregates: Aggregates
    database: Database
    breaking: Breaking
    calendars: Calendars
    clock: Clock

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self.look()
            except Exception as error:
                if not is_transient(error):
                    raise
                logger.warning("calendar_look_failed", reason=str(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> Sequence[Calendar]:
        """The calendars that end soon; each has its break afterwards, and one only."""
        now_us = self.clock()
        ending: dict[str, Calendar] = {}
        for code in await self.database.read(queries.fund_codes):
            fund = (await self.aggregates.funds.load(code)).state
            if isinstance(fund, funds.Absent):
                continue
            dealing = fund.terms.dealing
            today = days.today_of(dealing, now_us)
            # Another process may have published days since.
            await self.calendars.learn(dealing.calendars)
            known = days.calendars_of(fund.terms)
            ending |= {each.name: each for each in known if is_ending(each, today)}
        for calendar in ending.values():
            await self._tell(calendar, now_us)
        return list(ending.values())

    async def _tell(self, calendar: Calendar, now_us: int) -> None:
        left = days_left(calendar, days.utc_day(now_us))
        logger.critical(
            "calendar_ending",
            calendar=calendar.name,
            known_until=calendar.known_until.isoformat(),
            days_left=left,
        )
        place = f"{calendar.name}/{calendar.known_until.isoformat()}"
        described = f"{calendar.name} is known until {calendar.known_until}: publish its days"
        terms = about("", calendar.known_until, description=described)
        await self.breaking.find(BreakType.CALENDAR_ENDING, place, terms)
