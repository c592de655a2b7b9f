"""Trading calendars over gRPC: seen by operators, extended by one and let count by another."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pytest

from hefu.funds.v1 import funds_pb2 as pb
from libs.client import HefuError
from libs.ids import new_id
from tests.services.funds.conftest import Served
from tests.services.funds.served import BUY, bring_to_market, clock, reason
from tests.services.funds.worlds import WALLET, order_id

if TYPE_CHECKING:
    from collections.abc import Sequence

EXCHANGE = "XSHG"
LATER = ("2027-01-04", "2027-01-05")


@dataclass(frozen=True)
class Desk:
    """What two operators do."""

    served: Served

    async def see(self) -> pb.TradingCalendar:
        request = pb.GetTradingCalendarRequest(calendar=EXCHANGE)
        return (await self.served.operator.GetTradingCalendar(request)).calendar

    def proposal(self, sessions: "Sequence[str]" = LATER) -> pb.ProposeTradingDaysRequest:
        return pb.ProposeTradingDaysRequest(
            proposal_id=str(new_id()),
            calendar=EXCHANGE,
            until_date=LATER[-1],
            session_dates=sessions,
        )


async def test_sixty_days_before_its_end_operators_see_that_a_calendar_ends(served: Served) -> None:
    desk = Desk(served)
    await bring_to_market(served)
    far = await desk.see()
    await clock(served, "2026-11-01 09:00")
    near = await desk.see()

    assert (far.known_until_date, far.is_ending, near.is_ending) == ("2026-12-31", False, True)
    assert near.days_left == (date(2026, 12, 31) - date(2026, 11, 1)).days


async def test_past_the_end_orders_are_taken_once_two_operators_have_published_its_days(
    served: Served,
) -> None:
    desk = Desk(served)
    await bring_to_market(served)
    await clock(served, "2026-12-31 14:00")
    served.world.journal.balances[WALLET] = 1_000_000
    with pytest.raises(HefuError, match="CALENDAR_UNKNOWN"):
        await served.wallet.place(order_id(1), BUY)
    proposal = desk.proposal()
    await served.operator.ProposeTradingDays(proposal)
    approve = pb.ApproveTradingDaysRequest(calendar=EXCHANGE, proposal_id=proposal.proposal_id)
    own = served.operator.ApproveTradingDays(approve)
    assert await reason(own) == "APPROVER_IS_MAKER"

    done = await served.checker.ApproveTradingDays(approve)

    assert done.calendar.known_until_date == LATER[-1]
    assert [each.is_approved for each in done.calendar.proposals] == [True]
    await served.wallet.place(order_id(1), BUY)


async def test_days_that_another_operator_refuses_are_never_sessions(served: Served) -> None:
    desk = Desk(served)
    proposal = desk.proposal()
    await served.operator.ProposeTradingDays(proposal)
    refuse = pb.RefuseTradingDaysRequest(
        calendar=EXCHANGE, proposal_id=proposal.proposal_id, note="a holiday"
    )
    own = served.operator.RefuseTradingDays(refuse)
    assert await reason(own) == "APPROVER_IS_MAKER"

    refused = await served.checker.RefuseTradingDays(refuse)

    assert [each.is_refused for each in refused.calendar.proposals] == [True]
    assert refused.calendar.known_until_date == "2026-12-31"
    approve = pb.ApproveTradingDaysRequest(calendar=EXCHANGE, proposal_id=proposal.proposal_id)
    assert await reason(served.checker.ApproveTradingDays(approve)) == "PROPOSAL_DIFFERS"


@pytest.mark.parametrize(
    ("sessions", "told"),
    [
        (LATER[::-1], "CALENDAR_GAP"),
        (("2026-12-30",), "CALENDAR_GAP"),
        (("2027-02-30",), "FIELD_INVALID"),
    ],
)
async def test_days_that_cannot_be_are_refused_by_name(
    served: Served, sessions: "Sequence[str]", told: str
) -> None:
    proposal = Desk(served).proposal(sessions)

    assert await reason(served.operator.ProposeTradingDays(proposal)) == told


async def test_an_exchange_nobody_knows_is_refused_by_name(served: Served) -> None:
    request = pb.GetTradingCalendarRequest(calendar="XXXX")

    assert await reason(served.operator.GetTradingCalendar(request)) == "CALENDAR_UNKNOWN"
