"""Works that a process apart finds by their names."""

import os
from collections.abc import Sequence

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, select

from libs.event_store import StoredEvent
from libs.read_model import Added, Patch, Put, ReadModel, Write, apply
from libs.rows import Lot, make_rows
from tests.events import number_of

metadata = MetaData()
places = Table("places", metadata, Column("position", BigInteger, primary_key=True))
sums = Table(
    "sums",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False),
)
UNLUCKY = 13


def project(event: StoredEvent) -> Sequence[Write]:
    """A row for each event, and a sum that counts one twice if it comes twice."""
    if number_of(event) == UNLUCKY:
        raise ValueError("thirteen cannot be projected")
    row = {"position": event.position}
    return [Put(places, row), Patch(sums, {"id": 0}, {"n": Added(1)})]


MODEL = ReadModel("places", 1, "test", ("a-",), metadata, project)


def make(connection: Connection, lot: Lot) -> frozenset[str] | None:
    return make_rows(connection, MODEL, lot)


def make_and_die(connection: Connection, lot: Lot) -> frozenset[str] | None:
    """All is written and committed, and nobody is told of it."""
    found = make_rows(connection, MODEL, lot)
    connection.commit()
    os._exit(1)
    return found


def prepare(connection: Connection) -> None:
    metadata.create_all(connection)
    begin_sums(connection)


def begin_sums(connection: Connection) -> None:
    apply(connection, [Put(sums, {"id": 0, "n": 0})])


def count(connection: Connection) -> tuple[int, int]:
    """The process that counts, and the sum that it finds."""
    return os.getpid(), connection.execute(select(sums.c.n)).scalar_one()


def fail(connection: Connection, why: str) -> None:
    begin_sums(connection)
    raise LookupError(why)
