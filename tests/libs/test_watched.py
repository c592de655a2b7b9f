"""A stream that is silent while there is more is ended; one that has nothing to say is not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import pytest

from libs.watched import AHEAD_MAX, Silent, watched

SILENCE_S = 0.01


async def counted(upto: int) -> AsyncIterator[int]:
    for number in range(upto):
        yield number


async def then_silence(upto: int) -> AsyncIterator[int]:
    for number in range(upto):
        yield number
    await asyncio.Event().wait()


async def never() -> bool:
    return False


async def always() -> bool:
    return True


async def no_answer() -> bool:
    raise ConnectionError("nobody there")


async def test_all_items_come_and_the_end_is_the_end() -> None:
    assert [n async for n in watched(counted(500), SILENCE_S, never)] == list(range(500))


@pytest.mark.parametrize("answer", [always, no_answer])
async def test_silence_while_there_is_more_is_told(answer: Callable[[], Awaitable[bool]]) -> None:
    items = watched(then_silence(3), SILENCE_S, answer)

    assert [await anext(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(Silent):
        await anext(items)


async def test_silence_with_nothing_to_say_goes_on() -> None:
    asked = asyncio.Semaphore(0)

    async def ask() -> bool:
        asked.release()
        return False

    async with aclosing(watched(then_silence(1), SILENCE_S, ask)) as items:
        assert await anext(items) == 0
        waiting = asyncio.ensure_future(anext(items))
        for _ in range(4):
            await asked.acquire()
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_a_slow_taker_is_not_taken_for_a_silent_stream() -> None:
    read = 0

    async def source() -> AsyncIterator[int]:
        nonlocal read
        async for number in counted(10 * AHEAD_MAX):
            read += 1
            yield number

    given = 0
    async for _ in watched(source(), SILENCE_S, always):
        given += 1
        if given == 1:
            await asyncio.wait([asyncio.create_task(asyncio.sleep(3 * SILENCE_S))])
            assert read <= AHEAD_MAX + 1

    assert given == 10 * AHEAD_MAX


async def test_what_breaks_the_stream_comes_through() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError):
        assert [n async for n in watched(broken(), SILENCE_S, never)]
