"""Version 2 writes: several streams in one append, all or none."""

import json
import re
import unicodedata
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final

import grpc
import orjson
from google.protobuf import json_format, struct_pb2

from services.eventstore import errors, requests
from services.eventstore.model import (
    ANY,
    EXISTS,
    IS_JSON,
    Append,
    NewEvent,
    Outcome,
    Refused,
    Stored,
)
from services.eventstore.protocol import v2, v2_errors
from services.eventstore.wire import identifier_from_text
from services.eventstore.writer import Closing, Overloaded, Writer

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.$:-]+")
_COMPACT: Final = (",", ":")
_NAME_PUNCTUATION = frozenset("_.$:-")
_FORMATS: Final = {v2.SCHEMA_FORMAT_JSON: ("Json", IS_JSON), v2.SCHEMA_FORMAT_BYTES: ("Bytes", 0)}


class StreamsV2:
    """The version 2 service: our own clients' way to write."""

    def __init__(self, writer: Writer, append_limit: int) -> None:
        self._writer = writer
        self._append_limit = append_limit

    async def append_records(
        self,
        request: v2.AppendRecordsRequest,
        context: "grpc.aio.ServicerContext[v2.AppendRecordsRequest, v2.AppendRecordsResponse]",
    ) -> v2.AppendRecordsResponse:
        """Records name their streams; each check may also name a stream that is not written."""
        if not request.records:
            raise errors.invalid("records", "is empty")
        checked = _checks(request.checks)
        events = tuple(
            _event(requests.written_name(record.stream, f"records[{index}].stream"), record)
            for index, record in enumerate(request.records)
        )
        expected = dict(checked)
        for event in events:
            expected.setdefault(event.stream, ANY)
        outcome = await self._append(events, expected, context.time_remaining())
        if isinstance(outcome, Refused):
            raise _violations(outcome, list(expected))
        return v2.AppendRecordsResponse(
            revisions=[
                v2.StreamRevision(stream=stream, revision=revision)
                for stream, revision in outcome.revisions.items()
            ],
            position=outcome.position or 0,
        )

    async def append_session(
        self,
        incoming: AsyncIterator[v2.AppendRequest],
        context: "grpc.aio.ServicerContext[v2.AppendRequest, v2.AppendSessionResponse]",
    ) -> v2.AppendSessionResponse:
        """One request per stream, committed together when the caller is done."""
        events: list[NewEvent] = []
        expected: dict[str, int] = {}
        seen: set[str] = set()
        async for request in incoming:
            stream = requests.written_name(request.stream, "stream")
            if not request.records:
                raise errors.invalid("records", f"is empty for stream {stream}")
            if stream.casefold() in seen:
                raise _already_in_session(stream)
            seen.add(stream.casefold())
            has_version = request.HasField("expected_revision")
            expected[stream] = _version(
                request.expected_revision if has_version else ANY, "expected_revision"
            )
            events.extend(_event(stream, record) for record in request.records)
            self._require_size(events)
        if not events:
            raise errors.rich(
                grpc.StatusCode.FAILED_PRECONDITION,
                "APPEND_SESSION_NO_REQUESTS",
                "Append session had no requests",
            )
        outcome = await self._append(tuple(events), expected, context.time_remaining())
        if isinstance(outcome, Refused):
            raise errors.revision_conflict(outcome.failures[0])
        position = outcome.position or 0
        return v2.AppendSessionResponse(
            output=[
                v2.AppendResponse(stream=stream, stream_revision=revision, position=position)
                for stream, revision in outcome.revisions.items()
            ],
            position=position,
        )

    async def _append(
        self, events: tuple[NewEvent, ...], expected: dict[str, int], remaining_s: float | None
    ) -> Stored | Refused:
        size = self._require_size(events)
        operation = Append(events, expected, size, requests.deadline_after(remaining_s))
        try:
            outcome: Outcome = await self._writer.submit(operation)
        except (Overloaded, Closing) as error:
            errors.raise_closed(error)
        return errors.require_served(outcome)

    def _require_size(self, events: Sequence[NewEvent]) -> int:
        limit = self._append_limit
        total = 0
        for event in events:
            size = event.size
            if size > limit:
                raise _record_too_large(event, size, limit)
            total += size
        if total > limit:
            raise errors.rich(
                grpc.StatusCode.ABORTED,
                "APPEND_TRANSACTION_SIZE_EXCEEDED",
                f"Append transaction of {total} bytes exceeds the maximum of {limit} bytes",
                v2_errors.AppendTransactionSizeExceededErrorDetails(size=total, max_size=limit),
            )
        return total


