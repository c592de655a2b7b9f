"""A bus in memory: the same promises, kept as long as the process lives."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from libs.bus import POSITION, Bus, Delivered, Fenced, Message, nowhere

BATCH_MAX = 500


@dataclass(slots=True)
class _Source:
    messages: list[Delivered] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    consumed: dict[str, int] = field(default_factory=dict)
    grown: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryBus(Bus):
    """Messages in lists; a consumer's place is kept under its name."""

    def __init__(self, idle_s: float = 1.0) -> None:
        self._idle_s = idle_s
        self._sources: dict[str, _Source] = {}

    async def last(self, source: str) -> Delivered | None:
        """The newest message of a source's stream."""
        messages = self._source(source).messages
        return messages[-1] if messages else None

    async def publish(self, source: str, messages: Sequence[Message], expected_last: int) -> int:
        """Publish behind the sequence given; ids seen before are dropped."""
        to = self._source(source)
        last = to.messages[-1].sequence if to.messages else 0
        if last != expected_last:
            raise Fenced(f"{source} is at {last}, not at {expected_last}")
        for message in messages:
            if message.id not in to.ids:
                last += 1
                to.ids.add(message.id)
                to.messages.append(Delivered(message, last))
        grown, to.grown = to.grown, asyncio.Event()
        grown.set()
        return last

    async def consume(
        self,
        source: str,
        consumer: str,
        *,
        only: str = "",
        reached: Callable[[], int] = nowhere,
    ) -> AsyncIterator[Sequence[Delivered]]:
        """Batches in order, from where this consumer was; an empty one after a while of silence."""
        while True:
            # Looked up each time: a lost stream is another object.
            at = self._source(source)
            grown = at.grown
            place = at.consumed.get(consumer)
            if place is None:
                place = at.consumed[consumer] = _behind(at.messages, reached())
            batch = at.messages[place : place + BATCH_MAX]
            if not batch:
                try:
                    async with asyncio.timeout(self._idle_s):
                        await grown.wait()
                except TimeoutError:
                    yield ()
                continue
            wanted = [each for each in batch if _is_of(each, only)]
            if wanted:
                yield wanted
            if self._sources.get(source) is at:
                at.consumed[consumer] = place + len(batch)

    async def renew(self, source: str) -> None:
        """Forget a source's stream and all consumers' places."""
        self.lose(source)

    def lose(self, source: str) -> None:
        """The same, without asking: as when the bus's disk is lost."""
        lost = self._sources.pop(source, None)
        if lost is not None:
            lost.grown.set()

    def _source(self, source: str) -> _Source:
        return self._sources.setdefault(source, _Source())


def _behind(messages: Sequence[Delivered], position: int) -> int:
    """How many come before the first that lies behind a position."""
    return bisect_right(
        messages, position, key=lambda each: int(each.message.headers.get(POSITION, -1))
    )


def _is_of(delivered: Delivered, name: str) -> bool:
    return not name or delivered.message.subject.endswith(f".{name}")
