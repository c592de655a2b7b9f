"""A feed gives all, in batches of what came meanwhile, and ends when it is told."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from libs.cancelling import end
from libs.event_store import LOT_BYTES_MAX, CaughtUp, Followed, NewEvent, StoredEvent
from libs.feed import BATCH_EVENTS_MAX, Batch, batches
from libs.memory_store import MemoryStore
from tests.events import event, fill


async def until(feed: AsyncGenerator[Batch, None], position: int) -> list[Batch]:
    given = []
    async for batch in feed:
        given.append(batch)
        if batch.position >= position:
            return given
    raise AssertionError("a feed does not end")


async def test_history_and_then_what_comes_in_order_and_bounded() -> None:
    store = MemoryStore()
    position = await fill(store, "a", 3 * BATCH_EVENTS_MAX)
    async with aclosing(batches(store, ("a-",), None)) as feed:
        history = await until(feed, position)
        position = await fill(store, "a-more", 10)
        live = await until(feed, position)

    events = [one for batch in (*history, *live) for one in batch.events]
    assert events == [one async for one in store.read_all(("a-",))]
    assert max(len(batch.events) for batch in history) <= BATCH_EVENTS_MAX
    assert not history[0].is_caught_up
    assert live[-1].is_caught_up


async def test_large_events_make_small_batches() -> None:
    store = MemoryStore()
    for n in range(20):
        large = NewEvent(event().id, "t", b"x" * 1_000_000, {}, is_json=False)
        position = (await store.append(f"a-{n}", [large], -1)).position
    async with aclosing(batches(store, ("a-",), None)) as feed:
        given = await until(feed, position)

    assert max(sum(len(e.data) for e in batch.events) for batch in given) < LOT_BYTES_MAX + (
        1 << 20
    )


async def test_what_ends_the_reading_is_raised_after_what_was_read() -> None:
    class Broken(MemoryStore):
        async def follow_lots(
            self, prefixes: Sequence[str], after: int | None = None
        ) -> AsyncGenerator[Sequence[Followed], None]:
            yield [each async for each in self.read_all(prefixes, after)]
            raise ConnectionError("cut")

    store = Broken()
    await fill(store, "a", 3)
    given: list[StoredEvent] = []

    async def read() -> None:
        async with aclosing(batches(store, ("a-",), None)) as feed:
            async for batch in feed:
                given.extend(batch.events)

    with pytest.raises(ConnectionError):
        await read()
    assert len(given) == 3


async def test_a_feed_ends_even_where_a_cancellation_is_swallowed() -> None:
    class Swallowing(MemoryStore):
        swallowed = 0

        async def follow_lots(
            self, _prefixes: Sequence[str], _after: int | None = None
        ) -> AsyncGenerator[Sequence[Followed], None]:
            while True:
                try:
                    await asyncio.sleep(3_600)
                except asyncio.CancelledError:
                    self.swallowed += 1
                    if self.swallowed > 1:
                        raise
                yield [CaughtUp()]

    store = Swallowing()
    feed = batches(store, ("a-",), None)
    reading = asyncio.create_task(anext(feed))
    await asyncio.sleep(0)

    async with asyncio.timeout(10):
        await end([reading])
        await feed.aclose()

    assert store.swallowed >= 1
