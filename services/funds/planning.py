"""Regular plans on their schedule: each due date one order, whose money decides its fate."""

import asyncio
from dataclasses import dataclass
from datetime import date
from typing import Final

import structlog

from libs.clock import Clock
from libs.decider import Cause, Rejected
from libs.process import Recorded
from libs.projection import Projection
from libs.read_model import Database
from libs.trading_calendar import CalendarUnknown
from services.funds import days, queries
from services.funds.aggregates import Aggregates
from services.funds.batching import side_by_side
from services.funds.domain import fund as funds
from services.funds.domain import order_lifecycle as life
from services.funds.domain import plan as plans
from services.funds.domain.order_lifecycle import Stage
from services.funds.placing import Placing

_ACTOR: Final = "funds"
# How often plans are looked at where the clock is real, in seconds.
LOOK_EVERY_S: Final = 60.0
# The stages before it is known whether the money is there.
_UNKNOWN: Final = frozenset({Stage.DRAFT, Stage.SUITABILITY_PASSED})
# An instalment's money is there in a moment, or its plan is left to the watchdog.
LOOKS_MAX: Final = 500
_LOOK_S: Final = 0.02

logger = structlog.get_logger()


@dataclass
class Ran:
    """What came of a look at all plans."""

    issued: int = 0
    skipped: int = 0
    suspended: int = 0


@dataclass(frozen=True, slots=True)
class Planning:
    """Issues what is due; done again it buys nothing twice."""

    aggregates: Aggregates
    placing: Placing
    database: Database
    projection: Projection
    clock: Clock
    is_simulated: bool

    async def run(self) -> None:
        """For ever, where the clock is real; a simulated one is moved by who runs the plans."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if not self.is_simulated:
                await self.run_due(days.utc_day(self.clock()))

    async def run_due(self, to_date: date) -> Ran:
        """Every instalment due up to and on a day. Raises where the store is not there."""
        ran = Ran()
        ids = await self.database.read(queries.active_plans)

        async def one(plan_id: str) -> None:
            await self._run_plan(plan_id, to_date, ran)

        await side_by_side(ids, one)
        return ran

    async def perform(
        self, plan_id: str, state: plans.Plan, step: plans.Step
    ) -> Recorded[plans.Command] | None:
        """Place an instalment's order, and learn whether its money is there; None: not yet."""
        if isinstance(state, plans.Absent):
            raise AssertionError("what is not there has no steps")  # noqa: TRY004 - a bug of ours
        command = await self._place(state, step)
        if command is None:
            return None
        cause = Cause(f"{plan_id}/{step.due_date}", correlation_id=step.order_id, actor=_ACTOR)
        return Recorded(command, cause)

    async def _run_plan(self, plan_id: str, to_date: date, ran: Ran) -> None:
        while True:
            state = (await self.aggregates.plans.load(plan_id)).state
            if isinstance(state, plans.Absent) or state.stage is not plans.Stage.ACTIVE:
                return
            due = await self._due(state, to_date)
            if due is None:
                return
            issue = plans.Issue(due, due.session)
            cause = Cause(f"{plan_id}/issue/{due.due_date}", actor=_ACTOR)
            try:
                issued = (await self.aggregates.plans.transact(plan_id, issue, cause)).state
            except Rejected:
                return  # suspended or stopped meanwhile
            await self._see_through(plan_id, issued, ran)

    async def _see_through(self, plan_id: str, state: plans.Plan, ran: Ran) -> None:
        step = plans.next_step(state)
        if step is None:
            return
        done = await self.perform(plan_id, state, step)
        for _ in range(LOOKS_MAX):
            if done is not None:
                break
            await asyncio.sleep(_LOOK_S)
            done = await self.perform(plan_id, state, step)
        if done is None:
            return  # the watchdog looks again
        after = await self.aggregates.plans.transact(plan_id, done.command, done.cause)
        # The watchdog may have recorded it first: what came of it is the same.
        ran.issued += isinstance(done.command, plans.RecordPlaced)
        ran.skipped += isinstance(done.command, plans.RecordFailed)
        if isinstance(after.state, plans.Begun):
            ran.suspended += after.state.stage is plans.Stage.SUSPENDED

    async def _due(self, plan: plans.Begun, to_date: date) -> plans.Due | None:
        fund = (await self.aggregates.funds.load(plan.terms.fund_code)).state
        if isinstance(fund, funds.Absent):
            return None
        calendars = days.calendars_of(fund.terms)
        try:
            due = plans.next_due(plan.terms, plan.done_until, calendars)
        except CalendarUnknown as error:
            logger.warning("plan_waits_for_calendar", plan_id=plan.plan_id, reason=str(error))
            return None
        today = min(to_date, days.today_of(fund.terms.dealing, self.clock()))
        return due if due is not None and due.session <= today else None

    async def _place(self, plan: plans.Begun, step: plans.Step) -> plans.Command | None:
        terms = plans.order_of(plan.terms, plan.plan_id, step.due_date)
        try:
            done = await self.placing.place(step.order_id, terms, f"plan:{plan.plan_id}")
        except Rejected as rejected:
            return plans.RecordFailed(step.due_date, rejected.reason.name)
        state = done.state
        if isinstance(state, life.Absent) or state.stage in _UNKNOWN:
            return None
        if state.refusal is not None:
            return plans.RecordFailed(step.due_date, state.refusal.reason)
        return plans.RecordPlaced(step.due_date)
