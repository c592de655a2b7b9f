"""Events for tests that care about order and place, not about content."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence

from libs.event_store import CaughtUp, EventStore, Followed, NewEvent, StoredEvent


def event(number: int = 0, **metadata: str) -> NewEvent:
    data = f'{{"number":{number}}}'.encode()
    return NewEvent(uuid.uuid4(), "hefu.test.v1.Counted", data, metadata)


def number_of(stored: StoredEvent) -> int:
    return int(stored.data.split(b":")[1].rstrip(b"}"))


async def fill(store: EventStore, category: str, streams: int, each: int = 1) -> int:
    """Append `each` events to each of `streams` streams; the last position."""
    done = await asyncio.gather(
        *(
            store.append(f"{category}-{n}", [event(n * each + i) for i in range(each)], -1)
            for n in range(streams)
        )
    )
    return max(appended.position for appended in done)


async def followed_until(
    items: AsyncIterator[Followed], count: int, *, also_caught_up: bool = False
) -> Sequence[Followed]:
    """What is given until so many events came (and the first word that history is over)."""
    given: list[Followed] = []
    async for item in items:
        given.append(item)
        events = sum(isinstance(one, StoredEvent) for one in given)
        if events >= count and (not also_caught_up or isinstance(given[-1], CaughtUp)):
            break
    return given
