"""An account at a registrar is asked for once, and answered; refused, it may be asked for again."""

from dataclasses import replace
from datetime import date

import pytest

from services.funds.domain.registrar_account import (
    Answer,
    Command,
    Confirmed,
    Event,
    Reason,
    Refused,
    Request,
    Requested,
    is_waited_for,
    registrar_account,
)
from tests.scenario import Scenario

story = Scenario(registrar_account)
DAY, NEXT = date(2026, 9, 24), date(2026, 9, 28)
ASKED = Requested("HFTA", "customer:anna", "HF01", "HA01", DAY)
AGAIN = replace(ASKED, serial="HA02", trade_date=NEXT)
OPENED, NO = Confirmed("HA01", "000000000001"), Refused("HA01", "0001", "no such person")


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        ([], Request(ASKED), [ASKED]),
        # A day that is done again asks for nothing new, nor does the next while there is no answer.
        ([ASKED], Request(AGAIN), []),
        ([ASKED, OPENED], Request(AGAIN), []),
        ([ASKED], Answer(OPENED), [OPENED]),
        ([ASKED], Answer(NO), [NO]),
        ([ASKED, NO], Request(ASKED), []),
        ([ASKED, NO], Request(AGAIN), [AGAIN]),
        ([ASKED, NO], Answer(OPENED), [OPENED]),
    ],
)
def test_an_account_is_asked_for_and_answered(
    history: list[Event], command: Command, events: list[Event]
) -> None:
    outcome = story.given(history).when(command)
    if events:
        outcome.then(events)
    else:
        outcome.then_nothing()


@pytest.mark.parametrize(
    ("history", "command", "reason"),
    [
        ([], Answer(OPENED), Reason.ACCOUNT_REQUEST_UNKNOWN),
        ([ASKED], Answer(replace(OPENED, serial="HA9")), Reason.ACCOUNT_REQUEST_UNKNOWN),
        ([ASKED, OPENED], Answer(NO), Reason.CONTRADICTS_RECORD),
        (
            [ASKED, OPENED],
            Answer(replace(OPENED, ta_account_id="2")),
            Reason.CONTRADICTS_RECORD,
        ),
    ],
)
def test_an_answer_that_cannot_be_is_refused(
    history: list[Event], command: Command, reason: Reason
) -> None:
    story.given(history).when(command).then_rejected(reason)


@pytest.mark.parametrize(
    ("history", "trade_date", "waits"),
    [
        ([], NEXT, False),
        ([ASKED], DAY, False),
        ([ASKED], NEXT, True),
        ([ASKED, OPENED], NEXT, False),
        ([ASKED, NO], NEXT, False),
    ],
)
def test_only_a_later_days_order_waits_for_the_answer(
    history: list[Event], trade_date: date, *, waits: bool
) -> None:
    assert is_waited_for(story.given(history).state, trade_date) is waits
