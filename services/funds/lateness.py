"""Files that are late by the clock: each is a break, which ends when the file is there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from libs.clock import Clock
from libs.decider import Cause
from libs.trading_calendar import cut_off_us
from services.funds.aggregates import Aggregates, ta_day_id
from services.funds.breaking import Breaking, about, break_id_of
from services.funds.domain import breaks, ta_day
from services.funds.domain.breaks import BreakType
from services.funds.domain.registrar import Registrar
from services.funds.domain.ta_day import FileType
from services.funds.fund_day import FundDays
from services.funds.reading import profile_of

_ACTOR: Final = "funds"


@dataclass(frozen=True, slots=True)
class Lateness:
    """Looks at a day that waits; done again it tells nothing twice."""

    aggregates: Aggregates
    fund_days: FundDays
    breaking: Breaking
    clock: Clock

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
        zones = {fund.dealing.time_zone for fund in await self.fund_days.funds_of(registrar.ta_id)}
        confirm = day.opened.confirm_date
        return {
            type_: max(cut_off_us(confirm, zone, times[type_.value]) for zone in zones)
            for type_ in missing
        }

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
