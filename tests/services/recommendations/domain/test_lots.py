"""Lots are sold the oldest first; each part has the fee of its age, and a day it gets cheaper."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.suitability import RiskLevel
from services.recommendations.domain.catalogue import FeeStep, Fund
from services.recommendations.domain.facts import DAY_US, Fact
from services.recommendations.domain.lots import (
    Lot,
    Part,
    fee_minor,
    kept,
    lots_of,
    parts_of,
    taken,
)

TODAY = 1_000
STEPS = (FeeStep(0, 15_000), FeeStep(7, 5_000), FeeStep(365, 0))
FUND = Fund(*("000002", "Bond", RiskLevel.R2, "CNY", "BOND", "M1"), redemption=STEPS)
# A share is worth one minor unit.
PRICE = 10_000


def shares(day: int, amount: int, code: str = "000002") -> Fact:
    return Fact(day * DAY_US, f"{day}/{amount}", "SHARES", day * DAY_US, "anna", code, amount)


def test_what_was_sold_came_off_the_oldest_lots() -> None:
    facts = [shares(20, 300), shares(30, -250), shares(10, 200), shares(5, 9, "000003")]

    assert lots_of(facts, "000002") == [Lot(20, 250)]


@pytest.mark.parametrize(
    ("amount", "fee"),
    [
        (1_000_000, 0),  # all of it past the last step
        (1_400_000, 2_000),  # and 400,000 held for thirty days
        (2_100_000, 6_500),  # and 100,000 bought yesterday
        (2_200_000, 8_000),  # and 100,000 of which no lot is known
    ],
)
def test_the_oldest_lots_are_sold_first_each_at_the_fee_of_its_age(amount: int, fee: int) -> None:
    lots = [Lot(TODAY - 400, 1_000_000), Lot(TODAY - 30, 1_000_000), Lot(TODAY - 1, 100_000)]
    parts = parts_of(FUND, lots, 2_200_000, PRICE, TODAY)

    assert fee_minor(parts, amount) == fee


def test_each_part_knows_its_next_step_and_what_a_quarter_would_save() -> None:
    lots = [Lot(TODAY - 400, 100), Lot(TODAY - 300, 200), Lot(TODAY - 30, 300), Lot(TODAY - 2, 400)]

    assert parts_of(FUND, lots, 1_000, PRICE, TODAY, 91) == (
        Part(100, 0, 0),
        Part(200, 5_000, 0, TODAY + 65, 0),
        Part(300, 5_000, 5_000, TODAY + 335, 0),
        Part(400, 15_000, 5_000, TODAY + 5, 5_000),
    )


def test_lots_of_the_same_fee_for_good_are_one_part() -> None:
    lots = [Lot(TODAY - 500, 100), Lot(TODAY - 400, 200)]

    assert parts_of(FUND, lots, 300, PRICE, TODAY, 91) == (Part(300, 0, 0),)


@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(1, 10**9)), max_size=6),
    st.integers(1, 30_000),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
)
def test_what_is_sold_and_what_stays_are_all_there_is(
    bought: list[tuple[int, int]], price: int, worth: int, amount: int
) -> None:
    lots = [Lot(TODAY - age, count) for age, count in sorted(bought, reverse=True)]
    parts = parts_of(FUND, lots, worth, price, TODAY, 91)

    assert sum(part.worth_minor for part in parts) == worth
    gone, left = taken(parts, amount), kept(parts, amount)
    assert sum(part.worth_minor for part in gone) == min(amount, worth)
    assert sum(part.worth_minor for part in left) == max(worth - amount, 0)
    assert fee_minor(parts, amount) >= fee_minor(parts, max(amount - 1, 0))
