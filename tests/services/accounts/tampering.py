"""An embedded store's file changed by somebody who knows how it is kept: every digest is right."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeAlias, cast

from hefu.accounts.v1 import events_pb2
from libs.journal_pages import seal_of
from services.accounts.codec.pages import encode_page
from services.eventstore.head import Head, HeadFile
from services.eventstore.model import digest_of
from services.eventstore.storage import DATABASE_NAME, Connection

Change: TypeAlias = Callable[[list[bytes]], list[bytes]]
_Digested: TypeAlias = tuple[int, str, int, bytes, str, int, int, bytes, bytes]


def rewrite(folder: Path, changes: dict[str, Change]) -> None:
    """Put other pages in the place of a stopped store's streams; as many, or fewer."""
    with closing(Connection(str(folder / DATABASE_NAME))) as connection, connection:
        for stream, change in changes.items():
            _rewrite_stream(connection, stream, change)
        _digest_anew(connection)
        position, events, chain = _chain_anew(connection)
    head = HeadFile(folder)
    for _ in range(2):
        head.write(Head(position, events, chain))
    head.close()


def _rewrite_stream(connection: Connection, stream: str, change: Change) -> None:
    found = connection.execute(
        "SELECT e.pos, e.data FROM events e JOIN streams s ON s.id = e.stream_id"
        " WHERE s.name = ? ORDER BY e.revision",
        (stream,),
    ).fetchall()
    rows = cast("list[tuple[int, bytes]]", found)
    changed = change([data for _, data in rows])
    assert len(changed) <= len(rows)
    for (position, _), data in zip(rows, changed, strict=False):
        connection.execute("UPDATE events SET data = ? WHERE pos = ?", (data, position))
    for position, _ in rows[len(changed) :]:
        connection.execute("DELETE FROM events WHERE pos = ?", (position,))
        connection.execute("DELETE FROM groups WHERE last_pos = ?", (position,))
    connection.execute("UPDATE streams SET last = ? WHERE name = ?", (len(changed) - 1, stream))


def _digest_anew(connection: Connection) -> None:
    rows = connection.execute(
        "SELECT e.pos, s.name, e.revision, e.event_id, e.type, e.flags, e.created, e.data,"
        " e.metadata FROM events e JOIN streams s ON s.id = e.stream_id"
    ).fetchall()
    for row in cast("list[_Digested]", rows):
        digest = digest_of(*row)
        connection.execute("UPDATE events SET digest = ? WHERE pos = ?", (digest, row[0]))


def _chain_anew(connection: Connection) -> tuple[int, int, bytes]:
    """Each commit's group again: as many events as now lie between it and the one before."""
    chain, before, total = bytes(32), -1, 0
    groups = connection.execute("SELECT last_pos FROM groups ORDER BY last_pos").fetchall()
    for (last,) in cast("list[tuple[int]]", groups):
        digests = [
            row[0]
            for row in connection.execute(
                "SELECT digest FROM events WHERE pos > ? AND pos <= ? ORDER BY pos", (before, last)
            )
        ]
        chain = hashlib.sha256(b"".join((chain, *digests))).digest()
        connection.execute(
            "UPDATE groups SET events = ?, chain = ? WHERE last_pos = ?",
            (len(digests), chain, last),
        )
        before, total = last, total + len(digests)
    return before, total, chain


def chained(pages: Sequence[bytes]) -> list[bytes]:
    """The pages with numbers, links, roots and hashes made anew: the chain holds again."""
    made: list[bytes] = []
    previous = bytes(32)
    for number, stored in enumerate(pages):
        page = events_pb2.PageWritten.FromString(stored)
        entries: list[bytes] = []
        for ordinal, entry in enumerate(page.entries):
            entry.ordinal = ordinal
            entries.append(entry.SerializeToString(deterministic=True))
        data, previous = encode_page(
            number, previous, seal_of(stored).written_us, page.business_date, entries
        )
        made.append(data)
    return made


def edited(stored: bytes, change: Callable[[events_pb2.PageWritten], None]) -> bytes:
    """A page changed in its fields and in nothing else."""
    page = events_pb2.PageWritten.FromString(stored)
    change(page)
    return page.SerializeToString(deterministic=True)
