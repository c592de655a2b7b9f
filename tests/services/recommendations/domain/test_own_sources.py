"""What a ranking adds of an investor's own holdings and plans: cheaper classes, running plans."""

from dataclasses import replace

from libs.suitability import InvestorClass, RiskLevel
from services.recommendations.domain import reasons
from services.recommendations.domain.catalogue import Catalogue, Fund
from services.recommendations.domain.facts import Fact, planned
from services.recommendations.domain.ranking import (
    CHEAPER,
    PLAN,
    Crowd,
    CrowdRanker,
    ListRules,
    Question,
    own_sources,
    rank,
)
from services.recommendations.explaining import of_listed

DEAR = Fund(
    *("000001", "Class A", RiskLevel.R2, "CNY", "BOND", "M1"),
    family="F",
    front_fee_millionths=15_000,
)
CHEAP = replace(DEAR, code="000002", name="Class C", front_fee_millionths=3_000)
ALIKE = replace(DEAR, code="000003", name="Class B", front_fee_millionths=14_800)
OTHER = replace(DEAR, code="000004", name="Another", family="G", manager="M2")
CATALOGUE = Catalogue((DEAR, CHEAP, ALIKE, OTHER))
ASKED = Question("anna", int(InvestorClass.C3), ("000001",), 365)


def test_a_class_that_is_cheaper_than_the_one_held_is_a_candidate_by_what_it_saves() -> None:
    assert own_sources(CATALOGUE, ASKED, CATALOGUE.everything) == {CHEAPER: {"000002": 12_000.0}}


def test_what_is_not_eligible_is_no_candidate_whoever_holds_or_plans_it() -> None:
    asked = replace(ASKED, planned=("000002",))
    allowed = CATALOGUE.everything & ~CATALOGUE.only(["000002"])

    assert own_sources(CATALOGUE, asked, allowed) == {}


def test_the_cheaper_class_leads_a_list_and_says_why() -> None:
    ranker = CrowdRanker(CATALOGUE, Crowd())
    rules = ListRules(exploration=0.0)

    ranked, _ = rank(CATALOGUE, ranker, ASKED, CATALOGUE.everything, rules, seed=1)
    told = {
        each.code: dict(each.evidence) for each in of_listed(CATALOGUE, ranker, ASKED, ranked[0])
    }

    assert ranked[0].code == "000002"
    assert told[reasons.LOWER_FEE_ALTERNATIVE]["other"] == "000001"


def test_the_fund_of_a_running_plan_comes_with_what_is_missing_to_the_goal() -> None:
    asked = replace(ASKED, held=(), planned=("000004",), goal_gap_minor=70_000)
    ranker = CrowdRanker(CATALOGUE, Crowd())

    ranked, _ = rank(CATALOGUE, ranker, asked, CATALOGUE.everything, ListRules(exploration=0.0), 1)
    listed = next(each for each in ranked if each.code == "000004")
    told = {each.code: dict(each.evidence) for each in of_listed(CATALOGUE, ranker, asked, listed)}

    assert listed.sources[PLAN] == 1.0
    assert told[reasons.PLAN_TOP_UP] == {"plan": "000004", "gap": "70000"}


def plan(code: str, amount: int) -> Fact:
    return Fact(amount, f"{code}{amount}", "PLAN", amount, "anna", code, amount)


def test_a_plan_that_was_stopped_does_not_run() -> None:
    assert planned([plan("000002", 1), plan("000004", 1), plan("000002", -1)]) == ("000004",)
