"""When a reservation is confirmed or given back: seen from the payment that made it."""

from services.payments.domain.lifecycle import Absent, Payment, Stage
from services.payments.domain.limits import TIMED_OUT, Confirm, Release

# A reservation whose payment has not moved anything for so long is forgotten, and given back.
FORGOTTEN_MS = 15 * 60 * 1_000


def due(payment_id: str, made_ms: int, payment: Payment, now_ms: int) -> Confirm | Release | None:
    """None: not yet. What is held, in transit or in doubt keeps its reservation, however long."""
    is_forgotten = now_ms - made_ms >= FORGOTTEN_MS
    if isinstance(payment, Absent):
        return Release(payment_id, TIMED_OUT) if is_forgotten else None
    match payment.stage:
        case Stage.SUCCEEDED:
            return Confirm(payment_id, payment.terms.amount.minor)
        case Stage.FAILED | Stage.CANCELLED:
            return Release(payment_id, payment.stage.name)
        case Stage.REQUESTED if is_forgotten and not payment.is_in_doubt:
            return Release(payment_id, TIMED_OUT)
        case _:
            return None
