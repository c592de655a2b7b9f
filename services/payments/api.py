"""Payments over gRPC: message to command to reply; it decides nothing."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from hefu.payments.v1 import payments_pb2 as pb
from hefu.payments.v1 import payments_pb2_grpc
from libs.auth import current_caller
from libs.clock import Clock
from libs.decider import Asked, Cause, FieldViolation, Rejected, Transacted
from libs.event_store import EventStore, StoredEvent
from libs.feed import batches
from libs.grpc_errors import Refused, to_error
from libs.grpc_server import Binding, Policy
from libs.money import Money
from libs.projection import Projection
from libs.read_model import Database
from libs.wire import money_from_wire
from services.payments import projections
from services.payments.codec import NOT_PUBLIC, REQUESTED, codec, terms_from_wire
from services.payments.domain.lifecycle import Absent, Begun, Event, Payment
from services.payments.domain.payment import (
    Cancel,
    Command,
    GiveUpRefund,
    Reason,
    Request,
    ReserveRefund,
    payment,
)
from services.payments.domain.terms import Refund, Terms
from services.payments.domain.view import Settlement, Status, view_of
from services.payments.reactions import PaymentStreams, refund_request
from services.payments.shown import (
    change_shown,
    changes_in_bytes,
    refusal_shown,
    result_shown,
    results_in_bytes,
    view_to_wire,
)

if TYPE_CHECKING:
    import grpc

PAGE_SIZE: Final = 100
WATCHERS_MAX: Final = 256
TOKEN_LENGTH_MAX: Final = 18
# Messages of several changes come so long apart: one alone costs as much as many.
GATHER_S: Final = 0.02
# Funds pay registrars and are paid by them as anybody pays: through a bank's settlement window.
_PAYERS: Final = frozenset({"wallet", "service:funds"})
_WALLET: Final = frozenset({"wallet"})
_READERS: Final = _PAYERS | {"operator"}

POLICY: Final[Policy] = {
    "PaymentsService/CreatePayment": _PAYERS,
    "PaymentsService/CreatePayments": _PAYERS,
    "PaymentsService/GetPayment": _READERS,
    "PaymentsService/ListPayments": _READERS,
    "PaymentsService/CancelPayment": _PAYERS,
    "PaymentsService/RefundPayment": _WALLET,
    "PaymentsService/WatchPayments": _READERS,
}

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Done: TypeAlias = Transacted[Payment, Event]
Word = TypeVar("Word", Status, Settlement)


class PaymentsApi(payments_pb2_grpc.PaymentsServiceServicer):
    def __init__(
        self,
        streams: PaymentStreams,
        projection: Projection,
        database: Database,
        store: EventStore,
        wake: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._streams = streams
        self._projection = projection
        self._database = database
        self._store = store
        self._wake = wake
        self._clock = clock
        self._watchers = 0

    def binding(self) -> Binding:
        add = payments_pb2_grpc.add_PaymentsServiceServicer_to_server
        return Binding(add, self, "hefu.payments.v1.PaymentsService")

    async def CreatePayment(
        self, request: pb.CreatePaymentRequest, _context: "Context"
    ) -> pb.CreatePaymentResponse:
        done = await self._create(request.payment_id, terms_from_wire(request.terms))
        return pb.CreatePaymentResponse(
            payment=_shown(done), position=done.position, is_replayed=not done.events
        )

    async def CreatePayments(self, request: pb.CreatePaymentsRequest, _context: "Context") -> Any:  # noqa: ANN401 - the response in its bytes
        _check_control_sums(request)
        asked = [(item, terms_from_wire(item.terms)) for item in request.payments]
        done = await self._create_each(asked)
        return results_in_bytes(
            [
                _result(item.payment_id, each)
                for item, each in zip(request.payments, done, strict=True)
            ],
            max(0 if isinstance(each, Exception) else each.position for each in done),
        )

    async def GetPayment(
        self, request: pb.GetPaymentRequest, _context: "Context"
    ) -> pb.GetPaymentResponse:
        id_ = request.payment_id
        known = await self._streams.load(id_)
        if request.min_position > known.position:
            await self._projection.wait_for(request.min_position)
        seen = await self._database.read(lambda c: projections.find(c, id_))
        position = max(known.position, min(request.min_position, self._projection.position))
        if seen is not None and seen.revision >= known.revision:
            view = seen.view
        elif isinstance(known.state, Begun):
            view = view_of(known.state)
        else:
            raise Rejected(Reason.PAYMENT_NOT_FOUND)
        if not _may_see(view.caller):
            raise Rejected(Reason.PAYMENT_NOT_FOUND)
        return pb.GetPaymentResponse(payment=view_to_wire(view), position=position)

    async def ListPayments(
        self, request: pb.ListPaymentsRequest, _context: "Context"
    ) -> pb.ListPaymentsResponse:
        caller = current_caller()
        wanted = projections.Filter(
            caller="" if caller.role == "operator" else caller.name,
            account_id=request.account_id,
            status=_named(Status, pb.PaymentStatus, request.status),
            settlement=_named(Settlement, pb.SettlementStatus, request.settlement),
        )
        size = request.page_size or PAGE_SIZE
        after = _position_of(request.page_token)
        await self._projection.wait_for(request.min_position)
        position = self._projection.position
        # One more than asked for tells whether there is a next page.
        found = await self._database.read(lambda c: projections.page(c, wanted, after, size + 1))
        has_more, found = len(found) > size, found[:size]
        return pb.ListPaymentsResponse(
            payments=[view_to_wire(each.view) for each in found],
            next_page_token=str(found[-1].request_position) if has_more else "",
            position=position,
        )

    async def CancelPayment(
        self, request: pb.CancelPaymentRequest, _context: "Context"
    ) -> pb.CancelPaymentResponse:
        caller, id_ = current_caller().name, request.payment_id
        cause = Cause(f"{request.request_id}/cancel", correlation_id=id_, actor=caller)
        done = await self._streams.transact(id_, Cancel(request.request_id, caller), cause)
        self._wake(id_)
        return pb.CancelPaymentResponse(payment=_shown(done), position=done.position)

    async def RefundPayment(
        self, request: pb.RefundPaymentRequest, _context: "Context"
    ) -> pb.RefundPaymentResponse:
        amount = money_from_wire(request.amount) if request.HasField("amount") else None
        done = await self._refund(
            request.refund_id, request.original_payment_id, amount, request.note
        )
        return pb.RefundPaymentResponse(
            payment=_shown(done), position=done.position, is_replayed=not done.events
        )

    async def WatchPayments(
        self, request: pb.WatchPaymentsRequest, _context: "Context"
    ) -> AsyncIterator[Any]:  # responses in their bytes
        if self._watchers >= WATCHERS_MAX:
            raise Refused("QUEUE_FULL", f"{WATCHERS_MAX} watch already")
        self._watchers += 1
        feed = batches(self._store, (projections.PREFIX,), request.after_position or None)
        loop = asyncio.get_running_loop()
        try:
            async with aclosing(feed):
                async for batch in feed:
                    begun = loop.time()
                    changes = await self._changes(batch.events, request)
                    for response in changes_in_bytes(changes, request.changes_max):
                        yield response
                    if changes and request.changes_max:
                        await asyncio.sleep(begun + GATHER_S - loop.time())
        finally:
            self._watchers -= 1

    async def _changes(
        self, events: Sequence[StoredEvent], request: pb.WatchPaymentsRequest
    ) -> Sequence[str]:
        wanted = frozenset(request.payment_ids)
        left_out = NOT_PUBLIC if request.public_changes_only else frozenset()
        if request.without_requests:
            left_out |= {REQUESTED}
        found = [
            await self._change(stored, name, id_)
            for stored in events
            if (name := _name(stored)) not in left_out
            and ((id_ := stored.stream.removeprefix(projections.PREFIX)) in wanted or not wanted)
        ]
        return [change for change in found if change]

    async def _change(self, stored: StoredEvent, name: str, id_: str) -> str:
        known = await self._streams.load(id_)
        state, revision = known.state, known.revision
        if revision < stored.revision:
            # The store told us before the append that wrote it was answered.
            state, revision = await self._after(state, revision, stored), stored.revision
        if isinstance(state, Absent) or not _may_see(state.caller):
            return ""
        view = view_of(state, stored.recorded_us if revision == stored.revision else 0)
        return change_shown(view, name, stored.position)

    async def _after(self, state: Payment, revision: int, stored: StoredEvent) -> Payment:
        """The payment after an event that lies behind what we know of it."""
        if revision == stored.revision - 1:
            return payment.evolve(state, codec.decode(stored.type, stored.data))
        events = [
            codec.decode(e.type, e.data)
            async for e in self._store.read(stored.stream)
            if e.revision <= stored.revision
        ]
        return payment.fold(payment.initial, events)

    async def _create_each(
        self, asked: Sequence[tuple[pb.CreatePaymentRequest, Terms]]
    ) -> Sequence[Done | Exception]:
        """Refunds one by one, all others in one go."""
        commands = {
            n: self._asked(item.payment_id, terms)
            for n, (item, terms) in enumerate(asked)
            if not isinstance(terms.kind, Refund)
        }
        created = await self._streams.record_each(list(commands.values()))
        done = dict(zip(commands, created, strict=True))
        for n, each in done.items():
            if not isinstance(each, Exception) and each.events:
                self._wake(commands[n].id_)
        refunds = [n for n in range(len(asked)) if n not in commands]
        refunded = await asyncio.gather(
            *(self._create_alone(asked[n][0].payment_id, asked[n][1]) for n in refunds)
        )
        done |= zip(refunds, refunded, strict=True)
        return [done[n] for n in range(len(asked))]

    async def _create_alone(self, payment_id: str, terms: Terms) -> Done | Exception:
        try:
            return await self._create(payment_id, terms)
        except Exception as error:  # noqa: BLE001 - the answer of this one among many
            return error

    async def _create(self, payment_id: str, terms: Terms) -> Done:
        if isinstance(terms.kind, Refund):
            with _paths_under("terms"):
                return await self._refund(
                    payment_id, terms.kind.original_payment_id, terms.amount, terms.note
                )
        return await self._record(self._asked(payment_id, terms))

    def _asked(self, payment_id: str, terms: Terms) -> Asked[Command]:
        request = Request(payment_id, terms, current_caller().name, self._clock() // 1_000)
        return _first_command(request)

    async def _record(self, asked: Asked[Command]) -> Done:
        # No task of its own: a call goes on to its end, whoever leaves it.
        done = await self._streams.record(asked.id_, asked.command, asked.cause, is_new=True)
        if done.events:
            self._wake(asked.id_)
        return done

    async def _refund(
        self, refund_id: str, original_id: str, amount: Money | None, note: str
    ) -> Done:
        """Reserve on the original, then ask; the original's process repairs a crash between."""
        caller = current_caller().name
        before = (await self._streams.load(refund_id)).state
        if isinstance(before, Begun):
            _check_same_original(before, original_id, caller)
        reserve = ReserveRefund(refund_id, amount, note, caller, self._clock() // 1_000)
        cause = Cause(f"{refund_id}/reserve", correlation_id=original_id, actor=caller)
        original = (await self._streams.transact(original_id, reserve, cause)).state
        if isinstance(original, Absent):
            raise AssertionError("nothing is reserved on what is not there")  # noqa: TRY004 - a bug
        try:
            return await self._record(_first_command(refund_request(original, refund_id)))
        except Rejected as rejected:
            give_up = GiveUpRefund(refund_id, rejected.reason.name)
            cause = Cause(f"{refund_id}/end", correlation_id=original_id, actor=caller)
            await self._streams.transact(original_id, give_up, cause)
            raise


def _first_command(request: Request) -> Asked[Command]:
    id_ = request.payment_id
    cause = Cause(f"{id_}/REQUEST", correlation_id=id_, actor=request.caller)
    return Asked(id_, request, cause, is_new=True)


def _result(payment_id: str, done: Done | Exception) -> str:
    if isinstance(done, Exception):
        refused = to_error(done)
        if refused is None:
            raise done
        return refusal_shown(payment_id, _refusal(refused))
    return result_shown(payment_id, view_of(_begun(done)), is_replayed=not done.events)


def _shown(done: Done) -> pb.Payment:
    return view_to_wire(view_of(_begun(done)))


def _begun(done: Done) -> Begun:
    if isinstance(done.state, Absent):
        raise AssertionError("a command that was taken leaves a payment")  # noqa: TRY004 - a bug
    return done.state


def _name(stored: StoredEvent) -> str:
    return stored.type.rpartition(".")[2]


def _may_see(owner: str) -> bool:
    caller = current_caller()
    return caller.role == "operator" or caller.name == owner


def _check_control_sums(request: pb.CreatePaymentsRequest) -> None:
    if not request.control_sums:
        return
    sums: Counter[str] = Counter()
    for item in request.payments:
        sums[item.terms.amount.currency_code] += item.terms.amount.minor_units
    told: Counter[str] = Counter()
    for each in request.control_sums:
        told[each.currency_code] += each.minor_units
    violations = [
        FieldViolation("control_sums", f"{currency}: {told[currency]} told, {sums[currency]} found")
        for currency in sorted(sums.keys() | told.keys())
        if sums[currency] != told[currency]
    ]
    if violations:
        raise Refused("BATCH_TOTALS_DIFFER", "nothing was taken", violations)


def _check_same_original(before: Begun, original_id: str, caller: str) -> None:
    if before.caller != caller:
        raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, "the id is taken")
    if before.terms.kind != Refund(original_id):
        text = "was another when this id was first used"
        raise Rejected(
            Reason.IDEMPOTENCY_KEY_REUSED,
            "the id was used with other terms",
            [FieldViolation("original_payment_id", text)],
        )


