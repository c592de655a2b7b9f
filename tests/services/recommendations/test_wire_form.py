"""What is put together as bytes is the message that protobuf would have made."""

from dataclasses import replace
from typing import Any

import pytest

from hefu.recommendations.v1 import events_pb2
from hefu.recommendations.v1 import recommendations_pb2 as pb
from libs.decider import Transacted
from libs.money import Money
from libs.suitability import InvestorClass
from libs.wire_bytes import BYTES
from services.recommendations.api.messages import answer_in_bytes, proposal_to_wire
from services.recommendations.codec import as_message
from services.recommendations.domain import proposal as what
from services.recommendations.domain.reasons import in_words
from services.recommendations.wire_form import form_of
from tests.services.recommendations.domain.proposals import ACCEPTED_ITEMS, ISSUED
from tests.services.recommendations.domain.sheets import NOW_US

FORM = form_of(what.Issued, events_pb2.RecommendationIssued.DESCRIPTOR)
WORDS = what.Reasoned("WANTED_THEME", (("theme", "科技"), ("empty", "")))
ISSUES = {
    "of a portfolio": ISSUED,
    "without refused funds": replace(ISSUED, refused=()),
    "with thousands of refused funds": replace(
        ISSUED, refused=(("ABOVE_CLASS", tuple(f"{n:06d}" for n in range(3_000))),)
    ),
    "with codes of other lengths": replace(
        ISSUED, refused=(("CURRENCY", ("12345", "1234567")), ("HORIZON", ("基金", "", "000001")))
    ),
    "with numbers below zero and beyond two digits of seven bits": replace(
        ISSUED,
        seed=(1 << 62) - 1,
        features=(("fall", -5), ("held", 1 << 40), ("none", 0), ("科技", 16_384)),
        items=(replace(ISSUED.items[0], amount_minor=-7, fund_name="汇添富", reasons=(WORDS,)),),
    ),
    "with an amount of nothing and no runner-up": replace(
        ISSUED, amount=Money("CNY", 0), runner_up=None, fallbacks=("TURNOVER", "THEME")
    ),
    "with a runner-up": replace(ISSUED, runner_up=("000009", WORDS)),
    "of the least class": replace(
        ISSUED, suitability=replace(ISSUED.suitability, investor_class=InvestorClass.C1_MINIMUM)
    ),
}


@pytest.mark.parametrize("name", ISSUES)
def test_what_was_issued_is_written_as_its_message(name: str) -> None:
    issued = ISSUES[name]
    told = events_pb2.RecommendationIssued.FromString(FORM(issued).encode(BYTES))

    assert told == events_pb2.RecommendationIssued(**as_message(issued))
    assert FORM(issued).encode(BYTES) == told.SerializeToString(deterministic=True)


def test_a_reply_tells_the_proposal_as_it_stands() -> None:
    order = what.OrderLinked("000004", "o-mixed", "LIMIT", "full")
    outcome = what.OutcomeMeasured(NOW_US, 90, 12_000, -3_000)
    state = what.Proposal(
        ISSUED,
        what.Status.ACCEPTED,
        cause="why",
        accepted=what.Accepted("r", ACCEPTED_ITEMS, "a1", NOW_US),
        orders={"o-mixed": order},
        outcomes=(outcome,),
    )
    words = [(item.fund_code, *in_words(item.reasons)) for item in ISSUED.items]
    fields: dict[str, Any] = {
        "issued": as_message(ISSUED),
        "accepted": [as_message(item) for item in ACCEPTED_ITEMS],
        "orders": [as_message(order)],
        "texts": [{"fund_code": code, "text_zh": zh, "text_en": en} for code, zh, en in words],
        "outcomes": [as_message(outcome)],
    }
    status = pb.PROPOSAL_STATUS_ACCEPTED
    expected = pb.Proposal(status=status, cause="why", issued_us=ISSUED.as_of_us, **fields)

    assert proposal_to_wire(state) == expected
    told = answer_in_bytes(Transacted(state, (), 77, 3))
    for reply in (pb.ListRecommendationsResponse, pb.ProposePortfolioResponse):
        asked = reply(proposal=expected, position=77, is_replayed=True)
        assert reply.FromString(told) == asked
        assert told == asked.SerializeToString(deterministic=True)
