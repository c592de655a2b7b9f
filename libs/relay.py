"""Carries a service's events to the bus, in order, each once, from the last that is there."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import aclosing

import structlog

from libs.bus import Bus, BusRefuses, BusUnavailable, Delivered, Fenced, Message
from libs.cancelling import heed_cancellation
from libs.event_store import EventStore, StoredEvent
from libs.feed import batches
from libs.hearing import name_of, position_of, to_message

BATCH_BYTES_MAX = 4 << 20
BATCH_MESSAGES_MAX = 500
# Publishes that follow one another come so long apart: one message alone costs as much as many.
GATHER_S = 0.05
RETRY_FIRST_S = 0.2
RETRY_MAX_S = 5.0
# How long a relay that was fenced off leaves the bus to the other one, before it looks again.
STANDBY_S = 2.0
# A bus that answers but takes no message so often keeps a stream that is broken: it is made anew.
REFUSALS_MAX = 2

logger = structlog.get_logger()


class Relay:
    """One a service; a second one is fenced by the bus and stands by until the first is silent."""

    def __init__(  # noqa: PLR0913 - what it carries, from where to where
        self,
        source: str,
        prefixes: tuple[str, ...],
        store: EventStore,
        bus: Bus,
        *,
        kept_in: frozenset[str] = frozenset(),
        standby_s: float = STANDBY_S,
        gather_s: float = GATHER_S,
    ) -> None:
        """`kept_in`: names of events that are nobody else's business.

        `gather_s`: publishes that follow one another come so long apart.
        """
        self.source = source
        self.name = "relay"
        self.position = 0
        self.is_caught_up = False
        self.parked = 0
        self._prefixes = prefixes
        self._store = store
        self._bus = bus
        self._kept_in = kept_in
        self._standby_s = standby_s
        self._gather_s = gather_s
        self._head = 0
        self._carried = 0
        self._sequence = 0
        self._moved = asyncio.Event()

    def head(self) -> int:
        """Position of the newest event known that is to be carried."""
        return max(self._head, self.position)

    async def wait_for(self, position: int) -> None:
        """Return once everything up to the position is on the bus."""
        while self.position < position:
            await self._moved.wait()

    async def run(self) -> None:
        """For ever."""
        failures = 0
        refusals = 0
        while True:
            carried = self._carried
            heed_cancellation()
            try:
                await self._carry(await self._bus.last(self.source))
            except Fenced as error:
                logger.warning("relay_fenced", source=self.source, reason=str(error))
                failures = refusals = 0
                await self._stand_by()
            except BusUnavailable as error:
                logger.warning("relay_waits", source=self.source, reason=str(error))
                self.is_caught_up = False
                if self._carried != carried:
                    failures = refusals = 0
                failures += 1
                refusals += isinstance(error, BusRefuses)
                if refusals >= REFUSALS_MAX:
                    refusals = 0
                    await self._renew()
                wait_s = min(RETRY_FIRST_S * 2 ** min(failures, 8), RETRY_MAX_S)
                await asyncio.sleep(wait_s * random.uniform(0.75, 1.25))  # noqa: S311 - jitter

    async def _renew(self) -> None:
        """Nothing is lost by it: all is in the store, and is carried again."""
        logger.error("relay_renews", source=self.source)
        try:
            await self._bus.renew(self.source)
        except BusUnavailable as error:
            logger.warning("relay_waits", source=self.source, reason=str(error))

    async def _stand_by(self) -> None:
        """Return once the stream was still for a while, or is not the one that was written to."""
        self.is_caught_up = False
        before: int | None = None
        while True:
            try:
                last = await self._bus.last(self.source)
            except BusUnavailable:
                return
            sequence = last.sequence if last is not None else 0
            if sequence in (0, before) or sequence < self._sequence:
                return
            before = sequence
            await asyncio.sleep(self._standby_s * random.uniform(0.75, 1.25))  # noqa: S311 - jitter

    async def _carry(self, last: Delivered | None) -> None:
        self._sequence = last.sequence if last is not None else 0
        self.position = position_of(last.message) if last is not None else 0
        # Where the last of a name lies is known once one was carried here; until then the last of
        # any name stands in for it: a gap that is none costs its listeners a look at the store.
        before = previous = self.position
        last_of_name: dict[str, int] = {}
        feed = batches(self._store, self._prefixes, self.position or None)
        loop = asyncio.get_running_loop()
        async with aclosing(feed):
            async for batch in feed:
                begun = loop.time()
                self._head = max(self._head, batch.position)
                heed_cancellation()
                told = [each for each in batch.events if name_of(each) not in self._kept_in]
                for events in _parts(told):
                    messages: list[Message] = []
                    for event in events:
                        of_name = last_of_name.get(name_of(event), before)
                        messages.append(to_message(self.source, event, previous, of_name))
                        previous = last_of_name[name_of(event)] = event.position
                    self._sequence = await self._bus.publish(self.source, messages, self._sequence)
                    self._carried += len(messages)
                    self._reach(previous)
                self._reach(max(self.position, batch.position))
                self.is_caught_up = batch.is_caught_up
                if told and len(told) < BATCH_MESSAGES_MAX:
                    await asyncio.sleep(begun + self._gather_s - loop.time())

    def _reach(self, position: int) -> None:
        self.position = position
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


def _parts(events: Sequence[StoredEvent]) -> Iterator[Sequence[StoredEvent]]:
    part: list[StoredEvent] = []
    size = 0
    for event in events:
        if part and (len(part) >= BATCH_MESSAGES_MAX or size + len(event.data) > BATCH_BYTES_MAX):
            yield part
            part, size = [], 0
        part.append(event)
        size += len(event.data)
    if part:
        yield part
