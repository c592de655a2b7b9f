"""The audit of all journals of a running system, beside its writers and its read model."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from hefu.accounts.v1 import accounts_pb2 as accounts
from hefu.accounts.v1 import audit_pb2 as audit
from hefu.accounts.v1 import events_pb2
from libs.cli.auditing import Audit, Verdict
from libs.cli.journal_check import Findings, PageMark
from libs.cli.journal_ledger import Balance

if TYPE_CHECKING:
    from hefu.accounts.v1.accounts_pb2_grpc import AccountsServiceAsyncStub
    from hefu.accounts.v1.audit_pb2_grpc import JournalAuditServiceAsyncStub

ACCOUNTS_AT_ONCE = 1_000
HASHES_AT_ONCE = 10_000
# An account that moved while it was looked at is looked at again.
ROUNDS_MAX = 20
# A position is a page number and, above these bits, the number of its journal.
_JOURNAL_BITS_AT = 40
_Totals: TypeAlias = Mapping[tuple[int, str], tuple[int, int, int]]


class LiveAudit:
    """The journals' audits together; all must have been read once."""

    def __init__(self, audits: Sequence[Audit]) -> None:
        self.audits = audits
        self.findings = Findings()
        self._with_writer = self._with_rows = self._moving = 0

    def verdict(self) -> Verdict:
        """What was found so far."""
        every = Findings()
        for findings in (*(each.findings for each in self.audits), self.findings):
            every.named += findings.named
            every.count += findings.count
        reports = [each.report() for each in self.audits]
        return Verdict(reports, self._with_writer, self._with_rows, self._moving, every)

    async def hold_against_writers(self, writer: "AccountsServiceAsyncStub") -> None:
        """Every total and balance as those have them that write."""
        await self._totals(writer)
        left = sorted(account for each in self.audits for account in each.check.ledger.accounts)
        for _ in range(ROUNDS_MAX):
            left = [account async for account in self._unequal(writer, left)]
            if not left:
                break
        self._moving = len(left)

    async def _unequal(
        self, writer: "AccountsServiceAsyncStub", ids: Sequence[str]
    ) -> AsyncIterator[str]:
        """Compare accounts; those whose entries so far are not the same number come again."""
        for at in range(0, len(ids), ACCOUNTS_AT_ONCE):
            some = ids[at : at + ACCOUNTS_AT_ONCE]
            answer = await writer.GetAccounts(accounts.GetAccountsRequest(account_ids=some))
            if len(self.audits) == 1:
                await self.audits[0].reach(answer.position)
            else:
                for each in self.audits:
                    await each.read()
            known = {account.account_id: account for account in answer.accounts}
            for account_id in some:
                account, balance = known.get(account_id), self._balance(account_id)
                if account is None or balance is None:
                    text = f"the writer does not know account {account_id}"
                    self.findings.add("WRITER_DIFFERS", -1, text)
                elif len(self.audits) > 1 and account.account_seq < balance.seq:
                    yield account_id
                else:
                    self._with_writer += 1
                    self._compare(account, balance, "WRITER_DIFFERS")

    async def _totals(self, writer: "AccountsServiceAsyncStub") -> None:
        """The trial balance; of several journals, once nothing moves while it is taken."""
        first = self.audits[0]
        told = await writer.GetTrialBalance(accounts.GetTrialBalanceRequest())
        await first.reach(told.position)
        if told.pages and told.pages <= first.check.pages:
            mark = first.check.marks[told.pages - 1]
            if mark.page_hash != told.head_hash:
                text = "the page that the writer wrote is not the one in the store"
                self.findings.add("WRITER_DIFFERS", mark.number, text)
        if len(self.audits) > 1:
            for _ in range(ROUNDS_MAX):
                for each in self.audits:
                    await each.read()
                before = _told(told.totals)
                told = await writer.GetTrialBalance(accounts.GetTrialBalanceRequest())
                if _told(told.totals) == before == self._made():
                    return
        self._compare_totals(_told(told.totals), self._made())

    def _made(self) -> _Totals:
        made: dict[tuple[int, str], tuple[int, int, int]] = {}
        for each in self.audits:
            for balance in each.check.ledger.accounts.values():
                key = balance.kind, balance.currency
                credit, count, held = made.get(key, (0, 0, 0))
                made[key] = credit + balance.credit, count + 1, held + balance.held
        return made

    def _compare_totals(self, told: _Totals, made: _Totals) -> None:
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

    async def hold_against_rows(self, auditor: "JournalAuditServiceAsyncStub") -> None:
        """Every balance and every page's hash as the read model has them, where it stands."""
        request = audit.ListRowBalancesRequest(page_size=ACCOUNTS_AT_ONCE)
        seen: set[str] = set()
        while True:
            # Rows that are behind what was read would be unequal: each journal is waited for.
            for number, each in enumerate(self.audits):
                request.min_position = _position(number, max(0, each.check.pages - 1))
                answer = await auditor.ListRowBalances(request)
            for each, position in zip(self.audits, answer.positions, strict=False):
                await each.reach(_page(position))
            for account in answer.accounts:
                seen.add(account.account_id)
                balance = self._balance(account.account_id)
                if balance is None:
                    text = f"the read model has account {account.account_id}, no journal has"
                    self.findings.add("ROWS_DIFFER", -1, text)
                else:
                    self._with_rows += 1
                    self._compare(account, balance, "ROWS_DIFFER")
            request.page_token = answer.next_page_token
            if not request.page_token:
                break
        for account_id in sorted(
            {id_ for each in self.audits for id_ in each.check.ledger.accounts} - seen
        ):
            self.findings.add("ROWS_DIFFER", -1, f"the read model has no account {account_id}")
        for number, each in enumerate(self.audits):
            marks = [mark async for mark in _marks(auditor, number, each.check.pages)]
            await each.compare_pages(marks, _EntriesOf(auditor, number))

    def _balance(self, account_id: str) -> Balance | None:
        ledgers = (each.check.ledger.accounts for each in self.audits)
        return next((found[account_id] for found in ledgers if account_id in found), None)

    def _compare(self, account: accounts.Account, balance: Balance, what: str) -> None:
        for figure, told, made in (
            ("posted", account.posted_minor, balance.posted),
            ("held", account.held_minor, balance.held),
            ("incoming", account.incoming_minor, balance.incoming),
            ("account_seq", account.account_seq, balance.seq),
        ):
            if told != made:
                text = f"account {account.account_id}: {figure} is {told}, the journal: {made}"
                self.findings.add(what, -1, text)


