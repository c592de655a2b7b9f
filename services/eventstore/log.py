"""The log as the writer sees it: streams in memory, events in the open transaction, the chain."""

import hashlib
import json
import time
from typing import Final

from services.eventstore.head import Head
from services.eventstore.model import (
    DELETED_BEFORE,
    IS_JSON,
    METADATA_PREFIX,
    METADATA_TYPE,
    POSITION_STEP,
    TOMBSTONE_REVISION,
    TOMBSTONE_TYPE,
    NewEvent,
    Record,
    StreamState,
    digest_of,
)
from services.eventstore.storage import Connection, mark_verified
from services.eventstore.stream_metadata import parse
from services.eventstore.versions import History, Known

_STREAMS_IN_MEMORY_MAX: Final = 200_000
_TICKS_PER_NANOSECOND: Final = 100
_INSERT_EVENT = "INSERT INTO events VALUES(?,?,?,?,?,?,?,?,?,?)"
_SELECT_KNOWN = "SELECT event_id, type, data, pos, revision FROM events"
_SAVE_STREAM = (
    "INSERT INTO streams VALUES(?,?,?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET"
    " last=excluded.last, tombstoned=excluded.tombstoned, metadata=excluded.metadata,"
    " truncate_before=excluded.truncate_before, max_count=excluded.max_count,"
    " max_age=excluded.max_age"
)


class Log:
    """Belongs to the writer's thread; what it holds is ahead of the disk until `seal` commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._streams: dict[str, StreamState] = {}
        self._changed: dict[int, StreamState] = {}
        self._rows: list[tuple[object, ...]] = []
        self._records: list[Record] = []
        self.history = History(self._by_id, self._onwards)
        row = connection.execute(
            "SELECT last_pos, (SELECT sum(events) FROM groups), chain FROM groups"
            " ORDER BY last_pos DESC LIMIT 1"
        ).fetchone()
        self.head = Head(-1, 0, bytes(32)) if row is None else Head(*row)
        self._next_position = self._find_next_position()
        self._next_stream_id = 1 + _number(connection, "SELECT max(id) FROM streams")
        # Time never runs backwards in the log, whatever the machine's clock does.
        self._created = _number(connection, "SELECT created FROM events ORDER BY pos DESC LIMIT 1")

    def stream(self, name: str) -> StreamState:
        """The state of a stream; one that never was has an id of 0 until something is written."""
        state = self._streams.get(name)
        if state is None:
            row = self._connection.execute(
                "SELECT id, name, last, tombstoned, metadata, truncate_before, max_count, max_age"
                " FROM streams WHERE name=?",
                (name,),
            ).fetchone()
            state = StreamState(0, name) if row is None else _state(row)
            self._streams[name] = state
        return state

    def append(self, event: NewEvent) -> Record:
        """Put an event at the end of its stream and of the log."""
        state = self.stream(event.stream)
        state.last += 1
        record = self._put(state, state.last, event)
        if event.stream.startswith(METADATA_PREFIX):
            self._take_metadata(event)
        return record

    def tombstone(self, name: str, event_id: bytes) -> Record:
        """Close a stream for ever."""
        state = self.stream(name)
        state.is_tombstoned = True
        event = NewEvent(name, event_id, TOMBSTONE_TYPE, IS_JSON, b"{}", b"")
        return self._put(state, TOMBSTONE_REVISION, event)

    def undelete(self, name: str, event_id: bytes, truncate_before: int) -> None:
        """Show a deleted stream again from a revision on, keeping its other metadata."""
        metadata = json.loads(self.stream(name).metadata or "{}")
        metadata["$tb"] = truncate_before
        data = json.dumps(metadata).encode()
        self.append(NewEvent(METADATA_PREFIX + name, event_id, METADATA_TYPE, IS_JSON, data, b""))

    def mark_verified(self, position: int) -> None:
        """Remember that everything up to a position was found whole."""
        mark_verified(self._connection, position)

    def seal(self) -> list[Record]:
        """Write the group's row and hand over its records; the caller commits."""
        self._flush()
        records, self._records = self._records, []
        if records:
            chain = hashlib.sha256(
                b"".join((self.head.chain, *(record.digest for record in records)))
            ).digest()
            last = records[-1].position
            self._connection.execute(
                "INSERT INTO groups VALUES(?,?,?)", (last, len(records), chain)
            )
            self.head = Head(last, self.head.events + len(records), chain)
        if len(self._streams) > _STREAMS_IN_MEMORY_MAX:
            self._streams.clear()
        return records

    def _put(self, state: StreamState, revision: int, event: NewEvent) -> Record:
        self._keep(state)
        position = self._next_position
        self._next_position = position + POSITION_STEP + event.size
        self._created = max(self._created, time.time_ns() // _TICKS_PER_NANOSECOND)
        fields = (event.event_id, event.type, event.flags, self._created, event.data)
        digest = digest_of(position, state.name, revision, *fields, event.metadata)
        record = Record(position, state.name, revision, *fields, event.metadata, digest)
        self._records.append(record)
        self._rows.append((position, state.id, revision, *fields, event.metadata, digest))
        return record

    def _keep(self, state: StreamState) -> None:
        if state.id == 0:
            state.id = self._next_stream_id
            self._next_stream_id += 1
        self._changed[state.id] = state

    def _take_metadata(self, event: NewEvent) -> None:
        state = self.stream(event.stream.removeprefix(METADATA_PREFIX))
        metadata = parse(event.data)
        state.metadata = metadata.text
        state.truncate_before = metadata.truncate_before
        state.max_count = metadata.max_count
        state.max_age = metadata.max_age
        self._keep(state)

    def _flush(self) -> None:
        if self._changed:
            self._connection.executemany(
                _SAVE_STREAM,
                [
                    (
                        state.id,
                        state.name,
                        state.last,
                        int(state.is_tombstoned),
                        state.metadata,
                        state.truncate_before,
                        state.max_count,
                        state.max_age,
                    )
                    for state in self._changed.values()
                ],
            )
            self._changed.clear()
        if self._rows:
            self._connection.executemany(_INSERT_EVENT, self._rows)
            self._rows.clear()

    def _find_next_position(self) -> int:
        row = self._connection.execute(
            "SELECT pos, length(data) + length(metadata) + 2 * length(type) FROM events"
            " ORDER BY pos DESC LIMIT 1"
        ).fetchone()
        return 0 if row is None else row[0] + POSITION_STEP + (row[1] or 0)

    def _by_id(self, state: StreamState, event_id: bytes) -> Known | None:
        self._flush()
        row = self._connection.execute(
            f"{_SELECT_KNOWN} INDEXED BY events_by_id WHERE event_id=? AND stream_id=?"
            " ORDER BY pos LIMIT 1",
            (event_id, state.id),
        ).fetchone()
        return None if row is None else Known(*row)

    def _onwards(self, state: StreamState, revision: int, count: int) -> list[Known]:
        self._flush()
        rows = self._connection.execute(
            f"{_SELECT_KNOWN} WHERE stream_id=? AND revision>=? ORDER BY revision LIMIT ?",
            (state.id, revision, count),
        )
        return [Known(*row) for row in rows]


def _state(row: tuple[object, ...]) -> StreamState:
    identity, name, last, tombstoned, *rest = row
    return StreamState(identity, name, last, bool(tombstoned), *rest)  # type: ignore[arg-type]


def _number(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return 0 if row is None or row[0] is None else int(row[0])


def is_deleting(data: bytes) -> bool:
    """Tell whether a metadata event hides its whole stream."""
    return parse(data).truncate_before == DELETED_BEFORE
