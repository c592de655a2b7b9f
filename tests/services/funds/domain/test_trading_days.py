"""Calendars past the library's data, and ISO's words."""

from dataclasses import replace
from datetime import date

import pytest

from libs.trading_calendar import dealing_days, extended, load_calendar
from services.funds.domain.iso_names import message_names, reject_code, status_code
from services.funds.domain.order import order
from services.funds.domain.order_lifecycle import Begun, PartlyConfirmed, RemainderCancelled, Stage
from services.funds.domain.order_placing import Reason as Refusal
from services.funds.domain.trading_days import (
    Approve,
    Command,
    Event,
    ExtensionApproved,
    ExtensionProposed,
    ExtensionRefused,
    Propose,
    Reason,
    Refuse,
    trading_days,
)
from services.funds.domain.two_operators import Reason as Decided
from tests.scenario import Scenario
from tests.services.funds.domain.stories import BUY, FROZEN, MODE, SELL, accepted, placed, row, sent

story = Scenario(trading_days)
END = date(2026, 12, 31)
DAYS = (date(2027, 1, 4), date(2027, 1, 5))
PROPOSED = ExtensionProposed("p1", "XSHG", date(2027, 1, 5), DAYS, "olga")
APPROVED = ExtensionApproved("p1", "petr")


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        ([], Propose(PROPOSED, END), [PROPOSED]),
        ([PROPOSED], Approve("p1", "petr", END), [APPROVED]),
        ([PROPOSED], Refuse("p1", "petr", "wrong"), [ExtensionRefused("p1", "petr", "wrong")]),
    ],
)
def test_days_are_published_by_two(
    history: list[Event], command: Command, events: list[Event]
) -> None:
    story.given(history).when(command).then(events)


@pytest.mark.parametrize(
    ("history", "command", "reason"),
    [
        ([], Propose(replace(PROPOSED, proposal_id=""), END), Reason.FIELD_REQUIRED),
        ([PROPOSED], Propose(replace(PROPOSED, maker="eve"), END), Decided.PROPOSAL_DIFFERS),
        ([], Propose(replace(PROPOSED, sessions=()), END), Reason.CALENDAR_GAP),
        ([], Propose(replace(PROPOSED, sessions=DAYS[::-1]), END), Reason.CALENDAR_GAP),
        ([], Propose(PROPOSED, date(2027, 1, 4)), Reason.CALENDAR_GAP),
        ([], Propose(replace(PROPOSED, until=date(2027, 1, 4)), END), Reason.CALENDAR_GAP),
        ([], Approve("p1", "petr", END), Decided.PROPOSAL_NOT_FOUND),
        ([PROPOSED], Approve("p1", "olga", END), Decided.APPROVER_IS_MAKER),
        ([PROPOSED], Approve("p1", "petr", date(2027, 1, 4)), Reason.CALENDAR_GAP),
        (
            [PROPOSED, ExtensionRefused("p1", "petr", "")],
            Approve("p1", "petr", END),
            Decided.PROPOSAL_DIFFERS,
        ),
        ([PROPOSED, APPROVED], Refuse("p1", "petr", ""), Decided.PROPOSAL_DIFFERS),
    ],
)
def test_what_cannot_be_published_is_refused(
    history: list[Event], command: Command, reason: Reason
) -> None:
    story.given(history).when(command).then_rejected(reason)


def test_only_what_was_approved_extends_the_calendar() -> None:
    seed = load_calendar("XSHG")
    waiting = story.given([PROPOSED]).state
    approved = story.given([PROPOSED, APPROVED]).state

    assert extended(seed, waiting.extensions) == seed
    longer = extended(seed, approved.extensions)
    assert dealing_days(END, [longer], 1).confirm == DAYS[0]


def test_every_state_has_its_code() -> None:
    def code(history: list[object]) -> str | None:
        state = order.fold(order.initial, history)  # type: ignore[arg-type]
        assert isinstance(state, Begun)
        return status_code(state)

    assert code([*placed(BUY)]) == "AWSM"
    assert code([*placed(SELL)]) == "AWRM"
    assert code([*placed(SELL), FROZEN]) == "RECE"
    assert code([*accepted(BUY)]) == "PACK"
    deferred = PartlyConfirmed(row(SELL, shares=1))
    assert code([*sent(SELL), deferred]) == "GATM"
    assert code([*sent(SELL), deferred, RemainderCancelled(999_99)]) == "DONF"
    state = order.fold(order.initial, placed(BUY))
    assert isinstance(state, Begun)
    dropped = {Stage.CANCELLED, Stage.REJECTED}
    none = {stage for stage in Stage if status_code(replace(state, stage=stage)) is None}
    assert none == dropped


def test_every_refusal_has_a_code_and_the_rest_is_other() -> None:
    assert reject_code("CUTOFF_PASSED") == "CUTO"
    assert reject_code("BELOW_MINIMUM") == "BMIN"
    assert reject_code("BELOW_MINIMUM", is_top_up=True) == "BMTO"
    assert reject_code("SUITABILITY_NEVER") == reject_code("FAST_LIMIT") == "OTHR"
    assert all(len(reject_code(reason.name)) == 4 for reason in Refusal)


def test_messages_have_names_where_iso_has_any() -> None:
    assert message_names(BUY) == ("setr.010.001.04", "setr.012.001.04")
    assert message_names(SELL) == ("setr.004.001.04", "setr.006.001.04")
    assert message_names(MODE) is None
