"""The book made again: from the newest whole snapshot and the pages after it, or all pages."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from libs.event_store import NO_STREAM, EventStore, StoredEvent
from libs.failure import StartFailed
from libs.telemetry import get_logger
from services.accounts.codec.pages import JOURNAL, SNAPSHOTS, decode_snapshot
from services.accounts.codec.replaying import Replayed, replay_page
from services.accounts.codec.snapshots import decode_blocks, link
from services.accounts.domain.book import Book
from services.accounts.domain.forgetting import forget
from services.accounts.domain.pages import NO_HASH, PageDamaged, verified_hash
from services.accounts.domain.snapshot import SnapshotUnknown, thaw_columns, thaw_head
from services.accounts.id_index import ROWS_MAX, IdIndex

# Entries whose ids, facts and ended holds stay in memory.
KEEP_ENTRIES = 200_000

log = get_logger()


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where the journal stands. `store_position` is that of the last page, 0 without one."""

    book: Book
    head_hash: bytes = NO_HASH
    store_position: int = 0
    snapshot_page: int = -1
    snapshot_parts: int = 0
    snapshot_revision: int = NO_STREAM
    entries_behind: int = 0


@dataclass(frozen=True, slots=True)
class _Snapshot:
    book: Book
    page_hash: bytes
    parts: int


async def recover(
    store: EventStore,
    index: IdIndex | None = None,
    *,
    keep: int = KEEP_ENTRIES,
    journal: str = JOURNAL,
    snapshots: str = SNAPSHOTS,
) -> Recovered:
    """Read and verify. Without an index nothing leaves memory, and snapshots are not used.

    Raises `StartFailed` where a page is not what was written.
    """
    if index is None:
        return await _read_on(store, None, None, NO_STREAM, journal, keep)
    await index.prepare()
    newest = await store.read_last(snapshots)
    revision = newest.revision if newest else NO_STREAM
    async for snapshot in _whole_snapshots(store, newest, snapshots, journal):
        return await _read_on(store, index, snapshot, revision, journal, keep)
    if newest is not None:
        log.warning("snapshots_discarded", stream=journal, reason="none is whole and matches")
    return await _read_on(store, index, None, revision, journal, keep)


async def _read_on(
    store: EventStore,
    index: IdIndex | None,
    snapshot: _Snapshot | None,
    revision: int,
    journal: str,
    keep: int,
) -> Recovered:
    book = snapshot.book if snapshot else Book()
    head_hash = snapshot.page_hash if snapshot else NO_HASH
    snapshot_page = book.page_number
    position = entries = 0
    if index is not None:
        index.expect(snapshot_page)
    # The snapshot's own page is read again: its place in the store is where we stand.
    async for stored in store.read(journal, max(snapshot_page, 0)):
        position = stored.position
        if stored.revision <= snapshot_page:
            continue
        is_new = index is not None and stored.revision > index.position
        page = _take(stored, book, head_hash, with_once=is_new)
        head_hash = page.page_hash
        entries += page.entries
        if index is not None:
            index.offer(page.number, head_hash, page.once)
            # What is read faster than it is indexed would pile up; behind a snapshot it must wait.
            while index.position >= book.floor and index.waiting_keys >= ROWS_MAX:
                await index.catch_up()
            forget(book, index.position, keep)
    log.info(
        "journal_recovered",
        stream=journal,
        page=book.page_number,
        snapshot=snapshot_page,
        entries=entries,
    )
    parts = snapshot.parts if snapshot else 0
    return Recovered(book, head_hash, position, snapshot_page, parts, revision, entries)


def _take(stored: StoredEvent, book: Book, previous_hash: bytes, *, with_once: bool) -> Replayed:
    try:
        previous = stored.revision, previous_hash
        return replay_page(stored.data, book, previous, with_once=with_once)
    except (PageDamaged, AssertionError, KeyError) as error:
        raise StartFailed(
            f"the journal is damaged at page {stored.revision} ({error}): "
            "restore the event store from a backup; nothing is written until then"
        ) from error


async def _whole_snapshots(
    store: EventStore, newest: StoredEvent | None, stream: str, journal: str
) -> AsyncIterator[_Snapshot]:
    """Those that are whole and stand on a page of the journal, newest first."""
    if newest is None:
        return
    last = decode_snapshot(newest.data)
    if last.parts:
        found = await _read_snapshot(store, stream, newest.revision - last.part, journal)
        if found is not None:
            yield found
    # The newest is of no use: look through all that are kept, which is rarely needed.
    firsts: list[int] = []
    async for stored in store.read(stream):
        message = decode_snapshot(stored.data)
        if message.parts and stored.revision != newest.revision:
            firsts.append(stored.revision - message.part)
    for first in reversed(firsts):
        found = await _read_snapshot(store, stream, first, journal)
        if found is not None:
            yield found


async def _read_snapshot(
    store: EventStore, stream: str, first: int, journal: str
) -> _Snapshot | None:
    """The snapshot whose first part stands there; None, with a warning, if it cannot be used."""
    try:
        return await _read_parts(store, stream, first, journal)
    except (SnapshotUnknown, ValueError, TypeError, KeyError) as error:
        log.warning("snapshot_discarded", stream=journal, revision=first, reason=str(error))
        return None


async def _read_parts(store: EventStore, stream: str, first: int, journal: str) -> _Snapshot:
    chain, part, book = b"", 0, None
    async for stored in store.read(stream, first):
        message = decode_snapshot(stored.data)
        chain = link(chain, message.state)
        if stored.revision != first + part or message.part != part:
            raise SnapshotUnknown("a part of it is missing")
        if message.state_hash != chain:
            raise SnapshotUnknown("it does not match its hash")
        if book is None:
            await _check_page(store, journal, message.page_number, message.page_hash)
        book = _thaw(book, message.state, message.page_number)
        part += 1
        if message.parts == part:
            return _Snapshot(book, message.page_hash, part)
    raise SnapshotUnknown("its last part is missing")


async def _check_page(store: EventStore, journal: str, number: int, page_hash: bytes) -> None:
    stored = await store.read_one(journal, number)
    try:
        found = verified_hash(stored.data) if stored is not None else NO_HASH
    except PageDamaged:
        found = NO_HASH
    if found != page_hash:
        raise SnapshotUnknown("its page is not the one in the journal")


def _thaw(book: Book | None, state: bytes, page_number: int) -> Book:
    for name, content in decode_blocks(state):
        book = _thaw_block(book, name, content, page_number)
    if book is None:
        raise SnapshotUnknown("it has no head")
    return book


def _thaw_block(book: Book | None, name: str, content: Any, page_number: int) -> Book:  # noqa: ANN401 - as decoded
    if book is None:
        if name != "head":
            raise SnapshotUnknown("it does not begin with its head")
        return thaw_head(content, page_number)
    thaw_columns(book, name, content)
    return book
