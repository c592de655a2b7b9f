"""Runs one read model: follows its source into rows; rows and position commit together."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import cast

import structlog
from sqlalchemy import Connection, select

from libs import positions
from libs.bus import Bus
from libs.cancelling import heed_cancellation
from libs.event_store import EventStore, StoredEvent, StoreUnavailable
from libs.feed import BATCH_EVENTS_MAX, Batch, batches, between
from libs.hearing import hear
from libs.positions import positions as table
from libs.read_model import Database, Erase, ReadModel, apply
from libs.rows import Lot, follower_of, keep_position, make_rows
from libs.transient import is_transient

# A position without rows is kept in memory for so long before it is worth a commit.
BARE_POSITION_EVERY_S = 1.0
# Rows that nobody waits for are committed so often at most: a commit costs what many rows cost.
COMMIT_EVERY_S = 0.2
RETRY_S = 0.5
# While others are busy, rows rest so many times as long as they worked.
GIVE_WAY_TIMES = 4.0
_LOOK_UP_S = 0.02
# After so long a reader asks the store whether anything is missing at all.
_ASK_AFTER_S = 0.2

logger = structlog.get_logger()


class Behind(Exception):
    """The read model has not reached the position asked for; ask again."""

    wire_reason = "READ_MODEL_BEHIND"

    def __init__(self, name: str, position: int, wanted: int) -> None:
        super().__init__(f"{name} is at {position}, not yet at {wanted}")
        self.name = name
        self.position = position
        self.wanted = wanted


class RowsMoved(Exception):
    """Somebody else makes these rows too: what is known of them here is not true any more."""

    def __init__(self, name: str, after: int) -> None:
        super().__init__(f"the rows of {name} are not at {after}, where they were left")


class Projection:
    """With a bus the source is another service, heard in order; without, our store is followed."""

    def __init__(  # noqa: PLR0913 - what it follows, into where, and who goes first
        self,
        model: ReadModel,
        database: Database,
        store: EventStore,
        *,
        bus: Bus | None = None,
        is_busy: Callable[[], bool] | None = None,
        give_way_times: float = GIVE_WAY_TIMES,
        apart: Callable[[Lot], frozenset[str] | None] | None = None,
    ) -> None:
        """`is_busy`: whether work is under way in this process that must not wait for rows.

        Then the rows take a part of the time only, unless somebody waits for them. `apart`: does
        `make_rows` for this model in another process.
        """
        self.model = model
        self.name = follower_of(model)
        self.position = 0
        self.is_caught_up = False
        self._database = database
        self._store = store
        self._bus = bus
        self._parked: set[str] = set()
        self._moved = asyncio.Event()
        self._asking = asyncio.Lock()
        # Of an event that the store has for these rows: until they have it, nobody need ask.
        self._missing = 0
        self._head = 0
        self._kept_at_s = 0.0
        self._is_prepared = False
        self._is_busy = is_busy
        self._give_way_times = give_way_times
        self._apart = apart
        # Where the rows are; `position` may be ahead of it, where there was nothing to write.
        self._kept = 0
        self._awaited = 0
        self._wanted = asyncio.Event()

    @property
    def parked(self) -> int:
        """Streams that stopped at an event this read model could not take."""
        return len(self._parked)

    def head(self) -> int:
        """Position of the newest event known that it should reach."""
        return max(self._head, self.position)

    async def prepare(self) -> None:
        """Make the tables; start anew where the model's version, or the store, is another.

        Called by `run`.
        """
        if self._is_prepared:
            return
        self.position = await self._database.write(self._prepared)
        if self.position and not await self._is_of_this_store():
            logger.warning(
                "read_model_of_another_store",
                follower=self.name,
                position=self.position,
                reason="its rows are made again from the store it is pointed at",
            )
            self.position = await self._database.write(self._emptied)
        self._kept = self.position
        self._is_prepared = True
        for stream in sorted(self._parked):
            await self._take_up(stream)

    async def _is_of_this_store(self) -> bool:
        """Whether the last event in the rows is in the store; asked until the store answers."""
        newest = await self._database.read(lambda c: positions.newest_of(c, self.model.name))
        while True:
            try:
                if newest is None:  # rows of an earlier program, or none at all
                    return self.position <= await self._store.head()
                stream, revision, event_id = newest
                reading = cast(
                    "AsyncGenerator[StoredEvent, None]", self._store.read(stream, revision)
                )
                async with aclosing(reading):
                    event = await anext(reading, None)
            except StoreUnavailable as error:
                logger.warning("projection_waits", follower=self.name, reason=str(error))
                await asyncio.sleep(RETRY_S)
            else:
                # A stream that was cut at its beginning cannot tell.
                return event is not None and (
                    event.revision != revision or str(event.id) == event_id
                )

    async def run(self) -> None:
        """For ever."""
        await self.prepare()
        async with aclosing(self._feed()) as feed:
            async for batch in feed:
                heed_cancellation()
                self._head = max(self._head, batch.position)
                begun = asyncio.get_running_loop().time()
                await self._take(batch)
                self.is_caught_up = batch.is_caught_up
                await self._give_way(begun)
                if self._kept_at_s >= begun and len(batch.events) < BATCH_EVENTS_MAX:
                    await self._gather(begun + COMMIT_EVERY_S)

    async def _give_way(self, begun: float) -> None:
        """Leave the processor to who is busy, several times as long as the last rows took."""
        loop = asyncio.get_running_loop()
        until = loop.time() + (loop.time() - begun) * self._give_way_times
        while self._is_busy is not None and self._is_busy():
            left_s = until - loop.time()
            if left_s <= 0 or self._awaited:
                return
            await asyncio.sleep(min(left_s, _LOOK_UP_S))

    async def _gather(self, until_s: float) -> None:
        """Let more come along, unless somebody waits for it."""
        if self._awaited:
            return
        self._wanted.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until_s):
                await self._wanted.wait()

    async def wait_for(
        self, position: int, timeout_s: float = 5.0, *, asks_at_once: bool = False
    ) -> None:
        """Return once everything up to the position is in the rows. Raises `Behind`.

        The position may be of an event that is not for these rows, and then nothing comes: that is
        asked of the store after a while, or at once, where an answer soon is worth a read.
        """
        if self.position >= position:
            return
        self._awaited += 1
        self._wanted.set()
        try:
            async with asyncio.timeout(timeout_s):
                if asks_at_once:
                    await self._ask_alone(position)
                    heed_cancellation()
                while self.position < position:
                    await self._wait_or_ask(position)
                    heed_cancellation()
        except TimeoutError:
            raise Behind(self.name, self.position, position) from None
        finally:
            self._awaited -= 1

    async def _wait_or_ask(self, position: int) -> None:
        try:
            async with asyncio.timeout(_ASK_AFTER_S):
                await self._moved.wait()
        except TimeoutError:
            await self._ask_alone(position)

    async def _ask_alone(self, position: int) -> None:
        is_known = self.position < self._missing <= position
        if not is_known and not self._asking.locked():  # one asks for all who wait
            async with self._asking:
                await self._ask(position)

    async def _ask(self, position: int) -> None:
        model = self.model
        missing = between(self._store, model.prefixes, self.position, position, only=model.only)
        async with aclosing(missing):
            event = await anext(missing, None)
        if event is None:
            self._reach(max(self.position, position))
        else:
            self._missing = event.position

    def _reach(self, position: int) -> None:
        self.position = position
        self._head = max(self._head, position)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _feed(self) -> AsyncGenerator[Batch, None]:
        after = self.position or None
        if self._bus is None:
            return batches(self._store, self.model.prefixes, after)
        consumer = f"{self.model.name}-rows"
        return hear(
            self.model.source,
            consumer,
            self.model.prefixes,
            after,
            store=self._store,
            bus=self._bus,
            only=self.model.only,
            concerns=lambda message: self.model.concerns(message.data),
        )

    async def _take(self, batch: Batch) -> None:
        now = asyncio.get_running_loop().time()
        concerns = self.model.concerns
        events = [
            event
            for event in batch.events
            if event.position > self.position and concerns(event.data)
        ]
        if not events and now - self._kept_at_s < BARE_POSITION_EVERY_S:
            if batch.position > self.position:
                self._reach(batch.position)
            return
        self._kept_at_s = now
        try:
            await self._retried(events, batch.position)
        except RowsMoved:
            raise
        except Exception as error:  # noqa: BLE001 - found again, event by event
            logger.warning("projection_batch_failed", follower=self.name, reason=str(error))
            for event in events:
                await self._take_one(event)
            await self._retried((), batch.position)
        self._reach(max(self.position, batch.position))

    async def _take_one(self, event: StoredEvent) -> None:
        try:
            await self._retried([event], event.position)
        except RowsMoved:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            logger.critical(
                "projection_parked",
                follower=self.name,
                stream=event.stream,
                revision=event.revision,
                exc_info=error,
            )

            def park(connection: Connection) -> None:
                positions.park(connection, self.name, event, reason)
                keep_position(connection, self.model, event.position)

            await self._database.write(park)
            self._parked.add(event.stream)
            self._kept = event.position

    async def _retried(self, events: Sequence[StoredEvent], position: int) -> None:
        """Commit; a database that does not answer is asked until it does."""
        while True:
            try:
                await self._commit(events, position)
            except Exception as error:
                if not is_transient(error):
                    raise
                logger.warning("projection_waits", follower=self.name, reason=str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _commit(self, events: Sequence[StoredEvent], position: int) -> None:
        lot = Lot(self._kept, events, position, frozenset(self._parked))
        if self._apart is None:
            parked = await self._database.write(lambda c: make_rows(c, self.model, lot))
        else:
            made = partial(self._apart, lot)
            parked = await self._database.in_turn(made)
        if parked is None:
            raise RowsMoved(self.name, lot.after)
        self._parked, self._kept = set(parked), position

    def _prepared(self, connection: Connection) -> int:
        positions.create(connection)
        found = connection.execute(select(table).where(table.c.name == self.model.name)).first()
        if found is not None and found.version == self.model.version:
            self.model.metadata.create_all(connection)
            self._parked = set(positions.parked_streams(connection, self.name))
            return int(found.position)
        return self._emptied(connection)

    def _emptied(self, connection: Connection) -> int:
        """Tables without rows, and nothing known of a store."""
        self.model.metadata.drop_all(connection)
        self.model.metadata.create_all(connection)
        for stream in positions.parked_streams(connection, self.name):
            positions.release(connection, self.name, stream)
        self._parked = set()
        apply(connection, [Erase(positions.newest, {"name": self.model.name})])
        keep_position(connection, self.model, 0)
        return 0

    async def _take_up(self, stream: str) -> None:
        """Try a parked stream again: a newer program may know what to do with it."""
        at = await self._database.read(lambda c: positions.parked_streams(c, self.name)[stream])
        events = [
            event async for event in self._store.read(stream, at) if event.position <= self.position
        ]

        def work(connection: Connection) -> None:
            apply(connection, (w for event in events for w in self.model.project(event)))
            positions.release(connection, self.name, stream)

        try:
            await self._database.write(work)
        except Exception:
            logger.exception("projection_still_parked", follower=self.name, stream=stream)
        else:
            self._parked.discard(stream)
            logger.info("projection_released", follower=self.name, stream=stream)
