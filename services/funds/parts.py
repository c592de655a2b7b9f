"""All parts of the service, tied together once: what is appended wakes whoever waits for it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from libs.bus import Bus
from libs.clock import Clock, system_clock
from libs.event_store import EventStore
from libs.inbox import Inbox
from libs.process import ProcessDriver
from libs.projection import Behind, Projection
from libs.read_model import Database
from libs.relay import Relay
from services.funds import day_steps, hearing, projections, queries
from services.funds.advancing import Advancing
from services.funds.aggregates import Aggregates
from services.funds.amending import Amending
from services.funds.api.calendars import CalendarDesk
from services.funds.api.days import Days
from services.funds.api.desk import FundDayApi
from services.funds.api.link import RegistrarLinkApi
from services.funds.api.messages import Reads
from services.funds.api.wallet import FundsApi
from services.funds.applying import Applying
from services.funds.balancing import Balancing
from services.funds.batching import Batching
from services.funds.booking_desk import BookingDesk
from services.funds.breaking import Breaking
from services.funds.calendar_watch import CalendarWatch
from services.funds.calendars import Calendars
from services.funds.cash_desk import CashDesk
from services.funds.clients.accounts import Accounts
from services.funds.clients.payments import Payments
from services.funds.clients.registrar import RegistrarLink
from services.funds.day_steps import DaySteps
from services.funds.domain import advance, breaks, order, order_lifecycle, order_steps, plan, ta_day
from services.funds.domain import fund as funds
from services.funds.expecting import Expecting
from services.funds.file_room import FileRoom
from services.funds.fund_clock import FundClock
from services.funds.fund_day import FundDays
from services.funds.hearing import Awaited
from services.funds.intake import Intake
from services.funds.lateness import Lateness
from services.funds.opening import Opening
from services.funds.ordering import Ordering
from services.funds.placing import Placing
from services.funds.planning import Planning
from services.funds.repairing import Repairing
from services.funds.repaying import Repaying
from services.funds.sharing import Sharing
from services.funds.tying_out import TyingOut

OrderDriver: TypeAlias = ProcessDriver[
    order.Command, order_lifecycle.Order, order_lifecycle.Event, order_steps.Step
]
DayDriver: TypeAlias = ProcessDriver[ta_day.Command, ta_day.TaDay, ta_day.Event, day_steps.Step]
RepairDriver: TypeAlias = ProcessDriver[breaks.Command, breaks.Break, breaks.Event, breaks.Action]
PlanDriver: TypeAlias = ProcessDriver[plan.Command, plan.Plan, plan.Event, plan.Step]
AdvanceDriver: TypeAlias = ProcessDriver[
    advance.Command, advance.Advance, advance.Event, advance.Action
]
FEW_AT_ONCE = 32
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
    # Our code in registrars' files.
    distributor: str = "HEFU"
    is_simulated: bool = False
    real_clock: Clock = system_clock


@dataclass(frozen=True, slots=True)
class Parts:
    """All parts, at rest until they run."""

    aggregates: Aggregates
    database: Database
    api: FundsApi
    desk_api: FundDayApi
    link_api: RegistrarLinkApi
    placing: Placing
    planning: Planning
    intake: Intake
    fund_days: FundDays
    tying_out: TyingOut
    calendars: Calendars
    orders: OrderDriver
    ta_days: DayDriver
    projection: Projection
    relay: Relay
    inbox: Inbox
    clock: FundClock
    runners: tuple[Callable[[], Awaitable[None]], ...]

    async def prepare(self) -> None:
        """Find the clock, and make the tables that queries need."""
        await self.clock.wake()
        await self.calendars.wake()
        await self.projection.prepare()
        for code in await self.database.read(queries.fund_codes):
            fund = (await self.aggregates.funds.load(code)).state
            if isinstance(fund, funds.Listed):
                await self.calendars.learn(fund.terms.dealing.calendars)

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
    aggregates, database = Aggregates.over(on.store), on.database
    # Rows give way while a file is booked, unless somebody waits for them.
    projection = Projection(projections.OWN, database, on.store, is_busy=lambda: desk.is_busy)
    reads = Reads(projection, database, on.store)
    watched = _Watched(projection, on.store, database)
    wakes = _Wakes(database)
    fund_days = FundDays(aggregates, database, projection, on.store, clock, wakes.day)
    file_room = FileRoom(aggregates)
    breaking = Breaking(aggregates, clock)
    expecting = Expecting(aggregates)
    opening = Opening(
        aggregates, breaking, database, on.store, projection, on.distributor, wakes.order
    )
    cash = CashDesk(on.accounts, on.payments, fund_days, clock)
    placing = Placing(aggregates, on.accounts, clock, on.real_clock, wakes.order)
    ordering = Ordering(
        aggregates,
        on.accounts,
        expecting,
        fund_days,
        opening,
        clock,
        Repaying(aggregates, breaking, clock, wakes.advance),
        Amending(aggregates, cash, wakes.day),
        placing,
        breaking,
        wakes.order,
    )
    batching = Batching(
        aggregates,
        file_room,
        on.link,
        breaking,
        opening,
        database,
        on.store,
        projection,
        on.distributor,
    )
    desk = BookingDesk(aggregates, expecting, breaking, database, clock, wakes.order)
    sharing = Sharing(aggregates, database)
    applying = Applying(
        aggregates,
        file_room,
        desk,
        Balancing(aggregates, file_room, breaking, database, on.distributor),
        sharing,
        breaking,
        database,
        on.store,
        projection,
        on.distributor,
    )
    awaited = Awaited()
    lateness = Lateness(aggregates, fund_days, breaking, file_room, database, clock, watch_every_s)
    steps = DaySteps(
        aggregates,
        batching,
        applying,
        cash,
        breaking,
        lateness,
        database,
        awaited,
        wakes.order,
        wakes.day,
    )
    repairing = Repairing(
        aggregates,
        file_room,
        sharing,
        on.distributor,
        wakes.order,
        on.accounts,
        wakes.advance,
    )
    orders: OrderDriver = ProcessDriver(
        aggregates.orders,
        order_steps.next_step,
        ordering.perform,
        watched.open_orders,
        concurrency=steps_at_once,
        watch_every_s=watch_every_s,
    )
    ta_days: DayDriver = ProcessDriver(
        aggregates.ta_days,
        day_steps.next_step,
        steps.perform,
        lambda: database.read(queries.open_days),
        concurrency=FEW_AT_ONCE,
        watch_every_s=watch_every_s,
    )
    repairs: RepairDriver = ProcessDriver(
        aggregates.breaks,
        breaks.next_step,
        repairing.perform,
        lambda: database.read(queries.open_breaks),
        concurrency=FEW_AT_ONCE,
        watch_every_s=watch_every_s,
    )
    advancing = Advancing(
        aggregates,
        on.accounts,
        on.payments,
        awaited,
        wakes.advance,
        wakes.order,
        breaking,
    )
    advance_driver: AdvanceDriver = ProcessDriver(
        aggregates.advances,
        advance.next_step,
        advancing.perform,
        lambda: database.read(queries.open_advances),
        concurrency=FEW_AT_ONCE,
        watch_every_s=watch_every_s,
    )
    wakes.order_driver, wakes.day_driver, wakes.advance_driver = orders, ta_days, advance_driver
    planning = Planning(aggregates, placing, database, projection, clock, on.is_simulated)
    plan_driver: PlanDriver = ProcessDriver(
        aggregates.plans,
        plan.next_step,
        planning.perform,
        lambda: database.read(queries.busy_plans),
        concurrency=FEW_AT_ONCE,
        watch_every_s=watch_every_s,
    )
    intake = Intake(aggregates, file_room, fund_days, breaking, opening, wakes.day)
    tying_out = TyingOut(aggregates, applying.balancing, database, on.payments)
    day_desk = Days(aggregates, fund_days, on.accounts, tying_out, reads)
    calendars = Calendars(aggregates)
    desk_api = FundDayApi(
        aggregates,
        on.accounts,
        reads,
        day_desk,
        CalendarDesk(calendars, clock),
        planning,
        clock,
        wakes.clock_moved,
    )
    link_api = RegistrarLinkApi(aggregates, intake, on.distributor)
    relay = Relay("funds", TOLD, on.store, on.bus)
    inbox = Inbox(
        "funds",
        "payments",
        (hearing.PREFIX,),
        store=on.store,
        bus=on.bus,
        database=database,
        react=awaited.react,
        concerns=awaited.concerns,
    )
    runners = (
        projection.run,
        relay.run,
        inbox.run,
        orders.run,
        ta_days.run,
        repairs.run,
        plan_driver.run,
        advance_driver.run,
        planning.run,
        lateness.run,
        CalendarWatch(aggregates, database, breaking, calendars, clock).run,
    )
    return Parts(
        aggregates,
        database,
        FundsApi(aggregates, placing, reads, clock),
        desk_api,
        link_api,
        placing,
        planning,
        intake,
        fund_days,
        tying_out,
        calendars,
        orders,
        ta_days,
        projection,
        relay,
        inbox,
        clock,
        runners,
    )


class _Wakes:
    """Who is woken is made after those who wake: the knot is tied here."""

    order_driver: OrderDriver
    day_driver: DayDriver
    advance_driver: AdvanceDriver

    def __init__(self, database: Database) -> None:
        self._database = database

    def order(self, order_id: str) -> None:
        """Look at an order soon."""
        self.order_driver.wake(order_id)

    def day(self, id_: str) -> None:
        """Look at a day soon."""
        self.day_driver.wake(id_)

    def advance(self, advance_id: str) -> None:
        """Look at an advance soon."""
        self.advance_driver.wake(advance_id)

    async def clock_moved(self) -> None:
        """Look at whatever may have waited for the time."""
        for id_ in await self._database.read(queries.open_days):
            self.day_driver.wake(id_)
        for order_id in await self._database.read(queries.busy_orders):
            self.order_driver.wake(order_id)


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
