"""Signed heads of the journal, kept outside its store: who holds one can prove any later edit.

Pages are heard as the store tells them, and every head is checked to follow from the one before. A
journal that is not what was signed is never signed again: that is for people to look at.
"""

import asyncio
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from libs.cancelling import end
from libs.clock import Clock
from libs.event_store import EventStore, StoredEvent
from libs.feed import batches
from libs.journal_pages import PageUnreadable, seal_of
from libs.journal_proof import NO_DIGEST, Head, Malformed, SignedHead, page_leaf
from libs.merkle import Growing
from libs.signing import Signer
from libs.telemetry import get_logger

_PREFIX = "journal-"
_NO_HASH = bytes(32)
# Pages are taken so long apart, together: a head is about all of them.
_GATHER_S = 0.2
_PRIVATE = 0o600

log = get_logger()


class HeadDiffers(Exception):
    """The journal in the store is not the one that was signed."""


class Heads:
    """Signs a head every `every_s` seconds in which pages came, and one on leaving."""

    def __init__(
        self,
        store: EventStore,
        journal: str,
        folder: Path,
        signer: Signer,
        clock: Clock,
        every_s: float,
    ) -> None:
        self._store = store
        self._journal = journal
        self._file = folder / f"{journal}.jsonl"
        self._signer = signer
        self._clock = clock
        self._every_s = every_s
        self._tree = Growing()
        self._last_hash = _NO_HASH
        self._last_us = 0
        self._signed = asyncio.Event()
        self.newest: SignedHead | None = None
        self.public_key = signer.public_key

    def find(self, pages: int) -> SignedHead | None:
        """The head of so many pages, where one was signed. Reads the file: ask on a thread."""
        return next((each for each in read_heads(self._file) if each.head.pages == pages), None)

    async def signed(self, pages: int) -> SignedHead:
        """Return once a head covers so many pages."""
        while self.newest is None or self.newest.head.pages < pages:
            await self._signed.wait()
        return self.newest

    async def run(self) -> None:
        """For ever; where the journal is not what was signed, only the log says so, and loudly."""
        try:
            position = await self._resume()
            await self._follow(position)
        except (HeadDiffers, PageUnreadable, Malformed) as error:
            log.critical("journal_differs_from_signed_head", reason=str(error))
            await asyncio.get_running_loop().create_future()

    async def _follow(self, position: int | None) -> None:
        loop, due_s = asyncio.get_running_loop(), 0.0
        feed = batches(self._store, (_PREFIX,), position)
        coming = asyncio.ensure_future(anext(feed))
        try:
            while True:
                left_s = max(0.0, due_s - loop.time()) if self._is_due else None
                await asyncio.wait([coming], timeout=left_s)
                if coming.done():
                    for stored in coming.result().events:
                        self._take(stored)
                    await asyncio.sleep(min(_GATHER_S, self._every_s))
                    coming = asyncio.ensure_future(anext(feed))
                if self._is_due and loop.time() >= due_s:
                    await self._sign()
                    due_s = loop.time() + self._every_s
        finally:
            await end([coming])
            await feed.aclose()
            if self._is_due:
                _append(self._file, self._next().to_line())

    @property
    def _is_due(self) -> bool:
        return self._tree.size > (self.newest.head.pages if self.newest else 0)

    async def _resume(self) -> int | None:
        """Go on from the newest head; the store's position of its last page, None without one."""
        self.newest = await asyncio.to_thread(self._read_newest)
        if self.newest is None:
            return None
        head = self.newest.head
        self._tree, self._last_hash = self.newest.tree(), head.page_hash
        async for stored in self._store.read(self._journal, head.pages - 1):
            found = seal_of(stored.data)
            if (found.number, found.page_hash) != (head.pages - 1, head.page_hash):
                raise HeadDiffers(f"page {found.number} is not the one that was signed")
            return stored.position
        raise HeadDiffers(f"{head.pages} pages were signed, and the store has fewer")

    def _read_newest(self) -> SignedHead | None:
        last = deque(read_heads(self._file), maxlen=1)
        newest = last[0] if last else None
        if newest is not None and not newest.is_signed_by(newest.public_key):
            raise HeadDiffers(f"the head of {newest.head.pages} pages has a wrong signature")
        return newest

    def _take(self, stored: StoredEvent) -> None:
        if stored.stream != self._journal or stored.revision < self._tree.size:
            return
        page = seal_of(stored.data)
        if (page.number, page.previous_hash) != (self._tree.size, self._last_hash):
            raise HeadDiffers(f"page {page.number} does not follow the page before it")
        self._tree.add(page_leaf(page.number, page.page_hash, page.entries_root))
        self._last_hash, self._last_us = page.page_hash, page.written_us

    async def _sign(self) -> None:
        signed = self._next()
        await asyncio.to_thread(_append, self._file, signed.to_line())
        self.newest = signed
        told, self._signed = self._signed, asyncio.Event()
        told.set()

    def _next(self) -> SignedHead:
        newest = self.newest
        head = Head(
            self._journal,
            self._tree.size,
            self._last_hash,
            self._tree.root,
            self._last_us,
            self._clock(),
            newest.head.digest if newest else NO_DIGEST,
        )
        return SignedHead.of(head, self._signer, self._tree.parts)


def read_heads(file: Path) -> Iterator[SignedHead]:
    """The heads in a file, oldest first; a last line cut short is none. Raises `Malformed`."""
    if not file.exists():
        return
    with file.open() as opened:
        for line in opened:
            if line.endswith("\n"):
                yield SignedHead.from_line(line)


def _append(file: Path, line: str) -> None:
    """A whole line, on the disk before we go on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, _PRIVATE)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            _cut(descriptor, size)
        os.write(descriptor, line.encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cut(descriptor: int, size: int) -> None:
    """Drop a last line that a crash cut short."""
    whole = os.pread(descriptor, size, 0).rfind(b"\n") + 1
    os.ftruncate(descriptor, whole)
