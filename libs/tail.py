"""The newest of the store, followed once for all who follow it in this process."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from itertools import islice
from typing import TypeAlias

from libs.cancelling import end
from libs.event_store import CaughtUp, Checkpoint, Followed, StoredEvent

Kept: TypeAlias = StoredEvent | Checkpoint

KEPT_ITEMS_MAX = 4_000
KEPT_BYTES_MAX = 16 << 20
LOT_MAX = 500


class Missed(Exception):
    """What was asked for is not kept any more: read it, and come again."""


class Tail:
    """Keeps the last items of one subscription; each follower goes through them at its own pace.

    It never waits for a follower: one that is too slow, or begins too early, is told `Missed`.
    """

    def __init__(
        self,
        prefixes: Sequence[str],
        after: int | None,
        follow: Callable[[Sequence[str], int | None], AsyncGenerator[Sequence[Followed], None]],
    ) -> None:
        self.prefixes = tuple(prefixes)
        self.followers = 0
        self._after = after
        # Everything that matches and lies behind this position is kept, or still to come.
        self._start = after or 0
        self._follow = follow
        self._kept: deque[Kept] = deque()
        self._bytes = 0
        # Counts what was dropped, so that a place among the items has a number for ever.
        self._dropped = 0
        self._is_caught_up = False
        self._grown = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def covers(self, prefixes: Sequence[str]) -> bool:
        """Whether all that begins so passes here."""
        return all(prefix.startswith(self.prefixes) for prefix in prefixes)

    async def since(self, position: int) -> AsyncGenerator[Sequence[Followed], None]:
        """What lies behind a position, then live, for ever, in lots. Raises `Missed`."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        if position < self._start:
            raise Missed
        place, is_told = self._dropped, False
        while True:
            if place < self._dropped:
                raise Missed
            left = self._dropped + len(self._kept) - place
            if left:
                # From the end: what is new is there, and a place amidst many is far from both ends.
                lot = list(islice(reversed(self._kept), left))
                lot.reverse()
                place += left
                for at in range(0, left, LOT_MAX):
                    fresh = [item for item in lot[at : at + LOT_MAX] if item.position > position]
                    if fresh:
                        yield fresh
            elif self._is_caught_up and not is_told:
                is_told = True
                yield [CaughtUp()]
            else:
                await self._grown.wait()

    async def close(self) -> None:
        """Follow no more."""
        if self._task is not None:
            await end([self._task])

    async def _run(self) -> None:
        async with aclosing(self._follow(self.prefixes, self._after)) as lots:
            async for lot in lots:
                for item in lot:
                    if isinstance(item, CaughtUp):
                        self._is_caught_up = True
                    else:
                        self._keep(item)
                grown, self._grown = self._grown, asyncio.Event()
                grown.set()

    def _keep(self, item: Kept) -> None:
        self._kept.append(item)
        self._bytes += _size(item)
        while len(self._kept) > KEPT_ITEMS_MAX or self._bytes > KEPT_BYTES_MAX:
            dropped = self._kept.popleft()
            self._dropped += 1
            self._bytes -= _size(dropped)
            self._start = dropped.position


def _size(item: Kept) -> int:
    return len(item.data) if isinstance(item, StoredEvent) else 0
