"""A journal over the memory store, running; and a store that is unsure on purpose."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from libs.event_store import (
    Appended,
    EventStore,
    Followed,
    NewEvent,
    OutcomeUnknown,
    StoredEvent,
)
from libs.memory_store import MemoryStore
from libs.read_model import Database
from services.accounts.codec.pages import JOURNAL
from services.accounts.domain.answers import Answer
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import Command
from services.accounts.id_index import IdIndex
from services.accounts.recovery import KEEP_ENTRIES, Recovered, recover
from services.accounts.snapshots import ROWS_PER_SLICE, Snapshots
from services.accounts.writer import Writer
from tests.services.accounts.desk import PAYMENTS, START_US


class Now:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.us = START_US

    def __call__(self) -> int:
        return self.us


class UnsureStore(MemoryStore):
    """Stores what it is given and then says, as often as told, that it does not know."""

    def __init__(self, unsure: int, *, is_lost: bool = False) -> None:
        super().__init__()
        self._unsure = unsure
        self._is_lost = is_lost
        self.sent: list[tuple[str, int]] = []

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        self.sent += [(str(event.id), expected) for event in events]
        if self._unsure > 0:
            self._unsure -= 1
            if not self._is_lost:
                await super().append(stream, events, expected)
            raise OutcomeUnknown("no answer came")
        return await super().append(stream, events, expected)


class Through(EventStore):
    """Another store, which may be lied about; subclasses lie."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        return await self._store.append(stream, events, expected)

    def read(self, stream: str, from_revision: int = 0) -> AsyncIterator[StoredEvent]:
        return self._store.read(stream, from_revision)

    async def read_last(self, stream: str) -> StoredEvent | None:
        return await self._store.read_last(stream)

    def read_all(
        self, prefixes: Sequence[str], after: int | None = None, *, only: str = ""
    ) -> AsyncIterator[StoredEvent]:
        return self._store.read_all(prefixes, after, only=only)

    def follow(self, prefixes: Sequence[str], after: int | None = None) -> AsyncIterator[Followed]:
        return self._store.follow(prefixes, after)

    async def head(self) -> int:
        return await self._store.head()

    async def keep_last(self, stream: str, count: int) -> None:
        await self._store.keep_last(stream, count)


@dataclass
class Running:
    """A writer at work."""

    writer: Writer
    recovered: Recovered
    index: IdIndex
    tasks: list[asyncio.Task[None]]

    async def do(self, command: Command, caller: Caller = PAYMENTS) -> Answer:
        (answer,) = await self.writer.submit(caller, [command])
        return answer


@asynccontextmanager
async def running(
    store: EventStore,
    clock: Now | None = None,
    snapshot_every_pages: int = 1_000,
    *,
    keep: int = KEEP_ENTRIES,
    database: Database | None = None,
    rows_per_slice: int = ROWS_PER_SLICE,
) -> AsyncIterator[Running]:
    """Recover and run; on leaving, stop at once, as a kill would."""
    rows = database or Database.open("sqlite://")
    index = IdIndex(rows, store, JOURNAL, commit_every_s=0)
    recovered = await recover(store, index, keep=keep)
    snapshots = Snapshots(
        store, recovered, snapshot_every_pages, index, rows_per_slice=rows_per_slice
    )
    writer = Writer(store, recovered, clock or Now(), snapshots, index, keep=keep)
    tasks = [asyncio.create_task(work.run()) for work in (writer, snapshots, index)]
    try:
        yield Running(writer, recovered, index, tasks)
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
        if database is None:
            rows.close()
