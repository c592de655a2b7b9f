"""Proof at start that what is on the disk is what was acknowledged, nothing more, nothing less."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from services.eventstore import storage
from services.eventstore.head import Head
from services.eventstore.model import METADATA_PREFIX, TOMBSTONE_REVISION, Record, StoreError
from services.eventstore.pages import Corrupt, check
from services.eventstore.storage import Connection
from services.eventstore.stream_metadata import parse

NEWEST_EVENTS: Final = 1_000_000
GROUPS_AT_ONCE: Final = 1_000
_VERIFIED_KEY: Final = "verified"
_SELECT = (
    "SELECT e.pos, s.name, e.revision, e.event_id, e.type, e.flags, e.created, e.data,"
    " e.metadata, e.digest FROM events e JOIN streams s ON s.id = e.stream_id"
)


class Place(NamedTuple):
    """A point in the log: the last position of a commit, and the hash chain up to it."""

    position: int
    chain: bytes


BEGINNING: Final = Place(-1, bytes(32))


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, from where on, and where the log ends."""

    events: int
    streams: int
    start: int
    head: int


def verify(connection: Connection, head: Head | None) -> Verified:
    """Check pages, digests, chain, revisions and the head file; StoreError names what is wrong."""
    try:
        verdict = connection.pragma("integrity_check")
        if verdict != "ok":
            message = f"the database is damaged: {verdict}"
            raise StoreError(message)
        last = _verify_head(connection, head)
        start = _chain_start(connection)
        events = _verify_chain(connection, start)
        streams = _verify_streams(connection)
        _verify_metadata(connection)
    except storage.DAMAGE as error:
        message = f"the database is damaged: {error}"
        raise StoreError(message) from None
    return Verified(events, streams, start.position, last)


def _verify_head(connection: Connection, head: Head | None) -> int:
    row = connection.execute(
        "SELECT last_pos FROM groups ORDER BY last_pos DESC LIMIT 1"
    ).fetchone()
    last = -1 if row is None else int(cast("int", row[0]))
    if head is None or head.position < 0:
        return last
    if head.position > last:
        message = (
            f"acknowledged events are gone: the head file knows position {head.position},"
            f" the database ends at {last}; restore a backup, or give them up with"
            " python -m services.eventstore.accept_loss"
        )
        raise StoreError(message)
    row = connection.execute(
        "SELECT chain, (SELECT sum(events) FROM groups WHERE last_pos <= ?1) FROM groups"
        " WHERE last_pos = ?1",
        (head.position,),
    ).fetchone()
    if row is None or row[0] != head.chain or row[1] != head.events:
        message = f"the database and the head file tell different histories at {head.position}"
        raise StoreError(message)
    return last


def _verify_chain(connection: Connection, place: Place) -> int:
    """Fold the digests again, over at least the newest events, and find nothing left over."""
    events = 0
    while True:
        further, seen = fold(connection, place, GROUPS_AT_ONCE)
        if further == place:
            break
        place, events = further, events + seen
    extra = connection.execute(
        "SELECT pos FROM events WHERE pos > ? ORDER BY pos LIMIT 1", (place.position,)
    ).fetchone()
    if extra is not None:
        message = f"the event at position {extra[0]} belongs to no commit"
        raise Corrupt(message)
    return events


def fold(connection: Connection, place: Place, groups_max: int) -> tuple[Place, int]:
    """Prove some commits from a place on; how far that went, and how many events they hold."""
    groups = cast(
        "list[tuple[int, int, bytes]]",
        connection.execute(
            "SELECT last_pos, events, chain FROM groups WHERE last_pos > ? ORDER BY last_pos"
            " LIMIT ?",
            (place.position, groups_max),
        ).fetchall(),
    )
    if not groups:
        return place, 0
    records = _records(connection, place.position, groups[-1][0])
    for last, count, stored in groups:
        digests = hashlib.sha256(place.chain)
        position = place.position
        for _ in range(count):
            record = next(records, None)
            if record is None or record.position > last:
                message = f"an event is missing between positions {position} and {last}"
                raise Corrupt(message)
            check(record)
            digests.update(record.digest)
            position = record.position
        if position != last or digests.digest() != stored:
            message = f"the hash chain breaks at position {last}"
            raise Corrupt(message)
        place = Place(last, stored)
    return place, sum(count for _, count, _ in groups)


def _chain_start(connection: Connection) -> Place:
    """The last commit that need not be read again before the store serves."""
    row = connection.execute(
        "SELECT pos FROM events ORDER BY pos DESC LIMIT 1 OFFSET ?", (NEWEST_EVENTS,)
    ).fetchone()
    mark = connection.execute("SELECT value FROM settings WHERE key=?", (_VERIFIED_KEY,)).fetchone()
    if row is None or mark is None:
        return BEGINNING
    found = connection.execute(
        "SELECT last_pos, chain FROM groups WHERE last_pos <= ? ORDER BY last_pos DESC LIMIT 1",
        (min(row[0], mark[0]),),
    ).fetchone()
    return BEGINNING if found is None else Place(*found)


def mark_verified(connection: Connection, position: int) -> None:
    """Remember that everything up to a position was found whole."""
    connection.execute(
        "INSERT INTO settings VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value=excluded.value",
        (_VERIFIED_KEY, position),
    )


def _records(connection: Connection, after: int, last: int) -> Iterator[Record]:
    rows = connection.execute(
        f"{_SELECT} WHERE e.pos > ? AND e.pos <= ? ORDER BY e.pos", (after, last)
    )
    for row in rows:
        yield Record(*row)


def _verify_streams(connection: Connection) -> int:
    """Revisions are dense from 0, and each stream's row says what its events say."""
    rows = connection.execute(
        "SELECT s.name, s.last, s.tombstoned, coalesce(n.last, -1), coalesce(n.events, 0),"
        " EXISTS(SELECT 1 FROM events t WHERE t.stream_id = s.id AND t.revision = ?1)"
        " FROM streams s LEFT JOIN (SELECT stream_id, max(revision) AS last, count(*) AS events"
        " FROM events WHERE revision < ?1 GROUP BY stream_id) n ON n.stream_id = s.id",
        (TOMBSTONE_REVISION,),
    )
    count = 0
    for name, last, tombstoned, actual, events, is_closed in rows:
        count += 1
        if last != actual or events != last + 1 or bool(tombstoned) != bool(is_closed):
            message = (
                f"stream {name} is damaged: its row says revision {last}, its events say {actual}"
                f" with {events} of them"
            )
            raise StoreError(message)
    return count


def _verify_metadata(connection: Connection) -> None:
    """What is kept of a stream's metadata is what its newest metadata event says."""
    rows = connection.execute(
        "SELECT s.name, s.metadata, s.truncate_before, s.max_count, s.max_age, e.data"
        " FROM streams s LEFT JOIN streams m ON m.name = ?1 || s.name"
        " LEFT JOIN events e ON e.stream_id = m.id AND e.revision = m.last"
        " WHERE s.metadata IS NOT NULL OR s.truncate_before IS NOT NULL"
        " OR s.max_count IS NOT NULL OR s.max_age IS NOT NULL OR e.data IS NOT NULL",
        (METADATA_PREFIX,),
    )
    for name, *kept, data in rows:
        if not isinstance(data, bytes) or tuple(kept) != tuple(parse(data)):
            message = f"stream {name} is damaged: its row does not say what its metadata says"
            raise Corrupt(message)
