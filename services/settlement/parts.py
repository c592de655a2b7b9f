"""All parts of the service, tied together once: what is appended wakes whoever waits for it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from libs.bus import Bus
from libs.clock import Clock
from libs.decider import Streams
from libs.event_store import EventStore, NewEvent
from libs.inbox import Inbox
from libs.process import ProcessDriver, Recorded
from libs.projection import Projection
from libs.read_model import Database
from libs.relay import Relay
from libs.signing import Signer
from services.settlement import projections, queries
from services.settlement.aggregates import Aggregates
from services.settlement.api.link import BankLinkApi
from services.settlement.api.service import SettlementApi, Wakes
from services.settlement.clients.accounts import Accounts
from services.settlement.clients.bank_link import BankLink
from services.settlement.codec.heard import may_hold_movements
from services.settlement.correspondence import Correspondence
from services.settlement.cutting_off import CuttingOff, Opening
from services.settlement.domain import bank_transfer, cut_off, partner, settlement
from services.settlement.domain.settlement import Stage
from services.settlement.halves import Halves
from services.settlement.high_water import NotedStore, OwnRows
from services.settlement.reactions import Mirroring
from services.settlement.sending import Sending
from services.settlement.settling import Settling, Tools
from services.settlement.statement_desk import StatementDesk

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")
P = TypeVar("P")

TransferDriver: TypeAlias = ProcessDriver[
    bank_transfer.Command, bank_transfer.Transfer, bank_transfer.Event, bank_transfer.Step
]
SettlementDriver: TypeAlias = ProcessDriver[
    settlement.Command, settlement.Settlement, settlement.Event, settlement.Step
]
# What others are told of over the bus.
TOLD = ("settlement-", "bank_transfer-")
FEW_AT_ONCE = 64
# A timer may be early by this much.
TIMER_MARGIN_S = 0.01


@dataclass(frozen=True, slots=True)
class Outside:
    """What the service stands on."""

    store: EventStore
    bus: Bus
    database: Database
    accounts: Accounts
    link: BankLink
    signer: Signer
    clock: Clock


@dataclass(frozen=True, slots=True)
class Parts:
    """All parts, at rest until they run."""

    api: SettlementApi
    link_api: BankLinkApi
    projections: tuple[Projection, ...]
    inbox: Inbox
    relay: Relay
    transfers: TransferDriver
    settlements: SettlementDriver
    runners: tuple[Callable[[], Awaitable[None]], ...]
    sending: Sending
    aggregates: Aggregates
    rows: OwnRows

    async def prepare(self) -> None:
        """Make the tables that queries need."""
        for projection in self.projections:
            await projection.prepare()

    async def run(self) -> None:
        """For ever."""
        try:
            async with asyncio.TaskGroup() as group:
                for runner in self.runners:
                    group.create_task(_run(runner))
        finally:
            await self.sending.close()


async def _run(runner: Callable[[], Awaitable[None]]) -> None:
    await runner()


def build(on: Outside, *, transfers_at_once: int = 2_048, watch_every_s: float = 2.0) -> Parts:
    """Tie all parts together."""
    store = NotedStore(on.store)
    database, clock = on.database, on.clock
    aggregates = Aggregates.over(store)
    own = Projection(projections.OWN, database, store)
    movements = Projection(projections.MOVEMENTS, database, store, bus=on.bus)
    payees = Projection(projections.PAYOUT_DETAILS, database, store, bus=on.bus)
    rows = OwnRows(own, store)
    correspondence = Correspondence(aggregates, on.signer, database, rows)
    halves = Halves(database)
    sending = Sending(aggregates, correspondence, on.link, on.accounts, clock)
    settling = Settling(
        Tools(aggregates, on.accounts, on.link, on.signer, database, rows, halves, clock)
    )
    known = _Capabilities(aggregates, clock)
    watched = _Watched(database, watch_every_s)
    transfers: TransferDriver = ProcessDriver(
        aggregates.transfers,
        known.next_step,
        known.before(sending.perform),
        lambda: database.read(queries.open_transfers),
        concurrency=transfers_at_once,
        watch_every_s=watch_every_s,
    )
    settlements: SettlementDriver = watched.driver(
        aggregates.settlements, settlement.next_step, settling.perform, queries.open_settlements
    )
    cutting = CuttingOff(aggregates, on.accounts, database, rows)
    cut_offs = watched.driver(
        aggregates.cut_offs, cut_off.next_step, cutting.perform, queries.open_cut_offs
    )
    partners = watched.driver(
        aggregates.partners,
        partner.next_step,
        Opening(on.accounts).perform,
        queries.unopened_partners,
    )
    desk = StatementDesk(
        aggregates,
        correspondence,
        sending,
        on.link,
        on.accounts,
        database,
        rows,
        clock,
        transfers.wake,
    )
    waking = _Waking(aggregates, transfers, settlements, settling, known, database, clock)
    store.listeners.append(waking.hear)
    inbox = Inbox(
        "settlement",
        "accounts",
        ("journal-",),
        store=store,
        bus=on.bus,
        database=database,
        react=Mirroring(aggregates, on.accounts, waking.wake_bank).react,
        concerns=may_hold_movements,
    )
    relay = Relay("settlement", TOLD, store, on.bus)
    api = SettlementApi(
        aggregates,
        on.accounts,
        database,
        store,
        rows,
        settling.waits,
        Wakes(partners.wake, cut_offs.wake),
    )
    link_api = BankLinkApi(aggregates, correspondence, sending, desk, halves, database, rows, clock)
    followed = (own, movements, payees)
    runners = (
        *(projection.run for projection in followed),
        inbox.run,
        relay.run,
        known.starting(own, database, transfers.run),
        settlements.run,
        cut_offs.run,
        partners.run,
        desk.run,
    )
    return Parts(
        api,
        link_api,
        followed,
        inbox,
        relay,
        transfers,
        settlements,
        runners,
        sending,
        aggregates,
        rows,
    )


@dataclass(frozen=True, slots=True)
class _Watched:
    database: Database
    watch_every_s: float

    def driver(
        self,
        streams: Streams[C, S, E],
        next_step: Callable[[S], P | None],
        perform: Callable[[str, S, P], Awaitable[Recorded[C] | None]],
        open_ids: Callable[..., list[str]],
    ) -> ProcessDriver[C, S, E, P]:
        """A driver for few processes, watched through a query."""
        return ProcessDriver(
            streams,
            next_step,
            perform,
            lambda: self.database.read(open_ids),
            concurrency=FEW_AT_ONCE,
            watch_every_s=self.watch_every_s,
        )


class _Capabilities:
    """What banks can do, kept at hand: the next step depends on it and on the time."""

    def __init__(self, aggregates: Aggregates, clock: Clock) -> None:
        self._aggregates = aggregates
        self._clock = clock
        self._known: dict[str, partner.Capability] = {}

    def next_step(self, transfer: bank_transfer.Transfer) -> bank_transfer.Step | None:
        """By the bank's capability; the most cautious one until it is known."""
        return bank_transfer.next_step(transfer, self.of(transfer), self._clock() // 1_000)

    def of(self, transfer: bank_transfer.Transfer) -> partner.Capability:
        """The capability of the transfer's bank."""
        if isinstance(transfer, bank_transfer.Absent):
            return partner.Capability()
        return self._known.get(transfer.terms.bank_id, partner.Capability())

    async def learn(self, bank_id: str) -> None:
        """Keep a bank's capability at hand."""
        if bank_id not in self._known:
            state = (await self._aggregates.partners.load(bank_id)).state
            if not isinstance(state, partner.Absent):
                self._known[bank_id] = state.terms.capability

    def before(
        self,
        perform: Callable[
            [str, bank_transfer.Transfer, bank_transfer.Step],
            Awaitable[Recorded[bank_transfer.Command] | None],
        ],
    ) -> Callable[
        [str, bank_transfer.Transfer, bank_transfer.Step],
        Awaitable[Recorded[bank_transfer.Command] | None],
    ]:
        """Learn the bank before a step is done."""

        async def learned(
            id_: str, state: bank_transfer.Transfer, step: bank_transfer.Step
        ) -> Recorded[bank_transfer.Command] | None:
            if isinstance(state, bank_transfer.Live):
                await self.learn(state.terms.bank_id)
            return await perform(id_, state, step)

        return learned

    def starting(
        self, own: Projection, database: Database, run: Callable[[], Awaitable[None]]
    ) -> Callable[[], Awaitable[None]]:
        """Learn every bank before the first look at any transfer."""

        async def started() -> None:
            await own.prepare()
            for bank_id in await database.read(queries.bank_ids):
                await self.learn(bank_id)
            await run()

        return started


class _Waking:
    """Hears what we append and wakes whoever waits for it; the watchdog makes up for a lost one."""

    def __init__(  # noqa: PLR0913, PLR0917 - who is woken, and by what
        self,
        aggregates: Aggregates,
        transfers: TransferDriver,
        settlements: SettlementDriver,
        settling: Settling,
        known: _Capabilities,
        database: Database,
        clock: Clock,
    ) -> None:
        self._aggregates = aggregates
        self._transfers = transfers
        self._settlements = settlements
        self._settling = settling
        self._known = known
        self._database = database
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, stream: str, events: Sequence[NewEvent]) -> None:
        """One append of ours."""
        category, _, id_ = stream.partition("-")
        names = {event.type.rpartition(".")[2] for event in events}
        if category == "bank_transfer":
            self._of_transfer(id_, names)
        elif category == "settlement":
            if names & {"SettlementDrafted", "SettlementAgreed"}:
                self._settlements.wake(id_)
            if "SettlementInstructed" in names:
                self._start(self._instructed(id_))
        elif category == "statement" and "StatementLinesMatched" in names:
            self.wake_bank(id_.rpartition("-")[0])

    def _of_transfer(self, transfer_id: str, names: set[str]) -> None:
        if "BankTransferIntended" in names:
            self._transfers.wake(transfer_id)
        if names & {"BankTransferItemsDecided", "BankTransferItemsBooked"}:
            self._transfers.wake(transfer_id)
            owner = self._settling.owners.get(transfer_id)
            if owner is not None:
                self._settlements.wake(owner)
        timed = {"BankTransferDoubted", "BankTransferNotSent", "BankTransferInquirySent"}
        if names & timed:
            self._start(self._when_due(transfer_id))

    async def _when_due(self, transfer_id: str) -> None:
        state = (await self._aggregates.transfers.load(transfer_id)).state
        due_ms = bank_transfer.due_ms(state, self._known.of(state))
        if due_ms is not None:
            wait_s = max(0.0, (due_ms * 1_000 - self._clock()) / 1e6) + TIMER_MARGIN_S
            asyncio.get_running_loop().call_later(wait_s, self._transfers.wake, transfer_id)

    async def _instructed(self, settlement_id: str) -> None:
        state = (await self._aggregates.settlements.load(settlement_id)).state
        if isinstance(state, settlement.Live):
            for transfer_id in state.transfer_ids:
                self._settling.owners[transfer_id] = settlement_id
                self._transfers.wake(transfer_id)

    def wake_bank(self, bank_id: str) -> None:
        """Look at the bank's settlements that wait for a statement to agree."""
        self._start(self._wake_bank(bank_id))

    async def _wake_bank(self, bank_id: str) -> None:
        ids = await self._database.read(
            lambda c: queries.settlements_in_stage(c, bank_id, Stage.CONFIRMED)
        )
        for settlement_id in ids:
            self._settlements.wake(settlement_id)

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the watchdog makes up for a wake that failed
