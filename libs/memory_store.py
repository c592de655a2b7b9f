"""An event store in memory: the same promises, kept as long as the process lives."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from libs.event_store import (
    NO_STREAM,
    Appended,
    CaughtUp,
    Checkpoint,
    EventStore,
    Followed,
    NewEvent,
    StoredEvent,
    TooLarge,
    WrongVersion,
)

APPEND_BYTES_MAX = 1 << 20
# Positions are sparse on purpose, as in the real store: nobody may rely on the next being +1.
_POSITION_GAP = 100


class MemoryStore(EventStore):
    """Events in lists. An append seen before answers as it did then; only ids are compared."""

    def __init__(self) -> None:
        self._log: list[StoredEvent] = []
        self._streams: dict[str, list[StoredEvent]] = {}
        self._keep: dict[str, int] = defaultdict(int)
        self._grown = asyncio.Event()

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        """Append at exactly the expected revision, or answer what an equal append was answered."""
        if not events:
            raise ValueError("an append without events says nothing")
        if sum(len(event.data) + len(event.type) for event in events) > APPEND_BYTES_MAX:
            raise TooLarge(f"more than {APPEND_BYTES_MAX} bytes for {stream}")
        known = self._streams.get(stream, [])
        if expected < len(known) - 1:
            return _as_before(stream, known, events, expected)
        if expected > len(known) - 1:
            raise WrongVersion(stream, expected, len(known) - 1)
        known = self._streams.setdefault(stream, known)
        for event in events:
            stored = self._stored(stream, len(known), event)
            known.append(stored)
            self._log.append(stored)
        # Whoever waits gets the old event; who comes later waits on a new one.
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()
        return Appended(known[-1].position, known[-1].revision)

    async def read(self, stream: str, from_revision: int = 0) -> AsyncIterator[StoredEvent]:
        """The stream's events onward, those still kept."""
        known = self._streams.get(stream, [])
        first = max(from_revision, len(known) - self._keep[stream] if self._keep[stream] else 0)
        for event in known[first:]:
            yield event

    async def read_last(self, stream: str) -> StoredEvent | None:
        """The newest event of the stream."""
        known = self._streams.get(stream)
        return known[-1] if known else None

    async def read_all(
        self, prefixes: Sequence[str], after: int | None = None, *, only: str = ""
    ) -> AsyncIterator[StoredEvent]:
        """Matching events after a position, up to the present end."""
        for event in self._log[self._index_after(after) :]:
            if event.stream.startswith(tuple(prefixes)) and only in ("", event.type):
                yield event

    async def follow(
        self, prefixes: Sequence[str], after: int | None = None
    ) -> AsyncIterator[Followed]:
        """Matching events after a position, then live; checkpoints tell of what did not match."""
        async with aclosing(self.follow_lots(prefixes, after)) as lots:
            async for lot in lots:
                for item in lot:
                    yield item

    async def follow_lots(
        self, prefixes: Sequence[str], after: int | None = None
    ) -> AsyncGenerator[Sequence[Followed], None]:
        """The same, as many at a time as are there."""
        index = self._index_after(after)
        begins = tuple(prefixes)
        while True:
            grown = self._grown
            fresh = self._log[index:]
            index += len(fresh)
            lot: list[Followed] = [event for event in fresh if event.stream.startswith(begins)]
            if fresh and (not lot or lot[-1] is not fresh[-1]):
                lot.append(Checkpoint(fresh[-1].position))
            yield [*lot, CaughtUp()]
            await grown.wait()

    async def head(self) -> int:
        """Position of the newest event; 0 for an empty store."""
        return self._log[-1].position if self._log else 0

    async def keep_last(self, stream: str, count: int) -> None:
        """Keep only the newest events of a stream."""
        self._keep[stream] = count

    def _index_after(self, after: int | None) -> int:
        low, high = 0, len(self._log)
        while after is not None and low < high:
            middle = (low + high) // 2
            if self._log[middle].position <= after:
                low = middle + 1
            else:
                high = middle
        return low

    def _stored(self, stream: str, revision: int, event: NewEvent) -> StoredEvent:
        before = self._log[-1].position if self._log else 0
        return StoredEvent(
            event.id,
            event.type,
            event.data,
            dict(event.metadata),
            stream,
            revision,
            before + _POSITION_GAP + len(event.data),
            time.time_ns() // 1_000,
            event.is_json,
        )


def _as_before(
    stream: str, known: Sequence[StoredEvent], events: Sequence[NewEvent], expected: int
) -> Appended:
    there = known[expected + 1 : expected + 1 + len(events)]
    if [event.id for event in there] != [event.id for event in events]:
        raise WrongVersion(stream, expected, len(known) - 1 if known else NO_STREAM)
    return Appended(there[-1].position, there[-1].revision)
