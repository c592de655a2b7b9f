"""An endless stream, watched: one that is silent while there is something to say is ended."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from libs.cancelling import end

T = TypeVar("T")

AHEAD_MAX = 32
# One look may fall between the store's commit and the stream's delivery.
SUSPICIONS_MAX = 2


class Silent(Exception):
    """Nothing came although there was something, or the other side does not answer at all."""


class _Ahead(Generic[T]):
    """Items read ahead, so that waiting for one can be given up without breaking the stream."""

    def __init__(self, items: AsyncIterator[T]) -> None:
        self.ready: deque[T] = deque()
        self.changed = asyncio.Event()
        self._room = asyncio.Event()
        self.reading = asyncio.create_task(self._read(items))

    async def _read(self, items: AsyncIterator[T]) -> None:
        try:
            async for item in items:
                self.ready.append(item)
                self.changed.set()
                if len(self.ready) >= AHEAD_MAX:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self.changed.set()

    def take(self) -> T:
        item = self.ready.popleft()
        self._room.set()
        return item


async def watched(
    items: AsyncIterator[T], silence_s: float, is_missing: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[T, None]:
    """Give the items; after `silence_s` without one, ask. Raises `Silent`, and what `items` raises.

    Only the time spent waiting for an item counts, not the time its taker spends on it.
    """
    ahead = _Ahead(items)
    suspicions = 0
    try:
        while True:
            while ahead.ready:
                suspicions = 0
                yield ahead.take()
            if ahead.reading.done():
                ahead.reading.result()
                return
            ahead.changed.clear()
            try:
                async with asyncio.timeout(silence_s):
                    await ahead.changed.wait()
            except TimeoutError:
                suspicions = suspicions + 1 if await _ask(is_missing) else 0
                if suspicions >= SUSPICIONS_MAX:
                    raise Silent(
                        f"nothing for {silence_s * suspicions} s, but more is there"
                    ) from None
    finally:
        await end([ahead.reading])


async def _ask(is_missing: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await is_missing()
    except Exception as error:
        raise Silent(f"no answer: {type(error).__name__}: {error}") from error
