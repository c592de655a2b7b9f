"""Proof at start that what is on the disk is what was acknowledged, nothing more, nothing less."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from services.eventstore import storage
from services.eventstore.head import Head
from services.eventstore.model import METADATA_PREFIX, TOMBSTONE_REVISION, Record, StoreError
from services.eventstore.pages import Corrupt, check
from services.eventstore.storage import Connection
from services.eventstore.stream_metadata import parse

NEWEST_EVENTS: Final = 1_000_000
NEWEST_BYTES: Final = 512 << 20
GROUPS_AT_ONCE: Final = 1_000
_SMALL_TABLES: Final = ("settings", "streams", "groups")
# Between two looks at whether a long check is still wanted, in steps of SQLite's machine.
_STEPS_BETWEEN_LOOKS: Final = 1_000
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
class Bounds:
    """What of a log that was proven before is proven again before it serves: the lesser of these.

    `bytes_`: also how large a file may be whose pages are all checked first.
    """

    events: int = NEWEST_EVENTS
    bytes_: int = NEWEST_BYTES


BOUNDS: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, from where on, and where the log ends.

    `has_all_pages`: whether the pages of the file were checked, or only those of small tables.
    """

    events: int
    streams: int
    start: int
    end: Place
    has_all_pages: bool


def verify(connection: Connection, head: Head | None, bounds: Bounds = BOUNDS) -> Verified:
    """Check pages, digests, chain, revisions and the head file; StoreError names what is wrong."""
    try:
        is_small = _size(connection) <= bounds.bytes_
        verify_pages(connection, () if is_small else _SMALL_TABLES)
        last = _verify_head(connection, head)
        start = _chain_start(connection, last, bounds)
        end, events = _verify_chain(connection, start)
        streams = _verify_streams(connection)
        _verify_metadata(connection)
    except storage.DAMAGE as error:
        message = f"the database is damaged: {error}"
        raise StoreError(message) from None
    return Verified(events, streams, start.position, end, is_small)


def _size(connection: Connection) -> int:
    pages, page_bytes = connection.pragma("page_count"), connection.pragma("page_size")
    return cast("int", pages) * cast("int", page_bytes)


def verify_pages(
    connection: Connection,
    tables: Sequence[str] = (),
    is_unwanted: Callable[[], bool] = lambda: False,
) -> bool:
    """Check how pages and indexes of some tables, or of all, hang together; False: given up."""
    checks = [f"PRAGMA integrity_check({table})" for table in tables] or ["PRAGMA integrity_check"]
    connection.set_progress_handler(is_unwanted, _STEPS_BETWEEN_LOOKS)
    try:
        for check_ in checks:
            (verdict,) = connection.execute(check_).fetchall()[0]
            if verdict != "ok":
                message = f"the database is damaged: {verdict}"
                raise Corrupt(message)
    except storage.GIVEN_UP:
        return False
    finally:
        connection.set_progress_handler(None)
    return True


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


def _verify_chain(connection: Connection, place: Place) -> tuple[Place, int]:
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
    return place, events


def fold(
    connection: Connection, place: Place, groups_max: int, bytes_max: int | None = None
) -> tuple[Place, int]:
    """Prove some commits from a place on; how far that went, and how many events they hold.

    One at least, and no more beyond it than `bytes_max`.
    """
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
    if bytes_max is not None:
        # Positions count bytes.
        upto = max(groups[0][0], place.position + bytes_max)
        groups = [group for group in groups if group[0] <= upto]
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


def _chain_start(connection: Connection, last: int, bounds: Bounds) -> Place:
    """The last commit that need not be read again before the store serves."""
    row = connection.execute(
        "SELECT pos FROM events ORDER BY pos DESC LIMIT 1 OFFSET ?", (bounds.events,)
    ).fetchone()
    mark = storage.verified_mark(connection)
    if mark is None:
        return BEGINNING
    # Positions count bytes. Of few events the bytes are the lesser bound, of small ones the events.
    older = max(-1 if row is None else row[0], last - bounds.bytes_)
    found = connection.execute(
        "SELECT last_pos, chain FROM groups WHERE last_pos <= ? ORDER BY last_pos DESC LIMIT 1",
        (min(older, mark),),
    ).fetchone()
    return BEGINNING if found is None else Place(*found)


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
