"""Files that are late by the clock: each is a break, which ends when the file is there."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from functools import partial
from typing import Final

import structlog

from libs.clock import Clock
from libs.decider import Cause
from libs.read_model import Database
from libs.trading_calendar import cut_off_us
from libs.transient import is_transient
from services.funds import queries
from services.funds.aggregates import Aggregates, file_key, ta_day_id
from services.funds.batching import ACCOUNTS
from services.funds.breaking import Breaking, about, break_id_of
from services.funds.domain import breaks, ta_day
from services.funds.domain.breaks import BreakType
from services.funds.domain.registrar import Registrar
from services.funds.domain.ta_day import FileType
from services.funds.file_room import FileRoom
from services.funds.fund_day import FundDays
from services.funds.reading import profile_of

_ACTOR: Final = "funds"
# What a registrar answers to accounts that were asked for.
ANSWERS: Final = "02"

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Lateness:
    """Looks at a day that waits; done again it tells nothing twice."""

    aggregates: Aggregates
    fund_days: FundDays
    breaking: Breaking
    file_room: FileRoom
    database: Database
    clock: Clock
    every_s: float = 2.0

    async def look(self, registrar: Registrar, day: ta_day.Begun) -> None:
        """See to it that each file that is late by now has its break."""
        due, now_us = await self._due(registrar, day), self.clock()
        if not any(now_us >= due_us for due_us in due.values()):
            return
        id_ = ta_day_id(registrar.ta_id, day.opened.trade_date)
        types = "-".join(type_.value for type_, due_us in due.items() if now_us >= due_us)
        cause = Cause(f"{id_}/late/{types}", correlation_id=id_, actor=_ACTOR)
        watch = ta_day.Watch(now_us, tuple(due.items()))
        state = (await self.aggregates.ta_days.transact(id_, watch, cause)).state
        for late in state.late if isinstance(state, ta_day.Begun) else ():
            await self._tell(id_, day, late)

    async def _due(self, registrar: Registrar, day: ta_day.Begun) -> Mapping[FileType, int]:
        """When each file that is not here is due: where funds differ, by the latest clock."""
        times = profile_of(registrar.profile).due
        missing = [type_ for type_ in day.missing() if type_.value in times]
        if not missing:
            return {}
        confirm = day.opened.confirm_date
        return {
            type_: await self._closing(registrar, confirm, times[type_.value]) for type_ in missing
        }

    async def _closing(self, registrar: Registrar, day: date, at: time) -> int:
        funds = await self.fund_days.funds_of(registrar.ta_id)
        return max(cut_off_us(day, fund.dealing.time_zone, at) for fund in funds)

    async def run(self) -> None:
        """For ever: answers about accounts, for which no day waits."""
        while True:
            try:
                await self.look_for_accounts()
            except Exception as error:
                if not is_transient(error):
                    raise
                logger.warning("late_accounts_look_failed", reason=str(error))
            await asyncio.sleep(self.every_s)

    async def look_for_accounts(self) -> None:
        """See to it that each 02 that is late by now has its break."""
        asked = await self.database.read(
            partial(queries.unanswered, sent_type=ACCOUNTS, answer_type=ANSWERS)
        )
        for ta_id, trade_date, rows in asked:
            id_ = f"{ta_id}-{trade_date}"
            day = (await self.aggregates.ta_days.load(id_)).state
            known = (await self.aggregates.registrars.load(ta_id)).state
            if known is None or isinstance(day, ta_day.Absent):
                continue
            at = profile_of(known.registrar.profile).due.get(ANSWERS)
            confirm = day.opened.confirm_date
            if at is None or self.clock() < await self._closing(known.registrar, confirm, at):
                continue
            place = f"{id_}/{ANSWERS}"
            terms = about(
                ta_id,
                day.opened.trade_date,
                ours=f"{rows} accounts asked for",
                description=f"file {ANSWERS} was due by {confirm}",
            )
            await self.breaking.find(BreakType.LATE, place, terms)
            if await self.file_room.find(file_key(ta_id, day.opened.trade_date, ANSWERS, 1)):
                # It came while this was told: whoever took it in found no break to end.
                await self.breaking.end(BreakType.LATE, place, "it has arrived")

    async def _tell(self, id_: str, day: ta_day.Begun, late: ta_day.FileLate) -> None:
        place = f"{id_}/{late.file_type.value}"
        known = (await self.aggregates.breaks.load(break_id_of(BreakType.LATE, place))).state
        if not isinstance(known, breaks.Absent):
            return
        sent = day.batch.rows if day.batch is not None else 0
        terms = about(
            day.opened.ta_id,
            day.opened.trade_date,
            ours=f"{sent} orders sent",
            description=f"file {late.file_type.value} was due by {day.opened.confirm_date}",
        )
        await self.breaking.find(BreakType.LATE, place, terms)
        state = (await self.aggregates.ta_days.load(id_)).state
        if isinstance(state, ta_day.Begun) and late not in state.late:
            # It came while this was told: whoever took it in found no break to end.
            await self.breaking.end(BreakType.LATE, place, "it has arrived")
