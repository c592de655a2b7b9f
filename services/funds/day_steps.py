"""The steps of a registrar's trading day: orders out, files in, measured against ours, paid."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeAlias, assert_never

import structlog

from libs.decider import Cause
from libs.process import Recorded
from libs.read_model import Database
from services.funds import queries
from services.funds.aggregates import Aggregates, ta_day_id
from services.funds.applying import Applying
from services.funds.batching import Batching, side_by_side
from services.funds.booking_desk import purpose_of
from services.funds.breaking import Breaking, about
from services.funds.cash_desk import CashDesk
from services.funds.clients.payments import Fate
from services.funds.domain import order_lifecycle as life
from services.funds.domain import ta_day
from services.funds.domain.breaks import BreakType
from services.funds.domain.order import Record as OrderRecord
from services.funds.domain.order_terms import Switching
from services.funds.domain.registrar import Registrar
from services.funds.domain.ta_day import Action, ApplyFile, CashStage, FileType, MoveCash, Purpose
from services.funds.hearing import Awaited
from services.funds.lateness import Lateness

_ACTOR: Final = "funds"
# A payment that failed so often is a person's to look at.
PAYMENTS_MAX: Final = 5

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LookAtCash:
    """Ask for a payment that was intended, or see how it stands."""

    payment_id: str


@dataclass(frozen=True, slots=True)
class AwaitFiles:
    """Nothing to do but to wait for the registrar, and to see when it is late."""


Step: TypeAlias = ta_day.Step | LookAtCash | AwaitFiles


def next_step(day: ta_day.TaDay) -> Step | None:
    """What the day does next; while it waits, it looks at the clock, and at the payment."""
    found = ta_day.next_step(day)
    if found is not None or isinstance(day, ta_day.Absent):
        return found
    if day.cut_off is not None and day.missing():
        return AwaitFiles()
    under_way = (each for each in day.cash if each.stage is CashStage.REQUESTED)
    first = next(under_way, None)
    return LookAtCash(first.request.payment_id) if first is not None else None


@dataclass(frozen=True, slots=True)
class DaySteps:
    """Performs one step of a day; each can be done again."""

    aggregates: Aggregates
    batching: Batching
    applying: Applying
    cash: CashDesk
    breaking: Breaking
    lateness: Lateness
    database: Database
    awaited: Awaited
    wake_order: Callable[[str], None]
    wake_day: Callable[[str], None]

    async def perform(
        self, id_: str, day: ta_day.TaDay, step: Step
    ) -> Recorded[ta_day.Command] | None:
        """What to record of it; None: not now. Raises `Unavailable`: the same again later."""
        if isinstance(day, ta_day.Absent):
            raise AssertionError("what is not there has no steps")  # noqa: TRY004 - a bug of ours
        fact = await self._fact(id_, day, step)
        if fact is None:
            # Whatever it waits for: the registrar may be late with something.
            await self.lateness.look(await self._registrar(day.opened.ta_id), day)
            return None
        return Recorded(ta_day.Record(fact), _cause(id_, _name(step)))

    async def _fact(self, id_: str, day: ta_day.Begun, step: Step) -> ta_day.Fact | None:
        registrar = await self._registrar(day.opened.ta_id)
        trade_date = day.opened.trade_date
        match step:
            case Action.BATCH_ORDERS:
                return await self.batching.batch(registrar, trade_date)
            case Action.SEND_ORDERS:
                return await self.batching.send(registrar, trade_date)
            case Action.ASK_FOR_RECEIPT:
                return await self.batching.ask(registrar, trade_date)
            case Action.RECONCILE:
                return await self._reconcile(id_, day)
            case ApplyFile(file_type, file_key):
                return await self._apply(registrar, day, file_type, file_key)
            case MoveCash():
                return await self._move(registrar, day, step)
            case LookAtCash(payment_id):
                return await self._look(registrar, day, payment_id)
            case AwaitFiles():
                return None
            case _:
                assert_never(step)

    async def _registrar(self, ta_id: str) -> Registrar:
        known = (await self.aggregates.registrars.load(ta_id)).state
        if known is None:
            raise AssertionError(f"{ta_id} was registered before its days")
        return known.registrar

    async def _apply(
        self, registrar: Registrar, day: ta_day.Begun, file_type: FileType, file_key: str
    ) -> ta_day.Fact | None:
        if await self._waits_for_earlier(day):
            return None
        applied, done = await self.applying.apply(
            registrar, day.opened.trade_date, file_type, file_key
        )
        if file_type is FileType.CONFIRMATIONS and done.agency_minor:
            applied = await self.cash.keep_agency_fee(registrar, applied, done.agency_minor)
        return applied

    async def _waits_for_earlier(self, day: ta_day.Begun) -> bool:
        """Days are booked in order: lots, fees and income depend on what came before."""
        ta_id, trade_date = day.opened.ta_id, day.opened.trade_date
        ids = await self.database.read(
            lambda c: queries.days_before(c, ta_id, trade_date.isoformat())
        )
        for id_ in ids:
            earlier = (await self.aggregates.ta_days.load(id_)).state
            if isinstance(earlier, ta_day.Begun) and not ta_day.is_complete(earlier):
                return True
        return False

    async def _reconcile(self, id_: str, day: ta_day.Begun) -> ta_day.Fact:
        """Orders that were sent and not answered; the other checks were made with each file."""
        ta_id, trade_date = day.opened.ta_id, day.opened.trade_date
        for order_id in await self._orders(day, _UNANSWERED):
            state = (await self.aggregates.orders.load(order_id)).state
            if not isinstance(state, life.Begun) or state.trade_date != trade_date:
                continue
            if any(part.confirmation.trade_date == trade_date for part in state.parts):
                continue
            terms = about(
                ta_id,
                trade_date,
                fund_code=state.terms.kind.fund_code,
                order_id=order_id,
                investor_id=state.terms.investor_id,
                ours=state.serial,
                description="sent, and not answered",
            )
            await self.breaking.find(BreakType.MISSING_AT_TA, f"{order_id}/{trade_date}", terms)
        standing = await self.database.read(
            lambda c: queries.breaks_of_day(c, ta_id, trade_date.isoformat())
        )
        if standing:
            logger.warning("fund_day_has_breaks", ta_day=id_, breaks=standing)
        return ta_day.Reconciled(standing)

    async def _move(
        self, registrar: Registrar, day: ta_day.Begun, step: MoveCash
    ) -> ta_day.Fact | None:
        if not await self.cash.is_due(registrar, day, step.purpose):
            return None
        if step.ordinal >= PAYMENTS_MAX:
            terms = about(
                registrar.ta_id,
                day.opened.trade_date,
                ours=str(step.amount_minor),
                description=f"{step.purpose.name}: {step.ordinal} payments have failed",
            )
            place = f"{registrar.ta_id}/{day.opened.trade_date}/{step.purpose.name}"
            await self.breaking.find(BreakType.CASH_DIFF, place, terms)
            return None
        payment_id = self.cash.payment_id(registrar, day.opened.trade_date, step)
        return ta_day.CashRequested(step.purpose, payment_id, step.amount_minor)

    async def _look(
        self, registrar: Registrar, day: ta_day.Begun, payment_id: str
    ) -> ta_day.Fact | None:
        known = day.payment(payment_id)
        if known is None:
            raise AssertionError("a payment is looked at that was intended")
        request = known.request
        id_ = ta_day_id(day.opened.ta_id, day.opened.trade_date)
        self.awaited.expect(payment_id, lambda: self.wake_day(id_))
        carried = await self.cash.carry(registrar, request)
        if carried.fate is not Fate.UNDER_WAY:
            self.awaited.forget(payment_id)
        match carried.fate:
            case Fate.UNDER_WAY:
                return None
            case Fate.FAILED:
                await self.cash.failed(registrar, request)
                return ta_day.CashFailed(payment_id, carried.reason)
            case Fate.DONE:
                await self.cash.arrived(registrar, request)
                await self._cover(day, request.purpose, payment_id)
                return ta_day.CashDone(payment_id)
            case _:
                assert_never(carried.fate)

    async def _cover(self, day: ta_day.Begun, purpose: Purpose, payment_id: str) -> None:
        """Tell each order of the day that its money is where it belongs."""
        trade_date = day.opened.trade_date

        async def cover(order_id: str) -> None:
            state = (await self.aggregates.orders.load(order_id)).state
            if not isinstance(state, life.Begun) or isinstance(state.terms.kind, Switching):
                return  # what is switched moves no money
            for part in state.parts:
                row = part.confirmation
                # Income that is taken as shares moves no money either.
                pays = life.pays_in(state) and row.amount_minor
                moves = pays or life.brings_cash(state, part)
                if row.trade_date != trade_date or part.is_covered or not moves:
                    continue
                if part.is_cash_amended:
                    continue  # it sees for itself when the difference is even too
                if purpose_of(state, row) is purpose:
                    covered = OrderRecord(life.PartCovered(part.row_id, payment_id))
                    cause = Cause(
                        f"{order_id}/covered/{part.row_id}", correlation_id=order_id, actor=_ACTOR
                    )
                    await self.aggregates.orders.transact(order_id, covered, cause)
            self.wake_order(order_id)

        await side_by_side(await self._orders(day, ()), cover)

    async def _orders(self, day: ta_day.Begun, stages: tuple[str, ...]) -> list[str]:
        """Orders that have, or had, something to do with the day."""
        await self.batching.caught_up()
        ta_id, trade_date = day.opened.ta_id, day.opened.trade_date.isoformat()
        found = await self.database.read(
            lambda c: queries.orders_touched(c, ta_id, trade_date, stages)
        )
        return list(found)


_UNANSWERED: Final = (
    life.Stage.BATCHED.name,
    life.Stage.TA_RECEIVED.name,
    life.Stage.PRICED.name,
    life.Stage.ROLLED_OVER.name,
)


def _name(step: Step) -> str:
    match step:
        case Action():
            return step.name
        case ApplyFile(_, file_key):
            return f"apply/{file_key}"
        case MoveCash(purpose, _, ordinal):
            return f"cash/{purpose.name}/{ordinal}"
        case LookAtCash(payment_id):
            return f"cash/{payment_id}"
        case AwaitFiles():
            return "await"
        case _:
            assert_never(step)


def _cause(id_: str, step: str) -> Cause:
    return Cause(f"{id_}/{step}", correlation_id=id_, actor=_ACTOR)


def day_of(id_: str) -> tuple[str, date]:
    """Registrar and trade date of a day's id."""
    ta_id, _, trade_date = id_.partition("-")
    return ta_id, date.fromisoformat(trade_date)
