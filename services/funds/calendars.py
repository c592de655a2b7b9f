"""The calendars of the catalogue's exchanges: learnt off the loop, extended by two operators."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from libs.decider import Cause, Rejected, Transacted
from libs.trading_calendar import KNOWN_FROM, Calendar, CalendarUnknown, load_calendar
from services.funds import days
from services.funds.aggregates import Aggregates
from services.funds.domain import trading_days
from services.funds.domain.order_placing import Reason as OrderReason
from services.funds.domain.trading_days import ExtensionProposed, TradingDays


@dataclass(frozen=True, slots=True)
class Calendars:
    """What operators publish of an exchange, and what of it orders meet."""

    aggregates: Aggregates

    async def wake(self) -> None:
        """After a start: what was approved counts, for any exchange, before the first order."""
        for name in KNOWN_FROM:
            approved = (await self.aggregates.trading_days.load(name)).state
            if approved.extensions:
                await self.learn([name])
            else:
                days.publish(name, ())

    async def learn(self, names: Sequence[str]) -> None:
        """Load exchanges and what was approved of them; the first time takes seconds.

        Raises `Rejected` for an exchange nobody knows.
        """
        for name in names:
            await self._seed(name)
            approved = (await self.aggregates.trading_days.load(name)).state
            days.publish(name, approved.extensions)

    async def look(self, name: str) -> tuple[Calendar, Transacted[TradingDays, trading_days.Event]]:
        """An exchange as it stands. Raises `Rejected`."""
        await self.learn([name])
        return days.calendar_of(name), await self.aggregates.trading_days.load(name)

    async def propose(
        self, proposal_id: str, name: str, until: date, sessions: Sequence[date], maker: str
    ) -> None:
        """Publish later sessions, to be approved. Raises `Rejected`."""
        await self.learn([name])
        proposed = ExtensionProposed(proposal_id, name, until, tuple(sessions), maker)
        known_until = days.calendar_of(name).known_until
        await self._transact(name, trading_days.Propose(proposed, known_until), proposal_id, maker)

    async def approve(self, name: str, proposal_id: str, checker: str) -> None:
        """From now on orders meet them. Raises `Rejected`."""
        await self.learn([name])
        known_until = days.calendar_of(name).known_until
        approve = trading_days.Approve(proposal_id, checker, known_until)
        await self._transact(name, approve, f"{proposal_id}/approve", checker)
        await self.learn([name])

    async def refuse(self, name: str, proposal_id: str, checker: str, note: str) -> None:
        """They are not to be. Raises `Rejected`."""
        await self.learn([name])
        refuse = trading_days.Refuse(proposal_id, checker, note)
        await self._transact(name, refuse, f"{proposal_id}/refuse", checker)

    async def _transact(
        self, name: str, command: trading_days.Command, key: str, actor: str
    ) -> None:
        cause = Cause(key, correlation_id=name, actor=actor)
        await self.aggregates.trading_days.transact(name, command, cause)

    async def _seed(self, name: str) -> None:
        try:
            await asyncio.to_thread(load_calendar, name)
        except CalendarUnknown as error:
            raise Rejected(OrderReason.CALENDAR_UNKNOWN, str(error)) from error
