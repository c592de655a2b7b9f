"""Rebuilds a read model from history into a shadow, compares it with the live one, swaps it in."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, Row, Table, delete, insert, select, text

from libs import positions
from libs.event_store import EventStore, StoredEvent
from libs.feed import between
from libs.positions import positions as positions_table
from libs.read_model import Database, ReadModel, apply

BATCH_EVENTS_MAX = 1_000
DIFFERENCES_MAX = 20
ROWS_AT_ONCE = 1_000
# The last stretch is read while the live model stands still.
LAST_STRETCH_S = 30.0
_SHADOW = "hefu_shadow"


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A row that differs. `kind`: MISSING_IN_LIVE, MISSING_IN_SHADOW, DIFFERS."""

    table: str
    key: str
    kind: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """How far a replay is; the last has the result and names `DIFFERENCES_MAX` rows.

    `is_compared` is false where it was stopped before the live model: rows of two moments say
    nothing about each other.
    """

    events: int
    position: int
    to_position: int
    is_done: bool = False
    is_compared: bool = False
    rows_compared: int = 0
    rows_different: int = 0
    differences: tuple[RowDifference, ...] = ()
    is_swapped: bool = False


@dataclass(slots=True)
class _Comparison:
    rows: int = 0
    different: int = 0
    named: list[RowDifference] = field(default_factory=list)

    def add(self, difference: RowDifference) -> None:
        self.different += 1
        if len(self.named) < DIFFERENCES_MAX:
            self.named.append(difference)


async def replay(
    model: ReadModel,
    database: Database,
    store: EventStore,
    *,
    to_position: int = 0,
    swap: bool = False,
    batch: int = BATCH_EVENTS_MAX,
) -> AsyncIterator[ReplayProgress]:
    """Progress, and last the result. `to_position` 0: up to where the live model is.

    The live model goes on meanwhile; only for the last stretch, the comparison and the swap it
    stands still. Raises `StoreUnavailable`, `DatabaseUnavailable`, and what `project` raises.
    """
    live = await database.write(lambda c: _prepared(c, model))
    wanted = to_position or live
    rebuild = _Rebuild(model, database, store, batch)
    async with _shadow(model, database):
        async for progress in rebuild.upto(wanted, wanted):
            yield progress
        if to_position and to_position < live:
            yield replace(rebuild.progress(wanted), is_done=True)
            return
        loop = asyncio.get_running_loop()
        result = await database.write(lambda c: rebuild.finish(c, loop, is_swapped=swap))
        yield result


class _Rebuild:
    def __init__(self, model: ReadModel, database: Database, store: EventStore, batch: int) -> None:
        self._model = model
        self._database = database
        self._store = store
        self._batch = batch
        self._position = 0
        self._events = 0

    def progress(self, wanted: int) -> ReplayProgress:
        return ReplayProgress(self._events, self._position, wanted)

    async def upto(self, position: int, wanted: int) -> AsyncIterator[ReplayProgress]:
        """Project into the shadow, a transaction a batch: the live model goes on between them."""
        events: list[StoredEvent] = []
        async with aclosing(self._until(position)) as reading:
            async for event in reading:
                events.append(event)
                if len(events) >= self._batch:
                    await self._database.write(self._projecting(events))
                    yield self.progress(wanted)
                    events = []
        await self._database.write(self._projecting(events))
        self._position = max(self._position, position)
        yield self.progress(wanted)

    def finish(
        self, connection: Connection, loop: asyncio.AbstractEventLoop, *, is_swapped: bool
    ) -> ReplayProgress:
        """In one transaction of the only writer: nobody moves the live rows meanwhile."""
        live = _live_position(connection, self._model)
        missing = asyncio.run_coroutine_threadsafe(self._between(live), loop)
        self._projecting(missing.result(LAST_STRETCH_S))(connection)
        self._position = max(self._position, live)
        parked = positions.parked_streams(connection, f"projection:{self._model.name}")
        found = _compare(connection, self._model)
        if is_swapped:
            _swap(connection, self._model)
            for stream in parked:
                positions.release(connection, f"projection:{self._model.name}", stream)
        return ReplayProgress(
            self._events,
            self._position,
            self._position,
            is_done=True,
            is_compared=True,
            rows_compared=found.rows,
            rows_different=found.different,
            differences=tuple(found.named),
            is_swapped=is_swapped,
        )

    async def _between(self, position: int) -> list[StoredEvent]:
        return [event async for event in self._until(position)]

    def _until(self, position: int) -> AsyncGenerator[StoredEvent, None]:
        return between(self._store, self._model.prefixes, self._position or None, position)

    def _projecting(self, events: Sequence[StoredEvent]) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            _in_shadow(connection)
            apply(connection, (write for event in events for write in self._model.project(event)))
            _in_live(connection)
            if events:
                self._position = events[-1].position
                self._events += len(events)

        return work