@contextmanager
def _paths_under(prefix: str) -> Iterator[None]:
    """Name the fields of a refusal as they are called where a refund is asked for by terms."""
    try:
        yield
    except Rejected as rejected:
        paths = {"original_payment_id": "refund.original_payment_id"}
        named = [
            FieldViolation(f"{prefix}.{paths.get(v.field, v.field)}", v.description)
            for v in rejected.violations
            if not v.field.startswith(f"{prefix}.")
        ]
        if not named:
            raise
        raise Rejected(rejected.reason, rejected.description, named) from rejected


def _refusal(refused: Refused) -> pb.PaymentRefusal:
    return pb.PaymentRefusal(
        reason=refused.reason,
        fields=[
            pb.FieldDifference(field=v.field, description=v.description) for v in refused.violations
        ],
        description=refused.description,
    )


def _position_of(page_token: str) -> int:
    if not page_token:
        return 0
    if not (page_token.isascii() and page_token.isdigit() and len(page_token) <= TOKEN_LENGTH_MAX):
        violation = FieldViolation("page_token", "is none that we gave")
        raise Refused("PAGE_TOKEN_INVALID", "", [violation])
    return int(page_token)


def _named(words: type[Word], wire: Any, value: int) -> Word | None:  # noqa: ANN401 - an enum of a proto
    """A word of the contract as ours; the unspecified one is no word."""
    return None if value == 0 else words[wire.Name(value).split("_STATUS_", 1)[1]]
