"""Books what a registrar has confirmed: rows of one investor one after another, investors together.

A row is measured by the price of its day and booked at once where it agrees. What does not agree,
is of no order of ours, or says something else than before becomes a break, and nothing is booked.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from libs.clock import Clock
from libs.decider import Asked, Cause, Decided, Rejected
from libs.ids import named_id
from libs.read_model import Database
from services.funds import queries
from services.funds.aggregates import Aggregates, holding_id
from services.funds.breaking import Breaking, about, break_id_of
from services.funds.domain import holding as holdings
from services.funds.domain import order_lifecycle as life
from services.funds.domain.booking import bookings_of
from services.funds.domain.breaks import BreakType
from services.funds.domain.expectation import Expected
from services.funds.domain.order import (
    BeginByRegistrar,
    Command,
    Confirm,
    Record,
    says_booked,
)
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
# Rows that are decided and appended together, each of another investor; lots under way at once:
# one is decided while others are being stored.
LOT: Final = 256
LOTS_AT_ONCE: Final = 3
_OrderDecided: TypeAlias = Decided[life.Order, life.Event]
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


@dataclass(frozen=True, slots=True, eq=False)
class _Lots:
    """What the lots of one file have in common."""

    ta_id: str
    done: Booked
    first_lots: set[str]
    missing: Collection[str]


@dataclass(frozen=True, slots=True)
class BookingDesk:
    """Takes the rows of one file."""

    aggregates: Aggregates
    expecting: Expecting
    breaking: Breaking
    database: Database
    clock: Clock
    wake: Callable[[str], None]
    _under_way: set[object] = field(default_factory=set, repr=False)

    @property
    def is_busy(self) -> bool:
        """Whether rows of a file are being booked: what nobody waits for may give way."""
        return bool(self._under_way)

    async def book(
        self, ta_id: str, answers: Sequence[Answer], missing: Collection[str] = ()
    ) -> Booked:
        """Book them; again is harmless. Raises `Unavailable` where the store is not there.

        `missing`: breaks that stand because an order was not answered, which a row may end.
        """
        lots = _Lots(ta_id, Booked(), await self._first_lots(answers), missing)
        by_investor: dict[str, deque[Answer]] = defaultdict(deque)
        for answer in answers:
            by_investor[answer.investor_id or answer.order_id].append(answer)
        waiting = deque(by_investor.values())

        async def work() -> None:
            while waiting:
                lot = [waiting.popleft() for _ in range(min(LOT, len(waiting)))]
                await self._take([rows.popleft() for rows in lot], lots)
                waiting.extend(rows for rows in lot if rows)

        self._under_way.add(lots)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(LOTS_AT_ONCE):
                    group.create_task(work())
        finally:
            self._under_way.remove(lots)
        return lots.done

    async def _first_lots(self, answers: Sequence[Answer]) -> set[str]:
        """Holdings that have no row: most likely they begin here, and need not be read first."""
        asked = {holding_id(each.investor_id, each.row.fund_code) for each in answers}
        investors = sorted({each.investor_id for each in answers})
        known = await self.database.read(partial(queries.known_holdings, investors=investors))
        return asked - {holding_id(*each) for each in known}

    async def _take(self, lot: Sequence[Answer], lots: "_Lots") -> None:
        """Two appends a row: the units first, then that the row is there and booked.

        A crash between them is healed when the file is applied again: a row is booked once.
        """
        await self._at_hand(lot, lots)
        asked = [await self._asked(answer, lots) for answer in lot]
        book = partial(self._book, lot, lots)
        for answer, told in zip(
            lot, await self.aggregates.orders.record_each(asked, first=book), strict=True
        ):
            match told:
                case Rejected():
                    await self._contradicted(lots.ta_id, answer, told)
                    lots.done.breaks += 1
                case Exception():
                    raise told
                case _ if answer.refusal is not None:
                    self.wake(answer.order_id)
                    lots.done.rejected += 1
                case _:
                    await self._taken(answer, told.state, lots)

    async def _at_hand(self, lot: Sequence[Answer], lots: "_Lots") -> None:
        """Read side by side what is not in memory; what most likely begins is not looked for."""
        orders, holdings = self.aggregates.orders, self.aggregates.holdings
        begun = [each.order_id for each in lot if each.begins is None]
        held = {holding_id(each.investor_id, each.row.fund_code) for each in lot}
        await asyncio.gather(
            *(orders.load(id_) for id_ in begun if orders.known(id_) is None),
            *(holdings.load(i) for i in held - lots.first_lots if holdings.known(i) is None),
        )

    async def _asked(self, answer: Answer, lots: "_Lots") -> Asked[Command]:
        order_id, row = answer.order_id, answer.row
        if answer.refusal is not None:
            refused = Record(answer.refusal)
            return Asked(order_id, refused, _cause(order_id, f"row/{row.row_id}/refused"))
        # The key is the row's content too: the same row from another file is the same command.
        cause = _cause(order_id, f"row/{row.row_id}/{row.file_key}")
        if answer.begins is not None:
            expected = answer.expected or await self.expecting.of_terms(answer.begins, row)
            ta_id, now_us = lots.ta_id, self.clock()
            serial = f"TA{named_id('registrar', ta_id, row.row_id).hex[:22]}"
            begin = BeginByRegistrar(order_id, answer.begins, ta_id, serial, now_us, row, expected)
            return Asked(order_id, begin, cause, is_new=True)
        known = (await self.aggregates.orders.load(order_id)).state
        expected = None
        if isinstance(known, life.Begun):
            expected = await self.expecting.of(known, row)
        return Asked(order_id, Confirm(row, expected, is_booked=True), cause)

    async def _book(
        self, lot: Sequence[Answer], lots: "_Lots", decided: Sequence[_OrderDecided]
    ) -> Mapping[int, Exception]:
        """Book the units of rows that agree; of a switch, those that leave before those that come.

        By number, what hinders a row.
        """
        hindered: dict[int, Exception] = {}
        waiting: list[tuple[int, Asked[holdings.Command]]] = []
        later: list[tuple[int, Asked[holdings.Command]]] = []
        for each in decided:
            if isinstance(each.state, life.Begun) and says_booked(each.events):
                asked = _bookings(each.state, lot[each.number].row, lots)
                waiting += [(each.number, one) for one in asked[:1]]
                later += [(each.number, one) for one in asked[1:]]
        while waiting:
            answers = await self.aggregates.holdings.record_each([one for _, one in waiting])
            hindered |= {
                number: told
                for (number, _), told in zip(waiting, answers, strict=True)
                if isinstance(told, Exception)
            }
            waiting = [each for each in later if each[0] not in hindered]
            later = []
        return hindered

    async def _taken(self, answer: Answer, order: life.Order, lots: "_Lots") -> None:
        """Count what came of a row that is an order's now, and see to what is not done by it."""
        done, row = lots.done, answer.row
        part = order.part(row.row_id) if isinstance(order, life.Begun) else None
        if isinstance(order, life.Absent) or part is None:
            raise AssertionError("a row that was taken is a part of its order")
        if lots.missing:
            # It may be the one that was missing when the day was reconciled.
            place = f"{answer.order_id}/{row.trade_date}"
            if break_id_of(BreakType.MISSING_AT_TA, place) in lots.missing:
                await self.breaking.end(BreakType.MISSING_AT_TA, place, "it has arrived")
        if part.confirmation.file_key == row.file_key:
            # The same row in another file moves no money again.
            _count(order, part.confirmation, done)
        if part.stage is life.PartStage.DISPUTED:
            await self._disputed(lots.ta_id, order, part)
            done.breaks += 1
            return
        done.booked += 1
        if part.stage is not life.PartStage.BOOKED or next_step(order) is not None:
            self.wake(order.placed.order_id)  # the rest is the order's own process

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


def _bookings(
    order: life.Begun, row: Confirmation, lots: _Lots
) -> Sequence[Asked[holdings.Command]]:
    part = life.Part(row, row.row_id, life.PartStage.AGREED)
    order_id = order.placed.order_id
    cause = _cause(order_id, f"book/{part.row_id}/{row.row}")
    asked: list[Asked[holdings.Command]] = []
    for code, command in bookings_of(order, part):
        id_ = holding_id(order.terms.investor_id, code)
        asked.append(Asked(id_, command, cause, is_new=id_ in lots.first_lots))
        lots.first_lots.discard(id_)
    return asked


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
