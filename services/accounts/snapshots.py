"""Snapshots of the book, taken between pages and stored beside the journal's way."""

import asyncio
import hashlib
from uuid import UUID, uuid5

import stamina

from libs.event_store import Busy, EventStore, NewEvent, OutcomeUnknown
from libs.telemetry import get_logger
from services.accounts.codec.pages import SNAPSHOT_TYPE, SNAPSHOTS, encode_snapshot
from services.accounts.domain.book import Book
from services.accounts.domain.snapshot import freeze_book, parts_of
from services.accounts.recovery import Recovered

SNAPSHOTS_KEPT = 2
_SNAPSHOT_IDS = UUID("0f7a1c52-61d9-5d1b-8a35-2f0f6f0f4f11")

log = get_logger()


class Snapshots:
    """Takes one every `every_pages` pages; `run` stores them."""

    def __init__(self, store: EventStore, recovered: Recovered, every_pages: int) -> None:
        self._store = store
        self._every_pages = every_pages
        self._last_page = recovered.snapshot_page
        self._revision = recovered.snapshot_revision
        self._due: asyncio.Queue[tuple[int, bytes, bytes]] = asyncio.Queue(maxsize=1)

    def offer(self, book: Book, page_hash: bytes) -> None:
        """Take the state if one is due and none is still being stored."""
        is_due = book.page_number - self._last_page >= self._every_pages
        if is_due and self._due.empty():
            self._due.put_nowait((book.page_number, page_hash, freeze_book(book)))
            self._last_page = book.page_number

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._store_one(*await self._due.get())

    async def _store_one(self, page_number: int, page_hash: bytes, state: bytes) -> None:
        state_hash = hashlib.sha256(state).digest()
        parts = parts_of(state)
        await self._store.keep_last(SNAPSHOTS, SNAPSHOTS_KEPT * len(parts) + 1)
        for n, part in enumerate(parts):
            data = encode_snapshot(page_number, page_hash, state_hash, part, n, len(parts))
            id_ = uuid5(_SNAPSHOT_IDS, f"{page_number}\x00{n}\x00{state_hash.hex()}")
            event = NewEvent(id_, SNAPSHOT_TYPE, data, {"actor": "accounts"}, is_json=False)
            async for attempt in stamina.retry_context(
                on=(OutcomeUnknown, Busy), attempts=None, timeout=None, wait_max=2.0
            ):
                with attempt:
                    appended = await self._store.append(SNAPSHOTS, [event], self._revision)
                    self._revision = appended.revision
        log.info("snapshot_taken", page=page_number, parts=len(parts), bytes=len(state))
