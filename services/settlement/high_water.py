"""Reading our own writes: the store as we use it, and how far we have written in it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import TypeAlias

from libs.event_store import Appended, EventStore, Followed, NewEvent, StoredEvent
from libs.projection import Behind, Projection
from libs.transient import Unavailable

Listener: TypeAlias = Callable[[str, Sequence[NewEvent]], None]


class NotedStore(EventStore):
    """The store; `position` is that of the newest event this process appended.

    Listeners hear of each append of ours once its state is known: they wake whoever waits for it.
    """

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.position = 0
        self.listeners: list[Listener] = []

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        done = await self._store.append(stream, events, expected)
        self.position = max(self.position, done.position)
        for listener in self.listeners:
            asyncio.get_running_loop().call_soon(listener, stream, events)
        return done

    def read(self, stream: str, from_revision: int = 0) -> AsyncIterator[StoredEvent]:
        return self._store.read(stream, from_revision)

    async def read_last(self, stream: str) -> StoredEvent | None:
        return await self._store.read_last(stream)

    def read_all(
        self, prefixes: Sequence[str], after: int | None = None, *, only: str = ""
    ) -> AsyncIterator[StoredEvent]:
        return self._store.read_all(prefixes, after, only=only)

    def follow(self, prefixes: Sequence[str], after: int | None = None) -> AsyncIterator[Followed]:
        return self._store.follow(prefixes, after)

    def follow_lots(
        self, prefixes: Sequence[str], after: int | None = None
    ) -> AsyncGenerator[Sequence[Followed], None]:
        return self._store.follow_lots(prefixes, after)

    async def head(self) -> int:
        return await self._store.head()

    async def keep_last(self, stream: str, count: int) -> None:
        await self._store.keep_last(stream, count)


class RowsBehind(Unavailable):
    """The rows are not there yet; whoever needs them tries again later."""

    wire_reason = "READ_MODEL_BEHIND"


class OwnRows:
    """Our own read model, at least as new as our last write."""

    def __init__(self, projection: Projection, store: NotedStore) -> None:
        self._projection = projection
        self._store = store

    @property
    def position(self) -> int:
        """Position that the rows have reached."""
        return self._projection.position

    async def reached(self, position: int = 0, timeout_s: float = 10.0) -> None:
        """Wait for our writes, and for a position asked for. Raises `RowsBehind`."""
        try:
            await self._projection.wait_for(max(position, self._store.position), timeout_s)
        except Behind as behind:
            raise RowsBehind(str(behind)) from behind
