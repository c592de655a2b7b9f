"""Refusals as the protocol spells them: statuses, trailers and details that clients parse."""

from typing import NoReturn
from urllib.parse import quote

import grpc
from google.protobuf import any_pb2, message
from google.rpc import error_details_pb2, status_pb2

from services.eventstore.model import (
    SOFT_DELETED,
    TOMBSTONED,
    Failure,
    Outcome,
    Refused,
    Stored,
    Unserved,
)
from services.eventstore.protocol import v2_errors
from services.eventstore.writer import Closing, Overloaded

_DETAILS_KEY = "grpc-status-details-bin"
_DOMAIN = "streams"
_TRAILER_SAFE = "$-_.:/@&=+,;|!*()[]{} "
GONE = (SOFT_DELETED, TOMBSTONED)


class Refusal(Exception):
    """A call that is answered with a status instead of a message."""

    def __init__(
        self,
        code: grpc.StatusCode,
        text: str,
        trailers: tuple[tuple[str, str | bytes], ...] = (),
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.trailers = trailers


def invalid(field: str, reason: str) -> Refusal:
    """A request that cannot be understood: which field, and why."""
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"{field}: {reason}")


def missing_property(name: str) -> Refusal:
    """An event without a type or content type."""
    return Refusal(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"Required metadata property {name} is missing or not valid",
        (
            ("exception", "missing-required-metadata-property"),
            ("required-metadata-properties", "type,content-type"),
        ),
    )


def too_large(limit: int) -> Refusal:
    """More bytes than one append may have (version 1)."""
    return Refusal(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"Maximum Append Size of {limit} Exceeded",
        (("exception", "maximum-append-size-exceeded"), ("maximum-append-size", str(limit))),
    )


def stream_deleted(stream: str) -> Refusal:
    """The stream is closed, or deleted and asked to exist."""
    return Refusal(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"Event stream '{stream}' is deleted.",
        (("exception", "stream-deleted"), ("stream-name", _ascii(stream))),
    )


def delete_refused(failure: Failure) -> Refusal:
    """Delete or tombstone at another version; clients parse this sentence."""
    return Refusal(
        grpc.StatusCode.FAILED_PRECONDITION,
        "Delete failed due to WrongExpectedVersion."
        f" Stream: {failure.stream}, Expected version: {failure.expected},"
        f" Actual version: {failure.actual}",
        (
            ("exception", "wrong-expected-version"),
            ("stream-name", _ascii(failure.stream)),
            ("expected-version", str(failure.expected)),
            ("actual-version", str(failure.actual)),
        ),
    )


def invalid_position(position: int) -> Refusal:
    """A position inside the log at which no event starts."""
    return Refusal(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"Unexpected FilteredReadAllResult: InvalidPosition: no event starts at {position}",
    )


def stopping() -> Refusal:
    """The server is going away."""
    return Refusal(grpc.StatusCode.UNAVAILABLE, "Server Is Not Ready: it is shutting down")


def not_ready() -> Refusal:
    """The server is still proving its files."""
    return Refusal(grpc.StatusCode.UNAVAILABLE, "Server Is Not Ready")


def from_queue(error: Overloaded | Closing) -> Refusal:
    """The writer took nothing."""
    if isinstance(error, Overloaded):
        return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "the write queue is full")
    return stopping()


def require_served(outcome: Outcome) -> Stored | Refused:
    """Raise unless the writer decided the operation."""
    match outcome:
        case Unserved.EXPIRED:
            raise Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed in the queue")
        case Unserved.DISK_RESERVE:
            raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "the disk has only its reserve left")
        case Stored() | Refused():
            return outcome


def rich(
    code: grpc.StatusCode, reason: str, text: str, detail: message.Message | None = None
) -> Refusal:
    """A version 2 refusal: a status whose code and message are those of the call, with details."""
    number: int = code.value[0]
    status = status_pb2.Status(code=number, message=text)
    info = error_details_pb2.ErrorInfo(reason=reason, domain=_DOMAIN)
    for part in (info, detail):
        if part is not None:
            packed = any_pb2.Any()
            packed.Pack(part)
            status.details.append(packed)
    return Refusal(code, text, ((_DETAILS_KEY, status.SerializeToString()),))


def revision_conflict(failure: Failure) -> Refusal:
    """A session's first stream that was not as expected."""
    if failure.actual == TOMBSTONED:
        return rich(
            grpc.StatusCode.FAILED_PRECONDITION,
            "STREAM_TOMBSTONED",
            f"Stream '{failure.stream}' has been tombstoned",
            v2_errors.StreamTombstonedErrorDetails(stream=failure.stream),
        )
    return rich(
        grpc.StatusCode.FAILED_PRECONDITION,
        "STREAM_REVISION_CONFLICT",
        f"Append failed due to a revision conflict on stream '{failure.stream}'."
        f" Expected revision: {failure.expected}. Actual revision: {failure.actual}.",
        v2_errors.StreamRevisionConflictErrorDetails(
            stream=failure.stream,
            expected_revision=failure.expected,
            actual_revision=failure.actual,
        ),
    )


def _ascii(name: str) -> str:
    """A name as a trailer may carry it."""
    return quote(name, safe=_TRAILER_SAFE)


def raise_closed(error: Overloaded | Closing) -> NoReturn:
    """Turn the writer's refusal into the call's."""
    raise from_queue(error) from None
