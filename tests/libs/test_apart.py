"""Rows made in a process apart are the same rows, each once, whatever becomes of the process."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import select as rows_of

from libs.apart import Apart, ApartFailed
from libs.memory_store import MemoryStore
from libs.projection import Projection, RowsMoved
from libs.read_model import Database, DatabaseUnavailable
from libs.rows import Lot
from tests.events import event, fill
from tests.libs import work_apart
from tests.libs.work_apart import MODEL

T = TypeVar("T")
PATIENCE_S = 30.0


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/rows.sqlite"


@pytest.fixture
def apart(url: str) -> Iterator[Apart]:
    """A process with two lanes to one database."""
    found = Apart("test", [url, url])
    yield found
    found.close()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    found = Database.open(url)
    yield found
    found.close()


async def made_apart(
    database: Database, store: MemoryStore, made: Callable[[Lot], frozenset[str] | None]
) -> Projection:
    projection = Projection(MODEL, database, store, apart=made)
    await projection.prepare()
    await database.write(work_apart.begin_sums)
    return projection


async def until(projection: Projection, position: int) -> None:
    """Run it until its rows are there."""
    running = asyncio.create_task(projection.run())
    reached = asyncio.create_task(projection.wait_for(position, PATIENCE_S))
    try:
        await asyncio.wait([running, reached], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        reached.result()
    finally:
        running.cancel()
        reached.cancel()
        await asyncio.wait([running, reached])


async def there(database: Database) -> tuple[int, int]:
    """How many rows there are, and how often they were counted."""
    found = await database.read(lambda c: c.execute(rows_of(work_apart.places)).all())
    _, total = await database.read(work_apart.count)
    return len(found), total


async def test_rows_are_made_by_another_process_and_read_here(
    apart: Apart, database: Database
) -> None:
    store = MemoryStore()
    projection = await made_apart(database, store, apart.of(0, work_apart.make))

    await until(projection, await fill(store, "a", 4, each=3))

    assert await there(database) == (12, 12)
    maker, _ = await asyncio.to_thread(apart.of(1, work_apart.count))
    assert maker != os.getpid()


async def test_an_event_without_rows_is_parked_and_the_others_go_on(
    apart: Apart, database: Database
) -> None:
    store = MemoryStore()
    projection = await made_apart(database, store, apart.of(0, work_apart.make))

    await until(projection, await fill(store, "a", work_apart.UNLUCKY + 2))
    assert projection.parked == 1
    after = await store.append(f"a-{work_apart.UNLUCKY}", [event(1)], 0)
    await until(
        Projection(MODEL, database, store, apart=apart.of(0, work_apart.make)), after.position
    )

    assert await there(database) == (work_apart.UNLUCKY + 1, work_apart.UNLUCKY + 1)


async def test_what_a_work_raises_is_told_and_leaves_nothing(
    apart: Apart, database: Database
) -> None:
    await database.write(work_apart.metadata.create_all)

    with pytest.raises(ApartFailed, match="LookupError: not there"):
        await asyncio.to_thread(apart.of(0, work_apart.fail), "not there")

    assert await database.read(lambda c: c.execute(rows_of(work_apart.sums)).all()) == []


async def test_a_process_that_died_is_started_again(apart: Apart, database: Database) -> None:
    store = MemoryStore()
    projection = await made_apart(database, store, apart.of(0, work_apart.make))
    first, _ = await asyncio.to_thread(apart.of(0, work_apart.count))

    os.kill(first, signal.SIGKILL)
    with pytest.raises(DatabaseUnavailable):
        await asyncio.to_thread(apart.of(0, work_apart.count))
    await until(projection, await fill(store, "a", 5))

    assert await there(database) == (5, 5)
    second, _ = await asyncio.to_thread(apart.of(1, work_apart.count))
    assert second != first


async def test_rows_whose_maker_died_before_it_could_tell_are_not_made_twice(
    apart: Apart, database: Database
) -> None:
    store = MemoryStore()
    ways = [apart.of(0, work_apart.make), apart.of(0, work_apart.make_and_die)]
    projection = await made_apart(database, store, lambda lot: ways.pop()(lot) if ways else None)

    await until(projection, await fill(store, "a", 5))

    assert ways == []
    assert await there(database) == (5, 5)


async def test_who_finds_its_rows_moved_by_another_stops_and_writes_nothing(
    apart: Apart, database: Database
) -> None:
    store = MemoryStore()
    position = await fill(store, "a", 5)
    one = await made_apart(database, store, apart.of(0, work_apart.make))
    other = Projection(MODEL, database, store, apart=apart.of(1, work_apart.make))
    await other.prepare()
    await until(one, position)
    more = await fill(store, "a-more", 3)

    with pytest.raises(RowsMoved):
        await until(other, more)

    assert await there(database) == (5, 5)
    assert other.parked == 0


def test_it_ends_with_its_owner(url: str) -> None:
    program = f"""
import sys
from libs.apart import Apart
from tests.libs import work_apart
apart = Apart("test", [{url!r}])
apart.of(0, work_apart.prepare)()
print(apart.of(0, work_apart.count)()[0], flush=True)
sys.stdin.read()
"""
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        ended = os.pidfd_open(int(owner.stdout.readline()))
        assert select.select([ended], [], [], 0) == ([], [], [])

        owner.kill()

    assert select.select([ended], [], [], PATIENCE_S) == ([ended], [], [])
    os.close(ended)
