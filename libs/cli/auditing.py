"""An audit of the running system: the store's pages, the signed heads, the writer, the rows."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from hefu.accounts.v1 import accounts_pb2 as accounts
from hefu.accounts.v1 import audit_pb2 as audit
from hefu.accounts.v1 import events_pb2
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

    from hefu.accounts.v1.accounts_pb2_grpc import AccountsServiceAsyncStub
    from hefu.accounts.v1.audit_pb2_grpc import JournalAuditServiceAsyncStub

EntriesOf: TypeAlias = Callable[[int], Awaitable[Sequence[bytes]]]

ACCOUNTS_AT_ONCE = 1_000
HASHES_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit came to."""

    journal: str
    pages: int
    entries: int
    accounts: int
    heads: int
    heads_matched: int
    signed_pages: int
    live_compared: int
    rows_compared: int
    # Whether the read model's copy of the pages is the one that was signed; None: it is no other.
    rows_are_signed: bool | None
    findings: Findings

    @property
    def is_proven(self) -> bool:
        """Whether nothing at all differs."""
        return self.findings.count == 0


class Audit:
    """One audit. `look` is called with the number of pages so far."""

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
        self.findings = Findings()
        self.check = JournalCheck(journal, heads, public_key, self.findings)
        self._live = self._rows = 0
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
            self._live,
            self._rows,
            self._rows_are_signed,
            self.findings,
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

    async def hold_against_writer(self, writer: "AccountsServiceAsyncStub") -> None:
        """Every balance and total as the journal's writer has them, at its own position."""
        check, findings = self.check, self.findings
        told = await writer.GetTrialBalance(accounts.GetTrialBalanceRequest())
        await self._reach(told.position)
        if told.pages and told.pages <= check.pages:
            mark = check.marks[told.pages - 1]
            if mark.page_hash != told.head_hash:
                text = "the page that the writer wrote is not the one in the store"
                findings.add("WRITER_DIFFERS", mark.number, text)
        self._totals(told.totals)
        ids = sorted(check.ledger.accounts)
        for at in range(0, len(ids), ACCOUNTS_AT_ONCE):
            some = ids[at : at + ACCOUNTS_AT_ONCE]
            answer = await writer.GetAccounts(accounts.GetAccountsRequest(account_ids=some))
            await self._reach(answer.position)
            known = {account.account_id for account in answer.accounts}
            for account_id in some:
                if account_id not in known:
                    findings.add("WRITER_DIFFERS", -1, f"it does not know account {account_id}")
            self._live += self._balances(answer.accounts, "WRITER_DIFFERS", "the writer")

    async def hold_against_rows(self, auditor: "JournalAuditServiceAsyncStub") -> None:
        """Every page's hash and every balance as the read model has them."""
        check = self.check
        request = audit.ListRowBalancesRequest(
            page_size=ACCOUNTS_AT_ONCE, min_position=max(0, check.pages - 1)
        )
        seen: set[str] = set()
        while True:
            answer = await auditor.ListRowBalances(request)
            await self._reach(answer.position)
            seen.update(account.account_id for account in answer.accounts)
            self._rows += self._balances(answer.accounts, "ROWS_DIFFER", "the read model")
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
        for account_id in sorted(check.ledger.accounts.keys() - seen):
            self.findings.add("ROWS_DIFFER", -1, f"the read model has no account {account_id}")
        marks = [mark async for mark in _marks(auditor, check.pages)]
        await self.compare_pages(marks, lambda number: _entries(auditor, number))

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

    async def _reach(self, position: int) -> None:
        """Go on to the position that an answer is of, and no further."""
        check = self.check
        if position + 1 < check.pages:
            text = f"the store has {check.pages} pages, the one that writes knows of {position + 1}"
            self.findings.add("PAGE_INSERTED", position + 1, text)
        await self.read(position)
        if position >= check.pages:
            text = f"page {position} was written, the store ends before page {check.pages}"
            self.findings.add("PAGE_DELETED", check.pages, text)

    def _balances(self, found: Iterable[accounts.Account], what: str, who: str) -> int:
        count = 0
        for account in found:
            count += 1
            balance = self.check.ledger.accounts.get(account.account_id)
            if balance is None:
                text = f"{who} has account {account.account_id}, the journal has not"
                self.findings.add(what, -1, text)
                continue
            for figure, told, made in (
                ("posted", account.posted_minor, balance.posted),
                ("held", account.held_minor, balance.held),
                ("incoming", account.incoming_minor, balance.incoming),
                ("account_seq", account.account_seq, balance.seq),
            ):
                if told != made:
                    text = f"account {account.account_id}: {figure} is {told}, the journal: {made}"
                    self.findings.add(what, -1, text)
        return count

    def _totals(self, totals: Iterable[accounts.KindTotal]) -> None:
        made: dict[tuple[int, str], tuple[int, int, int]] = {}
        for balance in self.check.ledger.accounts.values():
            key = balance.kind, balance.currency
            credit, count, held = made.get(key, (0, 0, 0))
            made[key] = credit + balance.credit, count + 1, held + balance.held
        told: dict[tuple[int, str], tuple[int, int, int]] = {
            (total.kind, total.currency_code): (
                total.credit_minus_debit_minor,
                total.accounts,
                total.held_minor,
            )
            for total in totals
        }
        for key in sorted(made.keys() | told.keys()):
            if made.get(key) != told.get(key):
                name = events_pb2.AccountKind.Name(events_pb2.AccountKind.ValueType(key[0]))
                text = f"{name} in {key[1]}: {told.get(key)}, the journal: {made.get(key)}"
                self.findings.add("WRITER_DIFFERS", -1, f"trial balance of {text}")
        sums: dict[str, int] = {}
        for (_, currency), (credit, _, _) in made.items():
            sums[currency] = sums.get(currency, 0) + credit
        for currency, total in sums.items():
            if total:
                self.findings.add("SUM_DIFFERS", -1, f"the journal sums to {total} of {currency}")


async def _marks(auditor: "JournalAuditServiceAsyncStub", count: int) -> AsyncIterator[PageMark]:
    number = 0
    while number < count:
        size = min(HASHES_AT_ONCE, count - number)
        answer = await auditor.ListPageHashes(
            audit.ListPageHashesRequest(from_page=number, page_size=size)
        )
        for page in answer.pages:
            yield PageMark(page.page_number, page.page_hash, page.entries_root)
        number += len(answer.pages)
        if not answer.pages:
            return


async def _entries(auditor: "JournalAuditServiceAsyncStub", number: int) -> Sequence[bytes]:
    request = audit.ListPageEntriesRequest(page_number=number)
    return list((await auditor.ListPageEntries(request)).entries)
