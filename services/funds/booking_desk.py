"""Books what a registrar has confirmed: rows of one investor one after another, investors together.

A row is measured by the price of its day and booked at once where it agrees. What does not agree,
is of no order of ours, or says something else than before becomes a break, and nothing is booked.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from libs.clock import Clock
from libs.decider import Cause, Rejected
from libs.ids import named_id
from libs.read_model import Database
from services.funds import queries
from services.funds.aggregates import Aggregates, holding_id
from services.funds.breaking import Breaking, about
from services.funds.domain import order_lifecycle as life
from services.funds.domain.booking import bookings_of
from services.funds.domain.breaks import BreakType
from services.funds.domain.expectation import Expected
from services.funds.domain.order import BeginByRegistrar, Confirm, Record, says_booked
from services.funds.domain.order_placing import Reason
from services.funds.domain.order_steps import next_step
from services.funds.domain.order_terms import (
    REGISTRAR_CODES,
    Confirmation,
    FastRedemption,
    RegistrarMovement,
    Subscription,
    Switching,
    Terms,
)
from services.funds.domain.ta_day import Purpose
from services.funds.expecting import Expecting

_ACTOR: Final = "funds"
INVESTORS_AT_ONCE: Final = 256
_FIRST_BATCH: Final = "-001"
# Differences that are one kind of break; the first of a row names it.
_TYPES: Final[Mapping[str, BreakType]] = {
    "NAV_DIFFERS": BreakType.NAV_DIFF,
    "UNITS_DIFFER": BreakType.SHARE_DIFF,
    "AMOUNT_DIFFERS": BreakType.AMOUNT_DIFF,
    "FEE_MISMATCH": BreakType.AMOUNT_DIFF,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One row: the order it is about, what it says, or the registrar's no."""

    order_id: str
    investor_id: str
    row: Confirmation
    # Of a movement that the registrar began: whose it is, and where money goes.
    begins: Terms | None = None
    refusal: life.Refused | None = None
    # What the row ought to say, where that is known before: of a part of a nominee's row.
    expected: Expected | None = None


@dataclass
class Booked:
    """What came of a file's rows. `cash` is by purpose, in minor units."""

    booked: int = 0
    rejected: int = 0
    breaks: int = 0
    cash: Counter[Purpose] = field(default_factory=Counter)
    agency_minor: int = 0

    def add(self, more: "Booked") -> None:
        """Count what came of other rows of the file too."""
        self.booked += more.booked
        self.rejected += more.rejected
        self.breaks += more.breaks
        self.cash.update(more.cash)
        self.agency_minor += more.agency_minor


