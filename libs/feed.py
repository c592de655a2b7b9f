"""A store followed in batches: what came while the last batch was worked on makes the next one."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from libs.cancelling import end, heed_cancellation
from libs.event_store import CaughtUp, Checkpoint, EventStore, Followed, StoredEvent

BATCH_EVENTS_MAX = 500
BATCH_BYTES_MAX = 4 << 20
BUFFERED_EVENTS_MAX = 2_000
BUFFERED_BYTES_MAX = 8 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in order, perhaps none; all that match up to `position` are in it or came before."""

    events: Sequence[StoredEvent]
    position: int
    is_caught_up: bool


class _Buffer:
    """Between a reader and a worker: bounded by count and bytes."""

    def __init__(self) -> None:
        self._held: deque[Followed] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._error: BaseException | None = None

    async def fill(self, following: AsyncGenerator[Followed, None]) -> None:
        """Take all there is, for ever; a failure is handed to the worker."""
        try:
            async with aclosing(following):
                async for item in following:
                    heed_cancellation()
                    await self._put(item)
        except Exception as error:  # noqa: BLE001 - raised where the events are awaited
            self._error = error
        else:
            self._error = AssertionError("a store is followed for ever")
        self._filled.set()

    async def _put(self, item: Followed) -> None:
        while len(self._held) >= BUFFERED_EVENTS_MAX or self._bytes >= BUFFERED_BYTES_MAX:
            self._drained.clear()
            await self._drained.wait()
        self._held.append(item)
        self._bytes += _size(item)
        self._filled.set()

    async def take(self) -> list[Followed]:
        """What is there, at least one. Raises what ended the reading."""
        while not self._held:
            if self._error is not None:
                raise self._error
            self._filled.clear()
            await self._filled.wait()
        taken: list[Followed] = []
        size = 0
        while self._held and len(taken) < BATCH_EVENTS_MAX and size < BATCH_BYTES_MAX:
            item = self._held.popleft()
            size += _size(item)
            taken.append(item)
        self._bytes -= size
        self._drained.set()
        return taken


async def between(
    store: EventStore, prefixes: Sequence[str], after: int | None, upto: int, *, only: str = ""
) -> AsyncGenerator[StoredEvent, None]:
    """Matching events after one position, up to another and with it. Raises `StoreUnavailable`."""
    reading = cast("AsyncGenerator[StoredEvent, None]", store.read_all(prefixes, after, only=only))
    async with aclosing(reading):
        async for event in reading:
            if event.position > upto:
                return
            yield event


def _size(item: Followed) -> int:
    return len(item.data) if isinstance(item, StoredEvent) else 0


async def batches(
    store: EventStore, prefixes: Sequence[str], after: int | None
) -> AsyncGenerator[Batch, None]:
    """Follow for ever. Raises what `follow` raises; close it to stop following."""
    buffer = _Buffer()
    position = after or 0
    is_caught_up = False
    following = cast("AsyncGenerator[Followed, None]", store.follow(prefixes, after))
    filling = asyncio.create_task(buffer.fill(following))
    try:
        while True:
            events: list[StoredEvent] = []
            for item in await buffer.take():
                match item:
                    case StoredEvent():
                        events.append(item)
                        position = max(position, item.position)
                    case Checkpoint(considered):
                        position = max(position, considered)
                    case CaughtUp():
                        is_caught_up = True
            yield Batch(events, position, is_caught_up)
    finally:
        await end([filling])
