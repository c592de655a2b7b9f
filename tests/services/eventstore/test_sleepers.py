"""Who follows the log sleeps through what it does not want, and misses nothing that it wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.eventstore.model import IS_JSON, Record
from services.eventstore.tail import Tail

WANTED, OTHER = "payment-1", "journal-0"


def record(position: int, stream: str) -> Record:
    return Record(position, stream, 0, bytes(16), "happened", IS_JSON, 0, b"{}", b"", bytes(32))


@asynccontextmanager
async def asleep(
    tail: Tail, position: int, most: int = 100
) -> AsyncIterator["asyncio.Task[tuple[int, int]]"]:
    waiting = asyncio.create_task(
        tail.wait_beyond(position, lambda each: each.stream == WANTED, most)
    )
    await asyncio.sleep(0)
    yield waiting
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_what_is_not_wanted_wakes_nobody_and_counts_as_seen() -> None:
    tail = Tail()
    async with asleep(tail, -1) as waiting:
        tail.publish([record(0, OTHER), record(1, OTHER)])
        tail.publish([record(2, OTHER)])
        await asyncio.sleep(0)
        assert not waiting.done()
        tail.publish([record(3, OTHER), record(4, WANTED)])
        assert await waiting == (2, 3)


async def test_what_comes_between_waking_and_getting_up_is_not_slept_through() -> None:
    tail = Tail()
    async with asleep(tail, -1) as waiting:
        tail.publish([record(0, WANTED)])
        tail.publish([record(1, OTHER)])
        assert await waiting == (-1, 0)


async def test_only_so_many_pass_by_before_it_is_woken_all_the_same() -> None:
    tail = Tail()
    async with asleep(tail, -1, most=3) as waiting:
        tail.publish([record(0, OTHER), record(1, OTHER)])
        tail.publish([record(2, OTHER)])
        assert await waiting == (1, 2)


async def test_everybody_is_woken_when_the_store_closes() -> None:
    tail = Tail()
    async with asleep(tail, -1) as one, asleep(tail, -1) as other:
        tail.close()
        assert (await one, await other) == ((-1, 0), (-1, 0))


async def test_who_leaves_is_forgotten_and_the_others_go_on() -> None:
    tail = Tail()
    async with asleep(tail, -1) as other:
        async with asleep(tail, -1):
            pass
        tail.publish([record(0, WANTED)])
        assert await other == (-1, 0)
