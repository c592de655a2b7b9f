"""A payment: what may be asked of it, what is decided, and its next step."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected
from libs.ids import is_uuid7, time_ms_in
from libs.money import MINOR_MAX, CurrencyUnknown, Money, exponent
from services.payments.domain.lifecycle import (
    Absent,
    Begun,
    Cancelled,
    CancelRequested,
    Carried,
    Completed,
    Doubted,
    EnteredWindow,
    Event,
    Fact,
    Failed,
    FundsHeld,
    Paid,
    Payment,
    PullConfirmed,
    PullRequested,
    RefundCompleted,
    RefundGivenUp,
    RefundReserved,
    RefusedByBank,
    Requested,
    Settled,
    Stage,
    Stuck,
    evolve,
    is_in_our_hands,
    may_follow,
    part_of,
)
from services.payments.domain.refunds import RefundPart, RefundStage, split_back
from services.payments.domain.terms import (
    MerchantPayment,
    Payout,
    Refund,
    Terms,
    TopUp,
    WalletTransfer,
    differences,
)

# How far the time inside an id may be ahead of ours, in milliseconds (ledger, section 2).
ID_AHEAD_MAX_MS = 300_000


# Commands.
class Reason(Enum):
    ID_MALFORMED = auto()
    AMOUNT_NOT_POSITIVE = auto()
    AMOUNT_OUT_OF_RANGE = auto()
    CURRENCY_UNKNOWN = auto()
    SAME_ACCOUNT_BOTH_SIDES = auto()
    SPLIT_INVALID = auto()
    IDEMPOTENCY_KEY_REUSED = auto()
    ID_FROM_FUTURE = auto()
    PAYMENT_NOT_FOUND = auto()
    PAYMENT_STATE = auto()
    OUTCOME_UNKNOWN = auto()
    CANCEL_TOO_LATE = auto()
    REFUND_OF_REFUND = auto()
    REFUND_NOT_ALLOWED = auto()
    ORIGINAL_NOT_COMPLETED = auto()
    ACCOUNT_CURRENCY_DIFFERS = auto()
    REFUND_EXCEEDS_ORIGINAL = auto()
    CONTRADICTS_RECORD = auto()


@dataclass(frozen=True, slots=True)
class Request:
    payment_id: str
    terms: Terms
    caller: str
    request_ms: int


@dataclass(frozen=True, slots=True)
class Cancel:
    request_id: str
    caller: str


@dataclass(frozen=True, slots=True)
class ReserveRefund:
    """Without an amount: all that is left."""

    refund_id: str
    amount: Money | None
    note: str
    caller: str
    request_ms: int


@dataclass(frozen=True, slots=True)
class CompleteRefund:
    refund_id: str


@dataclass(frozen=True, slots=True)
class GiveUpRefund:
    refund_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """A fact, of a step of ours or heard."""

    fact: Fact


@dataclass(frozen=True, slots=True)
class HearDone:
    """The bank has executed it."""

    bank_reference: str


@dataclass(frozen=True, slots=True)
class HearRefused:
    """The bank will never execute it."""

    reason: str
    description: str = ""


Command: TypeAlias = (
    Request
    | Cancel
    | ReserveRefund
    | CompleteRefund
    | GiveUpRefund
    | Record
    | HearDone
    | HearRefused
)


def decide(command: Command, payment: Payment) -> Sequence[Event]:
    match command:
        case Request():
            return _request(command, payment)
        case Cancel():
            return _cancel(command, payment)
        case ReserveRefund():
            return _reserve_refund(command, payment)
        case CompleteRefund() | GiveUpRefund():
            return _end_refund(command, payment)
        case Record(fact):
            return _record(fact, payment)
        case HearDone() | HearRefused():
            return _hear(command, payment)
        case _:
            assert_never(command)


def _request(command: Request, payment: Payment) -> Sequence[Event]:
    _check_shape(command.payment_id, command.terms)
    if isinstance(payment, Begun):
        if payment.caller != command.caller:
            # Of another caller's payment nothing is told, not even in which fields it differs.
            raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, "the id is taken")
        if payment.terms != command.terms:
            raise Rejected(
                Reason.IDEMPOTENCY_KEY_REUSED,
                "the id was used with other terms",
                differences(command.terms, payment.terms),
            )
        return []
    _check_time(command.payment_id, command.request_ms)
    return [Requested(command.payment_id, command.terms, command.caller, command.request_ms)]


def _check_time(id_: str, request_ms: int) -> None:
    if time_ms_in(id_) > request_ms + ID_AHEAD_MAX_MS:
        raise Rejected(Reason.ID_FROM_FUTURE, "the time inside the id is too far ahead")


def _check_shape(payment_id: str, terms: Terms) -> None:
    if not is_uuid7(payment_id):
        raise _violation(Reason.ID_MALFORMED, "payment_id", "not a UUIDv7 in canonical form")
    _check_amount(terms.amount, "terms.amount")
    match terms.kind:
        case WalletTransfer(payer, payee) if payer == payee:
            raise _violation(
                Reason.SAME_ACCOUNT_BOTH_SIDES, "terms.transfer.payee_account_id", "is the payer"
            )
        case MerchantPayment(payer, merchant) if payer == merchant:
            path = "terms.merchant_payment.merchant_account_id"
            raise _violation(Reason.SAME_ACCOUNT_BOTH_SIDES, path, "is the payer")
        case MerchantPayment(fee_minor=fee) if not 0 <= fee <= terms.amount.minor:
            path = "terms.merchant_payment.fee_minor"
            raise _violation(Reason.SPLIT_INVALID, path, "not between 0 and the amount")
        case Refund(original) if original == payment_id:
            path = "terms.refund.original_payment_id"
            raise _violation(Reason.REFUND_OF_REFUND, path, "is the refund itself")


def _check_amount(amount: Money, path: str) -> None:
    if amount.minor <= 0:
        raise _violation(Reason.AMOUNT_NOT_POSITIVE, f"{path}.minor_units", "must be above 0")
    if amount.minor > MINOR_MAX:
        raise _violation(Reason.AMOUNT_OUT_OF_RANGE, f"{path}.minor_units", "over 18 digits")
    try:
        exponent(amount.currency)
    except CurrencyUnknown as error:
        path = f"{path}.currency_code"
        raise _violation(Reason.CURRENCY_UNKNOWN, path, str(error)) from error


def _violation(reason: Reason, path: str, description: str) -> Rejected:
    return Rejected(reason, f"{path}: {description}", [FieldViolation(path, description)])


def _of_caller(payment: Payment, caller: str) -> Begun:
    if isinstance(payment, Absent) or payment.caller != caller:
        raise Rejected(Reason.PAYMENT_NOT_FOUND)
    return payment


def _cancel(command: Cancel, payment: Payment) -> Sequence[Event]:
    if not is_uuid7(command.request_id):
        raise _violation(Reason.ID_MALFORMED, "request_id", "not a UUIDv7 in canonical form")
    begun = _of_caller(payment, command.caller)
    if begun.is_cancelling or begun.stage is Stage.CANCELLED:
        return []
    if begun.stage in (Stage.SUCCEEDED, Stage.FAILED):
        raise Rejected(Reason.PAYMENT_STATE, f"the payment has {begun.stage.name}")
    if begun.is_in_doubt:
        raise Rejected(Reason.OUTCOME_UNKNOWN, "the bank is being asked; wait for its answer")
    if not is_in_our_hands(begun):
        raise Rejected(Reason.CANCEL_TOO_LATE, "it is on its way")
    return [CancelRequested(command.request_id)]


def _reserve_refund(command: ReserveRefund, payment: Payment) -> Sequence[Event]:
    if not is_uuid7(command.refund_id):
        raise _violation(Reason.ID_MALFORMED, "refund_id", "not a UUIDv7 in canonical form")
    if command.amount is not None:
        _check_amount(command.amount, "amount")
    begun = _of_caller(payment, command.caller)
    known = part_of(begun, command.refund_id)
    if known is not None:
        return _same_refund(command, known, begun)
    _check_time(command.refund_id, command.request_ms)
    amount = begun.terms.amount
    match begun.terms.kind:
        case Refund():
            raise Rejected(Reason.REFUND_OF_REFUND)
        case TopUp() | Payout():
            raise Rejected(Reason.REFUND_NOT_ALLOWED, "the money is at a bank: ask for a payment")
        case WalletTransfer():
            shares = (amount.minor, 0)
        case MerchantPayment(fee_minor=fee):
            shares = (amount.minor - fee, fee)
        case _:
            assert_never(begun.terms.kind)
    if begun.stage is not Stage.SUCCEEDED:
        raise Rejected(Reason.ORIGINAL_NOT_COMPLETED, f"the payment is {begun.stage.name}")
    if command.amount is not None and command.amount.currency != amount.currency:
        path = "amount.currency_code"
        raise _violation(Reason.ACCOUNT_CURRENCY_DIFFERS, path, f"it was in {amount.currency}")
    taken = [part for part in begun.refunds if part.stage is not RefundStage.GIVEN_UP]
    left = (
        shares[0] - sum(part.merchant_minor for part in taken),
        shares[1] - sum(part.fee_minor for part in taken),
    )
    asked = sum(left) if command.amount is None else command.amount.minor
    if asked > sum(left) or asked == 0:
        raise Rejected(Reason.REFUND_EXCEEDS_ORIGINAL, f"{sum(left)} minor units are left")
    merchant, fee = split_back(asked, left)
    return [
        RefundReserved(
            command.refund_id,
            asked,
            merchant,
            fee,
            command.note,
            command.request_ms,
            command.amount is None,
        )
    ]


def _same_refund(command: ReserveRefund, known: RefundPart, payment: Begun) -> Sequence[Event]:
    before = None if known.is_rest else Money(payment.terms.amount.currency, known.amount_minor)
    found = []
    if command.amount is None or before is None:
        if command.amount != before:
            was = "absent" if before is None else "given"
            found.append(FieldViolation("amount", f"was {was} when this id was first used"))
    else:
        if command.amount.currency != before.currency:
            found.append(FieldViolation("amount.currency_code", f"was {before.currency!r}"))
        if command.amount.minor != before.minor:
            found.append(FieldViolation("amount.minor_units", f"was {before.minor}"))
    if command.note != known.note:
        found.append(FieldViolation("note", f"was {known.note!r}"))
    if found:
        text = "the id was used with other terms"
        raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, text, found)
    return []


def _end_refund(command: CompleteRefund | GiveUpRefund, payment: Payment) -> Sequence[Event]:
    part = part_of(payment, command.refund_id) if isinstance(payment, Begun) else None
    if part is None:
        raise Rejected(Reason.CONTRADICTS_RECORD, "nothing is reserved for this refund")
    stage = part.stage
    match command, stage:
        case CompleteRefund(refund_id), RefundStage.RESERVED:
            return [RefundCompleted(refund_id, part.amount_minor)]
        case GiveUpRefund(refund_id, reason), RefundStage.RESERVED:
            return [RefundGivenUp(refund_id, reason)]
        case CompleteRefund(), RefundStage.COMPLETED:
            return []
        case GiveUpRefund(), RefundStage.GIVEN_UP:
            return []
    raise Rejected(Reason.CONTRADICTS_RECORD, f"the refund is {stage.name}")


def _hear(command: HearDone | HearRefused, payment: Payment) -> Sequence[Event]:
    is_pull = isinstance(payment, Begun) and isinstance(payment.terms.kind, TopUp)
    match command:
        case HearDone(reference):
            return _record(PullConfirmed(reference) if is_pull else Paid(reference), payment)
        case HearRefused(reason, description):
            refused = RefusedByBank(reason, description)
            # A pull that was refused moved nothing: there is nothing to give back.
            return _record(Failed(reason, description) if is_pull else refused, payment)
        case _:
            assert_never(command)


def _record(fact: Fact, payment: Payment) -> Sequence[Event]:
    if isinstance(payment, Absent):
        raise Rejected(Reason.PAYMENT_NOT_FOUND)
    if _is_known(payment, fact):
        return []
    if may_follow(payment, fact):
        return [fact]
    name = type(fact).__name__
    raise Rejected(Reason.CONTRADICTS_RECORD, f"{name} at {payment.stage.name}")


def _is_known(payment: Begun, fact: Fact) -> bool:  # noqa: C901, PLR0911, PLR0912 - a case a fact
    """Whether the fact is a repeat, or too late to matter."""
    stage, kind = payment.stage, payment.terms.kind
    match fact:
        case FundsHeld():
            return payment.is_held
        case EnteredWindow(window_id):
            return payment.entered_window_id == window_id != ""
        case PullRequested():
            return isinstance(kind, TopUp) and stage is not Stage.REQUESTED
        case PullConfirmed():
            return isinstance(kind, TopUp) and stage in (Stage.CONFIRMED, Stage.SUCCEEDED)
        case Completed(window_id):
            is_same = payment.entered_window_id == window_id
            return stage is Stage.SUCCEEDED and not isinstance(kind, Payout) and is_same
        case Paid():
            return isinstance(kind, Payout) and stage is Stage.SUCCEEDED
        case RefusedByBank():
            return payment.refusal is not None
        case Failed():
            return stage is Stage.FAILED
        case Stuck():
            return payment.stuck is not None
        case Cancelled():
            return stage is Stage.CANCELLED
        case Carried():
            return any(
                (each.from_window_id, each.to_window_id) == (fact.from_window_id, fact.to_window_id)
                for each in payment.carries
            )
        case Settled(settlement_id):
            # A leg that the bank refused is in its settlement too; the payment came to nothing.
            is_back = payment.refusal is not None
            return payment.settlement_id == settlement_id or is_back
        case Doubted():
            return payment.is_in_doubt or (
                payment.is_outcome_known and isinstance(kind, Payout | TopUp)
            )
        case _:
            assert_never(fact)


class Action(Enum):
    """Names of steps; they are told to the bearer of a stuck payment."""

    MOVE = auto()
    REQUEST_PULL = auto()
    CREDIT_WALLET = auto()
    PLACE_HOLD = auto()
    ENTER_WINDOW = auto()
    RELEASE_HOLD = auto()
    GIVE_BACK = auto()


@dataclass(frozen=True, slots=True)
class BeginRefund:
    """The refund's own payment may be missing: it is asked for after its part is reserved."""

    refund_id: str


Step: TypeAlias = Action | BeginRefund


def next_step(payment: Payment) -> Step | None:
    if isinstance(payment, Absent):
        return None
    match payment.terms.kind, payment.stage:
        case Payout(), Stage.REQUESTED:
            return Action.PLACE_HOLD
        case Payout(), Stage.HELD:
            return Action.RELEASE_HOLD if payment.is_cancelling else Action.ENTER_WINDOW
        case Payout(), Stage.SUCCEEDED | Stage.REFUSED if not payment.entered_window_id:
            return Action.ENTER_WINDOW
        case Payout(), Stage.REFUSED:
            return Action.GIVE_BACK
        case TopUp(), Stage.REQUESTED:
            return Action.REQUEST_PULL
        case TopUp(), Stage.CONFIRMED:
            return Action.CREDIT_WALLET
        case _, Stage.REQUESTED:
            return Action.MOVE
    reserved = (p.refund_id for p in payment.refunds if p.stage is RefundStage.RESERVED)
    waiting = next(reserved, None)
    return None if waiting is None else BeginRefund(waiting)


payment: Decider[Command, Payment, Event] = Decider(Absent(), decide, evolve)
