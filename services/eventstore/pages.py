"""One page of the log or of a stream, read in one transaction, proven and made into messages."""

import json
import time
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias, cast

from services.eventstore.filters import Filter
from services.eventstore.model import (
    DELETED_BEFORE,
    LINK_TYPE,
    METADATA_PREFIX,
    TOMBSTONE_REVISION,
    Record,
    StoreError,
    digest_of,
)
from services.eventstore.storage import Connection
from services.eventstore.wire import broken_link_message, checkpoint_message, event_message

PAGE_EVENTS: Final = 500
PAGE_BYTES: Final = 2 * 1024 * 1024
_TICKS_PER_S: Final = 10_000_000

_COLUMNS = (
    "e.pos, s.name, e.revision, e.event_id, e.type, e.flags, e.created, e.data, e.metadata,"
    " e.digest"
)
_SELECT = f"SELECT {_COLUMNS} FROM events e JOIN streams s ON s.id = e.stream_id"  # noqa: S608


class Corrupt(StoreError):
    """What is stored is not what was written; carries the exact position."""


class Presentation(NamedTuple):
    """How a reader wants its events."""

    is_structured: bool
    resolve_links: bool


class StreamView(NamedTuple):
    """What a reader may see of a stream: revisions from `first` to `last`, created since."""

    id: int
    first: int
    last: int
    created_since: int


class StreamAbsent(NamedTuple):
    """Never written, or only described, or deleted."""


class StreamClosed(NamedTuple):
    """Tombstoned."""


Sight: TypeAlias = StreamView | StreamAbsent | StreamClosed


class Page(NamedTuple):
    """Messages, and where to go on: after `cursor` (forwards) or before it (backwards).

    `considered` counts events looked at, `delivered` those among the messages.
    """

    messages: list[bytes]
    cursor: int
    considered: int
    delivered: int
    is_end: bool


def is_readable_position(connection: Connection, position: int) -> bool:
    """Tell whether an event starts at a position, or the log has not come so far."""
    row = connection.execute(
        "SELECT max(pos), EXISTS(SELECT 1 FROM events WHERE pos=?) FROM events", (position,)
    ).fetchone()
    return row is not None and (bool(row[1]) or row[0] is None or position > row[0])


def look_at_stream(connection: Connection, name: str) -> Sight:
    """Find out what there is to see of a stream."""
    if name.startswith(METADATA_PREFIX):
        described = _row(connection, name.removeprefix(METADATA_PREFIX))
        if described is not None and described[2]:
            return StreamClosed()
    row = _row(connection, name)
    if row is None:
        return StreamAbsent()
    identity, last, is_tombstoned, truncate_before, max_count, max_age = row
    if is_tombstoned:
        return StreamClosed()
    if last < 0 or truncate_before == DELETED_BEFORE:
        return StreamAbsent()
    if name.startswith(METADATA_PREFIX):
        max_count = 1
    first = max(truncate_before or 0, 0 if max_count is None else last - max_count + 1)
    since = 0 if max_age is None else time.time_ns() // 100 - max_age * _TICKS_PER_S
    return StreamView(identity, first, last, since)


def stream_page(
    connection: Connection,
    view: StreamView,
    start: int,
    count: int,
    presentation: Presentation,
    *,
    is_backwards: bool,
) -> Page:
    """Events of a stream from a revision on, inclusive; the cursor is the next revision to ask."""
    order, beyond = ("DESC", "<=") if is_backwards else ("ASC", ">=")
    limit = min(count, PAGE_EVENTS)
    rows = connection.execute(
        f"{_SELECT} WHERE e.stream_id=? AND e.revision {beyond} ? AND e.revision >= ?"
        f" AND e.revision < ? AND e.created >= ? ORDER BY e.revision {order} LIMIT ?",
        (view.id, start, view.first, TOMBSTONE_REVISION, view.created_since, limit),
    )
    messages: list[bytes] = []
    cursor, taken, size = start, 0, 0
    for record in _proven(rows):
        taken += 1
        cursor = record.revision + (-1 if is_backwards else 1)
        if record.data is not None:
            message = _present(connection, record, presentation)
            messages.append(message)
            size += len(message)
            if size > PAGE_BYTES:
                break
    return Page(messages, cursor, taken, len(messages), taken < limit and size <= PAGE_BYTES)


def all_page(
    connection: Connection,
    after: int,
    count: int,
    presentation: Presentation,
    *,
    is_backwards: bool,
) -> Page:
    """Events of the whole log after (backwards: before) a position; the cursor is the last one."""
    order, beyond = ("DESC", "<") if is_backwards else ("ASC", ">")
    limit = min(count, PAGE_EVENTS)
    rows = connection.execute(
        f"{_SELECT} WHERE e.pos {beyond} ? ORDER BY e.pos {order} LIMIT ?", (after, limit)
    )
    messages: list[bytes] = []
    cursor, taken, size = after, 0, 0
    for record in _proven(rows):
        taken += 1
        cursor = record.position
        if record.data is not None:
            message = _present(connection, record, presentation)
            messages.append(message)
            size += len(message)
            if size > PAGE_BYTES:
                break
    return Page(messages, cursor, taken, len(messages), taken < limit and size <= PAGE_BYTES)


