"""A journal without a store: commands in, decisions out, pages turned by hand."""

from collections.abc import Iterator
from itertools import count
from uuid import UUID

from services.accounts.domain.book import Account, Book
from services.accounts.domain.callers import Caller, caller_of
from services.accounts.domain.commands import (
    Amount,
    CaptureHold,
    Command,
    Leg,
    Linked,
    ObligationTerms,
    OpenAccount,
    OpenWindow,
    PlaceHold,
    ReleaseHold,
    Transfer,
)
from services.accounts.domain.entries import CommandRefused, Entry
from services.accounts.domain.forgetting import end_page
from services.accounts.domain.groups import decide_linked
from services.accounts.domain.journal import Decision, decide, expiries
from services.accounts.domain.kinds import Direction, Favour, Kind
from services.accounts.domain.refusals import Refusal

PAYMENTS = caller_of("payments", "service")
SETTLEMENT = caller_of("settlement", "service")
OPERATOR = caller_of("operator", "operator")
WALLET = caller_of("wallet", "wallet")
START_US = 1_790_000_000_000_000  # 2026-09-21
TODAY = "2026-09-21"
BANK = "CD"
CZK = "CZK"


def new_ids(start_ms: int = START_US // 1_000) -> Iterator[str]:
    """UUIDv7 in order, the same in every run."""
    for n in count(1):
        layout = (start_ms << 80) | (7 << 76) | (0x8 << 60) | n
        yield str(UUID(int=layout))


def debit(account_id: str, minor: int, currency: str = CZK) -> Leg:
    return Leg(account_id, "", Direction.DEBIT, currency, minor)


def credit(account_id: str, minor: int, currency: str = CZK) -> Leg:
    return Leg(account_id, "", Direction.CREDIT, currency, minor)


def clearing(direction: Direction, minor: int, bank_id: str = BANK) -> Leg:
    return Leg("", bank_id, direction, CZK, minor)


def ours(minor: int, payment_id: str = "p") -> ObligationTerms:
    return ObligationTerms(BANK, Favour.OURS, CZK, minor, payment_id, "")


def banks(minor: int, payment_id: str = "p") -> ObligationTerms:
    return ObligationTerms(BANK, Favour.BANK, CZK, minor, payment_id, "")


class Desk:
    """One book, from its first page on. What happens is kept, so that it can be replayed."""

    def __init__(self, book: Book | None = None) -> None:
        self.book = book or Book()
        self.pages: list[list[Entry]] = []
        self.times: list[int] = []
        self._ids = new_ids()
        self.turn_page()

    def id(self) -> str:
        return next(self._ids)

    def turn_page(self, seconds: int = 0) -> None:
        now = max(self.book.page_us, START_US) + seconds * 1_000_000
        self.book.begin_page(self.book.page_number + 1, now)
        self.pages.append([])
        self.times.append(now)
        while (entry := expiries(self.book)) is not None:
            self._record(entry)

    def do(self, command: Command, caller: Caller = PAYMENTS) -> Decision:
        decision = decide(command, caller, self.book)
        if isinstance(decision, Entry):
            self._record(decision)
        return decision

    def link(self, linked: Linked, caller: Caller = PAYMENTS) -> list[Decision]:
        decisions = decide_linked(linked, caller, self.book, len(self.pages[-1]))
        for decision in decisions:
            if isinstance(decision, Entry):
                self._record(decision)
        return decisions

    def posted(self, command: Command, caller: Caller = PAYMENTS) -> Entry:
        """An entry that is no refusal."""
        decision = self.do(command, caller)
        assert isinstance(decision, Entry), decision
        assert not isinstance(decision.fact, CommandRefused), decision.fact
        return decision

    def refused(self, command: Command, caller: Caller = PAYMENTS) -> str:
        """The reason of a recorded refusal."""
        decision = self.do(command, caller)
        assert isinstance(decision, Entry), decision
        assert isinstance(decision.fact, CommandRefused), decision.fact
        return decision.fact.reason

    def reason_of(self, command: Command, caller: Caller = PAYMENTS) -> str:
        """The reason of a refusal, recorded or not; "" for what is posted."""
        match self.do(command, caller):
            case Entry(CommandRefused(reason)) | Refusal(reason):
                return reason
            case decision:
                assert isinstance(decision, Entry), decision
                return ""

    def turned_away(self, command: Command, caller: Caller = PAYMENTS) -> str:
        """The reason of a refusal that leaves the id free."""
        decision = self.do(command, caller)
        assert isinstance(decision, Refusal), decision
        return decision.reason

    def account(
        self,
        kind: Kind = Kind.CUSTOMER_WALLET,
        currency: str = CZK,
        *,
        caller: Caller = OPERATOR,
        funds: int = 0,
    ) -> str:
        """A new account, with money from our own funds where asked for."""
        account_id = self.id()
        self.posted(OpenAccount(account_id, f"owner:{account_id}", kind, currency, 0, ""), caller)
        if funds:
            self.fund(account_id, funds, currency)
        return account_id

    def fund(self, account_id: str, minor: int, currency: str = CZK) -> None:
        source = self.account(Kind.FEE_INCOME, currency)
        self.transfer(debit(source, minor, currency), credit(account_id, minor, currency))

    def window(self, bank_id: str = BANK) -> str:
        window_id = self.id()
        self.posted(OpenWindow(window_id, bank_id, CZK), SETTLEMENT)
        return window_id

    def transfer(self, *legs: Leg, caller: Caller = PAYMENTS) -> Entry:
        return self.posted(self.transferring(*legs), caller)

    def transferring(
        self,
        *legs: Leg,
        fact_key: str = "",
        value_date: str = "",
        obligation: ObligationTerms | None = None,
    ) -> Transfer:
        return Transfer(self.id(), legs, "test", "", fact_key, value_date, obligation)

    def placing(
        self, account_id: str, minor: int, destination: str = "", expires_after_s: int = 0
    ) -> PlaceHold:
        return PlaceHold(
            self.id(), account_id, Amount(CZK, minor), destination, expires_after_s, "test", ""
        )

    def capturing(  # noqa: PLR0913 - what a capture may say
        self,
        hold_id: str,
        minor: int | None = None,
        account_id: str = "",
        *,
        bank_id: str = "",
        is_final: bool = False,
        fact_key: str = "",
        obligation: ObligationTerms | None = None,
    ) -> CaptureHold:
        amount = None if minor is None else Amount(CZK, minor)
        return CaptureHold(
            self.id(),
            hold_id,
            amount,
            is_final,
            account_id,
            bank_id,
            "test",
            "",
            fact_key,
            obligation,
        )

    def releasing(self, hold_id: str, minor: int | None = None) -> ReleaseHold:
        return ReleaseHold(self.id(), hold_id, None if minor is None else Amount(CZK, minor), "")

    def figures(self, account_id: str) -> tuple[int, int, int]:
        """Posted, held, available."""
        account = self.book.accounts[account_id]
        return account.posted, account.held, account.available

    def replayed(self) -> Book:
        """The book made again from the pages."""
        book = Book()
        for number, (entries, time_us) in enumerate(zip(self.pages, self.times, strict=True)):
            book.begin_page(number, time_us)
            for ordinal, entry in enumerate(entries):
                book.evolve(entry, ordinal)
            end_page(book, len(entries))
        return book

    def _record(self, entry: Entry) -> None:
        before = {id_: _figures(account) for id_, account in self.book.accounts.items()}
        self.book.evolve(entry, len(self.pages[-1]))
        self.pages[-1].append(entry)
        touched = {balance.account_id for balance in entry.balances}
        for id_, figures in before.items():
            assert id_ in touched or _figures(self.book.accounts[id_]) == figures


def _figures(account: Account) -> tuple[int, int, int, int]:
    return account.posted, account.held, account.incoming, account.seq
