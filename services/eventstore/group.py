"""One operation of a commit group, carried out on the log or refused."""

import time
import uuid
from collections.abc import Mapping
from typing import assert_never

from libs.telemetry import get_logger, meter
from services.eventstore.log import Log, is_deleting
from services.eventstore.model import (
    DELETED_BEFORE,
    IS_JSON,
    METADATA_PREFIX,
    METADATA_TYPE,
    NO_STREAM,
    Append,
    Delete,
    Failure,
    NewEvent,
    Operation,
    Outcome,
    Proven,
    Refused,
    Stored,
    StreamState,
    Unserved,
)
from services.eventstore.versions import Fresh, Repeat, Verdict, Wrong, judge

_log = get_logger()
_repeated_otherwise = meter.create_counter("eventstore_repeats_with_other_content")

_DELETING = f'{{"$tb": {DELETED_BEFORE}}}'.encode()


def carry_out(operation: Operation, log: Log) -> Outcome:
    """Check everything, then write everything; a refused operation leaves nothing behind."""
    if operation.deadline < time.monotonic():
        return Unserved.EXPIRED
    match operation:
        case Append():
            return _append(operation, log)
        case Delete():
            return _delete(operation, log)
        case Proven(position):
            log.mark_verified(position)
            return Stored(position, {})
        case _:
            assert_never(operation)


def _append(operation: Append, log: Log) -> Outcome:
    events = _by_stream(operation)
    verdicts: dict[str, Verdict] = {
        stream: judge(log.stream(stream), expected, events.get(stream, ()), log.history)
        for stream, expected in operation.expected.items()
    }
    repeats = {
        stream: verdict for stream in events if isinstance(verdict := verdicts[stream], Repeat)
    }
    if events and len(repeats) == len(events):
        _note_differing(repeats)
        return Stored(
            max(repeat.position for repeat in repeats.values()),
            {stream: repeat.revision for stream, repeat in repeats.items()},
        )
    failures = tuple(
        Failure(stream, operation.expected[stream], _actual(verdict, log.stream(stream)))
        for stream, verdict in verdicts.items()
        if not isinstance(verdict, Fresh)
    )
    if failures:
        return Refused(failures)
    return _write(operation, log)


def _note_differing(repeats: Mapping[str, Repeat]) -> None:
    for stream, repeat in repeats.items():
        if repeat.differing:
            _repeated_otherwise.add(repeat.differing)
            _log.warning("repeat_differs", stream=stream, count=repeat.differing)


def _by_stream(operation: Append) -> dict[str, list[NewEvent]]:
    events: dict[str, list[NewEvent]] = {}
    for event in operation.events:
        events.setdefault(event.stream, []).append(event)
    return events


def _actual(verdict: Verdict, state: StreamState) -> int:
    return verdict.actual if isinstance(verdict, Wrong) else state.last


def _write(operation: Append, log: Log) -> Stored:
    shown_again = _deleted_streams(operation, log)
    position = None
    revisions: dict[str, int] = {}
    for event in operation.events:
        record = log.append(event)
        position = record.position
        revisions[event.stream] = record.revision
    for stream, first in shown_again.items():
        log.undelete(stream, uuid.uuid4().bytes, first)
    if not operation.events:
        revisions = {stream: log.stream(stream).last for stream in operation.expected}
    return Stored(position, revisions)


def _deleted_streams(operation: Append, log: Log) -> dict[str, int]:
    """Deleted streams that this shows again, each with its first visible revision.

    Events for the stream do, and so does new metadata, unless it says to delete it once more.
    """
    deleted: dict[str, int] = {}
    for event in operation.events:
        name = event.stream.removeprefix(METADATA_PREFIX)
        state = log.stream(name)
        if state.is_deleted:
            if name != event.stream and is_deleting(event.data):
                deleted.pop(name, None)
            else:
                deleted[name] = state.last + 1
    return deleted


def _delete(operation: Delete, log: Log) -> Outcome:
    state = log.stream(operation.stream)
    verdict = judge(state, operation.expected, (), log.history)
    if isinstance(verdict, Wrong):
        return _refuse(operation, verdict.actual)
    if operation.is_final:
        record = log.tombstone(operation.stream, uuid.uuid4().bytes)
    elif state.last < 0:
        return _refuse(operation, NO_STREAM)
    else:
        name = METADATA_PREFIX + operation.stream
        identity = uuid.uuid4().bytes
        record = log.append(NewEvent(name, identity, METADATA_TYPE, IS_JSON, _DELETING, b""))
    return Stored(record.position, {operation.stream: state.last})


def _refuse(operation: Delete, actual: int) -> Refused:
    return Refused((Failure(operation.stream, operation.expected, actual),))
