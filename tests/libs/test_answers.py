"""Answers that are waited for together: all of them, whatever came of each."""

import asyncio

import pytest

from libs.answers import all_done


async def test_it_returns_once_the_last_is_there_and_tells_nothing_of_what_they_are() -> None:
    loop = asyncio.get_running_loop()
    first, second, third = [loop.create_future() for _ in range(3)]
    waiting = asyncio.create_task(all_done([first, second, third]))
    third.set_result(None)
    first.set_exception(ValueError("no"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    second.set_result(None)
    await waiting
    assert isinstance(first.exception(), ValueError)


async def test_who_is_cancelled_waits_no_more() -> None:
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(all_done([answer]))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_of_none_nothing_is_waited_for() -> None:
    await all_done([])
