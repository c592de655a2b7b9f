"""What a caller is told when a call goes wrong: refused for a reason, or not answered yet."""

from collections.abc import Sequence
from typing import Final

import grpc

from libs.decider import FieldViolation
from libs.grpc_errors import REASONS, reason_of, violations_of
from libs.transient import Unavailable

# Nothing is decided by these: the same call with the same ids may be sent again.
_TRANSIENT_CODES: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        # Ours would raise CancelledError: this one is a server that was stopped.
        grpc.StatusCode.CANCELLED,
    }
)
# The same, where one item of a bulk call says it (class T of the refusal table).
TRANSIENT_REASONS: Final = frozenset(
    {
        "QUEUE_FULL",
        "NOT_WRITER",
        "STORE_UNAVAILABLE",
        "ID_INDEX_BEHIND",
        "READ_MODEL_BEHIND",
        "IDEMPOTENCY_IN_PROGRESS",
        "CONTENDED",
    }
)


class HefuError(Exception):
    """Refused: `reason` is a name of the refusal table, `violations` name the fields to mend."""

    def __init__(
        self, reason: str, description: str = "", violations: Sequence[FieldViolation] = ()
    ) -> None:
        fields = "; ".join(f"{v.field}: {v.description}" for v in violations)
        super().__init__(": ".join(part for part in (reason, description, fields) if part))
        self.reason = reason
        self.description = description
        self.violations = tuple(violations)


class Unanswered(HefuError, Unavailable):
    """No final answer in the time given. What was asked may have happened: send the same again."""


def is_transient(error: BaseException) -> bool:
    """Whether the same call may be sent again."""
    return isinstance(error, Unanswered) or (
        isinstance(error, grpc.aio.AioRpcError) and error.code() in _TRANSIENT_CODES
    )


def refusal_of(
    reason: str, description: str, violations: Sequence[FieldViolation] = ()
) -> HefuError:
    """A refusal for this reason as ours, where the call it came by did not end with it."""
    kind = Unanswered if REASONS.get(reason) in _TRANSIENT_CODES else HefuError
    return kind(reason, description, violations)


def error_of(error: grpc.aio.AioRpcError) -> HefuError:
    """A failed call as ours."""
    kind = Unanswered if is_transient(error) else HefuError
    reason = reason_of(error)
    # The wire's details begin with the reason, for whoever sees nothing else.
    description = (error.details() or "").removeprefix(reason).removeprefix(": ")
    return kind(reason, description, violations_of(error))
