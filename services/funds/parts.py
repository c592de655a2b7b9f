"""All parts of the service, tied together once: what is appended wakes whoever waits for it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from libs.bus import Bus
from libs.clock import Clock, system_clock
from libs.event_store import EventStore
from libs.process import ProcessDriver, Recorded
from libs.projection import Behind, Projection
from libs.read_model import Database
from libs.relay import Relay
from services.funds import projections, queries
from services.funds.aggregates import Aggregates
from services.funds.api.desk import FundDayApi
from services.funds.api.wallet import FundsApi, Reads
from services.funds.clients.accounts import Accounts
from services.funds.clients.payments import Payments
from services.funds.clients.registrar import RegistrarLink
from services.funds.domain import order, order_lifecycle
from services.funds.expecting import Expecting
from services.funds.fund_clock import FundClock
from services.funds.ordering import Ordering
from services.funds.placing import Placing

OrderDriver: TypeAlias = ProcessDriver[
    order.Command, order_lifecycle.Order, order_lifecycle.Event, order.Step
]
# What others are told of over the bus.
TOLD = ("fund-", "fund_order-", "holding-", "plan-")
# How long the watchdog waits for the rows it looks at to be as new as the store.
ROWS_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Outside:
    """What the service stands on."""

    store: EventStore
    bus: Bus
    database: Database
    accounts: Accounts
    payments: Payments
    link: RegistrarLink
    is_simulated: bool = False
    real_clock: Clock = system_clock


@dataclass(frozen=True, slots=True)
class Parts:
    """All parts, at rest until they run."""

    aggregates: Aggregates
    api: FundsApi
    desk_api: FundDayApi
    orders: OrderDriver
    projection: Projection
    relay: Relay
    clock: FundClock
    runners: tuple[Callable[[], Awaitable[None]], ...]

    async def prepare(self) -> None:
        """Find the clock, and make the tables that queries need."""
        await self.clock.wake()
        await self.projection.prepare()

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            for runner in self.runners:
                group.create_task(_run(runner))


async def _run(runner: Callable[[], Awaitable[None]]) -> None:
    await runner()


def build(on: Outside, *, steps_at_once: int = 512, watch_every_s: float = 2.0) -> Parts:
    """Tie all parts together."""
    clock = FundClock(on.store, is_simulated=on.is_simulated, real=on.real_clock)
    aggregates = Aggregates.over(on.store)
    projection = Projection(projections.OWN, on.database, on.store)
    reads = Reads(projection, on.database, on.store)
    expecting = Expecting(aggregates)
    ordering = Ordering(aggregates, on.accounts, expecting, clock)
    watched = _Watched(projection, on.store, on.database)

    async def perform(
        id_: str, state: order_lifecycle.Order, step: order.Step
    ) -> Recorded[order.Command] | None:
        return await ordering.perform(id_, state, step)

    orders: OrderDriver = ProcessDriver(
        aggregates.orders,
        order.next_step,
        perform,
        watched.open_orders,
        concurrency=steps_at_once,
        watch_every_s=watch_every_s,
    )
    placing = Placing(aggregates, on.accounts, clock, orders.wake)
    api = FundsApi(aggregates, placing, reads, clock)
    desk_api = FundDayApi(aggregates, on.accounts, reads, clock)
    relay = Relay("funds", TOLD, on.store, on.bus)
    runners = (projection.run, relay.run, orders.run)
    return Parts(aggregates, api, desk_api, orders, projection, relay, clock, runners)


class _Watched:
    """Which orders the watchdog looks at: after a start all that have not ended, then the busy."""

    def __init__(self, projection: Projection, store: EventStore, database: Database) -> None:
        self._projection = projection
        self._store = store
        self._database = database
        self._is_first = True

    async def open_orders(self) -> Sequence[str]:
        """Ids of orders that may have a step to do."""
        # Rows that are behind name orders that have long moved on: looking at those is in vain.
        with suppress(Behind):
            await self._projection.wait_for(await self._store.head(), ROWS_WITHIN_S)
        if self._is_first:
            found = await self._database.read(queries.unended_orders)
            self._is_first = False
            return found
        return await self._database.read(queries.busy_orders)
