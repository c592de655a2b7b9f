"""Snapshots of the book: as it stood at one page, though the writer goes on meanwhile.

Rows are taken in small slices between pages. An account that is about to change before its slice
came is taken then, as it still stands: so all of a snapshot is of the page it says. It counts only
once its last part is stored, and that is written after the index has passed its page: memory needs
nothing from before it any more.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

import stamina

from libs.event_store import Busy, EventStore, NewEvent, OutcomeUnknown, WrongVersion
from libs.failure import StartFailed
from libs.telemetry import get_logger
from services.accounts.codec.pages import SNAPSHOT_TYPE, SNAPSHOTS, encode_snapshot
from services.accounts.codec.snapshots import PART_BYTES_MAX, encode_block, encode_rows, link
from services.accounts.domain.book import Account, Book
from services.accounts.domain.entries import Entry
from services.accounts.domain.snapshot import (
    Row,
    Section,
    account_row,
    crossing_rows,
    head_of,
    hold_rows,
    quote_rows,
    reserved_rows,
    span_rows,
    window_rows,
)
from services.accounts.id_index import IdIndex
from services.accounts.recovery import Recovered

# How much larger than twice the one before a snapshot may come out.
PARTS_ROOM = 1_000
ROWS_PER_SLICE = 1_000
# While the writer is busy a turn of the loop is long, and a slice may be so much larger: it costs
# the same share of the time, and the snapshot does not fall ever further behind.
SLICES_AT_ONCE_MAX = 16
_LONG_TURN_S = 0.02
# Reading a page again costs as much as reading so many entries, and of accounts in a snapshot as
# many as these cost as much as one entry.
_ENTRIES_PER_PAGE = 20
_ACCOUNTS_PER_ENTRY = 4
# However large the book, recovery reads at most about so many entries behind a snapshot.
ENTRIES_BEHIND_MAX = 250_000
_SNAPSHOT_IDS = UUID("0f7a1c52-61d9-5d1b-8a35-2f0f6f0f4f11")

log = get_logger()


class _Taking:
    """A snapshot in hand: the state at its page, some of it still to be read off the book."""

    def __init__(self, book: Book, page_hash: bytes) -> None:
        self.page_number = book.page_number
        self.page_hash = page_hash
        self.head = head_of(book)
        self.windows = window_rows(book.windows.values())
        self.quotes = quote_rows(book.quotes)
        self.crossings = crossing_rows(book.crossings)
        self.spans = span_rows(book.spans)
        self.reserved = reserved_rows(book.reserved)
        self._holds = list(book.holds.values())
        self._accounts: list[Account] = list(book.accounts.values())
        self._before: dict[str, Row] = {}
        self._mark = book.page_number + 1

    def keep(self, account: Account) -> None:
        """Take the account as it stands, unless that was done."""
        if account.read_for != self._mark:
            self._before[account.account_id] = self._read(account)

    def _read(self, account: Account) -> Row:
        account.read_for = self._mark
        return account_row(account)

    def sections(self, size: Callable[[], int]) -> Iterator[Section]:
        """Slices, each made when it is asked for. Nothing else may happen within one."""
        yield "windows", self.windows
        yield "quotes", self.quotes
        yield "crossings", self.crossings
        yield "spans", self.spans
        yield "reserved", self.reserved
        holds = self._holds
        at = 0
        while at < len(holds):
            some = holds[at : at + size()]
            at += len(some)
            yield "holds", hold_rows(some)
        accounts, before, mark, at = self._accounts, self._before, self._mark, 0
        while at < len(accounts):
            few = accounts[at : at + size()]
            at += len(few)
            yield (
                "accounts",
                [
                    before.pop(account.account_id)
                    if account.read_for == mark
                    else self._read(account)
                    for account in few
                ],
            )


class Snapshots:
    """Takes one when recovery would grow long; `run` stores them. None without an index."""

    def __init__(
        self,
        store: EventStore,
        recovered: Recovered,
        every_pages: int,
        index: IdIndex | None = None,
        stream: str = SNAPSHOTS,
        rows_per_slice: int = ROWS_PER_SLICE,
    ) -> None:
        self._store = store
        self._stream = stream
        self._index = index
        self._every_pages = every_pages
        self._rows_per_slice = rows_per_slice
        self._revision = recovered.snapshot_revision
        self._parts_before = recovered.snapshot_parts
        self._pages = recovered.book.page_number - recovered.snapshot_page
        self._entries = recovered.entries_behind
        self._taking: _Taking | None = None
        self._due = asyncio.Event()

    def offer(self, book: Book, page_hash: bytes, entries: int) -> None:
        """A page is written. Begin a snapshot of it if one is due and none is in hand."""
        self._pages += 1
        self._entries += entries
        if self._index is None or self._taking is not None:
            return
        behind = self._entries + self._pages * _ENTRIES_PER_PAGE
        is_due = self._pages >= self._every_pages or behind >= ENTRIES_BEHIND_MAX
        if is_due and behind * _ACCOUNTS_PER_ENTRY >= len(book.accounts):
            self._taking = _Taking(book, page_hash)
            self._pages = self._entries = 0
            self._due.set()

    @property
    def keep(self) -> Callable[[Account], None] | None:
        """Who must see an account before it changes, while a snapshot is in hand."""
        return None if self._taking is None else self._taking.keep

    def before(self, entry: Entry, book: Book) -> None:
        """The entry is about to change the book."""
        taking = self._taking
        if taking is not None:
            for balance in entry.balances:
                account = book.accounts.get(balance.account_id)
                if account is not None:
                    taking.keep(account)

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._due.wait()
            self._due.clear()
            if self._taking is not None:
                try:
                    await self._store_one(self._taking)
                except WrongVersion as error:
                    text = f"another writer writes {self._stream}; this one stops"
                    raise StartFailed(text) from error
                self._taking = None

    async def _store_one(self, taking: _Taking) -> None:
        # Nothing of the newest whole one may fall off while parts of this one come in.
        room = 2 * self._parts_before + PARTS_ROOM
        await self._store.keep_last(self._stream, self._parts_before + room)
        chain, n, size = b"", 0, 0
        async for state, is_last in _parts(taking, self._rows_per_slice):
            if is_last and self._index is not None:
                await self._index.reached(taking.page_number)
            chain = link(chain, state)
            await self._append(taking, chain, state, n, n + 1 if is_last else 0)
            n, size = n + 1, size + len(state)
        await self._store.keep_last(self._stream, self._parts_before + n)
        self._parts_before = n
        log.info("snapshot_taken", page=taking.page_number, parts=n, size_bytes=size)

    async def _append(
        self, taking: _Taking, chain: bytes, state: bytes, part: int, parts: int
    ) -> None:
        data = encode_snapshot(taking.page_number, taking.page_hash, chain, state, part, parts)
        id_ = uuid5(_SNAPSHOT_IDS, f"{self._revision}\x00{taking.page_number}\x00{chain.hex()}")
        event = NewEvent(id_, SNAPSHOT_TYPE, data, {"actor": "accounts"}, is_json=False)
        async for attempt in stamina.retry_context(
            on=(OutcomeUnknown, Busy), attempts=None, timeout=None, wait_max=2.0
        ):
            with attempt:
                appended = await self._store.append(self._stream, [event], self._revision)
                self._revision = appended.revision


class _Pace:
    """How many rows to take at once: more while turns of the loop are long."""

    def __init__(self, rows: int) -> None:
        self._least = rows
        self.rows = rows

    def turned(self, seconds: float) -> None:
        if seconds > _LONG_TURN_S:
            self.rows = min(2 * self.rows, SLICES_AT_ONCE_MAX * self._least)
        else:
            self.rows = max(self.rows // 2, self._least)


async def _parts(taking: _Taking, rows_per_slice: int) -> AsyncIterator[tuple[bytes, bool]]:
    """What goes into each event, and whether it is the last."""
    blocks: list[bytes] = []
    size = 0
    async for block in _blocks(taking, _Pace(rows_per_slice)):
        if size + len(block) > PART_BYTES_MAX:
            yield b"".join(blocks), False
            blocks, size = [], 0
        blocks.append(block)
        size += len(block)
    yield b"".join(blocks), True


async def _blocks(taking: _Taking, pace: _Pace) -> AsyncIterator[bytes]:
    """The head, then the slices: each is read while a thread encodes the one before."""
    loop = asyncio.get_running_loop()
    encoding = loop.run_in_executor(None, _encode_head, taking.head)
    for name, rows in taking.sections(lambda: pace.rows):
        following = loop.run_in_executor(None, _encode_slice, name, rows)
        begun_s = loop.time()
        encoded = await encoding
        pace.turned(loop.time() - begun_s)
        encoding = following
        for block in encoded:
            yield block
    for block in await encoding:
        yield block


def _encode_head(head: Mapping[str, Any]) -> list[bytes]:
    return [encode_block("head", head)]


def _encode_slice(name: str, rows: Sequence[Row]) -> list[bytes]:
    """Block by block, so that the loop need not wait long for this thread to let go."""
    return [
        block
        for at in range(0, len(rows), ROWS_PER_SLICE)
        for block in encode_rows(name, rows[at : at + ROWS_PER_SLICE])
    ]