def _checks(checks: Iterable[v2.ConsistencyCheck]) -> dict[str, int]:
    expected: dict[str, int] = {}
    for index, check in enumerate(checks):
        field = f"checks[{index}]"
        if not check.HasField("stream_state"):
            raise errors.invalid(field, "has no stream state")
        stream = requests.check_name(check.stream_state.stream, f"{field}.stream")
        if stream in expected:
            raise errors.invalid(field, f"stream {stream} is checked twice")
        expected[stream] = _version(check.stream_state.expected_state, field)
    return expected


def _version(version: int, field: str) -> int:
    if version < EXISTS or version == EXISTS + 1:
        raise errors.invalid(field, f"{version} is not a version")
    return version


def _event(stream: str, record: v2.AppendRecord) -> NewEvent:
    name = record.schema.name
    if not _is_type_name(name):
        raise errors.invalid("schema.name", f"{name!r} is not a name")
    known = _FORMATS.get(record.schema.format)
    if known is None:
        raise errors.invalid("schema.format", "is neither JSON nor BYTES")
    format_name, flags = known
    if record.record_id:
        try:
            event_id = identifier_from_text(record.record_id)
        except ValueError:
            raise errors.invalid(
                "record_id", f"{record.record_id!r} is not an identifier, or all zero"
            ) from None
    else:
        event_id = uuid.uuid4().bytes
    told = record.properties
    properties = {key: _plain(told[key]) for key in told}
    properties["$schema.name"] = name
    properties["$schema.format"] = format_name
    return NewEvent(stream, event_id, name, flags, record.data, _metadata(properties))


def _metadata(properties: Mapping[str, object]) -> bytes:
    metadata = orjson.dumps(properties)
    # The escapes of what is beyond ASCII are part of what is stored.
    return metadata if metadata.isascii() else json.dumps(properties, separators=_COMPACT).encode()


def _plain(value: struct_pb2.Value) -> object:
    text = value.string_value
    if text or value.HasField("string_value"):
        return text
    return json_format.MessageToDict(value)


def _is_type_name(name: str) -> bool:
    if _PLAIN_NAME.fullmatch(name):
        return True
    return bool(name) and all(
        character in _NAME_PUNCTUATION or unicodedata.category(character)[0] in "LN"
        for character in name
    )


def _violations(refused: Refused, order: list[str]) -> errors.Refusal:
    return errors.rich(
        grpc.StatusCode.FAILED_PRECONDITION,
        "APPEND_CONSISTENCY_VIOLATION",
        f"Append failed: {len(refused.failures)} of its streams were not as expected",
        v2_errors.AppendConsistencyViolationErrorDetails(
            violations=[
                v2_errors.ConsistencyViolation(
                    check_index=order.index(failure.stream),
                    stream_state=v2_errors.ConsistencyViolation.StreamStateViolation(
                        stream=failure.stream,
                        expected_state=failure.expected,
                        actual_state=failure.actual,
                    ),
                )
                for failure in refused.failures
            ]
        ),
    )


def _record_too_large(event: NewEvent, size: int, limit: int) -> errors.Refusal:
    return errors.rich(
        grpc.StatusCode.INVALID_ARGUMENT,
        "APPEND_RECORD_SIZE_EXCEEDED",
        f"A record of {size} bytes for stream '{event.stream}' exceeds the maximum of {limit}",
        v2_errors.AppendRecordSizeExceededErrorDetails(
            stream=event.stream,
            record_id=str(uuid.UUID(bytes=event.event_id)),
            size=size,
            max_size=limit,
        ),
    )


def _already_in_session(stream: str) -> errors.Refusal:
    return errors.rich(
        grpc.StatusCode.ABORTED,
        "STREAM_ALREADY_IN_APPEND_SESSION",
        f"Stream '{stream}' is already part of this append session",
        v2_errors.StreamAlreadyInAppendSessionErrorDetails(stream=stream),
    )