@dataclass(frozen=True, slots=True)
class BookingDesk:
    """Takes the rows of one file."""

    aggregates: Aggregates
    expecting: Expecting
    breaking: Breaking
    database: Database
    clock: Clock
    wake: Callable[[str], None]

    async def book(self, ta_id: str, answers: Sequence[Answer]) -> Booked:
        """Book them; again is harmless. Raises `Unavailable` where the store is not there."""
        done = Booked()
        first_lots = await self._first_lots(answers)
        by_investor: dict[str, list[Answer]] = defaultdict(list)
        for answer in answers:
            by_investor[answer.investor_id or answer.order_id].append(answer)
        waiting = iter(by_investor.values())

        async def work() -> None:
            for rows in waiting:
                for answer in rows:
                    await self._take(ta_id, answer, done, first_lots)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(INVESTORS_AT_ONCE, len(by_investor))):
                group.create_task(work())
        return done

    async def _first_lots(self, answers: Sequence[Answer]) -> set[str]:
        """Holdings that have no row: most likely they begin here, and need not be read first."""
        asked = {holding_id(each.investor_id, each.row.fund_code) for each in answers}
        investors = sorted({each.investor_id for each in answers})
        known = await self.database.read(partial(queries.known_holdings, investors=investors))
        return asked - {holding_id(*each) for each in known}

    async def _take(self, ta_id: str, answer: Answer, done: Booked, first_lots: set[str]) -> None:
        if answer.refusal is not None:
            await self._refuse(answer, answer.refusal, done)
            return
        try:
            order = await self._confirm(ta_id, answer, first_lots)
        except Rejected as rejected:
            await self._contradicted(ta_id, answer, rejected)
            done.breaks += 1
            return
        part = order.part(answer.row.row_id)
        if part is None:
            raise AssertionError("a row that was taken is a part of its order")
        if not answer.row.file_key.endswith(_FIRST_BATCH):
            # It may be the one that was missing when the day was reconciled.
            place = f"{answer.order_id}/{answer.row.trade_date}"
            await self.breaking.end(BreakType.MISSING_AT_TA, place, "it has arrived")
        if part.confirmation.file_key == answer.row.file_key:
            # The same row in another file moves no money again.
            _count(order, part.confirmation, done)
        if part.stage is life.PartStage.DISPUTED:
            await self._disputed(ta_id, order, part)
            done.breaks += 1
            return
        done.booked += 1
        if part.stage is not life.PartStage.BOOKED or next_step(order) is not None:
            self.wake(order.placed.order_id)  # the rest is the order's own process

    async def _confirm(self, ta_id: str, answer: Answer, first_lots: set[str]) -> life.Begun:
        """Two appends a row: the units first, then that the row is there and booked.

        A crash between them is healed when the file is applied again: a row is booked once.
        """
        row, orders = answer.row, self.aggregates.orders

        async def book(order: life.Order, events: Sequence[life.Event]) -> None:
            if isinstance(order, life.Begun) and says_booked(events):
                part = life.Part(row, row.row_id, life.PartStage.AGREED)
                await self._book(order, part, first_lots)

        command = await self._command(ta_id, answer, (await orders.load(answer.order_id)).state)
        # The key is the row's content too: the same row from another file is the same command.
        cause = _cause(answer.order_id, f"row/{row.row_id}/{row.file_key}")
        state = (await orders.record(answer.order_id, command, cause, first=book)).state
        if isinstance(state, life.Absent):
            raise AssertionError("a row that was taken leaves an order")  # noqa: TRY004 - a bug
        return state

    async def _command(
        self, ta_id: str, answer: Answer, known: life.Order
    ) -> Confirm | BeginByRegistrar:
        row = answer.row
        if answer.begins is not None:
            expected = answer.expected or await self.expecting.of_terms(answer.begins, row)
            serial = f"TA{named_id('registrar', ta_id, row.row_id).hex[:22]}"
            return BeginByRegistrar(
                answer.order_id, answer.begins, ta_id, serial, self.clock(), row, expected
            )
        expected = None
        if isinstance(known, life.Begun):
            expected = await self.expecting.of(known, row)
        return Confirm(row, expected, is_booked=True)

    async def _book(self, order: life.Begun, part: life.Part, first_lots: set[str]) -> None:
        order_id = order.placed.order_id
        for code, command in bookings_of(order, part):
            id_ = holding_id(order.terms.investor_id, code)
            cause = _cause(order_id, f"book/{part.row_id}/{part.confirmation.row}")
            is_new = id_ in first_lots
            first_lots.discard(id_)
            await self.aggregates.holdings.record(id_, command, cause, is_new=is_new)

    async def _refuse(self, answer: Answer, refusal: life.Refused, done: Booked) -> None:
        cause = _cause(answer.order_id, f"row/{answer.row.row_id}/refused")
        try:
            await self.aggregates.orders.transact(answer.order_id, Record(refusal), cause)
        except Rejected as rejected:
            done.breaks += 1
            await self._contradicted("", answer, rejected)
            return
        self.wake(answer.order_id)
        done.rejected += 1

    async def _contradicted(self, ta_id: str, answer: Answer, rejected: Rejected) -> None:
        row = answer.row
        is_unknown = rejected.reason in (Reason.UNKNOWN_ORDER, Reason.ORDER_NOT_FOUND)
        type_ = BreakType.MISSING_HERE if is_unknown else BreakType.AMOUNT_DIFF
        terms = about(
            ta_id or row.file_key.partition("-")[0],
            row.trade_date,
            fund_code=row.fund_code,
            order_id="" if is_unknown else answer.order_id,
            investor_id=answer.investor_id,
            row_id=row.row_id,
            theirs=f"{row.file_key}#{row.row}",
            description=f"{rejected.reason.name}: {rejected.description}",
        )
        await self.breaking.find(type_, f"{row.row_id}/{row.file_key}", terms)

    async def _disputed(self, ta_id: str, order: life.Begun, part: life.Part) -> None:
        first, row = part.differences[0], part.confirmation
        terms = about(
            ta_id,
            row.trade_date,
            fund_code=row.fund_code,
            order_id=order.placed.order_id,
            investor_id=order.terms.investor_id,
            row_id=part.row_id,
            ours=f"{first.field}={first.ours}",
            theirs=f"{first.field}={first.theirs}",
            description="; ".join(
                f"{d.reason}: {d.field} ours {d.ours}, theirs {d.theirs}" for d in part.differences
            ),
        )
        type_ = _TYPES.get(first.reason, BreakType.AMOUNT_DIFF)
        await self.breaking.find(type_, f"{part.row_id}/disputed", terms)


def _count(order: life.Begun, row: Confirmation, done: Booked) -> None:
    """The cash that a row moves between us and the registrar."""
    kind = order.terms.kind
    done.agency_minor += row.agency_fee_minor
    if isinstance(kind, Switching) or not row.amount_minor:
        return
    done.cash[purpose_of(order, row)] += row.amount_minor if _moves(order, row) else 0


def _moves(order: life.Begun, row: Confirmation) -> bool:
    kind = order.terms.kind
    is_dividend = isinstance(kind, RegistrarMovement) and kind.business_code == "143"
    return not (is_dividend and row.shares)


def purpose_of(order: life.Begun, row: Confirmation) -> Purpose:
    """Which clearing balance the row's money passes."""
    match order.terms.kind:
        case Subscription():
            return Purpose.SUB
        case FastRedemption():
            return Purpose.FAST
        case RegistrarMovement() if row.business_code == "143":
            return Purpose.DIV
        case _:
            return Purpose.RED


def is_begun_by_registrar(code: str) -> bool:
    """Whether such a row comes without an order of ours."""
    return code in REGISTRAR_CODES


def _cause(order_id: str, step: str) -> Cause:
    return Cause(f"{order_id}/{step}", correlation_id=order_id, actor=_ACTOR)
