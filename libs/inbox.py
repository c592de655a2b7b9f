"""Hears another service's facts in order and turns them into our commands, each at least once."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from functools import partial

import structlog
from sqlalchemy import Connection, select

from libs import positions
from libs.bus import Bus, Message
from libs.cancelling import heed_cancellation
from libs.event_store import EventStore, StoredEvent
from libs.feed import Batch
from libs.hearing import every, hear
from libs.positions import inboxes
from libs.read_model import Database, Put, apply
from libs.telemetry import span
from libs.transient import is_transient

# Tries of one event, where what failed was not merely away, before its stream is parked.
ATTEMPTS_MAX = 5
RETRY_FIRST_S = 0.1
RETRY_MAX_S = 5.0
# How often parked streams are tried again.
PARKED_RETRY_S = 60.0
# The position is committed so often at most: what is heard once more after a crash does nothing.
KEEP_EVERY_S = 1.0

React = Callable[[Sequence[StoredEvent]], Awaitable[None]]

logger = structlog.get_logger()


class Inbox:
    """`react` is idempotent: its commands are keyed by the event's id. Position commits after it.

    An event on which `react` keeps failing parks its stream: what follows on that stream waits,
    other streams go on, and the parked one is tried again now and then, from where it stopped.
    """

    def __init__(  # noqa: PLR0913 - who hears what, from where, and does what with it
        self,
        name: str,
        source: str,
        prefixes: tuple[str, ...],
        *,
        store: EventStore,
        bus: Bus,
        database: Database,
        react: React,
        concerns: Callable[[Message], bool] = every,
        retry_first_s: float = RETRY_FIRST_S,
    ) -> None:
        """`concerns`: whether there is anything to react to; quickly told, most is never read."""
        self.name = f"inbox:{name}"
        self.source = source
        self.position = 0
        self.is_caught_up = False
        self._prefixes = prefixes
        self._store = store
        self._bus = bus
        self._database = database
        self._react = react
        self._concerns = concerns
        self._retry_first_s = retry_first_s
        self._parked: set[str] = set()
        self._head = 0
        self._tried_parked_at_s = 0.0
        self._kept = 0
        self._kept_at_s = 0.0

    @property
    def parked(self) -> int:
        """Streams that stopped at an event."""
        return len(self._parked)

    def head(self) -> int:
        """Position of the newest event known that it should reach."""
        return max(self._head, self.position)

    async def run(self) -> None:
        """For ever."""
        self.position = self._kept = await self._database.write(self._prepared)
        feed = hear(
            self.source,
            self.name.replace(":", "-"),
            self._prefixes,
            self.position or None,
            store=self._store,
            bus=self._bus,
            concerns=self._concerns,
        )
        async with aclosing(feed):
            async for batch in feed:
                heed_cancellation()
                self._head = max(self._head, batch.position)
                await self._take(batch)
                self.is_caught_up = batch.is_caught_up
                await self._take_up_parked()

    async def _take(self, batch: Batch) -> None:
        events = [event for event in batch.events if event.position > self.position]
        waiting = Counter(event.stream for event in events if event.stream in self._parked)
        parked = len(self._parked)
        await self._react_to([event for event in events if event.stream not in self._parked])
        position = max(batch.position, self.position)
        now = asyncio.get_running_loop().time()
        is_due = position > self._kept and now - self._kept_at_s >= KEEP_EVERY_S
        if is_due or waiting or len(self._parked) > parked:

            def work(connection: Connection) -> None:
                positions.wait_behind(connection, self.name, waiting)
                apply(connection, [Put(inboxes, {"name": self.name, "position": position})])

            await self._written(work)
            self._kept, self._kept_at_s = position, now
        self.position = position

    async def _react_to(self, events: Sequence[StoredEvent]) -> None:
        if not events:
            return
        try:
            await self._until_not_transient(events)
        except Exception as error:  # noqa: BLE001 - found again, event by event
            logger.warning("inbox_batch_failed", follower=self.name, reason=str(error))
        else:
            return
        for event in events:
            if event.stream in self._parked:
                await self._written(partial(self._wait_behind, {event.stream: 1}))
            else:
                await self._react_to_one(event)

    async def _react_to_one(self, event: StoredEvent) -> None:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                await self._until_not_transient([event])
            except Exception as error:
                if attempt < ATTEMPTS_MAX:
                    await self._pause(attempt)
                    continue
                logger.critical(
                    "inbox_parked",
                    follower=self.name,
                    stream=event.stream,
                    revision=event.revision,
                    exc_info=error,
                )
                reason = f"{type(error).__name__}: {error}"
                await self._written(partial(self._park, event, reason))
                self._parked.add(event.stream)
                return
            else:
                return

    async def _until_not_transient(self, events: Sequence[StoredEvent]) -> None:
        """React; while what we depend on is away, wait and react again."""
        tries = 0
        while True:
            heed_cancellation()
            try:
                with self._span(events):
                    await self._react(events)
            except Exception as error:
                if not is_transient(error):
                    raise
                tries += 1
                logger.info("inbox_waits", follower=self.name, attempt=tries, reason=str(error))
                await self._pause(tries)
            else:
                return

    def _span(self, events: Sequence[StoredEvent]) -> AbstractContextManager[object]:
        """What one event makes us do is of its trace; what many do, of none of theirs."""
        name = f"react {self.name}"
        if len(events) == 1:
            return span(name, headers=events[0].metadata)
        return span(name, linked=events[0].metadata)

    async def _written(self, work: Callable[[Connection], None]) -> None:
        tries = 0
        while True:
            try:
                await self._database.write(work)
            except Exception as error:
                if not is_transient(error):
                    raise
                tries += 1
                await self._pause(tries)
            else:
                return

    def _wait_behind(self, streams: Mapping[str, int], connection: Connection) -> None:
        positions.wait_behind(connection, self.name, streams)

    def _park(self, event: StoredEvent, reason: str, connection: Connection) -> None:
        positions.park(connection, self.name, event, reason)

    def _prepared(self, connection: Connection) -> int:
        positions.create(connection)
        self._parked = set(positions.parked_streams(connection, self.name))
        found = connection.execute(
            select(inboxes.c.position).where(inboxes.c.name == self.name)
        ).scalar()
        return int(found or 0)

    async def _take_up_parked(self) -> None:
        now = asyncio.get_running_loop().time()
        if not self._parked or now - self._tried_parked_at_s < PARKED_RETRY_S:
            return
        self._tried_parked_at_s = now
        stopped = await self._database.read(lambda c: positions.parked_streams(c, self.name))
        for stream, revision in sorted(stopped.items()):
            await self._take_up(stream, revision)

    async def _take_up(self, stream: str, revision: int) -> None:
        """Try a parked stream again, up to where the inbox is; all of it, or it stays as it was."""
        try:
            async for event in self._store.read(stream, revision):
                if event.position <= self.position:
                    with self._span([event]):
                        await self._react([event])
        except Exception as error:  # noqa: BLE001 - it stays parked, and is tried again
            logger.warning(
                "inbox_still_parked", follower=self.name, stream=stream, reason=str(error)
            )
            return
        await self._written(lambda c: positions.release(c, self.name, stream))
        self._parked.discard(stream)
        logger.info("inbox_released", follower=self.name, stream=stream)

    async def _pause(self, tries: int) -> None:
        await asyncio.sleep(min(self._retry_first_s * 2 ** min(tries, 8), RETRY_MAX_S))
