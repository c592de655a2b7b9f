"""How far each follower came, and the streams it parked: tables beside the read models."""

from collections.abc import Mapping

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, Table, Text, func, select

from libs.clock import system_clock
from libs.event_store import StoredEvent
from libs.writes import Erase, Patch, Put, apply

metadata = MetaData()

# A projection's rows and its position commit together.
positions = Table(
    "positions",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
)

# The last event in a projection's rows: where it is not in the store, the rows are another's.
newest = Table(
    "newest_events",
    metadata,
    Column("name", Text, primary_key=True),
    Column("stream", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("event_id", Text, nullable=False),
)

# An inbox's position: everything of its source up to here was heard and had its effect.
inboxes = Table(
    "inboxes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

# One row a stream: the event it stopped at, and how many wait behind it.
parked = Table(
    "parked",
    metadata,
    Column("follower", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("waiting", BigInteger, nullable=False),
    Column("parked_us", BigInteger, nullable=False),
)

_REASON_MAX = 2_000


def create(connection: Connection) -> None:
    """Make the tables where they are not there."""
    metadata.create_all(connection)


def keep_newest(connection: Connection, name: str, event: StoredEvent) -> None:
    """The last event in the rows of a projection."""
    row = {
        "name": name,
        "stream": event.stream,
        "revision": event.revision,
        "event_id": str(event.id),
    }
    apply(connection, [Put(newest, row)])


def newest_of(connection: Connection, name: str) -> tuple[str, int, str] | None:
    """Stream, revision and id of the last event in the rows; None where there is none."""
    found = connection.execute(select(newest).where(newest.c.name == name)).first()
    return None if found is None else (found.stream, int(found.revision), found.event_id)


def park(connection: Connection, follower: str, event: StoredEvent, reason: str) -> None:
    """Stop one stream at this event, for this follower."""
    row = {
        "follower": follower,
        "stream": event.stream,
        "revision": event.revision,
        "position": event.position,
        "event_id": str(event.id),
        "type": event.type,
        "reason": reason[:_REASON_MAX],
        "waiting": 0,
        "parked_us": system_clock(),
    }
    apply(connection, [Put(parked, row)])


def wait_behind(connection: Connection, follower: str, streams: Mapping[str, int]) -> None:
    """Count events that came on parked streams."""
    apply(
        connection,
        [
            Patch(
                parked,
                {"follower": follower, "stream": stream},
                {"waiting": parked.c.waiting + count},
            )
            for stream, count in streams.items()
        ],
    )


def release(connection: Connection, follower: str, stream: str) -> None:
    """The stream goes on."""
    apply(connection, [Erase(parked, {"follower": follower, "stream": stream})])


def parked_streams(connection: Connection, follower: str) -> dict[str, int]:
    """Streams this follower parked, with the revision each stopped at."""
    rows = connection.execute(
        select(parked.c.stream, parked.c.revision).where(parked.c.follower == follower)
    )
    return {row.stream: row.revision for row in rows}


def count_parked(connection: Connection) -> int:
    """Streams parked by any follower of this database."""
    return connection.execute(select(func.count()).select_from(parked)).scalar_one()
