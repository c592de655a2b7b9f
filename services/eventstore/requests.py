"""Requests as values: names, identifiers, versions and events, each checked where it comes in."""

import time
from collections.abc import Mapping
from typing import Final, Protocol

from services.eventstore.errors import invalid, missing_property
from services.eventstore.model import ANY, EXISTS, IS_JSON, METADATA_PREFIX, NO_STREAM, NewEvent
from services.eventstore.protocol import shared, streams
from services.eventstore.wire import identifier_bytes

NAME_BYTES_MAX: Final = 1_024
REVISION_MAX: Final = 2**63 - 1
_CONTENT_FLAGS: Final = {"application/json": IS_JSON, "application/octet-stream": 0}


class ProposedMessage(Protocol):
    """What both kinds of append say of an event."""

    @property
    def id(self) -> shared.UUID: ...
    @property
    def metadata(self) -> Mapping[str, str]: ...

    custom_metadata: bytes
    data: bytes


def stream_name(identifier: shared.StreamIdentifier) -> str:
    """The name of a stream, from a request that only reads."""
    try:
        name = identifier.stream_name.decode()
    except UnicodeDecodeError:
        raise invalid("stream_identifier", "is not UTF-8") from None
    return check_name(name, "stream_identifier")


def check_name(name: str, field: str) -> str:
    """A name that can be stored."""
    if not name or name == METADATA_PREFIX:
        raise invalid(field, "is empty")
    if "\x00" in name:
        raise invalid(field, "contains a zero byte")
    if len(name.encode()) > NAME_BYTES_MAX:
        raise invalid(field, f"is longer than {NAME_BYTES_MAX} bytes")
    return name


def written_name(name: str, field: str) -> str:
    """A name that can be written to."""
    if name == "$all":
        raise invalid(field, "$all cannot be written to")
    if name.startswith(METADATA_PREFIX * 2):
        raise invalid(field, "the metadata of a metadata stream cannot be written")
    return check_name(name, field)


def event(stream: str, proposed: ProposedMessage) -> NewEvent:
    """An event of a version 1 append."""
    event_type = proposed.metadata.get("type", "")
    if not event_type or "\x00" in event_type:
        raise missing_property("type")
    flags = _CONTENT_FLAGS.get(proposed.metadata.get("content-type", ""))
    if flags is None:
        raise missing_property("content-type")
    try:
        event_id = identifier_bytes(proposed.id)
    except ValueError:
        raise invalid("id", "is not an identifier, or all zero") from None
    return NewEvent(stream, event_id, event_type, flags, proposed.data, proposed.custom_metadata)


def expected_version(
    options: streams.AppendReq.Options
    | streams.DeleteReq.Options
    | streams.TombstoneReq.Options
    | streams.BatchAppendReq.Options,
    choice: str | None,
) -> int:
    """The expected version of a version 1 request, as one number."""
    match choice:
        case "revision" | "stream_position":
            revision = int(getattr(options, choice))
            if revision > REVISION_MAX:
                raise invalid(choice, "is out of range")
            return revision
        case "no_stream":
            return NO_STREAM
        case "any":
            return ANY
        case "stream_exists":
            return EXISTS
        case _:
            raise invalid("expected_stream_revision", "is missing")


def deadline_after(seconds: float | None) -> float:
    """A moment of the monotonic clock; no limit gives one that never comes."""
    return float("inf") if seconds is None else time.monotonic() + seconds
