"""Prices that operators correct: one proposes, another decides."""

from dataclasses import dataclass

from hefu.funds.v1 import funds_pb2 as pb
from libs.auth import current_caller
from libs.decider import Cause
from services.funds.aggregates import Aggregates
from services.funds.api.messages import correction_view, from_wire, nav_view
from services.funds.domain import fund as funds


@dataclass(frozen=True, slots=True)
class Prices:
    """Answers to operators; decides nothing."""

    aggregates: Aggregates

    async def propose(self, request: pb.CorrectNavRequest) -> pb.CorrectNavResponse:
        nav, maker = from_wire(funds.Nav, request.nav), current_caller().name
        command = funds.ProposeNavCorrection(request.request_id, nav, request.cause, maker)
        fund, position = await self._transact(request.code, command, request.request_id)
        return pb.CorrectNavResponse(
            nav=_published(request.code, fund, request.request_id),
            position=position,
            correction=correction_view(fund, request.request_id),
        )

    async def approve(
        self, request: pb.ApproveNavCorrectionRequest
    ) -> pb.ApproveNavCorrectionResponse:
        command = funds.ApproveNavCorrection(request.proposal_id, current_caller().name)
        key = f"{request.proposal_id}/approve"
        fund, position = await self._transact(request.code, command, key)
        return pb.ApproveNavCorrectionResponse(
            nav=_published(request.code, fund, request.proposal_id),
            correction=correction_view(fund, request.proposal_id),
            position=position,
        )

    async def refuse(
        self, request: pb.RefuseNavCorrectionRequest
    ) -> pb.RefuseNavCorrectionResponse:
        checker = current_caller().name
        command = funds.RefuseNavCorrection(request.proposal_id, checker, request.note)
        key = f"{request.proposal_id}/refuse"
        fund, position = await self._transact(request.code, command, key)
        return pb.RefuseNavCorrectionResponse(
            correction=correction_view(fund, request.proposal_id), position=position
        )

    async def _transact(
        self, code: str, command: funds.Command, key: str
    ) -> tuple[funds.Listed, int]:
        cause = Cause(key, correlation_id=code, actor=current_caller().name)
        done = await self.aggregates.funds.transact(code, command, cause)
        if isinstance(done.state, funds.Absent):
            raise AssertionError("a command that was taken leaves a fund")  # noqa: TRY004 - a bug
        return done.state, done.position


def _published(code: str, fund: funds.Listed, proposal_id: str) -> pb.PublishedNav | None:
    proposal = fund.proposal(proposal_id)
    nav = fund.nav_on(proposal.after.nav_date) if proposal is not None else None
    return None if nav is None else nav_view(code, fund, nav)
