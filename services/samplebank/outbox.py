"""What the bank still has to deliver: written with what it is about, sent until it has arrived."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from libs.iso20022 import Message, build
from services.samplebank.schema import outbox

BACKOFF_FIRST_MS = 200
BACKOFF_MAX_MS = 5_000
PARCELS_MAX = 20


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message to deliver."""

    ordinal: int
    message_type: str
    body: bytes
    attempts: int


def send_later(connection: Connection, message: Message, due_ms: int) -> None:
    """Puts a message into the outbox, to be delivered from `due_ms` on."""
    message_type, body = build(message)
    put(connection, message_type, body, due_ms)


def put(connection: Connection, message_type: str, body: bytes, due_ms: int) -> None:
    """The same for bytes that are there already."""
    connection.execute(
        insert(outbox).values(
            message_type=message_type,
            body=body,
            due_ms=due_ms,
            attempts=0,
            delivered_ms=0,
            refusal="",
        )
    )


def due(connection: Connection, now_ms: int) -> list[Parcel]:
    """What is to be sent now, oldest first; `PARCELS_MAX` at a time."""
    rows = connection.execute(
        select(outbox)
        .where((outbox.c.delivered_ms == 0) & (outbox.c.due_ms <= now_ms))
        .order_by(outbox.c.due_ms, outbox.c.ordinal)
        .limit(PARCELS_MAX)
    ).mappings()
    return [
        Parcel(row["ordinal"], row["message_type"], row["body"], row["attempts"]) for row in rows
    ]


def next_due_ms(connection: Connection) -> int | None:
    """When the next is to be sent; nothing if all has been."""
    found: int | None = connection.execute(
        select(func.min(outbox.c.due_ms)).where(outbox.c.delivered_ms == 0)
    ).scalar_one()
    return found


def name_of(parcel: Parcel) -> str:
    """What logs call it."""
    return f"{parcel.message_type} {parcel.ordinal}"


def delivered(connection: Connection, parcel: Parcel, now_ms: int, refusal: str) -> None:
    """It has arrived, or was refused for good."""
    connection.execute(
        update(outbox)
        .where(outbox.c.ordinal == parcel.ordinal)
        .values(delivered_ms=now_ms, attempts=parcel.attempts + 1, refusal=refusal)
    )


def failed(connection: Connection, parcel: Parcel, now_ms: int) -> None:
    """It has not arrived: again after a while that grows up to `BACKOFF_MAX_MS`."""
    wait_ms = min(BACKOFF_FIRST_MS << min(parcel.attempts, 10), BACKOFF_MAX_MS)
    connection.execute(
        update(outbox)
        .where(outbox.c.ordinal == parcel.ordinal)
        .values(due_ms=now_ms + wait_ms, attempts=parcel.attempts + 1)
    )
