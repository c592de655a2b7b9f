"""Splits: whole units, exact sums, the stated rule; and their undoing in parts, down to zero."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.accounts.domain.commands import Part
from services.accounts.domain.refusals import Refused
from services.accounts.domain.splits import (
    IN_LIST_ORDER,
    INTO_THE_REST,
    Remainder,
    check_split,
    split,
    undo,
)

THIRD = Part("a", share=1)
FIXED, SHARE, REST = Part("f", fixed=150), Part("s", share=25), Part("r", is_rest=True)


def test_a_hundred_in_three_is_34_33_33() -> None:
    shares = split(100, 3, [THIRD] * 3)
    assert shares.amounts == (34, 33, 33)
    assert (shares.rule, shares.remainders) == (IN_LIST_ORDER, (Remainder(0, 1, 1),))


def test_a_negative_total_is_split_by_its_absolute_value() -> None:
    assert split(-100, 3, [THIRD] * 3).amounts == (-34, -33, -33)


def test_fixed_amounts_come_first_then_shares_of_what_they_leave_then_the_rest() -> None:
    shares = split(10_150, 10_000, [REST, SHARE, FIXED])
    assert shares.amounts == (9_975, 25, 150)
    assert shares.rule == INTO_THE_REST


def test_the_rest_takes_what_rounding_leaves_and_says_how_much() -> None:
    shares = split(10_199, 10_000, [SHARE, REST])
    assert shares.amounts == (25, 10_174)
    assert shares.remainders == (Remainder(1, 10_199 * 25 % 10_000, 10_000),)


def test_parts_without_a_share_get_no_unit_that_is_left_over() -> None:
    assert split(100, 3, [Part("z", share=0), *[THIRD] * 3]).amounts == (0, 34, 33, 33)


INVALID = [
    ([Part("a", share=2), Part("b", share=2)], 3),
    ([Part("a", share=-1), REST], 3),
    ([Part("a", share=1), Part("b", share=1)], 3),
    ([REST, REST], 3),
    ([Part("a", share=0)], 3),
    ([Part("a", share=1)], 0),
    ([Part("a", fixed=1_001)], 0),
    ([Part("a", fixed=999)], 0),
    ([Part("a", fixed=1_001), REST], 0),
]


@pytest.mark.parametrize(("parts", "whole"), INVALID)
def test_splits_that_cannot_be(parts: list[Part], whole: int) -> None:
    with pytest.raises(Refused, match="SPLIT_INVALID"):
        check_split(1_000, whole, parts)


def test_a_part_is_given_back_by_what_each_leg_still_can_give() -> None:
    assert undo(50, (34, 33, 33)) == (18, 16, 16)
    assert undo(1, (0, 5, 5)) == (0, 1, 0)
    assert undo(100, (34, 33, 33)) == (34, 33, 33)
    assert undo(0, (34, 33)) == (0, 0)
    with pytest.raises(ValueError, match="cannot be given back"):
        undo(101, (34, 33, 33))


@st.composite
def _splits(draw: st.DrawFn) -> tuple[int, int, list[Part]]:
    whole = draw(st.integers(1, 10_000))
    cuts = sorted(draw(st.lists(st.integers(0, whole), max_size=6)))
    shares = [high - low for low, high in zip([0, *cuts], [*cuts, whole], strict=True)]
    fixed = draw(st.lists(st.integers(1, 10**6), max_size=3))
    parts = [Part("s", share=share) for share in shares]
    if draw(st.booleans()):
        del parts[draw(st.integers(0, len(parts) - 1))]
        parts.insert(draw(st.integers(0, len(parts))), Part("r", is_rest=True))
    parts += [Part("f", fixed=minor) for minor in fixed]
    return sum(fixed) + draw(st.integers(1, 10**12)), whole, parts


@given(_splits())
def test_a_split_adds_up_and_no_share_is_more_than_a_unit_off(
    drawn: tuple[int, int, list[Part]],
) -> None:
    total, whole, parts = drawn
    check_split(total, whole, parts)
    amounts = split(total, whole, parts).amounts
    left = total - sum(part.fixed or 0 for part in parts)
    assert sum(amounts) == total
    for amount, part in zip(amounts, parts, strict=True):
        assert amount >= 0
        if part.share is not None:
            assert left * part.share // whole <= amount <= left * part.share // whole + 1


def _undone_in_parts(pick: random.Random) -> None:
    legs = pick.randint(1, 8)
    refundable = [pick.choice([0, pick.randint(0, 9), pick.randint(0, 10**9)]) for _ in range(legs)]
    while left := sum(refundable):
        given_back = undo(pick.choice([left, pick.randint(1, left)]), refundable)
        refundable = [each - part for each, part in zip(refundable, given_back, strict=True)]
        assert min(given_back) >= 0
        assert min(refundable) >= 0
        assert sum(refundable) == left - sum(given_back) < left


@pytest.mark.parametrize("seed", range(40))
def test_undone_in_parts_no_leg_goes_below_zero_and_the_last_part_ends_on_it(seed: int) -> None:
    pick = random.Random(seed)  # noqa: S311 - a seed makes the run the same each time
    for _ in range(10):
        _undone_in_parts(pick)


@pytest.mark.full
def test_100_000_random_splits_and_undoings() -> None:
    pick = random.Random(2_026)  # noqa: S311 - a seed makes the run the same each time
    for _ in range(100_000):
        shares = [pick.randint(0, 50) for _ in range(pick.randint(1, 8))]
        whole = sum(shares) or 1
        if not sum(shares):
            shares[0] = 1
        total = pick.randint(1, 10**12)
        amounts = split(total, whole, [Part("p", share=share) for share in shares]).amounts
        assert sum(amounts) == total
        assert min(amounts) >= 0
        left = list(amounts)
        while any(left):
            given_back = undo(pick.randint(1, sum(left)), left)
            left = [each - part for each, part in zip(left, given_back, strict=True)]
            assert min(left) >= 0
