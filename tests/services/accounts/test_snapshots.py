"""Snapshots: taken while the writer goes on, used only if they match, and never needed."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest
from structlog.testing import capture_logs

from libs.event_store import Appended, NewEvent, StoredEvent
from libs.memory_store import MemoryStore
from libs.read_model import Database
from services.accounts.codec.pages import JOURNAL, SNAPSHOTS, decode_snapshot, encode_snapshot
from services.accounts.domain.book import Book
from services.accounts.domain.commands import OpenAccount
from services.accounts.domain.forgetting import lower_to
from services.accounts.domain.kinds import Kind
from services.accounts.id_index import IdIndex
from services.accounts.recovery import Recovered, recover
from tests.services.accounts.desk import CZK, OPERATOR, Desk, credit, debit
from tests.services.accounts.journals import Running, Through, running


@pytest.fixture
def rows() -> Iterator[Database]:
    """The index's rows, which outlive a writer."""
    with closing(Database.open("sqlite://")) as database:
        yield database


async def _funded(journal: Running, desk: Desk, minor: int = 100) -> str:
    wallet, house = desk.id(), desk.id()
    await journal.writer.submit(
        OPERATOR,
        [
            OpenAccount(wallet, f"w:{wallet}", Kind.CUSTOMER_WALLET, CZK, 0, ""),
            OpenAccount(house, f"h:{house}", Kind.FEE_INCOME, CZK, 0, ""),
        ],
    )
    answer = await journal.do(desk.transferring(debit(house, minor), credit(wallet, minor)))
    assert answer.refusal is None
    return wallet


async def _taken(store: MemoryStore, count: int) -> list[StoredEvent]:
    """The last parts of that many whole snapshots."""
    async with asyncio.timeout(30):
        while True:
            found = [stored async for stored in store.read(SNAPSHOTS)]
            last = [each for each in found if decode_snapshot(each.data).parts]
            if len(last) >= count:
                return last
            await asyncio.sleep(0.001)


async def _three_snapshots(store: MemoryStore, rows: Database, desk: Desk) -> str:
    """A journal with snapshots, and something behind the last of them."""
    async with running(store, snapshot_every_pages=2, database=rows) as journal:
        for n in range(1, 4):
            wallet = await _funded(journal, desk)
            await journal.do(desk.placing(wallet, 10, expires_after_s=60))
            await _taken(store, min(n, 2))
        ended = desk.placing(wallet, 5)
        await journal.do(ended)
        await journal.do(desk.releasing(ended.hold_id))
        await journal.do(desk.placing(desk.id(), 1))
    return wallet


async def _recovered(store: MemoryStore, rows: Database) -> Recovered:
    return await recover(store, IdIndex(rows, store, JOURNAL))


async def _from_the_start(store: MemoryStore) -> Recovered:
    return await recover(store)


def _behind(book: Book, floor: int) -> Book:
    lower_to(book, floor)
    return book


async def test_recovery_starts_at_the_newest_snapshot_and_ends_where_all_pages_do(
    rows: Database,
) -> None:
    store, desk = MemoryStore(), Desk()
    await _three_snapshots(store, rows, desk)

    from_snapshot, from_start = await _recovered(store, rows), await _from_the_start(store)

    assert from_snapshot.snapshot_page > 0
    assert from_snapshot.book == _behind(from_start.book, from_snapshot.book.floor)
    assert from_snapshot.head_hash == from_start.head_hash
    assert from_snapshot.book.next_deadline_us() == from_start.book.next_deadline_us()


async def test_only_the_last_two_are_kept(rows: Database) -> None:
    store, desk = MemoryStore(), Desk()
    async with running(store, snapshot_every_pages=1, database=rows) as journal:
        for _ in range(6):
            await _funded(journal, desk)
            await _taken(store, 1)

    kept = [decode_snapshot(each.data) async for each in store.read(SNAPSHOTS)]
    assert 1 <= len([each for each in kept if each.parts]) <= 2


def _flipped(data: bytes) -> bytes:
    message = decode_snapshot(data)
    state = message.state[:-1] + bytes([message.state[-1] ^ 1])
    return _again(data, state=state)


def _again(
    data: bytes, *, state: bytes | None = None, page: int = 0, page_hash: bytes = b""
) -> bytes:
    message = decode_snapshot(data)
    return encode_snapshot(
        message.page_number + page,
        page_hash or message.page_hash,
        message.state_hash,
        message.state if state is None else state,
        message.part,
        message.parts,
    )


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_flipped, "it does not match its hash"),
        (lambda data: _again(data, page=1), "its page is not the one in the journal"),
        (lambda data: _again(data, page_hash=bytes(32)), "its page is not the one in the journal"),
        (lambda data: _again(data, page=1_000), "its page is not the one in the journal"),
    ],
)
async def test_one_that_does_not_match_is_discarded_and_an_older_one_used(
    rows: Database, damage: Callable[[bytes], bytes], reason: str
) -> None:
    store, desk = MemoryStore(), Desk()
    await _three_snapshots(store, rows, desk)
    whole = [stored async for stored in store.read(SNAPSHOTS)]
    damaged = await _with_snapshots(store, [*whole[:-1], damage(whole[-1].data)])

    with capture_logs() as said:
        recovered = await _recovered(damaged, rows)

    start = await _from_the_start(store)
    newest = decode_snapshot(whole[-1].data).page_number
    assert 0 < recovered.snapshot_page < newest
    assert recovered.book == _behind(start.book, recovered.book.floor)
    warned = [line for line in said if line["event"] == "snapshot_discarded"]
    assert [line["reason"] for line in warned] == [reason]


