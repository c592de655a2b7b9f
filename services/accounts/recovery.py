"""The book made again: from the newest whole snapshot and the pages after it, or all pages."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from libs.event_store import NO_STREAM, EventStore, StoredEvent
from libs.failure import StartFailed
from libs.telemetry import get_logger
from services.accounts.codec.pages import JOURNAL, SNAPSHOTS, decode_page, decode_snapshot
from services.accounts.domain.book import Book
from services.accounts.domain.entries import Page
from services.accounts.domain.pages import NO_HASH, PageDamaged, check_link
from services.accounts.domain.snapshot import SnapshotUnknown, thaw_book

log = get_logger()


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where the journal stands. `store_position` is that of the last page, 0 without one."""

    book: Book
    head_hash: bytes = NO_HASH
    store_position: int = 0
    snapshot_page: int = -1
    snapshot_revision: int = NO_STREAM


@dataclass(frozen=True, slots=True)
class _Snapshot:
    page_number: int
    page_hash: bytes
    state: bytes


async def recover(store: EventStore) -> Recovered:
    """Read and verify. Raises `StartFailed` where a page is not what was written."""
    snapshots, revision = await _snapshots(store)
    for snapshot in snapshots:
        book = await _thawed(snapshot, store)
        if book is not None:
            return await _read_on(store, book, snapshot, revision)
    return await _read_on(store, Book(), None, revision)


async def _read_on(
    store: EventStore, book: Book, snapshot: _Snapshot | None, revision: int
) -> Recovered:
    head_hash = snapshot.page_hash if snapshot else NO_HASH
    position = 0
    # The snapshot's own page is read again: its place in the store is where we stand.
    first = snapshot.page_number if snapshot else 0
    async for stored in store.read(JOURNAL, first):
        position = stored.position
        if stored.revision > book.page_number:
            head_hash = _take(stored, book, head_hash)
    snapshot_page = snapshot.page_number if snapshot else -1
    log.info("journal_recovered", page=book.page_number, snapshot_page=snapshot_page)
    return Recovered(book, head_hash, position, snapshot_page, revision)


def _take(stored: StoredEvent, book: Book, previous_hash: bytes) -> bytes:
    try:
        page = decode_page(stored.data)
        check_link((stored.revision, previous_hash), (page.number, page.previous_hash))
        replay(page, book)
    except (PageDamaged, AssertionError, KeyError) as error:
        raise StartFailed(
            f"the journal is damaged at page {stored.revision} ({error}): "
            "restore the event store from a backup; nothing is written until then"
        ) from error
    return page.page_hash


def replay(page: Page, book: Book) -> None:
    """Take a whole page into the book."""
    book.begin_page(page.number, page.written_us)
    for ordinal, entry in enumerate(page.entries):
        book.evolve(entry, ordinal)


async def _snapshots(store: EventStore) -> tuple[Iterator[_Snapshot], int]:
    """Whole snapshots, newest first, and the revision of the stream's last event."""
    found: list[_Snapshot] = []
    parts: list[bytes] = []
    revision = NO_STREAM
    async for stored in store.read(SNAPSHOTS):
        revision = stored.revision
        message = decode_snapshot(stored.data)
        if message.part != len(parts):
            parts = []
        if message.part == len(parts):
            parts.append(message.state)
        if parts and len(parts) == message.parts:
            state = b"".join(parts)
            if hashlib.sha256(state).digest() == message.state_hash:
                found.append(_Snapshot(message.page_number, message.page_hash, state))
            parts = []
    return reversed(found), revision


async def _thawed(snapshot: _Snapshot, store: EventStore) -> Book | None:
    """The snapshot's book, if the page it stands on is the one in the journal."""
    async for stored in store.read(JOURNAL, snapshot.page_number):
        try:
            if decode_page(stored.data).page_hash == snapshot.page_hash:
                return thaw_book(snapshot.state)
        except (PageDamaged, SnapshotUnknown) as error:
            log.warning("snapshot_passed_over", page=snapshot.page_number, reason=str(error))
        break
    return None
