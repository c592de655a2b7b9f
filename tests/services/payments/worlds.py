"""A working journal and settlement in memory, and a payments service between that may die."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import orjson

from libs.clock import system_clock
from libs.event_store import NO_STREAM, EventStore, NewEvent
from libs.ids import account_id_of, derived_id
from libs.memory_bus import MemoryBus
from libs.memory_store import MemoryStore
from libs.money import Money
from libs.read_model import Database
from libs.relay import Relay
from libs.transient import Unavailable
from services.payments.__main__ import Payments, Peers, build
from services.payments.clients import Accounts, Settlement
from services.payments.postings import Capture, Hold, Move, Posted, Posting, Refused, Release

WALLET, OTHER, MERCHANT = (
    "01900000-0000-7000-8000-0000000000a1",
    "01900000-0000-7000-8000-0000000000a2",
    "01900000-0000-7000-8000-0000000000a3",
)
FEES = str(account_id_of("house", "FEE_INCOME", "CZK"))
IN_TRANSIT_IN = str(account_id_of("bank:CD", "IN_TRANSIT_IN", "CZK"))
IN_TRANSIT_OUT = str(account_id_of("bank:CD", "IN_TRANSIT_OUT", "CZK"))
WINDOW, NEXT_WINDOW = "window-1", "window-2"


def payment_id(number: int) -> str:
    """A UUIDv7 of the year 2024."""
    return f"018f0000-0000-7000-8000-{number:012x}"


@dataclass
class Journal(Accounts):
    """Balances in minor units (debits below zero), holds, and one outcome for each id for ever.

    `cut` makes the nth posting be posted and its answer be lost; `away` refuses all connections.
    """

    balances: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    open_accounts: set[str] = field(default_factory=lambda: {WALLET, OTHER, MERCHANT, FEES})
    fund_accounts: set[str] = field(default_factory=set)
    held: dict[str, tuple[str, int]] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, tuple[Posting, Posted | Refused]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    windows: dict[str, str] = field(default_factory=lambda: {"CD": WINDOW})
    asked: list[Posting] = field(default_factory=list)
    fees_opened: set[str] = field(default_factory=set)
    cut_after: int | None = None
    was_cut: asyncio.Event = field(default_factory=asyncio.Event)
    is_away: bool = False
    captures_are_stopped: bool = False
    today: str = "2026-09-21"

    async def post(self, posting: Posting) -> Posted | Refused:
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("the journal is away")
        self.asked.append(posting)
        id_ = _id_of(posting)
        if id_ not in self.outcomes:
            try:
                self.outcomes[id_] = posting, Posted(len(self.outcomes) + 1, self._decide(posting))
            except _No as no:
                self.outcomes[id_] = posting, Refused(no.args[0])
        known, outcome = self.outcomes[id_]
        assert known == posting, "the same id with other terms"
        if self.cut_after is not None:
            self.cut_after -= 1
            if self.cut_after < 0:
                self.cut_after = None
                self.was_cut.set()
                raise Unavailable("the answer was lost")
        return outcome

    async def check_wallet(
        self, account_id: str, currency: str, *, is_of_funds: bool = False
    ) -> Refused | None:
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("the journal is away")
        if account_id not in self.open_accounts:
            return Refused("ACCOUNT_NOT_FOUND")
        if account_id in self.fund_accounts and not is_of_funds:
            return Refused("ROUTE_NOT_ALLOWED")
        return None if currency == "CZK" else Refused("ACCOUNT_CURRENCY_DIFFERS")

    async def open_fee_income(self, currency: str) -> None:
        self.fees_opened.add(currency)

    async def business_date(self, account_id: str) -> str:
        assert account_id
        if self.is_away:
            raise Unavailable("the journal is away")
        return self.today

    def available(self, account_id: str) -> int:
        taken = sum(minor for account, minor in self.held.values() if account == account_id)
        return self.balances[account_id] - taken

    def _decide(self, posting: Posting) -> str:
        match posting:
            case Hold(hold_id, account_id, amount):
                self._needs(account_id, amount.minor)
                self.held[hold_id] = account_id, amount.minor
                return ""
            case Release(_, hold_id):
                self._end(hold_id, "HOLD_RELEASED")
                return ""
            case Capture(_, hold_id, bank_id, amount):
                if bank_id not in self.windows:
                    raise Unavailable("WINDOW_NOT_OPEN: not recorded, the id stays free")
                if hold_id in self.held and self.captures_are_stopped:
                    raise _No("ACCOUNT_FROZEN_DEBIT")
                self._fact(posting.fact_key, check_only=True)
                account_id, minor = self._end(hold_id, "HOLD_CAPTURED")
                assert minor == amount.minor
                self._fact(posting.fact_key)
                self.balances[account_id] -= minor
                self.balances[f"clearing:{bank_id}"] += minor
                return self.windows[bank_id]
            case Move():
                self._fact(posting.fact_key, check_only=True)
                for account_id, minor in posting.debits:
                    if account_id in self.open_accounts:
                        self._needs(account_id, minor)
                for account_id, _ in posting.credits:
                    self._is_there(account_id)
                self._fact(posting.fact_key)
                for account_id, minor in posting.debits:
                    self.balances[account_id] -= minor
                for account_id, minor in posting.credits:
                    self.balances[account_id] += minor
                return self.windows.get(posting.in_our_favour_of, "")

    def _is_there(self, account_id: str) -> None:
        if account_id not in self.open_accounts and account_id not in (
            IN_TRANSIT_IN,
            IN_TRANSIT_OUT,
        ):
            raise _No("ACCOUNT_NOT_FOUND")

    def _needs(self, account_id: str, minor: int) -> None:
        if account_id not in self.open_accounts:
            raise _No("ACCOUNT_NOT_FOUND")
        if self.available(account_id) < minor:
            raise _No("BALANCE_TOO_LOW")

    def _fact(self, key: str, *, check_only: bool = False) -> None:
        if key in self.facts:
            raise _No("FACT_ALREADY_POSTED")
        if not check_only:
            self.facts[key] = key

    def _end(self, hold_id: str, how: str) -> tuple[str, int]:
        if hold_id in self.ended:
            raise _No(self.ended[hold_id])
        if hold_id not in self.held:
            raise _No("HOLD_NOT_FOUND")
        self.ended[hold_id] = how
        return self.held.pop(hold_id)


class _No(Exception):
    pass


def _id_of(posting: Posting) -> str:
    match posting:
        case Hold():
            return posting.hold_id
        case Capture():
            return posting.capture_id
        case Release():
            return posting.release_id
        case Move():
            return posting.transfer_id


@dataclass
class Banks(Settlement):
    """Takes pulls, and tells facts over the bus as settlement's own relay does."""

    store: EventStore
    bus: MemoryBus
    pulls: dict[str, tuple[str, str, Money]] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    is_away: bool = False

    async def pull(
        self, payment_id: str, bank_id: str, bank_account: str, amount: Money
    ) -> Refused | None:
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("settlement is away")
        if bank_id in self.refusals:
            return Refused(self.refusals[bank_id])
        terms = bank_id, bank_account, amount
        assert self.pulls.setdefault(payment_id, terms) == terms
        if self.cut_after is not None:
            self.cut_after = None
            raise Unavailable("the answer was lost")
        return None

    async def decided(self, payment_id: str, outcome: str, **more: str) -> None:
        item = {"payment_id": payment_id, "outcome": f"OUTCOME_{outcome}", **more}
        await self._tell("bank_transfer", "BankTransferItemsDecided", {"outcomes": [item]})

    async def doubted(self, *payment_ids: str) -> None:
        body = {"cause": "no reply", "since_ms": "1", "payment_ids": payment_ids}
        await self._tell("bank_transfer", "BankTransferDoubted", body)

    async def carried(self, *payment_ids: str) -> None:
        body = {
            "payment_ids": payment_ids,
            "from_window_id": WINDOW,
            "to_window_id": NEXT_WINDOW,
            "cause": "AMOUNT",
        }
        await self._tell("settlement", "SettlementLegsCarried", body)

    async def settled(self, *payment_ids: str, settlement_id: str = "settlement-1") -> None:
        body = {"settlement_id": settlement_id, "payment_ids": payment_ids}
        await self._tell("settlement", "SettlementPaymentsSettled", body)

    async def _tell(self, category: str, name: str, body: Mapping[str, object]) -> None:
        type_ = f"hefu.settlement.v1.{name}"
        event = NewEvent(uuid4(), type_, orjson.dumps(dict(body)))
        await self.store.append(f"{category}-{event.id}", [event], NO_STREAM)


