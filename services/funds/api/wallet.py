"""Funds as wallet back ends see them: message to command to reply; it decides nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from hefu.funds.v1 import events_pb2 as events_pb
from hefu.funds.v1 import funds_pb2 as pb
from hefu.funds.v1 import funds_pb2_grpc
from libs.auth import current_caller
from libs.clock import Clock
from libs.decider import Cause, FieldViolation, Rejected
from libs.event_store import StoredEvent
from libs.fund_arithmetic import InvestorKind
from libs.grpc_errors import Refused, to_error
from libs.grpc_server import Binding
from libs.suitability import InvestorClass
from services.funds import queries
from services.funds import tables as t
from services.funds.aggregates import ORDERS, Aggregates, holding_id
from services.funds.api.holdings import Holdings
from services.funds.api.messages import (
    PAGE_SIZE,
    Reads,
    fund_view,
    nav_row_view,
    order_terms,
    order_view,
    position_of,
)
from services.funds.api.plans import Plans
from services.funds.domain import fund as funds
from services.funds.domain import investor as investors
from services.funds.domain import order_lifecycle as life
from services.funds.domain import registrar_account
from services.funds.domain.order import order
from services.funds.domain.order_placing import Reason
from services.funds.opening import account_id
from services.funds.placing import Done, Placing
from services.funds.rows.orders import PREFIX
from services.funds.serials import trading_account_of

if TYPE_CHECKING:
    import grpc

SERVICE: Final = "hefu.funds.v1.FundsService"
WATCHERS_MAX: Final = 256

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class FundsApi(funds_pb2_grpc.FundsServiceServicer):
    def __init__(
        self, aggregates: Aggregates, placing: Placing, reads: Reads, clock: Clock
    ) -> None:
        self._aggregates = aggregates
        self._placing = placing
        self._reads = reads
        self._clock = clock
        self._plans = Plans(aggregates, reads, clock)
        self._holdings = Holdings(aggregates, reads.database, clock)
        self._watchers = 0

    def binding(self) -> Binding:
        return Binding(funds_pb2_grpc.add_FundsServiceServicer_to_server, self, SERVICE)

    # ---- catalogue

    async def GetFund(self, request: pb.GetFundRequest, _context: "Context") -> pb.GetFundResponse:
        found = await self._aggregates.funds.load(request.code)
        if isinstance(found.state, funds.Absent):
            raise Rejected(Reason.UNKNOWN_FUND)
        return pb.GetFundResponse(fund=fund_view(found.state), position=found.position)

    async def ListFunds(
        self, request: pb.ListFundsRequest, _context: "Context"
    ) -> pb.ListFundsResponse:
        c, size = t.funds.c, request.page_size or PAGE_SIZE
        conditions = []
        if request.ta_id:
            conditions.append(c.ta_id == request.ta_id)
        if request.status:
            conditions.append(c.status == _word(events_pb.FundStatus, request.status))
        if request.fund_type:
            conditions.append(c.kind == _word(events_pb.FundType, request.fund_type))
        if request.highest_level:
            conditions.append(c.risk_level <= request.highest_level)
        position = await self._rows(request.min_position)
        codes = await self._reads.database.read(
            lambda db: queries.funds_page(db, conditions, request.page_token, size + 1)
        )
        shown = []
        for code in codes[:size]:
            state = (await self._aggregates.funds.load(code)).state
            if isinstance(state, funds.Listed):
                shown.append(fund_view(state))
        token = codes[size - 1] if len(codes) > size else ""
        return pb.ListFundsResponse(funds=shown, next_page_token=token, position=position)

    async def ListNavs(
        self, request: pb.ListNavsRequest, _context: "Context"
    ) -> pb.ListNavsResponse:
        size = request.page_size or PAGE_SIZE
        position = await self._rows(request.min_position)
        days = request.from_date, request.to_date
        rows = await self._reads.database.read(
            lambda db: queries.navs_page(db, request.code, days, request.page_token, size + 1)
        )
        token = rows[size - 1].nav_date if len(rows) > size else ""
        navs = [nav_row_view(row) for row in rows[:size]]
        return pb.ListNavsResponse(navs=navs, next_page_token=token, position=position)

    # ---- orders

    async def PlaceOrder(
        self, request: pb.PlaceOrderRequest, _context: "Context"
    ) -> pb.PlaceOrderResponse:
        done = await self._place(request)
        return pb.PlaceOrderResponse(
            order=_shown(done.state), position=done.position, is_replayed=not done.events
        )

    async def _place(self, request: pb.PlaceOrderRequest) -> Done:
        caller, terms = current_caller(), order_terms(request.terms)
        if caller.role == "service" and not terms.recommendation_id:
            found = [FieldViolation("terms.recommendation_id", "must be given")]
            raise Refused("FIELD_REQUIRED", "advice places nothing but what it proposed", found)
        return await self._placing.place(request.order_id, terms, caller.name)

    async def PlaceOrders(
        self, request: pb.PlaceOrdersRequest, _context: "Context"
    ) -> pb.PlaceOrdersResponse:
        done = await asyncio.gather(*(self._place_item(item) for item in request.orders))
        return pb.PlaceOrdersResponse(
            results=[result for result, _ in done], position=max(at for _, at in done)
        )

    async def _place_item(self, item: pb.PlaceOrderRequest) -> tuple[pb.PlaceOrderResult, int]:
        result = pb.PlaceOrderResult(order_id=item.order_id)
        try:
            done = await self._place(item)
        except Exception as error:
            refused = to_error(error)
            if refused is None:
                raise
            result.refusal.CopyFrom(_refusal(refused))
            return result, 0
        result.order.CopyFrom(_shown(done.state))
        result.is_replayed = not done.events
        return result, done.position

    async def CancelOrder(
        self, request: pb.CancelOrderRequest, _context: "Context"
    ) -> pb.CancelOrderResponse:
        found = (await self._aggregates.orders.load(request.order_id)).state
        if isinstance(found, life.Absent) or not _may_see(found.placed.caller):
            raise Rejected(Reason.ORDER_NOT_FOUND)
        # The wallet back end speaks for the investor also where a plan or an adviser placed it.
        done = await self._placing.cancel(request.order_id, request.request_id, found.placed.caller)
        return pb.CancelOrderResponse(order=_shown(done.state), position=done.position)

    async def GetOrder(
        self, request: pb.GetOrderRequest, _context: "Context"
    ) -> pb.GetOrderResponse:
        found = await self._aggregates.orders.load(request.order_id)
        state = found.state
        if isinstance(state, life.Absent) or not _may_see(state.placed.caller):
            raise Rejected(Reason.ORDER_NOT_FOUND)
        return pb.GetOrderResponse(order=order_view(state), position=found.position)

    async def ListOrders(
        self, request: pb.ListOrdersRequest, _context: "Context"
    ) -> pb.ListOrdersResponse:
        caller = current_caller()
        wanted = queries.OrderFilter(
            callers=(caller.name, *_FOR_INVESTORS) if caller.role == "wallet" else (),
            investor_id=request.investor_id,
            fund_code=request.fund_code,
            stage=_word(pb.FundOrderState, request.state) if request.state else "",
            ta_id=request.ta_id,
            trade_date=request.trade_date,
            plan_id=request.plan_id,
        )
        size, after = request.page_size or PAGE_SIZE, position_of(request.page_token)
        position = await self._rows(request.min_position)
        found = await self._reads.database.read(
            lambda db: queries.orders_page(db, wanted, after, size + 1)
        )
        shown = []
        for each in found[:size]:
            state = (await self._aggregates.orders.load(each.order_id)).state
            if isinstance(state, life.Begun):
                shown.append(order_view(state))
        token = str(found[size - 1].position) if len(found) > size else ""
        return pb.ListOrdersResponse(orders=shown, next_page_token=token, position=position)

    async def WatchOrders(
        self, request: pb.WatchOrdersRequest, _context: "Context"
    ) -> AsyncIterator[pb.WatchOrdersResponse]:
        if self._watchers >= WATCHERS_MAX:
            raise Refused("QUEUE_FULL", f"{WATCHERS_MAX} watch already")
        self._watchers += 1
        try:
            wanted = frozenset(request.order_ids)
            after = request.after_position or None
            async for stored in self._reads.store.follow((PREFIX,), after):
                if isinstance(stored, StoredEvent):
                    change = await self._change(stored, wanted)
                    if change is not None:
                        yield change
        finally:
            self._watchers -= 1

    async def _change(
        self, stored: StoredEvent, wanted: frozenset[str]
    ) -> pb.WatchOrdersResponse | None:
        id_ = stored.stream.removeprefix(PREFIX)
        if wanted and id_ not in wanted:
            return None
        known = await self._aggregates.orders.load(id_)
        state: life.Order = known.state
        if known.revision < stored.revision:
            # The store told us before the append that wrote it was answered.
            read = self._reads.store.read(stored.stream)
            events = [ORDERS.decode(event.type, event.data) async for event in read]
            state = order.fold(order.initial, events)
        if isinstance(state, life.Absent) or not _may_see(state.placed.caller):
            return None
        return pb.WatchOrdersResponse(
            order=order_view(state, stored.recorded_us),
            event=stored.type.rpartition(".")[2],
            position=stored.position,
        )

    # ---- plans

    async def CreatePlan(
        self, request: pb.CreatePlanRequest, _context: "Context"
    ) -> pb.CreatePlanResponse:
        return await self._plans.create(request)

    async def ChangePlan(
        self, request: pb.ChangePlanRequest, _context: "Context"
    ) -> pb.ChangePlanResponse:
        return await self._plans.change(request)

    async def SuspendPlan(
        self, request: pb.SuspendPlanRequest, _context: "Context"
    ) -> pb.SuspendPlanResponse:
        return await self._plans.suspend(request)

    async def ResumePlan(
        self, request: pb.ResumePlanRequest, _context: "Context"
    ) -> pb.ResumePlanResponse:
        return await self._plans.resume(request)

    async def StopPlan(
        self, request: pb.StopPlanRequest, _context: "Context"
    ) -> pb.StopPlanResponse:
        return await self._plans.stop(request)

    async def GetPlan(self, request: pb.GetPlanRequest, _context: "Context") -> pb.GetPlanResponse:
        return await self._plans.get(request)

    async def ListPlans(
        self, request: pb.ListPlansRequest, _context: "Context"
    ) -> pb.ListPlansResponse:
        return await self._plans.list_plans(request)

    # ---- holdings

    async def GetHolding(
        self, request: pb.GetHoldingRequest, _context: "Context"
    ) -> pb.GetHoldingResponse:
        position = await self._rows(request.min_position)
        shown = await self._holdings.one(request.investor_id, request.fund_code)
        known = await self._aggregates.holdings.load(
            holding_id(request.investor_id, request.fund_code)
        )
        for lot in known.state.lots:
            shown.lots.add(
                lot_id=lot.lot_id,
                shares=lot.shares,
                confirm_date=lot.confirm_date.isoformat(),
                register_date=lot.registered_date.isoformat(),
                cost_minor=lot.cost,
            )
        return pb.GetHoldingResponse(holding=shown, position=position)

    async def ListHoldings(
        self, request: pb.ListHoldingsRequest, _context: "Context"
    ) -> pb.ListHoldingsResponse:
        if current_caller().role == "wallet" and not request.investor_id:
            raise Refused(
                "FIELD_REQUIRED", "", [FieldViolation("investor_id", "whose holdings they are")]
            )
        size = request.page_size or PAGE_SIZE
        position = await self._rows(request.min_position)
        shown, token = await self._holdings.page(request, size)
        return pb.ListHoldingsResponse(holdings=shown, next_page_token=token, position=position)

    async def ListStatementLines(
        self, request: pb.ListStatementLinesRequest, _context: "Context"
    ) -> pb.ListStatementLinesResponse:
        size, after = request.page_size or PAGE_SIZE, position_of(request.page_token)
        position = await self._rows(request.min_position)
        days = request.from_date, request.to_date
        rows = await self._reads.database.read(
            lambda db: queries.statement_page(
                db, request.investor_id, request.fund_code, days, after, size + 1
            )
        )
        lines = [
            pb.StatementLine(
                line_date=row.line_date,
                fund_code=row.fund_code,
                movement=row.movement,
                shares=row.shares,
                shares_after=row.shares_after,
                amount_minor=row.amount_minor,
                fee_minor=row.fee_minor,
                nav=row.nav,
                order_id=row.order_id,
                position=row.position,
            )
            for row in rows[:size]
        ]
        token = str(rows[size - 1].position) if len(rows) > size else ""
        return pb.ListStatementLinesResponse(lines=lines, next_page_token=token, position=position)

    # ---- investors

    async def RecordInvestorClass(
        self, request: pb.RecordInvestorClassRequest, _context: "Context"
    ) -> pb.RecordInvestorClassResponse:
        caller, id_ = current_caller().name, request.investor_id
        kind = InvestorKind.PERSON
        if request.kind:
            kind = InvestorKind[_word(events_pb.InvestorKind, request.kind)]
        profile = investors.ClassRecorded(
            InvestorClass(request.investor_class),
            kind,
            date.fromisoformat(request.valid_until),
            request.profile_version,
            caller,
        )
        cause = Cause(f"{id_}/{request.profile_version}", correlation_id=id_, actor=caller)
        done = await self._aggregates.investors.transact(id_, investors.RecordClass(profile), cause)
        return pb.RecordInvestorClassResponse(
            investor=_investor(id_, done.state), position=done.position
        )

    async def GetInvestor(
        self, request: pb.GetInvestorRequest, _context: "Context"
    ) -> pb.GetInvestorResponse:
        found = await self._aggregates.investors.load(request.investor_id)
        if found.state.profile is None:
            raise Rejected(Reason.INVESTOR_NOT_IDENTIFIED, "no class is known of this investor")
        shown = _investor(request.investor_id, found.state)
        shown.registrar_accounts.extend(await self._accounts_of(request.investor_id))
        return pb.GetInvestorResponse(investor=shown, position=found.position)

    async def _accounts_of(self, investor_id: str) -> list[pb.RegistrarAccount]:
        """Where accounts were asked for; a registrar that is asked for none has none."""
        trading_account, found = trading_account_of(investor_id), []
        for row in await self._reads.database.read(queries.registrars):
            id_ = account_id(row["ta_id"], trading_account)
            state = (await self._aggregates.registrar_accounts.load(id_)).state
            if isinstance(state, registrar_account.Asked):
                found.append(
                    pb.RegistrarAccount(
                        ta_id=row["ta_id"],
                        trading_account_id=trading_account,
                        state=state.stage.name,
                        ta_account_id=state.ta_account_id,
                        description=state.refusal.description if state.refusal else "",
                    )
                )
        return found

    async def AcknowledgeWarning(
        self, request: pb.AcknowledgeWarningRequest, _context: "Context"
    ) -> pb.AcknowledgeWarningResponse:
        id_ = request.investor_id
        fund = (await self._aggregates.funds.load(request.fund_code)).state
        if isinstance(fund, funds.Absent):
            raise Rejected(Reason.UNKNOWN_FUND)
        known = (await self._aggregates.investors.load(id_)).state
        if known.profile is None:
            raise Rejected(Reason.INVESTOR_NOT_IDENTIFIED, "no class is known of this investor")
        warning = investors.WarningAcknowledged(
            request.warning_id,
            request.fund_code,
            known.profile.investor_class,
            fund.terms.risk_level,
            request.text_sha256,
            self._clock(),
        )
        done = await self._of_investor(
            id_, investors.AcknowledgeWarning(warning), request.warning_id
        )
        return pb.AcknowledgeWarningResponse(
            investor=_investor(id_, done.state),
            warning_id=request.warning_id,
            position=done.position,
        )

    async def ConfirmAgain(
        self, request: pb.ConfirmAgainRequest, _context: "Context"
    ) -> pb.ConfirmAgainResponse:
        confirmed = investors.SecondConfirmed(
            request.confirmation_id, request.fund_code, request.warning_id, self._clock()
        )
        done = await self._of_investor(
            request.investor_id, investors.ConfirmAgain(confirmed), request.confirmation_id
        )
        return pb.ConfirmAgainResponse(
            confirmation_id=request.confirmation_id, position=done.position
        )

    async def _of_investor(self, id_: str, command: investors.Command, request_id: str) -> Any:  # noqa: ANN401 - as transacted
        cause = Cause(request_id, correlation_id=id_, actor=current_caller().name)
        return await self._aggregates.investors.transact(id_, command, cause)

    async def _rows(self, min_position: int) -> int:
        await self._reads.projection.wait_for(min_position)
        return self._reads.projection.position


def _shown(state: life.Order) -> pb.FundOrder:
    if isinstance(state, life.Absent):
        raise AssertionError("a command that was taken leaves an order")  # noqa: TRY004 - a bug
    return order_view(state)


def _may_see(owner: str) -> bool:
    caller = current_caller()
    return caller.role != "wallet" or caller.name == owner or owner.startswith(_FOR_INVESTORS)


# Orders that plans, advice and registrars begin are investors', whose wallet back ends see them.
_FOR_INVESTORS: Final = ("plan:", "recommendations", "registrar:")


def _word(wire: Any, value: int) -> str:  # noqa: ANN401 - an enum of a proto
    """A word of the contract as ours: FUND_STATUS_OPEN is OPEN."""
    names: Sequence[str] = wire.keys()
    prefix = names[0].removesuffix("UNSPECIFIED")
    return str(wire.Name(value)).removeprefix(prefix)


def _investor(investor_id: str, state: investors.Investor) -> pb.FundInvestor:
    profile = state.profile
    if profile is None:
        return pb.FundInvestor(investor_id=investor_id)
    return pb.FundInvestor(
        investor_id=investor_id,
        investor_class=int(profile.investor_class),  # type: ignore[arg-type]
        valid_until=profile.valid_until.isoformat(),
        profile_version=profile.profile_version,
        kind=events_pb.InvestorKind.Value(f"INVESTOR_KIND_{profile.kind.name}"),
    )


def _refusal(refused: Refused) -> pb.FundRefusal:
    return pb.FundRefusal(
        reason=refused.reason,
        description=refused.description,
        fields=[
            pb.FundFieldViolation(field=v.field, description=v.description)
            for v in refused.violations
        ],
    )
