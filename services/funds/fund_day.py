"""Opening and cutting off a registrar's trading day, so that no order slips between two days."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum, auto
from typing import Final

from libs.clock import Clock
from libs.decider import Cause, Rejected, Transacted
from libs.event_store import EventStore
from libs.projection import Projection
from libs.read_model import Database
from libs.trading_calendar import CalendarUnknown
from services.funds import days, queries
from services.funds.aggregates import Aggregates, ta_day_id
from services.funds.domain import fund as funds
from services.funds.domain import ta_day
from services.funds.domain.order_placing import Reason as OrderReason
from services.funds.domain.product import FundTerms

# How long the rows may take to be as new as what was published a moment ago, in seconds.
ROWS_WITHIN_S: Final = 10.0


class Reason(Enum):
    REGISTRAR_NOT_FOUND = auto()
    NOT_A_SESSION = auto()


@dataclass(frozen=True, slots=True)
class FundDays:
    """The days of all registrars. `gate` keeps accepting an order and cutting off its day apart."""

    aggregates: Aggregates
    database: Database
    projection: Projection
    store: EventStore
    clock: Clock
    wake: Callable[[str], None]
    _gates: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def gate(self, ta_id: str) -> asyncio.Lock:
        """Held while an order enters a day, and while a day closes."""
        return self._gates[ta_id]

    async def is_cut_off(self, ta_id: str, trade_date: date) -> bool:
        """Whether a day takes no more orders."""
        state = (await self.aggregates.ta_days.load(ta_day_id(ta_id, trade_date))).state
        return isinstance(state, ta_day.Begun) and state.cut_off is not None

    async def cut_off(
        self, ta_id: str, trade_date: date, actor: str
    ) -> Transacted[ta_day.TaDay, ta_day.Event]:
        """Close a day to orders; its process goes on from there. Raises `Rejected`."""
        terms = await self.funds_of(ta_id)
        async with self.gate(ta_id):
            await self.open(ta_id, trade_date)
            cut_off_us = max(days.closing_us([fund], trade_date) for fund in terms)
            id_ = ta_day_id(ta_id, trade_date)
            done = await self.aggregates.ta_days.transact(
                id_,
                ta_day.RunCutOff(self.clock(), cut_off_us),
                Cause(f"{id_}/cut_off", correlation_id=id_, actor=actor),
            )
        self.wake(id_)
        return done

    async def open(self, ta_id: str, trade_date: date) -> None:
        """See to it that the day is there. Raises `Rejected`."""
        id_ = ta_day_id(ta_id, trade_date)
        if not isinstance((await self.aggregates.ta_days.load(id_)).state, ta_day.Absent):
            return
        terms = await self.funds_of(ta_id)
        try:
            if days.session_on_or_after(terms[0], trade_date) != trade_date:
                raise Rejected(Reason.NOT_A_SESSION, f"{terms[0].code} does not trade then")
            confirm = days.next_trade_day(terms[0], trade_date)
        except CalendarUnknown as error:
            raise Rejected(OrderReason.CALENDAR_UNKNOWN, str(error)) from error
        opening = ta_day.Open(ta_id, trade_date, confirm)
        cause = Cause(f"{id_}/open", correlation_id=id_, actor="funds")
        await self.aggregates.ta_days.transact(id_, opening, cause)

    async def funds_of(self, ta_id: str) -> Sequence[FundTerms]:
        """Set-ups of a registrar's funds, one at least. Raises `Rejected`."""
        await self.projection.wait_for(await self.store.head(), ROWS_WITHIN_S)
        codes = await self.database.read(lambda c: queries.funds_of_ta(c, ta_id))
        states = [(await self.aggregates.funds.load(code)).state for code in codes]
        found = [state.terms for state in states if isinstance(state, funds.Listed)]
        if not found:
            raise Rejected(Reason.REGISTRAR_NOT_FOUND, f"{ta_id} has no fund in the catalogue")
        return found
