"""What a lot of events makes of a read model's rows: one transaction, and the position with it."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from libs import positions
from libs.event_store import StoredEvent
from libs.positions import positions as table
from libs.read_model import Put, ReadModel, apply


class Lot(NamedTuple):
    """Events after a position, up to another; `parked`: streams that the follower stopped."""

    after: int
    events: Sequence[StoredEvent]
    position: int
    parked: frozenset[str] = frozenset()


def follower_of(model: ReadModel) -> str:
    """Who follows for these rows: what its position and its parked streams are kept under."""
    return f"projection:{model.name}"


def make_rows(connection: Connection, model: ReadModel, lot: Lot) -> frozenset[str] | None:
    """Write the rows and the position; answers the streams that are parked now.

    None, and nothing is written, where the rows are neither at `after` nor at `position` already:
    somebody else makes them too. A lot made before, whose answer was lost, is not made twice.
    """
    at = position_of_rows(connection, model)
    if at != lot.after:
        return lot.parked if at == lot.position else None
    parked = lot.parked
    if parked:  # a replay may have released some
        parked = frozenset(positions.parked_streams(connection, follower_of(model)))
    apply(
        connection,
        (
            write
            for event in lot.events
            if event.stream not in parked
            for write in model.project(event)
        ),
    )
    waiting = Counter(event.stream for event in lot.events if event.stream in parked)
    if waiting:
        positions.wait_behind(connection, follower_of(model), waiting)
    if lot.events:
        positions.keep_newest(connection, model.name, lot.events[-1])
    keep_position(connection, model, lot.position)
    return parked


def keep_position(connection: Connection, model: ReadModel, position: int) -> None:
    """How far the rows go, in the transaction that makes them go so far."""
    row = {"name": model.name, "version": model.version, "position": position}
    apply(connection, [Put(table, row)])


def position_of_rows(connection: Connection, model: ReadModel) -> int | None:
    """How far the rows of this version go; None where there are none."""
    query = select(table.c.position).where(
        table.c.name == model.name, table.c.version == model.version
    )
    found = connection.execute(query).scalar()
    return None if found is None else int(found)