@dataclass
class World:
    """What outlives a payments process: the store, the bus, the journal, the banks."""

    store: MemoryStore = field(default_factory=MemoryStore)
    bus: MemoryBus = field(default_factory=lambda: MemoryBus(idle_s=0.02))
    journal: Journal = field(default_factory=Journal)
    now_us: int = field(default_factory=system_clock)
    banks: Banks = field(init=False)

    def __post_init__(self) -> None:
        self.banks = Banks(self.store, self.bus)

    @asynccontextmanager
    async def payments(self) -> AsyncIterator[Payments]:
        """A payments process with an empty memory and a new database; killed at the end."""
        database = Database.open("sqlite://")
        parts = build(
            self.store,
            self.bus,
            database,
            Peers(self.journal, self.banks),
            clock=lambda: self.now_us,
            steps_at_once=16,
            watch_every_s=0.02,
        )
        await parts.prepare()
        relay = Relay("settlement", ("settlement-", "bank_transfer-"), self.store, self.bus)
        running = [asyncio.create_task(each.run()) for each in (parts, relay)]
        await parts.limiting.ready()
        try:
            yield parts
        finally:
            for each in running:
                each.cancel()
            for each in running:
                with suppress(asyncio.CancelledError):
                    await each
            database.close()

    async def events(self, payment_id: str) -> list[str]:
        """Names of what is stored of a payment."""
        return [
            event.type.removeprefix("hefu.payments.v1.Payment")
            async for event in self.store.read(f"payment-{payment_id}")
        ]

    async def until(self, payment_id: str, last: str) -> list[str]:
        """Wait for an event; answer all there are."""
        async with asyncio.timeout(10):
            async for _ in self.store.follow((f"payment-{payment_id}",)):
                names = await self.events(payment_id)
                if last in names:
                    return names
        raise AssertionError("a store is followed for ever")


def child(parent: str, purpose: str, ordinal: int = 0) -> str:
    return str(derived_id(UUID(parent), purpose, ordinal))


def kinds(postings: Sequence[Posting]) -> list[str]:
    return [type(each).__name__ for each in postings]
