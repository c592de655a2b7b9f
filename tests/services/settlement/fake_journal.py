"""A journal in memory: balances, windows and fact keys, its pages stored like the real one's."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from hefu.accounts.v1 import events_pb2 as pb
from libs.event_store import NO_STREAM, EventStore, NewEvent
from libs.ids import derived_id
from libs.money import Money
from services.settlement.clients.accounts import (
    NOT_SEALED,
    Accounts,
    JournalWindow,
    Posted,
    Posting,
    accounts_of,
)


@dataclass
class Window:
    window_id: str
    bank_id: str
    currency: str
    legs: int = 0
    ours: int = 0
    banks: int = 0
    seal_position: int = NOT_SEALED
    next_id: str = ""
    is_closed: bool = False

    @property
    def clearing(self) -> str:
        return str(derived_id(self.window_id, "clearing"))

    def seen(self) -> JournalWindow:
        return JournalWindow(
            self.window_id, self.clearing, self.legs, self.ours, self.banks, self.seal_position
        )


@dataclass
class FakeJournal(Accounts):
    """Balances are debits less credits, whatever the account's normal side."""

    store: EventStore
    balances: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    windows: dict[str, Window] = field(default_factory=dict)
    open_now: dict[str, str] = field(default_factory=dict)
    done: dict[str, Posted] = field(default_factory=dict)
    facts: set[str] = field(default_factory=set)
    page: int = -1

    async def post(self, postings: Sequence[Posting]) -> Sequence[Posted]:
        return [await self._post(posting) for posting in postings]

    async def _post(self, posting: Posting) -> Posted:
        id_ = str(posting.posting_id)
        if id_ in self.done:
            return self.done[id_]
        if posting.fact_key in self.facts:
            return Posted(self.page, refusal="FACT_ALREADY_POSTED")
        credit, window_id = posting.credit, ""
        entry = pb.Entry(command_id=id_, correlation_id=posting.correlation_id)
        if posting.carried is not None:
            window = self.windows[self.open_now[posting.carried.bank_id]]
            credit, window_id = window.clearing, window.window_id
            entry.obligation.CopyFrom(
                self._obligation(window, posting.carried.payment_id, posting.amount, pb.FAVOUR_BANK)
            )
            entry.obligation.carried_from_window_id = posting.carried.from_window_id
        self.balances[posting.debit] += posting.amount.minor
        self.balances[credit] -= posting.amount.minor
        self.facts.add(posting.fact_key)
        entry.transfer_posted.CopyFrom(pb.TransferPosted(fact_key=posting.fact_key))
        await self._write(entry)
        self.done[id_] = Posted(self.page, window_id)
        return self.done[id_]

    def _obligation(
        self, window: Window, payment_id: str, amount: Money, favour: "pb.Favour.ValueType"
    ) -> pb.Obligation:
        window.legs += 1
        window.ours += amount.minor if favour == pb.FAVOUR_OURS else 0
        window.banks += amount.minor if favour == pb.FAVOUR_BANK else 0
        obligation = pb.Obligation(
            bank_id=window.bank_id,
            window_id=window.window_id,
            favour=favour,
            payment_id=payment_id,
        )
        obligation.amount.currency_code = amount.currency
        obligation.amount.minor_units = amount.minor
        return obligation

    async def _write(self, *entries: pb.Entry) -> None:
        self.page += 1
        page = pb.PageWritten(page_number=self.page, entries=entries)
        event = NewEvent(
            uuid4(), "hefu.accounts.v1.PageWritten", page.SerializeToString(), {}, is_json=False
        )
        await self.store.append("journal-0", [event], self.page - 1 if self.page else NO_STREAM)

    # What payments would post.
    async def credit_wallet(self, bank_id: str, payment_id: str, amount: Money) -> None:
        accounts = accounts_of(bank_id, amount.currency)
        window = self.windows[self.open_now[bank_id]]
        self.balances[accounts.in_transit_in] += amount.minor
        self.balances["wallets"] -= amount.minor
        entry = pb.Entry(transfer_posted=pb.TransferPosted(fact_key=f"{payment_id}/credit"))
        entry.obligation.CopyFrom(self._obligation(window, payment_id, amount, pb.FAVOUR_OURS))
        await self._write(entry)

    async def enter_window(self, bank_id: str, payment_id: str, amount: Money) -> None:
        window = self.windows[self.open_now[bank_id]]
        self.balances["wallets"] += amount.minor
        self.balances[window.clearing] -= amount.minor
        entry = pb.Entry(hold_captured=pb.HoldCaptured(fact_key=f"{payment_id}/capture"))
        entry.obligation.CopyFrom(self._obligation(window, payment_id, amount, pb.FAVOUR_BANK))
        await self._write(entry)

    async def give_back(self, bank_id: str, amount: Money) -> None:
        self.balances[accounts_of(bank_id, amount.currency).in_transit_out] += amount.minor
        self.balances["wallets"] -= amount.minor

    async def open_bank(self, bank_id: str, currency: str) -> None:
        for account in accounts_of(bank_id, currency).__slots__:
            self.balances[getattr(accounts_of(bank_id, currency), account)] += 0

    async def open_window(self, window_id: str, bank_id: str, currency: str) -> JournalWindow:
        if bank_id not in self.open_now:
            self.open_now[bank_id] = window_id
            self.windows[window_id] = Window(window_id, bank_id, currency)
            opened = pb.WindowOpened(window_id=window_id, bank_id=bank_id, currency_code=currency)
            await self._write(pb.Entry(window_opened=opened))
        return self.windows[self.open_now[bank_id]].seen()

    async def window_open_now(self, bank_id: str, currency: str) -> JournalWindow:
        assert self.windows[self.open_now[bank_id]].currency == currency
        return self.windows[self.open_now[bank_id]].seen()

    async def seal_window(self, window_id: str, next_window_id: str) -> JournalWindow:
        window = self.windows[window_id]
        if window.seal_position == NOT_SEALED:
            window.seal_position, window.next_id = self.page + 1, next_window_id
            self.open_now[window.bank_id] = next_window_id
            self.windows[next_window_id] = Window(next_window_id, window.bank_id, window.currency)
            sealed = pb.WindowSealed(
                window_id=window_id,
                bank_id=window.bank_id,
                currency_code=window.currency,
                next_window_id=next_window_id,
                legs=window.legs,
                sum_ours_minor=window.ours,
                sum_bank_minor=window.banks,
            )
            await self._write(pb.Entry(window_sealed=sealed))
        return window.seen()

    async def close_window(self, window_id: str) -> bool:
        window = self.windows[window_id]
        window.is_closed = self.balances[window.clearing] == 0
        return window.is_closed

    async def balance(self, account_id: str) -> tuple[int, int]:
        return self.balances[account_id], self.page
