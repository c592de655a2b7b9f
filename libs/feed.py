"""A store followed in batches: what came while the last batch was worked on makes the next one."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from libs.cancelling import heed_cancellation
from libs.event_store import (
    LOT_BYTES_MAX,
    CaughtUp,
    Checkpoint,
    EventStore,
    Followed,
    StoredEvent,
)

BATCH_EVENTS_MAX = 500


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in order, perhaps none; all that match up to `position` are in it or came before."""

    events: Sequence[StoredEvent]
    position: int
    is_caught_up: bool


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


async def batches(
    store: EventStore, prefixes: Sequence[str], after: int | None
) -> AsyncGenerator[Batch, None]:
    """Follow for ever. Raises what `follow_lots` raises; close it to stop following."""
    position = after or 0
    is_caught_up = False
    async with aclosing(store.follow_lots(prefixes, after)) as lots:
        async for lot in lots:
            heed_cancellation()
            for part in _parts(lot):
                events: list[StoredEvent] = []
                for item in part:
                    match item:
                        case StoredEvent():
                            events.append(item)
                            position = max(position, item.position)
                        case Checkpoint(considered):
                            position = max(position, considered)
                        case CaughtUp():
                            is_caught_up = True
                yield Batch(events, position, is_caught_up)


def _parts(lot: Sequence[Followed]) -> Iterator[Sequence[Followed]]:
    """Bounded by count and bytes."""
    part: list[Followed] = []
    size = 0
    for item in lot:
        if len(part) >= BATCH_EVENTS_MAX or size >= LOT_BYTES_MAX:
            yield part
            part, size = [], 0
        part.append(item)
        size += len(item.data) if isinstance(item, StoredEvent) else 0
    yield part