async def test_without_any_that_match_the_pages_alone_give_the_book(rows: Database) -> None:
    store, desk = MemoryStore(), Desk()
    await _three_snapshots(store, rows, desk)
    whole = [stored async for stored in store.read(SNAPSHOTS)]
    damaged = await _with_snapshots(store, [_flipped(each.data) for each in whole])

    with capture_logs() as said:
        recovered = await _recovered(damaged, rows)

    assert recovered.snapshot_page == -1
    assert recovered.book == (await _from_the_start(store)).book
    assert "snapshots_discarded" in [line["event"] for line in said]


async def test_after_a_discarded_one_the_next_is_taken_and_used(rows: Database) -> None:
    store, desk = MemoryStore(), Desk()
    await _three_snapshots(store, rows, desk)
    whole = [stored async for stored in store.read(SNAPSHOTS)]
    damaged = await _with_snapshots(store, [*whole[:-1], _flipped(whole[-1].data)])
    async with running(damaged, snapshot_every_pages=2, database=rows) as journal:
        position = journal.writer.position
        await _funded(journal, desk)
        async with asyncio.timeout(30):
            while decode_snapshot((await _taken(damaged, 1))[-1].data).page_number < position:
                await _funded(journal, desk)

    recovered = await _recovered(damaged, rows)

    assert recovered.snapshot_page >= position
    start = await _from_the_start(damaged)
    assert recovered.book == _behind(start.book, recovered.book.floor)


async def test_what_changes_while_one_is_taken_is_in_it_as_it_stood(rows: Database) -> None:
    """One row at a time: between any two, the writer moves money on the rows still to come."""
    store, desk = MemoryStore(), Desk()
    async with running(store, snapshot_every_pages=1_000, database=rows) as journal:
        wallets = [await _funded(journal, desk) for _ in range(20)]
    async with running(store, snapshot_every_pages=1, database=rows, rows_per_slice=1) as journal:
        n = 0
        while not [each async for each in store.read(SNAPSHOTS)]:
            payer, payee = wallets[n * 7 % 20], wallets[(n * 3 + 1) % 20]
            if payer != payee:
                await journal.do(desk.transferring(debit(payer, 1), credit(payee, 1)))
            n += 1
        position = journal.writer.position

    recovered = await _recovered(store, rows)

    assert 0 <= recovered.snapshot_page < position - 1, "pages were written meanwhile"
    start = await _from_the_start(store)
    assert recovered.book == _behind(start.book, recovered.book.floor)


async def test_one_cut_short_by_a_kill_is_passed_over(rows: Database) -> None:
    class DiesAtTheSecondSnapshot(Through):
        snapshots = 0

        async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
            if stream == SNAPSHOTS:
                self.snapshots += 1
                if self.snapshots > 1:
                    event = events[0]
                    part = decode_snapshot(event.data)
                    data = encode_snapshot(
                        part.page_number, part.page_hash, part.state_hash, part.state, 0, 0
                    )
                    cut = NewEvent(event.id, event.type, data, event.metadata, is_json=False)
                    await super().append(stream, [cut], expected)
                    await asyncio.Event().wait()
            return await super().append(stream, events, expected)

    store, desk = MemoryStore(), Desk()
    async with running(
        DiesAtTheSecondSnapshot(store), snapshot_every_pages=2, database=rows
    ) as journal:
        await _funded(journal, desk)
        first = (await _taken(store, 1))[0]
        await _funded(journal, desk)
        async with asyncio.timeout(30):
            while len([each async for each in store.read(SNAPSHOTS)]) < 2:  # noqa: ASYNC110 - in memory
                await asyncio.sleep(0)

    recovered = await _recovered(store, rows)

    assert recovered.snapshot_page == decode_snapshot(first.data).page_number
    start = await _from_the_start(store)
    assert recovered.book == _behind(start.book, recovered.book.floor)


async def _with_snapshots(store: MemoryStore, parts: Sequence[StoredEvent | bytes]) -> MemoryStore:
    """A store with the same journal, and these snapshots."""
    copy = MemoryStore()
    async for stored in store.read(JOURNAL):
        event = NewEvent(stored.id, stored.type, stored.data, stored.metadata, is_json=False)
        await copy.append(JOURNAL, [event], stored.revision - 1)
    ids = [stored async for stored in store.read(SNAPSHOTS)]
    for n, part in enumerate(parts):
        data = part if isinstance(part, bytes) else part.data
        event = NewEvent(ids[n].id, ids[n].type, data, {}, is_json=False)
        await copy.append(SNAPSHOTS, [event], n - 1)
    return copy
