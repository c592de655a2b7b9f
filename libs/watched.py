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


class _Silence:
    """One timer over all waits: it looks how long the present one lasts. A timer each is dear."""

    def __init__(self, silence_s: float, woken: asyncio.Event) -> None:
        self._silence_s = silence_s
        self._woken = woken
        self._loop = asyncio.get_running_loop()
        self._since_s: float | None = None
        self._is_too_long = False
        self._timer = self._loop.call_later(silence_s, self._look)

    def begins(self) -> None:
        self._since_s, self._is_too_long = self._loop.time(), False

    def ends(self) -> bool:
        """Whether it was too long, and is what ended the wait."""
        self._since_s = None
        return self._is_too_long

    def close(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        left_s = self._silence_s
        if self._since_s is not None:
            left_s += self._since_s - self._loop.time()
        if left_s <= 0:
            left_s = self._silence_s
            self._is_too_long = not self._woken.is_set()
            self._woken.set()
        self._timer = self._loop.call_later(left_s, self._look)


async def watched(
    items: AsyncIterator[T], silence_s: float, is_missing: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[T, None]:
    """Give the items; after `silence_s` without one, ask. Raises `Silent`, and what `items` raises.

    Only the time spent waiting for an item counts, not the time its taker spends on it.
    """
    ahead = _Ahead(items)
    silence = _Silence(silence_s, ahead.changed)
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
            silence.begins()
            await ahead.changed.wait()
            if silence.ends():
                suspicions = suspicions + 1 if await _ask(is_missing) else 0
                if suspicions >= SUSPICIONS_MAX:
                    raise Silent(f"nothing for {silence_s * suspicions} s, but more is there")
    finally:
        silence.close()
        await end([ahead.reading])


async def _ask(is_missing: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await is_missing()
    except Exception as error:
        raise Silent(f"no answer: {type(error).__name__}: {error}") from error