def _in_shadow(connection: Connection) -> None:
    # The same tables, statements and projection; only the schema they are in differs.
    connection.execution_options(schema_translate_map={None: _SHADOW})


def _in_live(connection: Connection) -> None:
    connection.execution_options(schema_translate_map={})


@asynccontextmanager
async def _shadow(model: ReadModel, database: Database) -> AsyncIterator[None]:
    """Empty tables of the model beside the live ones, gone at the end."""
    async with database.replaying:
        with tempfile.TemporaryDirectory(prefix="hefu-replay-") as folder:
            file = Path(folder) / "shadow.sqlite"
            await database.administer(lambda c: _make_shadow(c, model, file))
            try:
                yield
            finally:
                await database.administer(_drop_shadow)


def _make_shadow(connection: Connection, model: ReadModel, file: Path) -> None:
    if connection.dialect.name == "sqlite":
        attached = [row[1] for row in connection.exec_driver_sql("PRAGMA database_list")]
        if _SHADOW in attached:  # left by a replay that was cancelled
            connection.exec_driver_sql(f"DETACH DATABASE {_SHADOW}")
        connection.exec_driver_sql(f"ATTACH DATABASE ? AS {_SHADOW}", (str(file),))
        # It is made again rather than repaired.
        connection.exec_driver_sql(f"PRAGMA {_SHADOW}.synchronous=OFF")
    else:
        connection.execute(text(f"DROP SCHEMA IF EXISTS {_SHADOW} CASCADE"))
        connection.execute(text(f"CREATE SCHEMA {_SHADOW}"))
    _in_shadow(connection)
    model.metadata.create_all(connection)
    _in_live(connection)


def _drop_shadow(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"DETACH DATABASE {_SHADOW}")
    else:
        connection.execute(text(f"DROP SCHEMA {_SHADOW} CASCADE"))


def _prepared(connection: Connection, model: ReadModel) -> int:
    positions.create(connection)
    model.metadata.create_all(connection)
    return _live_position(connection, model)


def _live_position(connection: Connection, model: ReadModel) -> int:
    found = connection.execute(
        select(positions_table.c.position).where(positions_table.c.name == model.name)
    ).scalar()
    return int(found or 0)


def _shadow_of(table: Table) -> Table:
    return table.to_metadata(MetaData(), schema=_SHADOW)


def _swap(connection: Connection, model: ReadModel) -> None:
    tables = model.metadata.sorted_tables
    for table in reversed(tables):
        connection.execute(delete(table))
    for table in tables:
        names = [column.name for column in table.columns]
        connection.execute(insert(table).from_select(names, select(_shadow_of(table))))


def _compare(connection: Connection, model: ReadModel) -> _Comparison:
    found = _Comparison()
    for table in model.metadata.sorted_tables:
        live, shadow = _rows(connection, table), _rows(connection, _shadow_of(table))
        _compare_rows(table, live, shadow, found)
    return found


def _rows(connection: Connection, table: Table) -> Iterator[Row[Any]]:
    statement = select(table).order_by(*table.primary_key.columns)
    yield from connection.execute(statement.execution_options(yield_per=ROWS_AT_ONCE))


def _compare_rows(
    table: Table, live: Iterator[Row[Any]], shadow: Iterator[Row[Any]], found: _Comparison
) -> None:
    """Walk both in the order of their keys."""
    places = [index for index, column in enumerate(table.columns) if column.primary_key]
    names = [column.name for column in table.columns]

    def key(row: Row[Any]) -> tuple[Any, ...]:
        return tuple(row[place] for place in places)

    def told(row: Row[Any]) -> str:
        return ",".join(f"{names[place]}={row[place]}" for place in places)

    left, right = next(live, None), next(shadow, None)
    while left is not None or right is not None:
        found.rows += 1
        if left is not None and (right is None or key(left) < key(right)):
            found.add(RowDifference(table.name, told(left), "MISSING_IN_SHADOW"))
            left = next(live, None)
        elif right is not None and (left is None or key(right) < key(left)):
            found.add(RowDifference(table.name, told(right), "MISSING_IN_LIVE"))
            right = next(shadow, None)
        elif left is not None and right is not None:
            if tuple(left) != tuple(right):
                differ = (n for n, a, b in zip(names, left, right, strict=True) if a != b)
                found.add(RowDifference(table.name, told(left), "DIFFERS", tuple(differ)))
            left, right = next(live, None), next(shadow, None)
