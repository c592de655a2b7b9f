"""Payments as a caller sees them: ask, look, wait for the outcome, cancel, refund."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final
from uuid import UUID

import grpc

from hefu.payments.v1 import events_pb2, payments_pb2_grpc
from hefu.payments.v1 import payments_pb2 as pb
from libs.client.calls import PATIENCE_S, check_shape, patiently
from libs.client.errors import HefuError
from libs.client.joining import IN_FLIGHT_MAX, Joiner
from libs.client.watching import Watching
from libs.decider import FieldViolation
from libs.ids import new_id
from libs.money import Money
from libs.wire import money_to_wire

CALL_S: Final = 10.0
BEGUN_MAX: Final = 10_000
_FINAL: Final = frozenset(
    {
        pb.PAYMENT_STATUS_SUCCEEDED,
        pb.PAYMENT_STATUS_REVERSED,
        pb.PAYMENT_STATUS_FAILED,
        pb.PAYMENT_STATUS_CANCELLED,
    }
)


def is_final(payment: pb.Payment) -> bool:
    """Whether the payment has come to its outcome (the bank's half may still settle)."""
    return payment.status in _FINAL


def is_settled(payment: pb.Payment) -> bool:
    """Whether the payment is settled with the bank too, or came to nothing."""
    return payment.settlement == pb.SETTLEMENT_STATUS_SETTLED or payment.status in (
        pb.PAYMENT_STATUS_FAILED,
        pb.PAYMENT_STATUS_CANCELLED,
    )


class PaymentsClient:
    """Payments of one caller. Positions are the event store's; reads see this client's writes."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        patience_s: float = PATIENCE_S,
        in_flight_max: int = IN_FLIGHT_MAX,
    ) -> None:
        self.stub: payments_pb2_grpc.PaymentsServiceAsyncStub = (
            payments_pb2_grpc.PaymentsServiceStub(channel)
        )
        self.position = 0
        # Payments of ours not waited for yet: as they were answered, and a position before that.
        self._begun: OrderedDict[str, tuple[pb.Payment, int]] = OrderedDict()
        self._patience_s = patience_s
        self._watching = Watching(self.stub)
        self._joiner: Joiner[pb.CreatePaymentRequest, pb.CreatePaymentResult] = Joiner(
            self._create_many,
            lambda result: result.refusal.reason,
            in_flight_max=in_flight_max,
            patience_s=patience_s,
        )

    async def create(self, payment_id: UUID | str, terms: events_pb2.PaymentTerms) -> pb.Payment:
        """Ask for a payment, and answer it as it stands; same id and terms again: the same payment.

        Store the id (UUIDv7) with your own order first: then no crash of yours can pay twice.
        Raises `HefuError`; `Unanswered` where it is not known: ask again with the same id.
        """
        request = pb.CreatePaymentRequest(payment_id=str(payment_id), terms=terms)
        check_shape(request)
        before = self.position
        result = await self._joiner.submit(request)
        if result.HasField("refusal"):
            refusal = result.refusal
            fields = [FieldViolation(each.field, each.description) for each in refusal.fields]
            raise HefuError(refusal.reason, refusal.description, fields)
        if not result.is_replayed:
            self._remember(result.payment, before)
        return result.payment

    async def get(self, payment_id: UUID | str) -> pb.Payment:
        """The payment as it stands, at least as new as this client's last write."""
        request = pb.GetPaymentRequest(payment_id=str(payment_id), min_position=self.position)
        check_shape(request)
        response = await patiently(
            lambda: self.stub.GetPayment(request, timeout=CALL_S), self._patience_s
        )
        return response.payment

    async def wait(
        self, payment_id: UUID | str, until: Callable[[pb.Payment], bool] = is_final
    ) -> pb.Payment:
        """The payment once `until` holds of it: its outcome, or e.g. `is_settled`.

        Waits without bound; bound it with `asyncio.timeout`.
        """
        id_ = str(payment_id)
        async with self._watching.changes(id_, self.position) as changes:
            begun = self._begun.pop(id_, None)
            if begun is not None and self._watching.covers(begun[1]):
                # All that followed passes by here: there is no need to ask.
                payment = self._watching.latest(id_) or begun[0]
            else:
                payment = await self.get(id_)
            while not until(payment):
                payment = await changes.get()
        return payment

    def _remember(self, payment: pb.Payment, position: int) -> None:
        self._begun[payment.payment_id] = payment, position
        if len(self._begun) > BEGUN_MAX:
            self._begun.popitem(last=False)

    async def watch(
        self, payment_ids: Iterable[UUID | str] = (), after: int = 0, *, public_only: bool = False
    ) -> AsyncIterator[pb.WatchPaymentsResponse]:
        """Changes after a position, for ever, of these payments or of all of this caller's.

        `public_only` leaves out what changes neither status nor settlement.
        """
        ids = [str(each) for each in payment_ids]
        async for change in self._watching.follow(after, ids, public_only=public_only):
            yield change

    async def pages(
        self,
        account_id: UUID | str = "",
        status: pb.PaymentStatus.ValueType = pb.PAYMENT_STATUS_UNSPECIFIED,
    ) -> AsyncIterator[pb.Payment]:
        """Payments of an account, in a status, or all, oldest first."""
        request = pb.ListPaymentsRequest(
            account_id=str(account_id),
            status=status,
            page_size=1000,
            min_position=self.position,
        )
        while True:
            page = await patiently(
                lambda: self.stub.ListPayments(request, timeout=CALL_S), self._patience_s
            )
            for payment in page.payments:
                yield payment
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def cancel(self, payment_id: UUID | str) -> pb.Payment:
        """Cancel a payment that has not gone out yet. Raises `HefuError` (CANCEL_TOO_LATE)."""
        request = pb.CancelPaymentRequest(payment_id=str(payment_id), request_id=str(new_id()))
        check_shape(request)
        response = await patiently(
            lambda: self.stub.CancelPayment(request, timeout=CALL_S), self._patience_s
        )
        self.position = max(self.position, response.position)
        return response.payment

    async def refund(
        self,
        payment_id: UUID | str,
        amount: Money | None = None,
        *,
        refund_id: UUID | str | None = None,
        note: str = "",
    ) -> pb.Payment:
        """Give a payment back, in part or all that is left. The refund is a payment of its own."""
        request = pb.RefundPaymentRequest(
            refund_id=str(refund_id or new_id()),
            original_payment_id=str(payment_id),
            amount=None if amount is None else money_to_wire(amount),
            note=note,
        )
        check_shape(request)
        response = await patiently(
            lambda: self.stub.RefundPayment(request, timeout=CALL_S), self._patience_s
        )
        self.position = max(self.position, response.position)
        return response.payment

    async def close(self) -> None:
        """Stop watching and give up what is in flight."""
        await self._watching.close()
        await self._joiner.close()

    async def _create_many(
        self, payments: Sequence[pb.CreatePaymentRequest]
    ) -> Sequence[pb.CreatePaymentResult]:
        request = pb.CreatePaymentsRequest(payments=payments)
        response = await self.stub.CreatePayments(request, timeout=CALL_S)
        self.position = max(self.position, response.position)
        return response.results
