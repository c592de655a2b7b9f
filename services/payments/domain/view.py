"""A payment as others see it: public words only, internal stages never leave the service."""

from enum import Enum, auto
from typing import NamedTuple

from services.payments.domain.lifecycle import Begun, Stage
from services.payments.domain.terms import Terms


class Status(Enum):
    """Names are contract."""

    PROCESSING = auto()
    NEEDS_ACTION = auto()
    SUCCEEDED = auto()
    REVERSED = auto()
    FAILED = auto()
    CANCELLED = auto()


class Settlement(Enum):
    """Names are contract."""

    NONE = auto()
    IN_WINDOW = auto()
    SETTLED = auto()


class View(NamedTuple):
    """Everything there is to see. `change_us` (microseconds since 1970) is 0 where not known."""

    payment_id: str
    terms: Terms
    caller: str
    status: Status
    settlement: Settlement
    failure_reason: str
    failure_description: str
    is_in_doubt: bool
    window_id: str
    times_carried: int
    settlement_id: str
    refunded_minor: int
    request_ms: int
    change_us: int = 0


_STATUS = {
    Stage.REQUESTED: Status.PROCESSING,
    Stage.HELD: Status.PROCESSING,
    Stage.WITH_BANK: Status.PROCESSING,
    Stage.CONFIRMED: Status.PROCESSING,
    Stage.REFUSED: Status.PROCESSING,
    Stage.SUCCEEDED: Status.SUCCEEDED,
    Stage.FAILED: Status.FAILED,
    Stage.CANCELLED: Status.CANCELLED,
}


def view_of(payment: Begun, change_us: int = 0) -> View:
    status, trouble = status_of(payment), payment.failure or payment.stuck
    return View(
        payment.payment_id,
        payment.terms,
        payment.caller,
        status,
        settlement_of(status, payment.window_id, payment.settlement_id),
        trouble.reason if trouble else "",
        trouble.description if trouble else "",
        payment.is_in_doubt,
        payment.window_id,
        len(payment.carries),
        payment.settlement_id,
        payment.refunded_minor,
        payment.request_ms,
        change_us,
    )


def status_of(payment: Begun) -> Status:
    if payment.stuck is not None:
        return Status.NEEDS_ACTION
    if payment.refunded_minor == payment.terms.amount.minor:
        return Status.REVERSED
    return _STATUS[payment.stage]


def settlement_of(status: Status, window_id: str, settlement_id: str) -> Settlement:
    if status in (Status.FAILED, Status.CANCELLED):
        return Settlement.NONE
    if settlement_id:
        return Settlement.SETTLED
    return Settlement.IN_WINDOW if window_id else Settlement.NONE
