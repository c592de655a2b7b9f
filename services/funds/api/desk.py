"""Funds as operators see them: products, prices, registrars, the clock; it decides nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from hefu.funds.v1 import events_pb2 as events_pb
from hefu.funds.v1 import funds_pb2 as pb
from hefu.funds.v1 import funds_pb2_grpc
from libs.auth import current_caller
from libs.decider import Cause
from libs.grpc_errors import Refused
from libs.grpc_server import Binding
from libs.wire import time_from_wire, time_to_wire
from services.funds import queries
from services.funds.advancing import facility_id
from services.funds.aggregates import Aggregates
from services.funds.api.calendars import CalendarDesk
from services.funds.api.days import Days
from services.funds.api.messages import Reads, from_wire, fund_terms, fund_view, nav_view, to_wire
from services.funds.api.prices import Prices
from services.funds.cash import advance, of_registrar
from services.funds.clients.accounts import Accounts
from services.funds.domain import facility as facilities
from services.funds.domain import fund as funds
from services.funds.domain import registrar as registrars
from services.funds.domain.product import FundStatus
from services.funds.fund_clock import FundClock
from services.funds.planning import Planning

if TYPE_CHECKING:
    import grpc

SERVICE: Final = "hefu.funds.v1.FundDayService"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class FundDayApi(funds_pb2_grpc.FundDayServiceServicer):
    def __init__(  # noqa: PLR0913, PLR0917 - what the answers are made of
        self,
        aggregates: Aggregates,
        accounts: Accounts,
        reads: Reads,
        fund_days: Days,
        calendars: CalendarDesk,
        planning: Planning,
        clock: FundClock,
        clock_moved: Callable[[], Awaitable[None]],
    ) -> None:
        self._aggregates = aggregates
        self._prices = Prices(aggregates, reads)
        self._accounts = accounts
        self._reads = reads
        self._days = fund_days
        self._calendars = calendars
        self._planning = planning
        self._clock = clock
        self._clock_moved = clock_moved

    def binding(self) -> Binding:
        return Binding(funds_pb2_grpc.add_FundDayServiceServicer_to_server, self, SERVICE)

    # ---- products and prices

    async def PublishFund(
        self, request: pb.PublishFundRequest, _context: "Context"
    ) -> pb.PublishFundResponse:
        terms, actor = fund_terms(request.terms), current_caller().name
        registrar = (await self._aggregates.registrars.load(terms.ta_id)).state
        if registrar is None:
            raise Refused("REGISTRAR_NOT_FOUND", f"no registrar {terms.ta_id}")
        await self._calendars.calendars.learn(terms.dealing.calendars)
        cause = Cause(f"publish/{actor}", correlation_id=terms.code, actor=actor)
        done = await self._aggregates.funds.transact(terms.code, funds.Publish(terms, actor), cause)
        is_new = bool(done.events)
        if request.status and is_new and _listed(done.state).version == 1:
            status = FundStatus[_status(request.status)]
            change = funds.ChangeStatus(f"publish/{terms.code}", status, "published so")
            done = await self._aggregates.funds.transact(terms.code, change, cause)
        return pb.PublishFundResponse(
            fund=fund_view(_listed(done.state)), position=done.position, is_replayed=not is_new
        )

    async def ChangeFundStatus(
        self, request: pb.ChangeFundStatusRequest, _context: "Context"
    ) -> pb.ChangeFundStatusResponse:
        status = FundStatus[_status(request.status)]
        change = funds.ChangeStatus(request.request_id, status, request.cause)
        done = await self._of_fund(request.code, change, request.request_id)
        return pb.ChangeFundStatusResponse(
            fund=fund_view(_listed(done.state)), position=done.position
        )

    async def PublishNav(
        self, request: pb.PublishNavRequest, _context: "Context"
    ) -> pb.PublishNavResponse:
        nav = from_wire(funds.Nav, request.nav)
        command = funds.PublishNav(nav, f"operator:{current_caller().name}")
        done = await self._of_fund(request.code, command, f"nav/{nav.nav_date}")
        return pb.PublishNavResponse(
            nav=nav_view(request.code, _listed(done.state), nav),
            position=done.position,
            is_replayed=not done.events,
        )

    async def PreviewNavCorrection(
        self, request: pb.PreviewNavCorrectionRequest, _context: "Context"
    ) -> pb.PreviewNavCorrectionResponse:
        return await self._prices.preview(request)

    async def CorrectNav(
        self, request: pb.CorrectNavRequest, _context: "Context"
    ) -> pb.CorrectNavResponse:
        return await self._prices.propose(request)

    async def ApproveNavCorrection(
        self, request: pb.ApproveNavCorrectionRequest, _context: "Context"
    ) -> pb.ApproveNavCorrectionResponse:
        return await self._prices.approve(request)

    async def RefuseNavCorrection(
        self, request: pb.RefuseNavCorrectionRequest, _context: "Context"
    ) -> pb.RefuseNavCorrectionResponse:
        return await self._prices.refuse(request)

    async def _of_fund(self, code: str, command: funds.Command, key: str) -> Any:  # noqa: ANN401 - as transacted
        cause = Cause(key, correlation_id=code, actor=current_caller().name)
        return await self._aggregates.funds.transact(code, command, cause)

    # ---- registrars

    async def RegisterRegistrar(
        self, request: pb.RegisterRegistrarRequest, _context: "Context"
    ) -> pb.RegisterRegistrarResponse:
        terms, actor = from_wire(registrars.Registrar, request.registrar), current_caller().name
        # Its accounts first: no order meets a registrar without them.
        await self._accounts.open(of_registrar(terms.ta_id, terms.currency_code))
        cause = Cause(f"register/{actor}", correlation_id=terms.ta_id, actor=actor)
        done = await self._aggregates.registrars.transact(
            terms.ta_id, registrars.Register(terms, actor), cause
        )
        return pb.RegisterRegistrarResponse(
            registrar=to_wire(terms, events_pb.Registrar()),
            position=done.position,
            is_replayed=not done.events,
        )

    async def ListRegistrars(
        self, request: pb.ListRegistrarsRequest, _context: "Context"
    ) -> pb.ListRegistrarsResponse:
        await self._reads.projection.wait_for(request.min_position)
        rows = await self._reads.database.read(queries.registrars)
        return pb.ListRegistrarsResponse(
            registrars=[events_pb.Registrar(**row) for row in rows],
            position=self._reads.projection.position,
        )

    # ---- registrars' days

    async def RunCutOff(
        self, request: pb.RunCutOffRequest, _context: "Context"
    ) -> pb.RunCutOffResponse:
        return await self._days.run_cut_off(request)

    async def GetTaDay(
        self, request: pb.GetTaDayRequest, _context: "Context"
    ) -> pb.GetTaDayResponse:
        return await self._days.get(request)

    async def ListTaDays(
        self, request: pb.ListTaDaysRequest, _context: "Context"
    ) -> pb.ListTaDaysResponse:
        return await self._days.list_days(request)

    async def WatchTaDay(
        self, request: pb.WatchTaDayRequest, _context: "Context"
    ) -> AsyncIterator[pb.WatchTaDayResponse]:
        async for change in self._days.watch(request):
            yield change

    async def ListTaFiles(
        self, request: pb.ListTaFilesRequest, _context: "Context"
    ) -> pb.ListTaFilesResponse:
        return await self._days.list_files(request)

    async def ListFundBreaks(
        self, request: pb.ListFundBreaksRequest, _context: "Context"
    ) -> pb.ListFundBreaksResponse:
        return await self._days.list_breaks(request)

    async def ProposeRepair(
        self, request: pb.ProposeRepairRequest, _context: "Context"
    ) -> pb.ProposeRepairResponse:
        return await self._days.propose(request)

    async def ApproveRepair(
        self, request: pb.ApproveRepairRequest, _context: "Context"
    ) -> pb.ApproveRepairResponse:
        return await self._days.approve(request)

    async def RefuseRepair(
        self, request: pb.RefuseRepairRequest, _context: "Context"
    ) -> pb.RefuseRepairResponse:
        return await self._days.refuse(request)

    # ---- trading calendars

    async def GetTradingCalendar(
        self, request: pb.GetTradingCalendarRequest, _context: "Context"
    ) -> pb.GetTradingCalendarResponse:
        return await self._calendars.get(request)

    async def ProposeTradingDays(
        self, request: pb.ProposeTradingDaysRequest, _context: "Context"
    ) -> pb.ProposeTradingDaysResponse:
        return await self._calendars.propose(request)

    async def ApproveTradingDays(
        self, request: pb.ApproveTradingDaysRequest, _context: "Context"
    ) -> pb.ApproveTradingDaysResponse:
        return await self._calendars.approve(request)

    async def RefuseTradingDays(
        self, request: pb.RefuseTradingDaysRequest, _context: "Context"
    ) -> pb.RefuseTradingDaysResponse:
        return await self._calendars.refuse(request)

    # ---- proof

    async def GetFundTieOut(
        self, request: pb.GetFundTieOutRequest, _context: "Context"
    ) -> pb.GetFundTieOutResponse:
        return await self._days.tie_out(request)

    async def RunPlans(
        self, request: pb.RunPlansRequest, _context: "Context"
    ) -> pb.RunPlansResponse:
        await self._reads.projection.wait_for(await self._reads.store.head())
        ran = await self._planning.run_due(date.fromisoformat(request.to_date))
        return pb.RunPlansResponse(
            issued=ran.issued,
            skipped=ran.skipped,
            suspended=ran.suspended,
            position=self._reads.projection.position,
        )

    async def OpenAdvanceFacility(
        self, request: pb.OpenAdvanceFacilityRequest, _context: "Context"
    ) -> pb.OpenAdvanceFacilityResponse:
        told, actor = request.facility, current_caller().name
        terms = facilities.Terms(
            told.bank_id, told.currency_code, told.bank_account, told.limit_minor
        )
        await self._accounts.open([advance(told.bank_id, told.currency_code)])
        id_ = facility_id(told.bank_id, told.currency_code)
        cause = Cause(f"{id_}/{told.limit_minor}", correlation_id=id_, actor=actor)
        done = await self._aggregates.facilities.transact(
            id_, facilities.OpenFacility(terms, actor), cause
        )
        if isinstance(done.state, facilities.Absent):
            raise AssertionError("what was opened is there")  # noqa: TRY004 - a bug of ours
        told.limit_minor = done.state.terms.limit_minor
        told.drawn_minor = done.state.used_minor
        return pb.OpenAdvanceFacilityResponse(facility=told, position=done.position)

    # ---- the clock

    async def SetFundClock(
        self, request: pb.SetFundClockRequest, _context: "Context"
    ) -> pb.SetFundClockResponse:
        await self._clock.move(time_from_wire(request.now_time), current_caller().name)
        await self._clock_moved()
        return pb.SetFundClockResponse(now_time=time_to_wire(self._clock()))

    async def GetFundClock(
        self, _request: pb.GetFundClockRequest, _context: "Context"
    ) -> pb.GetFundClockResponse:
        return pb.GetFundClockResponse(
            now_time=time_to_wire(self._clock()), is_simulated=self._clock.is_simulated
        )


def _listed(state: funds.Fund) -> funds.Listed:
    if isinstance(state, funds.Absent):
        raise AssertionError("a command that was taken leaves a fund")  # noqa: TRY004 - a bug
    return state


def _status(value: "events_pb.FundStatus.ValueType") -> str:
    return events_pb.FundStatus.Name(value).removeprefix("FUND_STATUS_")
