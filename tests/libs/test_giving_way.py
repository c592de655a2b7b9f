"""Rows, positions and messages that nobody waits for go together, and give way to who is busy."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

import pytest
from sqlalchemy import BigInteger, Column, Connection, MetaData, Table

from libs.bus import Message
from libs.event_store import StoredEvent
from libs.feed import BATCH_EVENTS_MAX
from libs.inbox import KEEP_EVERY_S, Inbox
from libs.memory_bus import MemoryBus
from libs.memory_store import MemoryStore
from libs.projection import COMMIT_EVERY_S, Behind, Projection
from libs.read_model import Database, Put, ReadModel
from libs.relay import BATCH_MESSAGES_MAX, GATHER_S, Relay
from tests.events import fill

T = TypeVar("T")

metadata = MetaData()
places = Table("places", metadata, Column("position", BigInteger, primary_key=True))
MODEL = ReadModel(
    "places", 1, "test", ("a-",), metadata, lambda e: [Put(places, {"position": e.position})]
)
# As if each batch of rows had been days of work.
DAYS = 1e9


class Somebody:
    """Who is busy, as long as it is said; `asked` once the rows rest."""

    def __init__(self) -> None:
        self.works = True
        self.asked = asyncio.Event()

    def is_busy(self) -> bool:
        self.asked.set()
        return self.works


async def test_rows_rest_while_others_are_busy_unless_somebody_waits_for_them() -> None:
    store, database, somebody = MemoryStore(), Database.open("sqlite://"), Somebody()
    projection = Projection(MODEL, database, store, is_busy=somebody.is_busy, give_way_times=DAYS)
    first = await fill(store, "a-1", 3)
    running = asyncio.create_task(projection.run())
    try:
        await asyncio.wait_for(somebody.asked.wait(), 10)
        assert projection.position == first

        second = await fill(store, "a-2", 3)
        somebody.asked.clear()
        await asyncio.wait_for(somebody.asked.wait(), 10)
        assert projection.position == first  # it looks up, and rests on

        await projection.wait_for(second)
        assert projection.position == second

        third = await fill(store, "a-3", 3)
        somebody.works = False
        async with asyncio.timeout(10):
            while projection.position < third:  # noqa: ASYNC110 - nobody waits for the rows
                await asyncio.sleep(0)
    finally:
        running.cancel()
        await asyncio.wait([running])
        database.close()


class Counting(Database):
    """A database that counts its commits."""

    commits = 0

    async def write(self, work: Callable[[Connection], T]) -> T:
        self.commits += 1
        return await super().write(work)


class CountingBus(MemoryBus):
    """A bus that counts what is published at once."""

    publishes = 0

    async def publish(self, source: str, messages: Sequence[Message], expected_last: int) -> int:
        self.publishes += 1
        return await super().publish(source, messages, expected_last)


async def one_by_one(store: MemoryStore, reached: Callable[[], int]) -> tuple[int, float]:
    """Events one after another, each seen by who follows; how many, and how long it took."""
    loop = asyncio.get_running_loop()
    begun, count, last = loop.time(), 0, 0
    async with asyncio.timeout(60):
        while loop.time() - begun < 4 * COMMIT_EVERY_S or count < 100:
            last = await fill(store, f"a-{count}", 1)
            count += 1
            for _ in range(20):
                await asyncio.sleep(0)
        while reached() < last:  # noqa: ASYNC110 - as a looker-on, who hurries nobody
            await asyncio.sleep(0.001)
    return count, loop.time() - begun


async def test_rows_that_nobody_waits_for_are_committed_together() -> None:
    store, database = MemoryStore(), Counting.open("sqlite://")
    assert isinstance(database, Counting)
    projection = Projection(MODEL, database, store)
    await projection.prepare()
    running = asyncio.create_task(projection.run())
    database.commits = 0
    try:
        count, lasted_s = await one_by_one(store, lambda: projection.position)
    finally:
        running.cancel()
        await asyncio.wait([running])
        database.close()

    full = count / BATCH_EVENTS_MAX  # so many wait for nobody
    assert database.commits <= lasted_s / COMMIT_EVERY_S + full + 2 < count


async def test_a_relay_carries_together_what_comes_one_by_one() -> None:
    store, bus = MemoryStore(), CountingBus()
    relay = Relay("test", ("a-",), store, bus)
    running = asyncio.create_task(relay.run())
    try:
        count, lasted_s = await one_by_one(store, lambda: relay.position)
    finally:
        running.cancel()
        await asyncio.wait([running])

    # Of as many as a message takes, which wait for nobody, the rest goes in one of its own.
    full = 2 * count / BATCH_MESSAGES_MAX
    assert bus.publishes <= lasted_s / GATHER_S + full + 2 < count


async def test_an_inbox_keeps_its_position_now_and_then() -> None:
    store, bus, database = MemoryStore(), MemoryBus(idle_s=0.01), Counting.open("sqlite://")
    assert isinstance(database, Counting)
    heard: list[StoredEvent] = []

    async def react(events: Sequence[StoredEvent]) -> None:
        heard.extend(events)

    one = Inbox("one", "test", ("a-",), store=store, bus=bus, database=database, react=react)
    works = (one.run(), Relay("test", ("a-",), store, bus).run())
    running = [asyncio.ensure_future(work) for work in works]
    try:
        count, lasted_s = await one_by_one(store, lambda: one.position)
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        database.close()

    assert len(heard) == count
    assert database.commits <= lasted_s / KEEP_EVERY_S + 3


class CountingStore(MemoryStore):
    """A store that counts how often somebody reads all of it."""

    asked = 0

    def read_all(
        self, prefixes: Sequence[str], after: int | None = None, *, only: str = ""
    ) -> AsyncIterator[StoredEvent]:
        self.asked += 1
        return super().read_all(prefixes, after, only=only)


async def test_who_waits_for_rows_far_behind_asks_the_store_once_what_is_missing() -> None:
    """Each question begins a read of everything that is left: pages of the journal, megabytes."""
    store, database = CountingStore(), Database.open("sqlite://")
    projection = Projection(MODEL, database, store)
    await projection.prepare()
    wanted = await fill(store, "a-1", 3)
    try:
        for _ in range(2):
            with pytest.raises(Behind):
                await projection.wait_for(wanted, timeout_s=0.7)
        assert store.asked == 1
    finally:
        database.close()


async def test_who_asks_at_once_is_not_kept_waiting_for_what_is_not_for_these_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("libs.projection._ASK_AFTER_S", 3_600.0)
    store, database = CountingStore(), Database.open("sqlite://")
    projection = Projection(MODEL, database, store)
    await projection.prepare()
    await fill(store, "b-1", 3)
    try:
        await projection.wait_for(await store.head(), 10.0, asks_at_once=True)

        assert projection.position == await store.head()
        # What is for these rows is waited for, however it was asked.
        wanted = await fill(store, "a-1", 1)
        with pytest.raises(Behind):
            await projection.wait_for(wanted, 0.1, asks_at_once=True)
    finally:
        database.close()
