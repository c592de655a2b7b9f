"""A row about the nominee account is divided by claims that are fixed once, to the last unit."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.fund_arithmetic import apportioned
from services.funds.domain.expectation import Expected
from services.funds.domain.nominee_row import (
    CLAIMS_PER_EVENT,
    Claim,
    ClaimsFixed,
    FixClaims,
    Reason,
    nominee_row,
    parts_of,
)
from services.funds.domain.order_terms import Confirmation
from tests.scenario import Scenario

story = Scenario(nominee_row)
ANNA, BELA, NOBODY = Claim("anna", "w1", 200), Claim("bela", "w2", 100), Claim("carl", "w3", 0)
FIX = FixClaims("F1/142/2026-09-28", "HF0001", (ANNA, BELA, NOBODY))
FIXED = ClaimsFixed(FIX.row_id, FIX.fund_code, (ANNA, BELA))
DAY = date(2026, 9, 24)
ROW = Confirmation("F1", "142", "HF0001", DAY, date(2026, 9, 28), 10_025, 100, 100_25)
NAMES = {"anna": "A", "bela": "B"}


def test_claims_are_fixed_once_whatever_becomes_of_the_shares() -> None:
    story.when(FIX).then([FIXED])
    story.given([FIXED]).when(replace(FIX, claims=(NOBODY, BELA))).then_nothing()


def test_where_nobody_has_a_share_there_is_nothing_to_divide() -> None:
    story.when(replace(FIX, claims=(NOBODY,))).then_rejected(Reason.NOBODY_BEHIND_NOMINEE)


def test_many_claims_are_several_events_and_one_state() -> None:
    many = tuple(Claim(f"i{number}", "w", 1) for number in range(CLAIMS_PER_EVENT + 1))
    state = story.when(replace(FIX, claims=many)).then(
        [
            ClaimsFixed(FIX.row_id, FIX.fund_code, many[:CLAIMS_PER_EVENT]),
            ClaimsFixed(FIX.row_id, FIX.fund_code, many[CLAIMS_PER_EVENT:]),
        ]
    )
    assert state.claims == many


def test_what_is_left_over_goes_to_the_largest_remainder() -> None:
    state = story.given([FIXED]).state
    parts = parts_of(state, ROW, Expected(10_025, 100, 100_25), NAMES)

    # 66 2/3 and 33 1/3 shares; 66.83 1/3 and 33.41 2/3 of money.
    assert [(part.row.shares, part.row.amount_minor) for part in parts] == [(67, 6683), (33, 3342)]
    assert [part.row.row_id for part in parts] == [
        "F1-A/142/2026-09-28",
        "F1-B/142/2026-09-28",
    ]
    assert [part.expected for part in parts] == [
        Expected(10_025, 67, 6683),
        Expected(10_025, 33, 3342),
    ]


def test_where_the_whole_differs_from_ours_the_parts_do() -> None:
    state = story.given([FIXED]).state
    (anna, bela) = parts_of(state, ROW, Expected(10_025, 100, 100_24), NAMES)

    assert anna.expected == Expected(10_025, 67, 6683)
    assert bela.expected == Expected(10_025, 33, 3341)
    assert bela.row.amount_minor == 3342


@pytest.mark.parametrize(("shares", "minor", "told"), [(1, 3, [(1, 2)]), (0, 1, [(0, 1)])])
def test_who_gets_nothing_has_no_part(shares: int, minor: int, told: list[tuple[int, int]]) -> None:
    state = story.given([FIXED]).state
    parts = parts_of(state, replace(ROW, shares=shares, amount_minor=minor), None, NAMES)

    assert [(part.row.shares, part.row.amount_minor) for part in parts] == told


@given(
    st.dictionaries(st.text("abc", min_size=1), st.integers(0, 10**12), min_size=1),
    st.integers(0, 10**15),
)
def test_parts_add_up_and_nobody_is_more_than_a_unit_off(
    claims: dict[str, int], total: int
) -> None:
    claimed = sum(claims.values())
    if not claimed:
        total = 0
    parts = apportioned(claims, total)

    assert sum(parts.values()) == total
    if claimed:
        off = [parts[each] * claimed - claims[each] * total for each in claims]
        assert all(abs(each) < claimed for each in off)
