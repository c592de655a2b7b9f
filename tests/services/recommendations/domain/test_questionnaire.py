"""The questionnaire: bands, the lower of two, knock-outs, caps, contradictions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.suitability import InvestorClass
from services.recommendations.domain.questionnaire import (
    CAPACITY_MAX,
    KNOWLEDGE_MAX,
    TOLERANCE_MAX,
    Block,
    Part,
    assess,
    contradictions,
    mistakes,
)
from services.recommendations.domain.questionnaire_2026 import QUESTIONNAIRE
from tests.services.recommendations.domain.sheets import highest, sheet

LOWEST_TOLERANCE = {
    "fall_of_20": "sell_all",
    "gain_against_loss": "sure_4",
    "greatest_loss": "up_to_5",
    "appetite": "low",
    "job_choice": "fixed_pay",
    "expected_return": "deposit",
}
LOWEST_CAPACITY = {
    "age_band": "over_80",
    "dependants": "three_more",
    "income_band": "under_100k",
    "income_source": "none",
    "committed_income": "61_80",
    "reserve": "under_3",
    "assets_band": "under_50k",
    "large_purchase": "within_half_year",
    "property": "rented",
    "liquidity_need": "most",
}


def test_there_are_twenty_five_items_in_five_blocks_whose_points_fill_the_scale() -> None:
    most = {
        part: sum(max(o.points for o in i.options) for i in QUESTIONNAIRE.items if i.part is part)
        for part in Part
    }

    assert len(QUESTIONNAIRE.items) == 25
    assert {item.block for item in QUESTIONNAIRE.items} == set(Block)
    assert most[Part.CAPACITY] == CAPACITY_MAX
    assert most[Part.TOLERANCE] == TOLERANCE_MAX
    assert most[Part.KNOWLEDGE] == KNOWLEDGE_MAX


def test_the_highest_answers_give_the_highest_class() -> None:
    found = assess(QUESTIONNAIRE, highest())

    assert (found.capacity, found.tolerance, found.knowledge) == (40, 40, 20)
    assert found.investor_class is InvestorClass.C5
    assert found.caps == ()


@pytest.mark.parametrize(
    ("changed", "expected", "caps"),
    [
        ({"horizon": "under_1"}, InvestorClass.C2, ("SHORT_HORIZON",)),
        ({"reserve": "none"}, InvestorClass.C2, ("NO_RESERVE",)),
        ({"products_held": "none"}, InvestorClass.C3, ("NO_EXPERIENCE",)),
        ({"committed_income": "over_80"}, InvestorClass.C2, ("INCOME_COMMITTED",)),
        ({"legal_capacity": "limited"}, InvestorClass.C1_MINIMUM, ("NO_FULL_CAPACITY",)),
        (
            {"greatest_loss": "none", "expected_return": "deposit", "fall_of_20": "hold"},
            InvestorClass.C1_MINIMUM,
            ("LOWER_OF_TWO", "NO_LOSS_ACCEPTED"),
        ),
        (
            {"appetite": "lowest_class", "gain_against_loss": "sure_4"},
            InvestorClass.C1_MINIMUM,
            ("LOWER_OF_TWO", "LOWEST_BY_DECLARATION"),
        ),
    ],
)
def test_knock_outs_and_caps_hold_whatever_the_points_say(
    changed: dict[str, str], expected: InvestorClass, caps: tuple[str, ...]
) -> None:
    found = assess(QUESTIONNAIRE, sheet(**changed))

    assert found.investor_class is expected
    assert set(caps) >= set(found.caps)
    assert found.caps[-1] == caps[-1]


def test_high_appetite_never_lifts_low_capacity() -> None:
    found = assess(QUESTIONNAIRE, sheet(**LOWEST_CAPACITY))

    assert found.class_of_capacity is InvestorClass.C1
    assert found.class_of_total > InvestorClass.C1
    assert found.investor_class is InvestorClass.C1
    assert found.caps == ("LOWER_OF_TWO",)


def test_high_capacity_never_lifts_low_tolerance() -> None:
    found = assess(QUESTIONNAIRE, sheet(**LOWEST_TOLERANCE))

    assert found.investor_class is InvestorClass.C1


def test_a_sheet_is_taken_whole() -> None:
    answers = sheet(strange="x", age_band="ancient")
    del answers["goal"]

    assert [v.field for v in mistakes(QUESTIONNAIRE, answers)] == [
        "answers.goal",
        "answers.age_band",
        "answers.strange",
    ]


def test_answers_that_cannot_both_be_meant_are_named() -> None:
    found = contradictions(QUESTIONNAIRE, sheet(greatest_loss="none"))

    assert [v.description for v in found] == [
        "contradicts expected_return",
        "contradicts fall_of_20",
    ]


@given(st.data())
def test_no_answer_with_fewer_points_gives_a_higher_class(data: st.DataObject) -> None:
    answers = {
        item.key: data.draw(st.sampled_from([o.key for o in item.options]), item.key)
        for item in QUESTIONNAIRE.items
    }
    item = data.draw(st.sampled_from([i for i in QUESTIONNAIRE.items if i.part is not Part.NONE]))
    chosen = item.option(answers[item.key])
    assert chosen is not None
    lower = [o for o in item.options if o.points <= chosen.points and o.cap is not None]
    lower += [o for o in item.options if o.points <= chosen.points and chosen.cap is None]
    other = data.draw(st.sampled_from(lower or [chosen]))

    before = assess(QUESTIONNAIRE, answers).investor_class
    after = assess(QUESTIONNAIRE, answers | {item.key: other.key}).investor_class

    assert after <= before or chosen.cap is not None
