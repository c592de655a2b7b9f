"""Events as stored: protobuf reads what we write, and every version ever written is still read."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import Default

from hefu.recommendations.v1 import events_pb2
from libs.suitability import InvestorClass, RiskLevel
from services.recommendations.codec import UnknownEvent, any_codec, as_message
from services.recommendations.domain import feed, proposal, release
from services.recommendations.domain import investor_lifecycle as investor
from services.recommendations.domain.preferences import Preferences
from tests.services.recommendations.domain.proposals import ACCEPTED_ITEMS, ISSUED
from tests.services.recommendations.domain.sheets import DAY_US, NOW_US

GOLDEN = Path(__file__).parents[2] / "golden" / "recommendations"
C3 = InvestorClass.C3
SCORES = investor.Scores(30_000_000, 20_000_000, 10_000_000, InvestorClass.C4, InvestorClass.C4, C3)
DOUBTED = feed.Quarantined(3, "000009", "NaN", feed.Doubt.NOT_A_NUMBER, "is no number")
WANTED = Preferences(
    24, "CNY", "GOAL_INCOME", 500_000, ("tech",), ("coal",), ("M1",), ("000006",), 1_000, 2_000
)

MANY = tuple(f"{number:06d}" for number in range(100, 20_000, 317))
# Shapes that came later: the same event, stored otherwise than before.
LATER: dict[str, object] = {
    "recommendation_issued.v2": replace(
        ISSUED, refused=(("ABOVE_CLASS", MANY), ("CURRENCY", ("000006",)))
    ),
    "recommendation_issued.v3": replace(
        ISSUED, refused=(("ABOVE_CLASS", MANY),), as_of_date="2015-03-31"
    ),
    "recommendation_issued.v4": replace(
        ISSUED, refused=(("ABOVE_CLASS", MANY),), as_of_date="2015-03-31", feature_set="2"
    ),
    "recommendation_issued.v5": replace(
        ISSUED,
        positions=proposal.Positions(300, 200, 100, 250),
        refused=(("ABOVE_CLASS", MANY),),
        as_of_date="2015-03-31",
        feature_set="5",
    ),
    "recommendation_issued.v6": replace(
        ISSUED,
        positions=proposal.Positions(300, 200, 100, 250),
        refused=(("ABOVE_CLASS", MANY),),
        items=(replace(ISSUED.items[0], amount_minor=-60_000, shares=5_900),),
        as_of_date="2015-03-31",
        feature_set="5",
    ),
    "proposal_accepted.v2": proposal.Accepted(
        "r14", (proposal.AcceptedItem("000002", -60_000, "o-bond", 5_900),), "a1", NOW_US
    ),
}
# One file each under tests/golden, never edited: a new shape is a new file beside the old.
STORED: dict[str, object] = {
    "investor_registered": investor.Registered("anna", ("a1", "a2"), "wallet", NOW_US),
    "questionnaire_submitted": investor.Submitted(
        "r1", "2026-1", b"\x01sealed", "digest", SCORES, ("horizon",), NOW_US
    ),
    "class_assigned": investor.ClassAssigned(
        C3, ("LOWER_OF_TWO",), NOW_US + DAY_US, "2026-1", NOW_US
    ),
    "class_expired": investor.ClassExpired("REVIEW_DUE", NOW_US),
    "professional_recognised": investor.ProfessionalRecognised(
        "r2", "file 7", "olga", NOW_US + DAY_US, NOW_US
    ),
    "professional_withdrawn": investor.ProfessionalWithdrawn("r3", NOW_US),
    "warning_shown": investor.WarningShown("r4", "000006", RiskLevel.R4, C3, NOW_US),
    "warning_acknowledged": investor.WarningAcknowledged("r5", "000006", RiskLevel.R4, C3, NOW_US),
    "consent_given": investor.ConsentGiven("r6", "ADVICE", NOW_US),
    "consent_withdrawn": investor.ConsentWithdrawn("r7", "ADVICE", NOW_US),
    "preferences_set": investor.PreferencesSet("r8", WANTED, NOW_US),
    "investor_blocked": investor.Blocked("r9", "court", "olga", NOW_US),
    "investor_unblocked": investor.Unblocked("r10", "olga", NOW_US),
    "investor_forgotten": investor.Forgotten("r11", NOW_US),
    "recommendation_issued": ISSUED,
    "shadow_answered": proposal.ShadowAnswered("blend@2", ISSUED.items, "h", 500_000),
    "proposal_shown": proposal.Shown("r12", NOW_US),
    "proposal_item_opened": proposal.ItemOpened("r13", "000002", NOW_US),
    "proposal_accepted": proposal.Accepted("r14", ACCEPTED_ITEMS, "a1", NOW_US),
    "proposal_dismissed": proposal.Dismissed("r15", "too risky", NOW_US),
    "proposal_expired": proposal.Expired("LEVEL_RAISED", "000004", NOW_US),
    "proposal_order_linked": proposal.OrderLinked("000004", "o-mixed", "LIMIT", "full"),
    "proposal_outcome_measured": proposal.OutcomeMeasured(NOW_US, 90, 12_000, -3_000),
    "feed_prices_taken": feed.PricesTaken(
        "b1", "vendor", (feed.Price("000002", "2026-11-19", "1.0234"),), (DOUBTED,), "d", NOW_US
    ),
    "feed_factor_scores_taken": feed.ScoresTaken(
        "b2", "vendor", (feed.Score("000002", "2026-11-19", "quality", "0.7"),), (), "d", NOW_US
    ),
    "feed_views_taken": feed.ViewsTaken(
        "b3",
        "house",
        (
            feed.View(
                "v1",
                (feed.Leg("000002", "1"), feed.Leg("000004", "-1")),
                "0.02",
                "0.6",
                "2026-12-31",
            ),
        ),
        (),
        "d",
        NOW_US,
    ),
    "feed_fund_facts_taken": feed.FactsTaken(
        "b4",
        "vendor",
        (feed.FundFact("000002", "Huaxia", "treasuries", "F1", "2015-01-05", 6_000),),
        (),
        "d",
        NOW_US,
    ),
    "release_version_promoted": release.Promoted("r16", "blend@3", "ab", "olga", NOW_US),
    "release_shadow_set": release.ShadowSet("r17", "blend@4", "cd", "olga", NOW_US),
}


@pytest.mark.parametrize("name", sorted(STORED))
def test_what_was_ever_stored_is_still_read(name: str) -> None:
    type_, data = (GOLDEN / f"{name}.v1.json").read_bytes().split(b"\n", 1)
    assert any_codec.decode(type_.decode(), data.strip()) == STORED[name]


@pytest.mark.parametrize("name", sorted(STORED))
def test_what_is_stored_now_is_what_was_stored(name: str) -> None:
    type_, data = any_codec.encode(STORED[name])
    assert (GOLDEN / f"{name}.v1.json").read_bytes() == type_.encode() + b"\n" + data + b"\n"


@pytest.mark.parametrize("name", sorted(STORED))
def test_protobuf_reads_every_event_and_writes_the_same(name: str) -> None:
    type_, data = any_codec.encode(STORED[name])
    descriptor = Default().FindMessageTypeByName(type_)
    message = json_format.Parse(data, message_factory.GetMessageClass(descriptor)())
    written = json_format.MessageToDict(message, preserving_proto_field_name=True)
    assert orjson.loads(data) == written


@pytest.mark.parametrize("name", sorted(LATER))
def test_a_later_shape_is_read_and_written_as_it_was_stored(name: str) -> None:
    stored = (GOLDEN / f"{name}.json").read_bytes()
    type_, data = stored.split(b"\n", 1)
    assert any_codec.decode(type_.decode(), data.strip()) == LATER[name]
    written_type, written = any_codec.encode(LATER[name])
    assert stored == written_type.encode() + b"\n" + written + b"\n"
    descriptor = Default().FindMessageTypeByName(type_.decode())
    message = json_format.Parse(data, message_factory.GetMessageClass(descriptor)())
    if isinstance(message, events_pb2.RecommendationIssued):
        assert message.refused[0].packed_codes


def test_a_message_names_refused_funds_that_are_packed_in_the_store() -> None:
    issued = LATER["recommendation_issued.v2"]
    message = events_pb2.RecommendationIssued(**as_message(issued))
    assert tuple(message.refused[0].fund_codes) == MANY
    assert not message.refused[0].packed_codes


def test_every_event_of_the_contract_has_a_golden_file() -> None:
    named = {any_codec.encode(event)[0].rpartition(".")[2] for event in STORED.values()}
    messages = set(events_pb2.DESCRIPTOR.message_types_by_name)
    endings = (
        "Registered Submitted Assigned Expired Recognised Withdrawn Shown Acknowledged Given Set "
        "Blocked Unblocked Forgotten Issued Answered Opened Accepted Dismissed Linked Measured "
        "Taken Promoted"
    )
    ends = tuple(endings.split())
    assert named == {name for name in messages if name.endswith(ends)}


def test_a_message_of_a_recommendation_says_what_is_stored() -> None:
    message = events_pb2.RecommendationIssued(**as_message(ISSUED))
    written = json_format.MessageToDict(message, preserving_proto_field_name=True)
    assert written == orjson.loads(any_codec.encode(ISSUED)[1])


def test_an_event_of_a_later_version_is_not_guessed_at() -> None:
    with pytest.raises(UnknownEvent):
        any_codec.decode("hefu.recommendations.v1.ProposalForgotten", b"{}")
