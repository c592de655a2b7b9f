"""A world for the settlement service: all it stands on in memory, and a clock that is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import orjson

from libs.auth import Caller, set_caller
from libs.decider import Cause
from libs.event_store import NO_STREAM, NewEvent
from libs.ids import derived_id, named_id
from libs.memory_bus import MemoryBus
from libs.memory_store import MemoryStore
from libs.money import Money
from libs.read_model import Database
from libs.signing import Signer
from services.settlement.clients.accounts import accounts_of
from services.settlement.clients.bank_link import Signed
from services.settlement.cutting_off import settlement_id_of
from services.settlement.domain import bank_transfer, cut_off, partner, settlement
from services.settlement.parts import Outside, Parts, build
from services.settlement.reactions import pull_id_of
from services.settlement.references import uetr_text
from tests.services.settlement.fake_bank import OURS, FakeBank, signer
from tests.services.settlement.fake_journal import FakeJournal

BANK = "CD"
PATIENCE_S = 20.0
CAPABILITY = partner.Capability(
    (2, 5, 10, 20),
    ("ACSC", "ACCC"),
    refusal_is_final=True,
    batch_max=4,
    credit_line_minor=10**12,
    dedupe_horizon_s=86_400,
)


def payment_id(n: int) -> str:
    return str(derived_id(named_id("world"), "payment", n))


@dataclass
class World:
    store: MemoryStore
    bus: MemoryBus
    database: Database
    journal: FakeJournal
    bank: FakeBank
    signer: Signer
    now_us: int = 1_900_000_000_000_000
    parts: Parts = field(init=False)
    running: "asyncio.Task[None] | None" = None

    def clock(self) -> int:
        return self.now_us

    async def start(self) -> None:
        """A process begins: nothing in memory, everything in the store."""
        self.parts = build(
            Outside(
                self.store,
                self.bus,
                self.database,
                self.journal,
                self.bank,
                self.signer,
                self.clock,
            ),
            transfers_at_once=64,
            watch_every_s=0.05,
        )
        await self.parts.prepare()
        self.running = asyncio.create_task(self.parts.run())

    async def stop(self) -> None:
        """It dies."""
        if self.running is not None:
            self.running.cancel()
            with suppress(asyncio.CancelledError):
                await self.running

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await is_so():
                assert self.running is not None
                if self.running.done():
                    self.running.result()
                await asyncio.sleep(0.01)  # a look at the state, not a wait for time

    async def register(self) -> None:
        terms = partner.Registered(
            BANK,
            "Bank CD",
            "localhost:1",
            "hefu://bank/CD",
            self.bank.signer.public_key,
            self.bank.signer.key_id,
            OURS,
            "CZK",
            CAPABILITY,
        )
        streams = self.parts.aggregates.partners
        await streams.transact(BANK, partner.Register(terms), Cause("register"))

        async def is_open() -> bool:
            return isinstance((await streams.load(BANK)).state, partner.Open)

        await self.until(is_open)

    async def pull(self, *numbers: int, credit: bool = True) -> None:
        """Pulls of 1,000.00 each; payments credits the wallet once the bank has said DONE."""
        for n in numbers:
            id_, amount = payment_id(n), Money("CZK", 100_000)
            item = bank_transfer.Item(id_, uetr_text(id_), amount, f"ACCT{n}")
            terms = bank_transfer.Intended(pull_id_of(id_), BANK, bank_transfer.Kind.PULL, (item,))
            await self.parts.aggregates.transfers.transact(
                pull_id_of(id_), bank_transfer.Intend(terms), Cause(f"pull-{n}")
            )
        if credit:
            for n in numbers:
                await self.until_outcome(pull_id_of(payment_id(n)), payment_id(n))
                await self.journal.credit_wallet(BANK, payment_id(n), Money("CZK", 100_000))

    async def outcome(self, transfer_id: str, id_: str) -> str:
        state = (await self.parts.aggregates.transfers.load(transfer_id)).state
        if not isinstance(state, bank_transfer.Live):
            return ""
        found = state.items[id_].outcome
        return found.name if found else ""

    async def until_outcome(self, transfer_id: str, id_: str, outcome: str = "DONE") -> None:
        async def is_so() -> bool:
            return await self.outcome(transfer_id, id_) == outcome

        await self.until(is_so)

    async def order_payouts(self, *numbers: int) -> None:
        """Payouts of 100.00 plus n, entered into the open window."""
        for n in numbers:
            id_ = payment_id(n)
            requested = {
                "payment_id": id_,
                "terms": {
                    "amount": {"currency_code": "CZK", "minor_units": str(10_000 + n)},
                    "payout": {
                        "bank_id": BANK,
                        "bank_account": f"PAYEE{n}",
                        "wallet_account_id": str(UUID(int=n)),
                    },
                },
            }
            event = NewEvent(
                uuid4(), "hefu.payments.v1.PaymentRequested", orjson.dumps(requested), {}
            )
            await self.store.append(f"payment-{id_}", [event], NO_STREAM)
            await self.journal.enter_window(BANK, id_, Money("CZK", 10_000 + n))

    async def cut(self, n: int = 1) -> str:
        """Answers the settlement's id."""
        request_id = str(derived_id(named_id("world"), "cut-off", n))
        window_id = self.journal.open_now[BANK]
        windows = (cut_off.WindowOfBank(BANK, window_id),)
        terms = cut_off.Requested(request_id, windows, "2030-01-15")
        await self.parts.aggregates.cut_offs.transact(
            request_id, cut_off.Request(terms), Cause(f"cut-{n}")
        )
        return settlement_id_of(window_id)

    async def state_of(self, id_: str) -> settlement.Live:
        state = (await self.parts.aggregates.settlements.load(id_)).state
        assert isinstance(state, settlement.Live)
        return state

    async def until_stage(self, id_: str, stage: settlement.Stage) -> settlement.Live:
        async def is_so() -> bool:
            state = (await self.parts.aggregates.settlements.load(id_)).state
            return isinstance(state, settlement.Live) and state.stage.value >= stage.value

        await self.until(is_so)
        return await self.state_of(id_)

    async def deliver(self, *messages: Signed) -> list[bool]:
        """The bank hands messages over; answers whether each was a repeat."""
        from hefu.bank.v1 import bank_pb2 as pb  # noqa: PLC0415 - one user

        set_caller(Caller(BANK, "bank"))
        repeats = []
        for each in messages:
            message = pb.IsoMessage(
                message_type=each.message_type,
                body=each.body,
                signature=each.signature,
                key_id=each.key_id,
            )
            reply = await self.parts.link_api.DeliverMessage(
                pb.DeliverMessageRequest(message=message),
                None,  # type: ignore[arg-type]  # the handler does not look at it
            )
            repeats.append(reply.is_repeat)
        return repeats

    async def breaks(self) -> list[str]:
        await self.parts.rows.reached()
        from sqlalchemy import select  # noqa: PLC0415 - one user

        from services.settlement import tables  # noqa: PLC0415 - one user

        query = select(tables.breaks.c.type).where(~tables.breaks.c.is_cleared)
        return sorted(await self.database.read(lambda c: list(c.execute(query).scalars())))

    @property
    def mirror(self) -> int:
        return self.journal.balances[accounts_of(BANK, "CZK").mirror]

    @property
    def in_transit_out(self) -> int:
        return self.journal.balances[accounts_of(BANK, "CZK").in_transit_out]


@asynccontextmanager
async def world(path: Path, *manners: str) -> AsyncIterator[World]:
    """A running service with one bank as a partner."""
    ours, theirs = signer(path / "ours.pem", 1), signer(path / "bank.pem", 2)
    store = MemoryStore()
    database = Database.open(f"sqlite:///{path}/rows.sqlite")
    made = World(
        store,
        MemoryBus(),
        database,
        FakeJournal(store),
        FakeBank(BANK, theirs, ours.public_key, list(manners)),
        ours,
    )
    await made.start()
    try:
        await made.register()
        yield made
    finally:
        await made.stop()
        database.close()
