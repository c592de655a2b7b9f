"""The life of a payment: what can happen to it, and what follows what.

What the bank says may be heard before our own record of the step it answers. Then the record is
still made, by running the step again under its id, and both end up told.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.replacing import replace
from services.payments.domain.refunds import RefundPart, RefundStage
from services.payments.domain.terms import Payout, Terms, TopUp


# Events. How they are stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class Requested:
    payment_id: str
    terms: Terms
    caller: str
    request_ms: int


@dataclass(frozen=True, slots=True)
class FundsHeld:
    journal_position: int


@dataclass(frozen=True, slots=True)
class EnteredWindow:
    window_id: str
    journal_position: int


@dataclass(frozen=True, slots=True)
class PullRequested: ...


@dataclass(frozen=True, slots=True)
class PullConfirmed:
    bank_reference: str


@dataclass(frozen=True, slots=True)
class Completed:
    window_id: str
    journal_position: int


@dataclass(frozen=True, slots=True)
class Paid:
    bank_reference: str


@dataclass(frozen=True, slots=True)
class Settled:
    settlement_id: str


@dataclass(frozen=True, slots=True)
class Doubted:
    cause: str


@dataclass(frozen=True, slots=True)
class Carried:
    from_window_id: str
    to_window_id: str
    cause: str


@dataclass(frozen=True, slots=True)
class RefusedByBank:
    reason: str
    description: str


@dataclass(frozen=True, slots=True)
class Failed:
    reason: str
    description: str


@dataclass(frozen=True, slots=True)
class Stuck:
    step: str
    reason: str
    description: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class CancelRequested:
    request_id: str


@dataclass(frozen=True, slots=True)
class Cancelled: ...


@dataclass(frozen=True, slots=True)
class RefundReserved:
    refund_id: str
    amount_minor: int
    merchant_minor: int
    fee_minor: int
    note: str
    request_ms: int
    is_rest: bool


@dataclass(frozen=True, slots=True)
class RefundCompleted:
    refund_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class RefundGivenUp:
    refund_id: str
    reason: str


# What became of a step of ours, and what the bank's side tells of us.
Fact: TypeAlias = (
    FundsHeld
    | EnteredWindow
    | PullRequested
    | PullConfirmed
    | Completed
    | Paid
    | Settled
    | Doubted
    | Carried
    | RefusedByBank
    | Failed
    | Stuck
    | Cancelled
)
Refunding: TypeAlias = RefundReserved | RefundCompleted | RefundGivenUp
Event: TypeAlias = Requested | CancelRequested | Fact | Refunding


# States.
class Stage(Enum):
    """Where the money is."""

    REQUESTED = auto()  # nothing has moved
    HELD = auto()  # payout: set aside in the wallet
    WITH_BANK = auto()  # top-up: the bank is asked; payout: it stands in the bank's window
    CONFIRMED = auto()  # top-up: the bank took it, the wallet is still to be credited
    REFUSED = auto()  # payout: the bank will never execute it, the wallet is still to get it back
    SUCCEEDED = auto()
    FAILED = auto()
    CANCELLED = auto()


@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Begun:
    payment_id: str
    terms: Terms
    caller: str
    request_ms: int
    stage: Stage = Stage.REQUESTED
    is_held: bool = False
    is_cancelling: bool = False
    is_in_doubt: bool = False
    # The window of its entry, as the journal said; and the one it stands in now.
    entered_window_id: str = ""
    window_id: str = ""
    carries: tuple[Carried, ...] = ()
    settlement_id: str = ""
    refusal: RefusedByBank | None = None
    failure: Failed | None = None
    stuck: Stuck | None = None
    refunds: tuple[RefundPart, ...] = ()

    @property
    def refunded_minor(self) -> int:
        if not self.refunds:  # most have none, and each look at a payment asks
            return 0
        return sum(p.amount_minor for p in self.refunds if p.stage is RefundStage.COMPLETED)

    @property
    def is_outcome_known(self) -> bool:
        return self.stage not in (Stage.REQUESTED, Stage.HELD, Stage.WITH_BANK)


Payment: TypeAlias = Absent | Begun


def evolve(payment: Payment, event: Event) -> Payment:
    if isinstance(payment, Absent):
        if isinstance(event, Requested):
            return Begun(event.payment_id, event.terms, event.caller, event.request_ms)
    elif may_follow(payment, event):
        return _after(payment, event)
    raise AssertionError(f"{event} cannot follow {payment}")


def may_follow(  # noqa: C901, PLR0911, PLR0912 - a case an event
    payment: Begun, event: Event
) -> bool:
    """Whether this can be the next fact of the payment; the one table of what follows what."""
    stage, kind = payment.stage, payment.terms.kind
    is_payout, is_top_up = isinstance(kind, Payout), isinstance(kind, TopUp)
    match event:
        case FundsHeld():
            return is_payout and stage is Stage.REQUESTED
        case EnteredWindow():
            return _is_window_open_to(payment) and not payment.entered_window_id
        case PullRequested():
            return is_top_up and stage is Stage.REQUESTED
        case PullConfirmed():
            return is_top_up and stage in (Stage.REQUESTED, Stage.WITH_BANK)
        case Completed():
            return stage is (Stage.CONFIRMED if is_top_up else Stage.REQUESTED) and not is_payout
        case Paid() | RefusedByBank():
            return is_payout and stage in (Stage.HELD, Stage.WITH_BANK)
        case Doubted():
            return not payment.is_in_doubt and _is_before_bank_outcome(payment)
        case Carried():
            return _may_be_carried(payment, event)
        case Settled():
            return _may_be_settled(payment)
        case Failed():
            return _may_fail(payment)
        case Stuck():
            return payment.stuck is None and stage in (Stage.CONFIRMED, Stage.REFUSED)
        case CancelRequested():
            return not payment.is_cancelling and is_in_our_hands(payment)
        case Cancelled():
            return payment.is_cancelling and stage is Stage.HELD
        case RefundReserved():
            return stage is Stage.SUCCEEDED and part_of(payment, event.refund_id) is None
        case RefundCompleted() | RefundGivenUp():
            part = part_of(payment, event.refund_id)
            return part is not None and part.stage is RefundStage.RESERVED
        case Requested():
            return False
        case _:
            assert_never(event)


def _is_before_bank_outcome(payment: Begun) -> bool:
    match payment.terms.kind:
        case Payout():
            return payment.stage in (Stage.HELD, Stage.WITH_BANK)
        case TopUp():
            return payment.stage in (Stage.REQUESTED, Stage.WITH_BANK)
        case _:
            return False


def _is_window_open_to(payment: Begun) -> bool:
    # Held here; and whatever the bank already says of it, the journal may have captured it.
    return payment.is_held and payment.stage in (Stage.HELD, Stage.SUCCEEDED, Stage.REFUSED)


def is_in_our_hands(payment: Begun) -> bool:
    """Whether nothing can have left yet: only then can it be cancelled."""
    # Whatever the bank's side says of it, it has left: our record of that is only late.
    return (
        isinstance(payment.terms.kind, Payout)
        and payment.stage in (Stage.REQUESTED, Stage.HELD)
        and not (payment.is_in_doubt or payment.carries or payment.settlement_id)
    )


def _may_be_carried(payment: Begun, event: Carried) -> bool:
    stands_there = payment.window_id in ("", event.from_window_id)
    match payment.terms.kind:
        case Payout():
            may = _is_window_open_to(payment) or bool(payment.entered_window_id)
        case TopUp():
            may = payment.stage in (Stage.CONFIRMED, Stage.SUCCEEDED)
        case _:
            may = False
    return may and stands_there and event not in payment.carries and not payment.settlement_id


def _may_be_settled(payment: Begun) -> bool:
    match payment.terms.kind:
        case Payout():
            may = payment.stage in (Stage.HELD, Stage.WITH_BANK, Stage.SUCCEEDED)
        case TopUp():
            may = payment.stage in (Stage.CONFIRMED, Stage.SUCCEEDED)
        case _:
            may = False
    return may and not payment.settlement_id


def _may_fail(payment: Begun) -> bool:
    match payment.terms.kind, payment.stage:
        case _, Stage.REQUESTED:
            return True
        # Refused by the journal before it entered a window; what was held is released first.
        case Payout(), Stage.HELD:
            return True
        case Payout(), Stage.REFUSED:
            return bool(payment.entered_window_id)
        case TopUp(), Stage.WITH_BANK:
            return True
        case _:
            return False


def _after(payment: Begun, event: Event) -> Begun:  # noqa: C901, PLR0911, PLR0912 - a case an event
    match event:
        case FundsHeld():
            return replace(payment, stage=Stage.HELD, is_held=True)
        case EnteredWindow(window_id):
            return replace(
                payment,
                stage=Stage.WITH_BANK if payment.stage is Stage.HELD else payment.stage,
                is_cancelling=False,
                entered_window_id=window_id,
                window_id=payment.window_id or window_id,
            )
        case PullRequested():
            return replace(payment, stage=Stage.WITH_BANK)
        case PullConfirmed():
            return replace(payment, stage=Stage.CONFIRMED, is_in_doubt=False)
        case Completed(window_id):
            return replace(
                payment,
                stage=Stage.SUCCEEDED,
                stuck=None,
                entered_window_id=window_id,
                window_id=payment.window_id or window_id,
            )
        case Paid():
            return replace(payment, stage=Stage.SUCCEEDED, is_in_doubt=False, is_cancelling=False)
        case Settled(settlement_id):
            return replace(payment, settlement_id=settlement_id, is_cancelling=False)
        case Doubted():
            return replace(payment, is_in_doubt=True, is_cancelling=False)
        case Carried():
            return replace(
                payment,
                window_id=event.to_window_id,
                carries=(*payment.carries, event),
                is_cancelling=False,
            )
        case RefusedByBank():
            return replace(
                payment,
                stage=Stage.REFUSED,
                is_in_doubt=False,
                is_cancelling=False,
                refusal=event,
            )
        case Failed():
            return replace(
                payment, stage=Stage.FAILED, failure=event, stuck=None, is_in_doubt=False
            )
        case Stuck():
            return replace(payment, stuck=event)
        case CancelRequested():
            return replace(payment, is_cancelling=True)
        case Cancelled():
            return replace(payment, stage=Stage.CANCELLED, is_cancelling=False)
        case RefundReserved():
            part = RefundPart(
                event.refund_id,
                event.amount_minor,
                event.merchant_minor,
                event.fee_minor,
                event.note,
                event.request_ms,
                event.is_rest,
            )
            return replace(payment, refunds=(*payment.refunds, part))
        case RefundCompleted(refund_id):
            return _with_part(payment, refund_id, RefundStage.COMPLETED)
        case RefundGivenUp(refund_id):
            return _with_part(payment, refund_id, RefundStage.GIVEN_UP)
        case Requested():
            raise AssertionError("a payment is requested once")
        case _:
            assert_never(event)


def part_of(payment: Begun, refund_id: str) -> RefundPart | None:
    return next((part for part in payment.refunds if part.refund_id == refund_id), None)


def _with_part(payment: Begun, refund_id: str, stage: RefundStage) -> Begun:
    parts = tuple(
        replace(part, stage=stage) if part.refund_id == refund_id else part
        for part in payment.refunds
    )
    return replace(payment, refunds=parts)
