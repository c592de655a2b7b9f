"""The payments service, put together."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TypeAlias

from libs.bus import Bus
from libs.client.accounts import AccountsClient
from libs.clock import Clock, system_clock
from libs.event_store import EventStore
from libs.grpc_client import open_channel
from libs.grpc_server import serve
from libs.inbox import Inbox
from libs.operations import OPERATIONS_POLICY, OperationsServicer
from libs.process import ProcessDriver, Recorded, Together
from libs.projection import Behind, Projection
from libs.read_model import Database
from libs.relay import Relay
from libs.service import foundation, run
from services.payments import limits_rows, projections
from services.payments.api import POLICY, PaymentsApi
from services.payments.api_limits import POLICY as LIMITS_POLICY
from services.payments.api_limits import LimitsApi
from services.payments.clients import Accounts, GrpcAccounts, GrpcSettlement, Settlement
from services.payments.codec import NOT_PUBLIC, codec
from services.payments.domain.lifecycle import Event, Payment
from services.payments.domain.limits import limits
from services.payments.domain.payment import Command, Step, next_step, payment
from services.payments.limiting import Limiting, LimitStreams
from services.payments.limits_codec import codec as limits_codec
from services.payments.limits_snapshots import LimitsSnapshots
from services.payments.reactions import Hearing, PaymentStreams, Steps
from services.payments.settings import PaymentsSettings

Driver: TypeAlias = ProcessDriver[Command, Payment, Event, Step]

# What settlement tells payments of.
HEARD = ("settlement-", "bank_transfer-")
# How long the watchdog waits for the rows it looks at to be as new as the store.
ROWS_WITHIN_S = 10.0
# Messages that follow one another leave so long apart: each costs its listeners as much as many.
GATHER_S = 0.2


@dataclass(frozen=True, slots=True)
class Peers:
    """The services that payments call."""

    accounts: Accounts
    settlement: Settlement


@dataclass(frozen=True, slots=True)
class Payments:
    """All parts, at rest until they run."""

    streams: PaymentStreams
    database: Database
    api: PaymentsApi
    driver: Driver
    projection: Projection
    inbox: Inbox
    relay: Relay
    operations: OperationsServicer
    limiting: Limiting
    limits_api: LimitsApi

    async def prepare(self) -> None:
        """The tables, made anew where their version is another."""
        await self.projection.prepare()
        await self.limiting.projection.prepare()

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            limits = (self.limiting.projection, self.limiting)
            for part in (self.projection, self.inbox, self.relay, self.driver, *limits):
                group.create_task(part.run())


def build(  # noqa: PLR0913 - all that it stands on
    store: EventStore,
    bus: Bus,
    database: Database,
    peers: Peers,
    *,
    clock: Clock = system_clock,
    steps_at_once: int = 512,
    watch_every_s: float = 2.0,
) -> Payments:
    streams: PaymentStreams = PaymentStreams(store, "payment", payment, codec)

    async def perform(id_: str, state: Payment, step: Step) -> Recorded[Command] | None:
        return await steps.perform(id_, state, step)

    def is_plain(state: Payment, step: Step) -> bool:
        return steps.is_plain(state, step)

    async def perform_each(
        many: Sequence[tuple[str, Payment, Step]],
    ) -> Sequence[Recorded[Command] | Exception | None]:
        return await steps.perform_each(many)

    async def open_ids() -> Sequence[str]:
        # Rows that are behind name payments that have long moved on: looking at those is in vain.
        with suppress(Behind):
            await projection.wait_for(await store.head(), ROWS_WITHIN_S)
        return await database.read(projections.open_ids)

    projection = Projection(projections.model, database, store)
    driver: Driver = ProcessDriver(
        streams,
        next_step,
        perform,
        open_ids,
        together=Together(is_plain, perform_each),
        concurrency=steps_at_once,
        watch_every_s=watch_every_s,
    )

    async def payment_of(payment_id: str) -> Payment:
        return (await streams.load(payment_id)).state

    snapshots = LimitsSnapshots(store)
    limiting = Limiting(
        LimitStreams(store, "limit", limits, limits_codec, origin_of=snapshots.origin_of),
        database,
        Projection(limits_rows.model, database, store),
        clock,
        peers.accounts.business_date,
        payment_of,
        snapshots,
        watch_every_s,
    )
    # The driver performs steps, and a step may wake another payment: the knot is tied here.
    steps = Steps(streams, peers.accounts, peers.settlement, clock, driver.wake, limiting)
    inbox = Inbox(
        "payments",
        "settlement",
        HEARD,
        store=store,
        bus=bus,
        database=database,
        react=Hearing(streams, driver.wake).react,
    )
    api = PaymentsApi(streams, projection, database, store, driver.wake, clock)
    prefixes = (projections.PREFIX,)
    relay = Relay("payments", prefixes, store, bus, kept_in=NOT_PUBLIC, gather_s=GATHER_S)
    operations = OperationsServicer(
        "payments", [projection, limiting.projection], [relay, inbox], database, store
    )
    return Payments(
        streams,
        database,
        api,
        driver,
        projection,
        inbox,
        relay,
        operations,
        limiting,
        LimitsApi(limiting, clock),
    )


async def main(settings: PaymentsSettings) -> None:
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(foundation(settings))
        to_accounts, to_settlement = [
            await stack.enter_async_context(open_channel(address, on.identity_dir))
            for address in (settings.accounts, settings.settlement)
        ]
        accounts, settlement = AccountsClient(to_accounts), GrpcSettlement(to_settlement)
        stack.push_async_callback(accounts.close)
        stack.push_async_callback(settlement.close)
        parts = build(
            on.store,
            on.bus,
            on.database,
            Peers(GrpcAccounts(accounts), settlement),
            steps_at_once=settings.steps_at_once,
            watch_every_s=settings.watch_every_s,
        )
        await parts.prepare()
        serving = serve(
            settings.port,
            [parts.api.binding(), parts.limits_api.binding(), parts.operations.binding()],
            {**POLICY, **LIMITS_POLICY, **OPERATIONS_POLICY},
            on.identity_dir,
            verifier=on.verifier,
            host=settings.host,
        )
        # The server is the inner one: it drains while the read model still moves.
        async with asyncio.TaskGroup() as tasks, serving:
            tasks.create_task(parts.run())
            await asyncio.get_running_loop().create_future()  # until we are told to stop


if __name__ == "__main__":
    run(main, PaymentsSettings)
