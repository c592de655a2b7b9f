"""Regular plans as wallet back ends see them."""

from dataclasses import dataclass, replace
from typing import TypeAlias

from hefu.funds.v1 import events_pb2 as events_pb
from hefu.funds.v1 import funds_pb2 as pb
from libs.auth import current_caller
from libs.clock import Clock
from libs.decider import Cause, Rejected, Transacted
from libs.trading_calendar import CalendarUnknown
from services.funds import days, queries
from services.funds.aggregates import Aggregates
from services.funds.api.messages import PAGE_SIZE, Reads, from_wire, position_of, to_wire
from services.funds.domain import fund as funds
from services.funds.domain import plan as plans

Done: TypeAlias = Transacted[plans.Plan, plans.Event]


@dataclass(frozen=True, slots=True)
class Plans:
    """Message to command to reply."""

    aggregates: Aggregates
    reads: Reads
    clock: Clock

    async def create(self, request: pb.CreatePlanRequest) -> pb.CreatePlanResponse:
        terms, caller = _terms(request.terms), current_caller().name
        setting = await self._setting(terms)
        command = plans.Create(request.plan_id, terms, caller, self.clock(), setting)
        done = await self._transact(request.plan_id, command, "CREATE")
        return pb.CreatePlanResponse(
            plan=await self._shown(done.state),
            position=done.position,
            is_replayed=not done.events,
        )

    async def change(self, request: pb.ChangePlanRequest) -> pb.ChangePlanResponse:
        terms = _terms(request.terms)
        command = plans.Change(
            request.request_id, terms, current_caller().name, await self._setting(terms)
        )
        done = await self._transact(request.plan_id, command, request.request_id)
        return pb.ChangePlanResponse(plan=await self._shown(done.state), position=done.position)

    async def suspend(self, request: pb.SuspendPlanRequest) -> pb.SuspendPlanResponse:
        caller = current_caller()
        known = (await self.aggregates.plans.load(request.plan_id)).state
        name = caller.name
        if caller.role == "operator" and isinstance(known, plans.Begun):
            name = known.caller  # an operator may pause anybody's plan
        command = plans.Suspend(request.request_id, name, f"asked by {caller.role}")
        done = await self._transact(request.plan_id, command, request.request_id)
        return pb.SuspendPlanResponse(plan=await self._shown(done.state), position=done.position)

    async def resume(self, request: pb.ResumePlanRequest) -> pb.ResumePlanResponse:
        today = days.utc_day(self.clock())
        known = (await self.aggregates.plans.load(request.plan_id)).state
        if isinstance(known, plans.Begun):
            fund = (await self.aggregates.funds.load(known.terms.fund_code)).state
            if isinstance(fund, funds.Listed):
                today = days.today_of(fund.terms.dealing, self.clock())
        command = plans.Resume(request.request_id, current_caller().name, today)
        done = await self._transact(request.plan_id, command, request.request_id)
        return pb.ResumePlanResponse(plan=await self._shown(done.state), position=done.position)

    async def stop(self, request: pb.StopPlanRequest) -> pb.StopPlanResponse:
        command = plans.Stop(request.request_id, current_caller().name)
        done = await self._transact(request.plan_id, command, request.request_id)
        return pb.StopPlanResponse(plan=await self._shown(done.state), position=done.position)

    async def get(self, request: pb.GetPlanRequest) -> pb.GetPlanResponse:
        await self.reads.projection.wait_for(request.min_position)
        found = await self.aggregates.plans.load(request.plan_id)
        caller = current_caller()
        is_foreign = caller.role == "wallet" and (
            isinstance(found.state, plans.Absent) or found.state.caller != caller.name
        )
        if isinstance(found.state, plans.Absent) or is_foreign:
            raise Rejected(plans.Reason.PLAN_NOT_FOUND)
        return pb.GetPlanResponse(plan=await self._shown(found.state), position=found.position)

    async def list_plans(self, request: pb.ListPlansRequest) -> pb.ListPlansResponse:
        caller = current_caller()
        callers = [caller.name] if caller.role == "wallet" else []
        size, after = request.page_size or PAGE_SIZE, position_of(request.page_token)
        stage = pb.PlanState.Name(request.state).removeprefix("PLAN_STATE_")
        wanted = request.investor_id, stage if request.state else ""
        await self.reads.projection.wait_for(request.min_position)
        rows = await self.reads.database.read(
            lambda c: queries.plans_page(c, callers, wanted, after, size + 1)
        )
        states = [(await self.aggregates.plans.load(row.plan_id)).state for row in rows[:size]]
        token = str(rows[size - 1].position) if len(rows) > size else ""
        return pb.ListPlansResponse(
            plans=[await self._shown(state) for state in states],
            next_page_token=token,
            position=self.reads.projection.position,
        )

    async def _setting(self, terms: plans.Terms) -> plans.Setting:
        fund = (await self.aggregates.funds.load(terms.fund_code)).state
        investor = (await self.aggregates.investors.load(terms.investor_id)).state
        today = days.utc_day(self.clock())
        if isinstance(fund, funds.Listed):
            today = days.today_of(fund.terms.dealing, self.clock())
        return plans.Setting(fund, investor, today)

    async def _transact(self, plan_id: str, command: plans.Command, key: str) -> Done:
        cause = Cause(f"{plan_id}/{key}", correlation_id=plan_id, actor=current_caller().name)
        return await self.aggregates.plans.transact(plan_id, command, cause)

    async def _shown(self, plan: plans.Plan) -> pb.Plan:
        if isinstance(plan, plans.Absent):
            raise AssertionError("a plan that is shown is there")  # noqa: TRY004 - a bug of ours
        issued, skipped = await self.reads.database.read(
            lambda c: queries.plan_counts(c, plan.plan_id)
        )
        return pb.Plan(
            plan_id=plan.plan_id,
            terms=to_wire(plan.terms, events_pb.PlanTerms()),
            state=pb.PlanState.Value(f"PLAN_STATE_{plan.stage.name}"),
            reason=plan.reason,
            next_date=await self._next(plan),
            issued=issued,
            skipped=skipped,
            failures=plan.failures,
        )

    async def _next(self, plan: plans.Begun) -> str:
        fund = (await self.aggregates.funds.load(plan.terms.fund_code)).state
        if plan.stage is plans.Stage.STOPPED or isinstance(fund, funds.Absent):
            return ""
        try:
            due = plans.next_due(plan.terms, plan.done_until, days.calendars_of(fund.terms))
        except CalendarUnknown:
            return ""
        return "" if due is None else due.due_date.isoformat()


def _terms(message: events_pb.PlanTerms) -> plans.Terms:
    terms = from_wire(plans.Terms, message)
    return terms if terms.max_fail else replace(terms, max_fail=plans.MAX_FAIL)