class Scan(NamedTuple):
    """How far a filtered read may look in one page, and how it reports progress.

    `since_checkpoint` is the number of events considered since the last report; None: no reports.
    """

    wanted: Filter
    events_max: int
    since_checkpoint: int | None = None


def filtered_page(
    connection: Connection,
    after: int,
    count: int,
    presentation: Presentation,
    scan: Scan,
    *,
    is_backwards: bool,
) -> Page:
    """The same, of the wanted events only; names are looked at first, bodies only if wanted."""
    order, beyond = ("DESC", "<") if is_backwards else ("ASC", ">")
    limit = min(count, PAGE_EVENTS)
    # One read transaction, so that both statements see the same log.
    with connection:
        names = _names(connection, after, scan, order=order, beyond=beyond)
        wants = scan.wanted.wants
        chosen = [place for place, (_, name) in enumerate(names) if wants(name)][:limit]
        rows = connection.execute(
            f"{_SELECT} WHERE e.pos IN (SELECT value FROM json_each(?))"  # noqa: S608 - our words
            f" ORDER BY e.pos {order}",
            (json.dumps([names[place][0] for place in chosen]),),
        )
        found: list[tuple[int, bytes]] = []
        size = 0
        for place, record in zip(chosen, _proven(rows), strict=True):
            if record.data is not None:
                found.append((place, _present(connection, record, presentation)))
                size += len(found[-1][1])
            if size > PAGE_BYTES:
                break
    is_cut = size > PAGE_BYTES or len(chosen) == limit
    considered = (place + 1) if is_cut else len(names)
    cursor = names[considered - 1][0] if considered else after
    messages = _with_checkpoints(found, names[:considered], scan)
    is_end = not is_cut and len(names) < scan.events_max
    return Page(messages, cursor, considered, len(found), is_end)


def _with_checkpoints(
    found: list[tuple[int, bytes]], names: list[tuple[int, str]], scan: Scan
) -> list[bytes]:
    """Put a checkpoint after every so many considered events, found or not."""
    every = scan.wanted.checkpoint_every
    if scan.since_checkpoint is None or not every:
        return [message for _, message in found]
    seats = [(place, 0, message) for place, message in found]
    seats.extend(
        (place, 1, checkpoint_message(names[place][0]))
        for place in range(every - scan.since_checkpoint - 1, len(names), every)
    )
    return [message for _, _, message in sorted(seats)]


def _names(
    connection: Connection, after: int, scan: Scan, *, order: str, beyond: str
) -> list[tuple[int, str]]:
    if scan.wanted.is_by_stream:
        statement = "SELECT e.pos, s.name FROM events e JOIN streams s ON s.id = e.stream_id"
    else:
        statement = "SELECT e.pos, e.type FROM events e"
    rows = connection.execute(
        f"{statement} WHERE e.pos {beyond} ? ORDER BY e.pos {order} LIMIT ?",
        (after, scan.events_max),
    )
    return cast("list[tuple[int, str]]", rows.fetchall())


def _proven(rows: Iterable[tuple[object, ...]]) -> Iterator[Record]:
    for row in rows:
        record = Record(*row)  # type: ignore[arg-type]
        check(record)
        yield record


def check(record: Record) -> None:
    """Raise `Corrupt` unless a record is what was written; scavenged ones have no body to check."""
    if record.data is not None and digest_of(*record[:-1]) != record.digest:
        message = f"the event at position {record.position} is damaged: its digest does not match"
        raise Corrupt(message)


def _present(connection: Connection, record: Record, presentation: Presentation) -> bytes:
    is_structured = presentation.is_structured
    if not presentation.resolve_links or record.type != LINK_TYPE:
        return event_message(record, is_structured=is_structured)
    target = _follow(connection, record)
    if target is None:
        return broken_link_message(record, is_structured=is_structured)
    return event_message(target, is_structured=is_structured, link=record)


def _follow(connection: Connection, link: Record) -> Record | None:
    revision, _, name = link.data.decode(errors="replace").partition("@")
    if not revision.isdecimal() or int(revision) >= TOMBSTONE_REVISION:
        return None
    view = look_at_stream(connection, name)
    if not isinstance(view, StreamView) or int(revision) < view.first:
        return None
    rows = connection.execute(
        f"{_SELECT} WHERE e.stream_id=? AND e.revision=? AND e.created >= ?",
        (view.id, int(revision), view.created_since),
    )
    return next((record for record in _proven(rows) if record.data is not None), None)


def _row(
    connection: Connection, name: str
) -> tuple[int, int, int, int | None, int | None, int | None] | None:
    row = connection.execute(
        "SELECT id, last, tombstoned, truncate_before, max_count, max_age FROM streams"
        " WHERE name=?",
        (name,),
    ).fetchone()
    return cast("tuple[int, int, int, int | None, int | None, int | None] | None", row)
