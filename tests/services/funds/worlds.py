"""A journal, banks and a registrar's link in memory, and a funds service between that may die."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from libs.event_store import StoredEvent
from libs.memory_bus import MemoryBus
from libs.memory_store import MemoryStore
from libs.money import Money
from libs.read_model import Database
from libs.registrar_files import Package
from libs.transient import Unavailable
from services.funds.cash import SUB, clearing_id, of_registrar
from services.funds.clients.accounts import (
    Accounts,
    Capture,
    Hold,
    Move,
    Opening,
    Posted,
    Posting,
    Refused,
    Release,
    Wallet,
)
from services.funds.clients.payments import BankAccount, Carried, Fate, Payments
from services.funds.clients.registrar import (
    Answered,
    Delivered,
    NotSent,
    Peer,
    RegistrarLink,
    Unsure,
)
from services.funds.parts import Outside, Parts, build

TA, OTHER_TA, CURRENCY = "HFTA", "HFTB", "CNY"
REGISTRARS = (TA, OTHER_TA)
INVESTOR, OTHER = "customer:anna", "customer:bela"
WALLET = "01900000-0000-7000-8000-0000000000b1"
OTHER_WALLET = "01900000-0000-7000-8000-0000000000b2"
CLEARING = clearing_id(TA, CURRENCY, SUB)


def order_id(number: int) -> str:
    """A UUIDv7 of the year 2024."""
    return f"018f0000-0000-7000-8000-{number:012x}"


def at(text: str) -> int:
    """An instant in Shanghai, `2026-09-24 14:00`, in microseconds since 1970."""
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai"))
    return int(local.timestamp()) * 1_000_000


class _No(Exception):
    """A refusal by name."""


@dataclass
class Journal(Accounts):
    """Balances in minor units, holds, and one outcome for each id for ever.

    `cut_after` makes the nth posting be posted and its answer be lost; `is_away` refuses all calls.
    """

    balances: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    wallets: dict[str, str] = field(default_factory=lambda: {WALLET: INVESTOR, OTHER_WALLET: OTHER})
    opened: dict[str, Opening] = field(default_factory=dict)
    held: dict[str, tuple[str, int]] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, tuple[Posting, Posted | Refused]] = field(default_factory=dict)
    facts: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)
    cut_after: int | None = None
    is_away: bool = False

    async def post(self, posting: Posting) -> Posted | Refused:
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("the journal is away")
        id_ = _id_of(posting)
        if id_ not in self.outcomes:
            try:
                self._decide(posting)
                self.outcomes[id_] = posting, Posted(len(self.outcomes) + 1)
            except _No as no:
                self.outcomes[id_] = posting, Refused(no.args[0])
        known, outcome = self.outcomes[id_]
        assert known == posting, "the same id with other terms"
        if self.cut_after is not None:
            self.cut_after -= 1
            if self.cut_after < 0:
                self.cut_after = None
                raise Unavailable("the answer was lost")
        return outcome

    async def open(self, openings: Sequence[Opening]) -> None:
        self.opened |= {each.account_id: each for each in openings}

    async def look(self, account_id: str) -> Wallet | None:
        if account_id not in self.wallets:
            return None
        owner, balance = self.wallets[account_id], self.balances[account_id]
        return Wallet(owner, "CUSTOMER_WALLET", CURRENCY, balance, balance, is_closed=False)

    def sums(self, purpose: int, ta_id: str = TA) -> int:
        return self.balances[clearing_id(ta_id, CURRENCY, purpose)]

    def forget_refusals(self) -> None:
        """As if the time to try under other ids had come."""
        refused = [id_ for id_, (_, said) in self.outcomes.items() if isinstance(said, Refused)]
        for id_ in refused:
            del self.outcomes[id_]

    def _decide(self, posting: Posting) -> None:
        match posting:
            case Hold(hold_id, account_id, amount):
                self._needs(account_id, amount.minor)
                self.held[hold_id] = account_id, amount.minor
            case Release(_, hold_id):
                self._end(hold_id, "HOLD_RELEASED")
            case Capture(_, hold_id, to_account_id):
                account_id, minor = self._end(hold_id, "HOLD_CAPTURED")
                self._fact(posting.fact_key)
                self.balances[account_id] -= minor
                self.balances[to_account_id] += minor
            case Move():
                assert sum(m for _, m in posting.debits) == sum(m for _, m in posting.credits)
                for account_id, minor in posting.debits:
                    if account_id in self.wallets:
                        self._needs(account_id, minor)
                if any(account_id in self.frozen for account_id, _ in posting.credits):
                    raise _No("ACCOUNT_FROZEN_CREDIT")
                self._fact(posting.fact_key)
                for account_id, minor in posting.debits:
                    self.balances[account_id] -= minor
                for account_id, minor in posting.credits:
                    self.balances[account_id] += minor

    def _needs(self, account_id: str, minor: int) -> None:
        taken = sum(held for account, held in self.held.values() if account == account_id)
        if self.balances[account_id] - taken < minor:
            raise _No("BALANCE_TOO_LOW")

    def _end(self, hold_id: str, how: str) -> tuple[str, int]:
        if hold_id not in self.held:
            raise _No(self.ended.get(hold_id, "HOLD_NOT_FOUND"))
        self.ended[hold_id] = how
        return self.held.pop(hold_id)

    def _fact(self, key: str) -> None:
        if key in self.facts:
            raise _No("FACT_ALREADY_POSTED")
        self.facts.add(key)


def _id_of(posting: Posting) -> str:
    match posting:
        case Hold(id_) | Capture(id_) | Release(id_) | Move(id_):
            return id_


@dataclass
class Banks(Payments):
    """Payments through banks: asked for, and done when the test says so."""

    journal: Journal
    asked: dict[str, tuple[str, str, BankAccount, Money]] = field(default_factory=dict)
    fates: dict[str, Carried] = field(default_factory=dict)
    # Done at once, as a day does it in the end.
    is_prompt: bool = True
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def pay(
        self, payment_id: str, from_account_id: str, to: BankAccount, amount: Money
    ) -> Carried:
        return await self._ask(payment_id, "pay", from_account_id, to, amount)

    async def collect(
        self, payment_id: str, to_account_id: str, payer: BankAccount, amount: Money
    ) -> Carried:
        return await self._ask(payment_id, "collect", to_account_id, payer, amount)

    async def look(self, payment_id: str) -> Carried | None:
        return self.fates.get(payment_id)

    async def until_asked(self, way: str) -> None:
        """Wait until such a payment is asked for."""
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(
                lambda: any(asked[0] == way for asked in self.asked.values())
            )

    def carry(self, payment_id: str, fate: Fate = Fate.DONE) -> None:
        """The bank has done it, or has refused."""
        way, account_id, _, amount = self.asked[payment_id]
        known = self.fates[payment_id]
        if known.fate is Fate.UNDER_WAY and fate is Fate.DONE and way == "collect":
            self.journal.balances[account_id] += amount.minor
        if known.fate is Fate.UNDER_WAY and fate is Fate.FAILED and way == "pay":
            self.journal.balances[account_id] += amount.minor
        self.fates[payment_id] = replace(known, fate=fate, is_settled=fate is Fate.DONE)

    async def _ask(
        self, payment_id: str, way: str, account_id: str, bank: BankAccount, amount: Money
    ) -> Carried:
        asked = way, account_id, bank, amount
        assert self.asked.setdefault(payment_id, asked) == asked, "the same id with other terms"
        if payment_id not in self.fates:
            self.fates[payment_id] = Carried(payment_id, Fate.UNDER_WAY)
            if way == "pay":
                self.journal.balances[account_id] -= amount.minor
            if self.is_prompt:
                self.carry(payment_id)
        async with self.changed:
            self.changed.notify_all()
        return self.fates[payment_id]


@dataclass
class Link(RegistrarLink):
    """What the registrar has been sent; `answer` says what it answers."""

    sent: list[Package] = field(default_factory=list)
    known: dict[tuple[str, date, int], Answered] = field(default_factory=dict)
    answer: Callable[[Package], Answered] | None = None
    # The nth submission is taken, and its receipt lost.
    lose_receipts: int = 0
    is_away: bool = False

    async def submit(self, peer: Peer, package: Package) -> Delivered:
        assert peer.ta_id == package.key.receiver in REGISTRARS
        if self.is_away:
            return NotSent("the registrar is away")
        self.sent.append(package)
        key = peer.ta_id, package.key.trade_date, package.key.number
        if key not in self.known:
            assert self.answer is not None
            self.known[key] = self.answer(package)
        if self.lose_receipts:
            self.lose_receipts -= 1
            return Unsure("DEADLINE_EXCEEDED")
        return self.known[key]

    async def receipt(self, peer: Peer, trade_date: date, number: int) -> Answered | NotSent:
        assert peer.ta_id in REGISTRARS
        if self.is_away:
            raise Unavailable("the registrar is away")
        return self.known.get((peer.ta_id, trade_date, number)) or NotSent("never seen")

    async def fetch(self, peer: Peer, trade_date: date, from_number: int) -> Sequence[Package]:
        assert peer.ta_id in REGISTRARS
        assert trade_date.year > 0
        assert from_number > 0
        if self.is_away:
            raise Unavailable("the registrar is away")
        return []


@dataclass
class World:
    """What outlives a funds process: the store, the bus, the journal, the banks, the registrar."""

    store: MemoryStore = field(default_factory=MemoryStore)
    bus: MemoryBus = field(default_factory=lambda: MemoryBus(idle_s=0.02))
    journal: Journal = field(default_factory=Journal)
    link: Link = field(default_factory=Link)
    now_us: int = field(default_factory=lambda: at("2026-09-24 14:00"))
    banks: Banks = field(init=False)

    def __post_init__(self) -> None:
        self.banks = Banks(self.journal)

    @asynccontextmanager
    async def funds(
        self, *, is_simulated: bool = False, rows_at: str = "sqlite://"
    ) -> AsyncIterator[Parts]:
        """A funds process with an empty memory and a database of its own; killed at the end."""
        database = Database.open(rows_at)
        on = Outside(
            self.store,
            self.bus,
            database,
            self.journal,
            self.banks,
            self.link,
            is_simulated=is_simulated,
            real_clock=lambda: self.now_us,
        )
        parts = build(on, steps_at_once=16, watch_every_s=0.02)
        await parts.prepare()
        running = asyncio.create_task(parts.run())
        try:
            yield parts
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            database.close()

    async def events(self, stream: str) -> list[str]:
        """Names of what is stored in a stream, without the package."""
        return [event.type.rpartition(".")[2] async for event in self.store.read(stream)]

    async def until(self, stream: str, last: str) -> list[str]:
        """Wait for an event; answer all there are."""
        async with asyncio.timeout(10):
            async for _ in self.store.follow((stream,)):
                names = await self.events(stream)
                if last in names:
                    return names
        raise AssertionError("a store is followed for ever")

    async def until_many(self, prefix: str, name: str, count: int = 1) -> list[str]:
        """Wait for so many events of a name in streams that begin so; answer their streams."""
        found: list[str] = []
        async with asyncio.timeout(10):
            async for event in self.store.follow((prefix,)):
                if isinstance(event, StoredEvent) and event.type.endswith(f".{name}"):
                    found.append(event.stream)
                if len(found) == count:
                    return found
        raise AssertionError("a store is followed for ever")

    async def until_order(self, number: int, last: str) -> list[str]:
        """Wait for an event of an order; answer all there are, without their common word."""
        names = await self.until(f"fund_order-{order_id(number)}", f"FundOrder{last}")
        return [name.removeprefix("FundOrder") for name in names]


def registrar_accounts() -> Sequence[Opening]:
    return of_registrar(TA, CURRENCY)
