"""A journal of several shards, running; and a store that stops taking one of them."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from libs.event_store import Appended, EventStore, NewEvent
from libs.read_model import Database
from services.accounts.codec.pages import journal_of, snapshots_of
from services.accounts.domain.answers import Answer
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import Item, OpenAccount
from services.accounts.domain.kinds import Kind
from services.accounts.domain.sharding import hashed
from services.accounts.id_index import IdIndex
from services.accounts.recovery import recover
from services.accounts.shards import Shards
from services.accounts.snapshots import Snapshots
from services.accounts.writer import Writer
from tests.services.accounts.desk import CZK, OPERATOR, PAYMENTS, Desk, credit, debit
from tests.services.accounts.journals import Now, Through

SHARDS = 3


@dataclass
class Sharded:
    shards: Shards
    writers: list[Writer]
    indexes: list[IdIndex]
    tasks: list[asyncio.Task[None]]

    async def do(self, item: Item, caller: Caller = PAYMENTS) -> Answer:
        return (await self.shards.submit(caller, [item]))[0]

    async def posted(self, account_id: str) -> int:
        return await self.shards.read(
            lambda book: book.accounts[account_id].posted, accounts=[account_id]
        )

    async def in_transit(self) -> int:
        totals = (await self.shards.trial()).totals
        return sum(each.credit_minus_debit for each in totals if each.kind == Kind.SHARD_TRANSIT)

    async def open_crossings(self) -> int:
        """Everything between shards that has not ended."""
        return sum(
            [
                await each.read(
                    lambda book: len(book.crossings) + len(book.spans) + len(book.reserved)
                )
                for each in self.writers
            ]
        )

    async def all_is_indexed(self) -> None:
        async with asyncio.timeout(30):
            for writer, index in zip(self.writers, self.indexes, strict=True):
                await index.reached(writer.position)

    async def nothing_is_open(self) -> None:
        async with asyncio.timeout(30):
            while await self.open_crossings():  # noqa: ASYNC110 - its own tasks end it
                await asyncio.sleep(0.001)


@asynccontextmanager
async def sharded(
    store: EventStore, clock: Now | None = None, shards: int = SHARDS
) -> AsyncIterator[Sharded]:
    """Recover and run all shards; on leaving, stop at once, as a kill would."""
    async with AsyncExitStack() as stack:
        writers: list[Writer] = []
        indexes: list[IdIndex] = []
        works: list[Writer | IdIndex | Snapshots | Shards] = []
        for n in range(shards):
            rows = Database.open("sqlite://")
            stack.callback(rows.close)
            index = IdIndex(rows, store, journal_of(n), commit_every_s=0)
            found = await recover(
                store, index, keep=0, journal=journal_of(n), snapshots=snapshots_of(n)
            )
            snapshots = Snapshots(store, found, 5, index, snapshots_of(n))
            writer = Writer(
                store, found, clock or Now(), snapshots, index, keep=0, journal=journal_of(n)
            )
            writers.append(writer)
            indexes.append(index)
            works += [writer, index, snapshots]
        router = Shards(writers, indexes)
        tasks = [asyncio.create_task(work.run()) for work in (*works, router)]
        try:
            journal = Sharded(router, writers, indexes, tasks)
            await journal.all_is_indexed()
            yield journal
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await _told(task)


async def _told(task: asyncio.Task[None]) -> None:
    """Why it ended by itself stands in the output of the test that failed by it."""
    try:
        await task
    except Exception:  # noqa: BLE001 - some tests end it on purpose
        traceback.print_exc()


async def wallet(
    journal: Sharded, desk: Desk, shard: int, funds: int = 0, currency: str = CZK
) -> str:
    """A wallet on a certain shard; its money comes from our own account, on shard 0."""
    while hashed(account_id := desk.id(), len(journal.writers)) != shard:
        pass
    opening = OpenAccount(account_id, f"w:{account_id}", Kind.CUSTOMER_WALLET, currency, 0, "")
    assert (await journal.do(opening, OPERATOR)).refusal is None
    if funds:
        source = await house(journal, desk, currency)
        moved = desk.transferring(
            debit(source, funds, currency), credit(account_id, funds, currency)
        )
        assert (await journal.do(moved)).refusal is None
    return account_id


async def house(
    journal: Sharded, desk: Desk, currency: str = CZK, kind: Kind = Kind.FEE_INCOME
) -> str:
    """An account of our own, on shard 0."""
    account_id = desk.id()
    opening = OpenAccount(account_id, f"h:{account_id}", kind, currency, 0, "")
    assert (await journal.do(opening, OPERATOR)).refusal is None
    return account_id


def reason_of(answer: Answer) -> str:
    return answer.refusal.reason if answer.refusal else ""


def sum_of(totals: Sequence[object]) -> int:
    return sum(getattr(each, "credit_minus_debit") for each in totals)  # noqa: B009 - of any kind


class DiesBefore(Through):
    """From a certain append on, a journal is written no more: nothing comes back."""

    def __init__(self, store: EventStore, journal: str) -> None:
        super().__init__(store)
        self.journal = journal
        self.is_dead = False
        self.died = asyncio.Event()

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        if self.is_dead and stream == self.journal:
            self.died.set()
            await asyncio.Event().wait()
        return await super().append(stream, events, expected)
