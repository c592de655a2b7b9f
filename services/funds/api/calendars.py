"""Trading calendars, as operators see them."""

from dataclasses import dataclass
from datetime import date

from hefu.funds.v1 import funds_pb2 as pb
from libs.auth import current_caller
from libs.clock import Clock
from libs.decider import FieldViolation
from libs.grpc_errors import Refused
from libs.trading_calendar import days_left, is_ending
from services.funds import days
from services.funds.calendars import Calendars


@dataclass(frozen=True, slots=True)
class CalendarDesk:
    """Answers to operators; decides nothing."""

    calendars: Calendars
    clock: Clock

    async def get(self, request: pb.GetTradingCalendarRequest) -> pb.GetTradingCalendarResponse:
        view, position = await self._shown(request.calendar)
        return pb.GetTradingCalendarResponse(calendar=view, position=position)

    async def propose(self, request: pb.ProposeTradingDaysRequest) -> pb.ProposeTradingDaysResponse:
        await self.calendars.propose(
            request.proposal_id,
            request.calendar,
            _day(request.until_date, "until_date"),
            [_day(each, f"session_dates[{n}]") for n, each in enumerate(request.session_dates)],
            current_caller().name,
        )
        view, position = await self._shown(request.calendar)
        return pb.ProposeTradingDaysResponse(calendar=view, position=position)

    async def approve(self, request: pb.ApproveTradingDaysRequest) -> pb.ApproveTradingDaysResponse:
        checker = current_caller().name
        await self.calendars.approve(request.calendar, request.proposal_id, checker)
        view, position = await self._shown(request.calendar)
        return pb.ApproveTradingDaysResponse(calendar=view, position=position)

    async def refuse(self, request: pb.RefuseTradingDaysRequest) -> pb.RefuseTradingDaysResponse:
        checker = current_caller().name
        await self.calendars.refuse(request.calendar, request.proposal_id, checker, request.note)
        view, position = await self._shown(request.calendar)
        return pb.RefuseTradingDaysResponse(calendar=view, position=position)

    async def _shown(self, name: str) -> tuple[pb.TradingCalendar, int]:
        calendar, published = await self.calendars.look(name)
        state, today = published.state, days.utc_day(self.clock())
        view = pb.TradingCalendar(
            calendar=name,
            known_until_date=calendar.known_until.isoformat(),
            days_left=days_left(calendar, today),
            is_ending=is_ending(calendar, today),
            proposals=[
                pb.TradingDaysProposal(
                    proposal_id=each.proposal_id,
                    until_date=each.until.isoformat(),
                    sessions=len(each.sessions),
                    maker=each.maker,
                    is_approved=each.proposal_id in state.proposals.approved,
                    is_refused=each.proposal_id in state.proposals.refused,
                )
                for each in state.proposals.every
            ],
        )
        return view, published.position


def _day(text: str, path: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        told = f"{path}: there is no {text}"
        raise Refused("FIELD_INVALID", told, [FieldViolation(path, told)]) from None
