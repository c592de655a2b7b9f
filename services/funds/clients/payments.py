"""Payments as funds use them: paying registrars and banks, and being paid by them."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from hefu.payments.v1 import events_pb2
from hefu.payments.v1 import payments_pb2 as pb
from libs.client.errors import HefuError
from libs.client.payments import PaymentsClient
from libs.client.terms import payout, top_up
from libs.money import Money
from libs.transient import Unavailable


class Fate(Enum):
    """Where a payment stands, as far as it matters to us."""

    UNDER_WAY = auto()
    DONE = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Carried:
    """A payment as it stands. `is_settled`: with the bank too."""

    payment_id: str
    fate: Fate
    is_settled: bool = False
    # Out of the account that pays: it stands in a bank's window.
    has_left: bool = False
    is_in_doubt: bool = False
    reason: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class BankAccount:
    """An account at a bank, and whose it is."""

    bank_id: str
    number: str
    name: str


class Payments(Protocol):
    """The port. All raise `libs.transient.Unavailable`; the same ids may be asked again."""

    async def pay(
        self, payment_id: str, from_account_id: str, to: BankAccount, amount: Money
    ) -> Carried:
        """Out of an account of ours to one at a bank."""
        ...

    async def collect(
        self, payment_id: str, to_account_id: str, payer: BankAccount, amount: Money
    ) -> Carried:
        """Out of an account at a bank into one of ours."""
        ...

    async def look(self, payment_id: str) -> Carried | None:
        """A payment as it stands; None: there is none."""
        ...


_FATES: Final = {
    pb.PAYMENT_STATUS_SUCCEEDED: Fate.DONE,
    pb.PAYMENT_STATUS_REVERSED: Fate.DONE,
    pb.PAYMENT_STATUS_FAILED: Fate.FAILED,
    pb.PAYMENT_STATUS_CANCELLED: Fate.FAILED,
}


class GrpcPayments(Payments):
    """The port over gRPC; payments asked for together travel together."""

    def __init__(self, client: PaymentsClient) -> None:
        self._client = client

    async def pay(
        self, payment_id: str, from_account_id: str, to: BankAccount, amount: Money
    ) -> Carried:
        terms = payout(from_account_id, to.bank_id, to.number, amount, to.name, "fund money")
        return await self._create(payment_id, terms)

    async def collect(
        self, payment_id: str, to_account_id: str, payer: BankAccount, amount: Money
    ) -> Carried:
        terms = top_up(to_account_id, payer.bank_id, payer.number, amount, "fund money")
        return await self._create(payment_id, terms)

    async def look(self, payment_id: str) -> Carried | None:
        try:
            return _carried(await self._client.get(payment_id))
        except HefuError as error:
            if error.reason == "PAYMENT_NOT_FOUND":
                return None
            raise Unavailable(str(error)) from error

    async def _create(self, payment_id: str, terms: events_pb2.PaymentTerms) -> Carried:
        try:
            return _carried(await self._client.create(payment_id, terms))
        except HefuError as error:
            if error.reason == "IDEMPOTENCY_KEY_REUSED":
                raise AssertionError(str(error)) from error
            raise Unavailable(str(error)) from error


def _carried(payment: pb.Payment) -> Carried:
    return Carried(
        payment.payment_id,
        _FATES.get(payment.status, Fate.UNDER_WAY),
        payment.settlement == pb.SETTLEMENT_STATUS_SETTLED,
        bool(payment.window_id),
        payment.is_in_doubt,
        payment.failure_reason,
        payment.failure_description,
    )
