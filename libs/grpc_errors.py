"""Errors on the wire: reason to status code, and `google.rpc.Status` made and read."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage

# Never google.rpc.code_pb2: the store's client registers the same messages under another file.
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from libs.decider import Contended, FieldViolation, Rejected
from libs.event_store import AppendFailed, Denied, StoreUnavailable, StreamGone, TooLarge
from libs.grpc_reasons import REASONS
from libs.transient import Unavailable

DOMAIN = "hefu"
VIOLATIONS_MAX = 50
_TEXT_MAX = 500

__all__ = ["DOMAIN", "REASONS", "Refused", "reason_of", "status_of", "to_error", "violations_of"]


class Refused(Exception):
    """Refused at the edge, before any aggregate was asked. `reason` is a name of `REASONS`."""

    def __init__(
        self,
        reason: str,
        description: str = "",
        violations: Sequence[FieldViolation] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{reason}: {description}" if description else reason)
        self.reason = reason
        self.description = description
        self.violations = tuple(violations)
        self.metadata = dict(metadata or {})


def to_error(error: BaseException) -> Refused | None:
    """What the caller may know of an error; None: nothing, it is ours (INTERNAL)."""
    match error:
        case Refused():
            return error
        case Rejected():
            return Refused(error.reason.name, error.description, error.violations)
        case Contended():
            return Refused("CONTENDED", "others changed it meanwhile; send the same again")
        case TooLarge():
            return Refused("TOO_LARGE", "more than one append may hold; send it in parts")
        case Denied() | StreamGone():
            return None
        case AppendFailed() | StoreUnavailable() | Unavailable():
            return Refused("STORE_UNAVAILABLE", "not known; send the same again")
        case TimeoutError():
            return Refused("DEADLINE_PASSED", "the work was not done in time")
        case _:
            # An exception may name its reason; `libs.projection.Behind` does, and knows no gRPC.
            reason = getattr(error, "wire_reason", None)
            return Refused(reason, str(error)) if isinstance(reason, str) else None


def status_of(refused: Refused) -> status_pb2.Status:
    """The rich status of a refusal: `ErrorInfo`, and `BadRequest` where fields are named."""
    # A reason that the table lacks is still a refusal; a test finds it before a caller does.
    code = REASONS.get(refused.reason, grpc.StatusCode.FAILED_PRECONDITION)
    details: list[Any] = [
        error_details_pb2.ErrorInfo(
            reason=_plain(refused.reason),
            domain=DOMAIN,
            metadata={_plain(k): _plain(v) for k, v in refused.metadata.items()},
        )
    ]
    if refused.violations:
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=_plain(v.field), description=_plain(v.description)
                    )
                    for v in refused.violations[:VIOLATIONS_MAX]
                ]
            )
        )
    packed = [AnyMessage() for _ in details]
    for target, detail in zip(packed, details, strict=True):
        target.Pack(detail)
    return status_pb2.Status(code=code.value[0], message=_plain(str(refused)), details=packed)


def grpc_status(refused: Refused) -> grpc.Status:
    """The same, as `abort_with_status` takes it."""
    return rpc_status.to_status(status_of(refused))


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The reason inside a failed call, or the status code's name where it carries none."""
    for detail in _details(error):
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == DOMAIN:
            return str(info.reason)
    return str(error.code().name)


def violations_of(error: grpc.aio.AioRpcError) -> tuple[FieldViolation, ...]:
    """The fields that a failed call complains of."""
    found: list[FieldViolation] = []
    for detail in _details(error):
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            found += [FieldViolation(v.field, v.description) for v in bad.field_violations]
    return tuple(found)


def _details(error: grpc.aio.AioRpcError) -> Sequence[AnyMessage]:
    # `rpc_status.from_call` is typed for synchronous calls, and raises where code and text differ.
    try:
        status = rpc_status.from_call(cast(grpc.Call, error))
    except ValueError:
        return ()
    return () if status is None else tuple(status.details)


def _plain(text: str) -> str:
    # A lone surrogate cannot be sent; what a caller sent is not sent back at length.
    return text[:_TEXT_MAX].encode("utf-8", "replace").decode()
