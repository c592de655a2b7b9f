"""The audit of one journal: its pages as the store has them, beside another copy of them."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from libs.cli.journal_check import (
    Findings,
    JournalCheck,
    PageMark,
    compare_entries,
    pair,
)
from libs.event_store import EventStore, StoredEvent
from libs.journal_pages import PageUnreadable, split
from libs.journal_proof import SignedHead

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

EntriesOf: TypeAlias = Callable[[int], Awaitable[Sequence[bytes]]]


@dataclass(frozen=True, slots=True)
class Report:
    """What the audit of one journal came to."""

    journal: str
    pages: int
    entries: int
    accounts: int
    heads: int
    heads_matched: int
    signed_pages: int
    # Whether the read model's copy of the pages is the one that was signed; None: it is no other.
    rows_are_signed: bool | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the whole audit came to. `moving`: accounts that never stood still long enough."""

    reports: Sequence[Report]
    with_writer: int
    with_rows: int
    moving: int
    findings: Findings

    @property
    def is_proven(self) -> bool:
        """Whether nothing at all differs."""
        return self.findings.count == 0


class Audit:
    """The audit of one journal. `look` is called with the number of pages so far."""

    def __init__(
        self,
        store: EventStore,
        journal: str,
        heads: Sequence[SignedHead],
        public_key: bytes,
        look: Callable[[int], None],
    ) -> None:
        self._store = store
        self._heads = heads
        self._look = look
        self.findings = Findings(journal)
        self.check = JournalCheck(journal, heads, public_key, self.findings)
        self._rows_are_signed: bool | None = None

    def report(self) -> Report:
        """What was found so far."""
        check = self.check
        return Report(
            check.journal,
            check.pages,
            check.entries,
            len(check.ledger.accounts),
            len(self._heads),
            check.heads_matched,
            check.signed_pages,
            self._rows_are_signed,
        )

    async def read(self, upto: int | None = None) -> None:
        """Take in the store's pages from where we are: all there are now, or up to one."""
        check = self.check
        if upto is not None and check.pages > upto:
            return
        reading = cast(
            "AsyncGenerator[StoredEvent, None]", self._store.read(check.journal, check.pages)
        )
        async with aclosing(reading):
            async for stored in reading:
                if stored.revision != check.pages:
                    text = f"the store goes on with page {stored.revision}"
                    self.findings.add("PAGE_DELETED", check.pages, text)
                check.take(stored.data)
                self._look(check.pages)
                if upto is not None and check.pages > upto:
                    return

    async def compare_pages(self, others: Sequence[PageMark], entries_of: EntriesOf) -> None:
        """Name what differs from another copy of the pages: pages, and the entries on them."""
        ours = self.check.marks
        if [mark.page_hash for mark in ours] == [mark.page_hash for mark in others]:
            return
        self._rows_are_signed = self.check.is_signed(others)
        found = pair([mark.entries_root for mark in ours], [m.entries_root for m in others])
        for number, was in found.moved:
            self.findings.add("PAGE_MOVED", number, f"it stood at page {was}")
        for was in found.deleted:
            self.findings.add("PAGE_DELETED", was, "the read model has it, the store has not")
        for number in found.inserted:
            self.findings.add("PAGE_INSERTED", number, "the store has it, the read model has not")
        for number, was in found.edited:
            compare_entries(
                number, await self._stored(number), await entries_of(was), self.findings
            )
        if not (found.moved or found.deleted or found.inserted or found.edited):
            number = next(n for n, (a, b) in enumerate(zip(ours, others, strict=True)) if a != b)
            text = "its entries are the same; its time, date or place in the chain is not"
            self.findings.add("PAGE_EDITED", number, text)

    async def _stored(self, number: int) -> Sequence[bytes]:
        async for stored in self._store.read(self.check.journal, number):
            try:
                return split(stored.data).entries
            except PageUnreadable:
                break
        return ()

    async def reach(self, page: int) -> None:
        """Go on to the page that an answer is of, and no further."""
        check = self.check
        if page + 1 < check.pages:
            text = f"the store has {check.pages} pages, the one that writes knows of {page + 1}"
            self.findings.add("PAGE_INSERTED", page + 1, text)
        await self.read(page)
        if page >= check.pages:
            text = f"page {page} was written, the store ends before page {check.pages}"
            self.findings.add("PAGE_DELETED", check.pages, text)
