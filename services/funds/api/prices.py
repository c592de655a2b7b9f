"""Prices that operators correct: one proposes, another decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hefu.funds.v1 import funds_pb2 as pb
from libs.auth import current_caller
from libs.decider import Cause, Rejected
from libs.fund_arithmetic import value_of
from services.funds.aggregates import Aggregates
from services.funds.api.messages import Reads, correction_view, from_wire, nav_view, order_view
from services.funds.domain import fund as funds
from services.funds.domain import order_lifecycle as life
from services.funds.domain.product import FundTerms
from services.funds.touching import touched

# So many of the orders that a correction touches are shown one by one.
FIRST_ORDERS: Final = 50


@dataclass(frozen=True, slots=True)
class Prices:
    """Answers to operators; decides nothing."""

    aggregates: Aggregates
    reads: Reads

    async def preview(
        self, request: pb.PreviewNavCorrectionRequest
    ) -> pb.PreviewNavCorrectionResponse:
        code, nav = request.code, from_wire(funds.Nav, request.nav)
        fund = (await self.aggregates.funds.load(code)).state
        if isinstance(fund, funds.Absent):
            raise Rejected(funds.Reason.UNKNOWN_FUND)
        known = fund.nav_on(nav.nav_date)
        if known is None:
            raise Rejected(funds.Reason.NAV_MISSING, f"nothing is published for {nav.nav_date}")
        await self.reads.projection.wait_for(await self.reads.store.head())
        found = await self.reads.database.read(
            lambda c: touched(c, code, nav.nav_date, FIRST_ORDERS)
        )
        newest = fund.latest_nav
        is_newest = newest is not None and newest.nav_date == nav.nav_date
        before = newest.nav if newest is not None else 0
        after = nav.nav if is_newest else before
        return pb.PreviewNavCorrectionResponse(
            nav=nav_view(code, fund, known),
            booked_orders=found.booked,
            waiting_orders=found.waiting,
            first_orders=[await self._order(order_id) for order_id in found.first],
            holders=len(found.shares),
            shares=sum(found.shares),
            value_before_minor=_worth(found.shares, before, fund.terms),
            value_after_minor=_worth(found.shares, after, fund.terms),
            position=self.reads.projection.position,
        )

    async def _order(self, order_id: str) -> pb.FundOrder:
        state = (await self.aggregates.orders.load(order_id)).state
        if isinstance(state, life.Absent):
            raise AssertionError("what has a row was placed")  # noqa: TRY004 - a bug of ours
        return order_view(state)

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


def _worth(shares: Sequence[int], nav: int, terms: FundTerms) -> int:
    return sum(value_of(each, nav, terms.scales) for each in shares)


def _published(code: str, fund: funds.Listed, proposal_id: str) -> pb.PublishedNav | None:
    proposal = fund.proposals.get(proposal_id)
    nav = fund.nav_on(proposal.after.nav_date) if proposal is not None else None
    return None if nav is None else nav_view(code, fund, nav)
