"""The newest events in memory, so that those who follow the log need not ask the disk."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from services.eventstore.model import Record
from services.eventstore.wire import event_message

_RECORDS_MAX: Final = 8_192
_RECORD_OVERHEAD: Final = 500
_BYTES_MAX: Final = 16 * 1024 * 1024


class Recent:
    """An event that has become durable a moment ago."""

    __slots__ = ("_message", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self._message: bytes | None = None

    @property
    def message(self) -> bytes:
        """The message that tells of it: made once for all who follow, identifiers as text."""
        if self._message is None:
            self._message = event_message(self.record, is_structured=False)
        return self._message

    @property
    def size(self) -> int:
        """Bytes it holds in memory, roughly."""
        return _RECORD_OVERHEAD + len(self.record.data) + len(self.record.metadata)


class Tail:
    """Belongs to the event loop. Holds every event after `floor`, and wakes who waits for more."""

    def __init__(self) -> None:
        self.head = self.floor = -1
        self.is_closing = False
        self._positions: list[int] = []
        self._recent: list[Recent] = []
        self._size = 0
        self._moved: asyncio.Future[None] | None = None

    def begin(self, head: int) -> None:
        """Know where the log ends before anything is published."""
        self.head = self.floor = head

    def publish(self, records: Sequence[Record]) -> None:
        """Add what a commit made durable."""
        for record in records:
            recent = Recent(record)
            self._recent.append(recent)
            self._positions.append(record.position)
            self._size += recent.size
        self.head = records[-1].position
        if self._size > _BYTES_MAX or len(self._recent) > _RECORDS_MAX:
            self._forget_older_half()
        self._wake()

    def after(self, position: int, limit: int) -> list[Recent] | None:
        """Events after a position, or None when they reach further back than memory does."""
        if position < self.floor:
            return None
        first = bisect_right(self._positions, position)
        return self._recent[first : first + limit]

    async def wait_beyond(self, position: int) -> None:
        """Wait until there is something after a position, or the store is closing."""
        while self.head <= position and not self.is_closing:
            if self._moved is None:
                self._moved = asyncio.get_running_loop().create_future()
            # Shielded: one follower that leaves must not cancel the wait of the others.
            await asyncio.shield(self._moved)

    def close(self) -> None:
        """Wake everyone for the last time."""
        self.is_closing = True
        self._wake()

    def _wake(self) -> None:
        if self._moved is not None:
            self._moved.set_result(None)
            self._moved = None

    def _forget_older_half(self) -> None:
        half = max(1, len(self._recent) // 2)
        self.floor = self._positions[half - 1]
        self._size -= sum(recent.size for recent in self._recent[:half])
        del self._recent[:half], self._positions[:half]