class _EntriesOf:
    """The stored bytes of a page's entries as the read model has them."""

    def __init__(self, auditor: "JournalAuditServiceAsyncStub", journal: int) -> None:
        self._auditor = auditor
        self._journal = journal

    async def __call__(self, number: int) -> Sequence[bytes]:
        request = audit.ListPageEntriesRequest(page_number=_position(self._journal, number))
        return list((await self._auditor.ListPageEntries(request)).entries)


async def _marks(
    auditor: "JournalAuditServiceAsyncStub", journal: int, count: int
) -> AsyncIterator[PageMark]:
    number = 0
    while number < count:
        answer = await auditor.ListPageHashes(
            audit.ListPageHashesRequest(
                from_page=_position(journal, number), page_size=min(HASHES_AT_ONCE, count - number)
            )
        )
        for page in answer.pages:
            yield PageMark(_page(page.page_number), page.page_hash, page.entries_root)
        number += len(answer.pages)
        if not answer.pages:
            return


def _told(totals: Iterable[accounts.KindTotal]) -> _Totals:
    return {
        (total.kind, total.currency_code): (
            total.credit_minus_debit_minor,
            total.accounts,
            total.held_minor,
        )
        for total in totals
    }


def _position(journal: int, page: int) -> int:
    return journal << _JOURNAL_BITS_AT | page


def _page(position: int) -> int:
    return position if position < 0 else position & (1 << _JOURNAL_BITS_AT) - 1
