"""What we ask of an event store: streams, appended at an exact revision, followed in order."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias, cast
from uuid import UUID

NO_STREAM = -1
# What followers get at a time, at most. Rows of many accounts lie all over a database: the more of
# them a commit takes, the fewer of its pages are written again and again. Pages of the journal of
# 16 MiB, 50,000 entries, go in twice as fast as those of 4.
LOT_BYTES_MAX = 16 << 20


# Made for each event, thousands of times a second: a tuple is made in a third of the time.
class NewEvent(NamedTuple):
    """An event to append. Metadata values are text; data is JSON unless `is_json` is false."""

    id: UUID
    type: str
    data: bytes
    metadata: Mapping[str, str] = MappingProxyType({})
    is_json: bool = True


class StoredEvent(NamedTuple):
    """An event as stored. Positions rise over the store, sparse; revisions are dense from 0."""

    id: UUID
    type: str
    data: bytes
    metadata: Mapping[str, str]
    stream: str
    revision: int
    position: int
    recorded_us: int
    is_json: bool = True


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything up to this position was considered by the filter."""

    position: int


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """History is over; what follows is live. May come more than once."""


Followed: TypeAlias = StoredEvent | Checkpoint | CaughtUp


class Appended(NamedTuple):
    """Durable, now or by an earlier send: the revision of the last event, and a position.

    The position is that of the last event, or of one stored with it in the same call: waiting for
    it is enough to see the append.
    """

    position: int
    revision: int


class AppendFailed(Exception):
    """Nothing of this append is stored, or (`OutcomeUnknown`) it is not known."""


class WrongVersion(AppendFailed):
    """The stream is not at the expected revision. Not stored."""

    def __init__(self, stream: str, expected: int, actual: int | None = None) -> None:
        super().__init__(f"{stream} is at {actual}, not at {expected}")
        self.stream = stream
        self.expected = expected
        self.actual = actual


class StreamGone(AppendFailed):
    """The stream was deleted. Not stored."""


class Denied(AppendFailed):
    """The store does not let us. Not stored."""


class TooLarge(AppendFailed):
    """More than one append may hold. Not stored; never retry."""


class Busy(AppendFailed):
    """The store sheds load; back off, then treat as `OutcomeUnknown`."""


class OutcomeUnknown(AppendFailed):
    """Send the same events at the same expected revision again until it is known."""


class StoreUnavailable(Exception):
    """A read could not be answered in time."""


def _closing(items: AsyncIterator[Followed]) -> AsyncGenerator[Followed, None]:
    """What follows a store is a generator: it is closed to stop following."""
    return cast("AsyncGenerator[Followed, None]", items)


class EventStore(Protocol):
    """The port. `expected` is the revision the stream must be at, or `NO_STREAM`."""

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        """Append all or nothing. Raises `AppendFailed`."""
        ...

    async def append_each(
        self, appends: Sequence[tuple[str, Sequence[NewEvent], int]]
    ) -> Sequence[Appended | AppendFailed]:
        """What `append` would answer or raise of each; one after the other, or joined."""
        answers: list[Appended | AppendFailed] = []
        for stream, events, expected in appends:
            try:
                answers.append(await self.append(stream, events, expected))
            except AppendFailed as failed:
                answers.append(failed)
        return answers

    def read(self, stream: str, from_revision: int = 0) -> AsyncIterator[StoredEvent]:
        """The stream's events onward; nothing where there is no stream."""
        ...

    async def read_one(self, stream: str, revision: int) -> StoredEvent | None:
        """The event of the stream at a revision, and no more than that is fetched."""
        async for event in self.read(stream, revision):
            return event if event.revision == revision else None
        return None

    async def read_last(self, stream: str) -> StoredEvent | None:
        """The newest event of the stream."""
        ...

    def read_all(
        self, prefixes: Sequence[str], after: int | None = None, *, only: str = ""
    ) -> AsyncIterator[StoredEvent]:
        """Events of streams whose names begin so, after a position, up to the present end.

        With `only`, events of that one type.
        """
        ...

    def follow(self, prefixes: Sequence[str], after: int | None = None) -> AsyncIterator[Followed]:
        """The same, then live, for ever: reconnects by itself, from the last event it gave."""
        ...

    async def follow_lots(
        self, prefixes: Sequence[str], after: int | None = None
    ) -> AsyncGenerator[Sequence[Followed], None]:
        """The same, with all that is there at a time in one lot: for who takes many."""
        async with aclosing(_closing(self.follow(prefixes, after))) as items:
            async for item in items:
                yield [item]

    async def head(self) -> int:
        """Position of the newest event; 0 for an empty store."""
        ...

    async def keep_last(self, stream: str, count: int) -> None:
        """Keep only the newest events of a stream (`$maxCount`)."""
        ...
