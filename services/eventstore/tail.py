"""The newest events in memory, so that those who follow the log need not ask the disk."""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
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


class _Sleeper:
    """One who waits: what it does not want passes by without waking it."""

    __slots__ = ("left", "position", "wants", "woken")

    def __init__(
        self, position: int, wants: Callable[[Record], bool], most: int, woken: asyncio.Future[None]
    ) -> None:
        self.position = position
        self.wants = wants
        # So many more may not pass by.
        self.left = most
        self.woken = woken

    def sleeps_through(self, records: Sequence[Record]) -> bool:
        """Whether there is nothing in them for it; then it has seen them."""
        if self.woken.done() or len(records) >= self.left or any(map(self.wants, records)):
            return False
        self.left -= len(records)
        self.position = records[-1].position
        return True


class Tail:
    """Belongs to the event loop. Holds every event after `floor`, and wakes who waits for more."""

    def __init__(self) -> None:
        self.head = self.floor = -1
        self.is_closing = False
        self._positions: list[int] = []
        self._recent: list[Recent] = []
        self._size = 0
        self._sleepers: set[_Sleeper] = set()

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
        self._wake(sleeper for sleeper in self._sleepers if not sleeper.sleeps_through(records))

    def after(self, position: int, limit: int) -> list[Recent] | None:
        """Events after a position, or None when they reach further back than memory does."""
        if position < self.floor:
            return None
        first = bisect_right(self._positions, position)
        return self._recent[first : first + limit]

    async def wait_beyond(
        self, position: int, wants: Callable[[Record], bool], most: int
    ) -> tuple[int, int]:
        """Wait until something wanted comes after a position, `most` others, or the store's end.

        The position up to which nothing was wanted, and how many events that were.
        """
        if self.head > position or self.is_closing:
            return position, 0
        woken = asyncio.get_running_loop().create_future()
        sleeper = _Sleeper(position, wants, most, woken)
        self._sleepers.add(sleeper)
        try:
            await woken
        finally:
            self._sleepers.discard(sleeper)
        return sleeper.position, most - sleeper.left

    def close(self) -> None:
        """Wake everyone for the last time."""
        self.is_closing = True
        self._wake(self._sleepers)

    def _wake(self, sleepers: Iterable[_Sleeper]) -> None:
        for sleeper in sleepers:
            if not sleeper.woken.done():
                sleeper.woken.set_result(None)

    def _forget_older_half(self) -> None:
        half = max(1, len(self._recent) // 2)
        self.floor = self._positions[half - 1]
        self._size -= sum(recent.size for recent in self._recent[:half])
        del self._recent[:half], self._positions[:half]
