"""What an investor lived through: cash, fees, and the deepest fall while something was held."""

import random

from hypothesis import given
from hypothesis import strategies as st

from services.recommendations.domain.facts import DAY_US, MILLION, Fact, Kind
from services.recommendations.domain.lived import fall_lived, money_features
from services.recommendations.domain.together import Moves

PRICES = {"000001": 10_000, "000002": 20_000}


def fact(kind: Kind, day: int, amount: int, code: str = "000001") -> Fact:
    at_us = day * DAY_US
    return Fact(at_us, f"{kind.value}/{code}/{day}", kind.value, at_us, "anna", code, amount)


def moving(*percent: int, first_day: int = 101) -> Moves:
    days = tuple(range(first_day, first_day + len(percent)))
    return Moves(days, tuple(each * 10_000 for each in percent))


def test_cash_is_what_came_in_less_what_went_out_beside_what_is_held() -> None:
    mine = [
        fact(Kind.CASH_IN, 1, 1_000_000, ""),
        fact(Kind.WALLET, 2, -600_000, ""),
        fact(Kind.CASH_OUT, 3, 150_000, ""),
        fact(Kind.WALLET, 4, 50_000, ""),
    ]

    assert money_features(mine, 10 * DAY_US, 700_000)["cash_share"] == 300_000
    assert money_features(mine, 10 * DAY_US, 0)["cash_share"] == MILLION
    assert "cash_share" not in money_features(mine[:0], 10 * DAY_US, 700_000)


def test_more_money_out_than_was_heard_to_come_in_is_no_cash() -> None:
    mine = [fact(Kind.WALLET, 2, -600_000, "")]

    assert money_features(mine, 10 * DAY_US, 600_000)["cash_share"] == 0


def test_the_realised_fee_is_of_what_was_confirmed_within_a_year() -> None:
    mine = [
        fact(Kind.CONFIRMED, 100, 900_000, ""),
        fact(Kind.FEE_PAID, 100, 90_000, ""),
        fact(Kind.CONFIRMED, 400, 800_000, ""),
        fact(Kind.FEE_PAID, 400, 1_000, ""),
        fact(Kind.CONFIRMED, 401, 200_000, ""),
    ]

    found = money_features(mine, 500 * DAY_US, 0)

    assert found["fees_paid_365d"] == 1_000 * MILLION
    assert found["realised_fee"] == 1_000
    assert "realised_fee" not in money_features(mine, 1_000 * DAY_US, 0)


def test_a_fall_counts_while_the_fund_was_held_and_not_before_or_after() -> None:
    found = {"000001": moving(-50, 10, -20, 5, -10, 0, -60)}
    mine = [fact(Kind.SHARES, 102, 700), fact(Kind.SHARES, 105, -700)]

    # Held from the evening of day 102: it fell by 20 % and, after 5 % up, by 10 %.
    assert fall_lived(mine, PRICES, found) in range(243_990, 244_010)


def test_money_put_in_or_taken_out_is_no_gain_and_no_loss() -> None:
    found = {"000001": moving(0, 0, 0, 0)}
    mine = [fact(Kind.SHARES, 90, 700), *(fact(Kind.SHARES, n, -100) for n in range(101, 104))]

    assert fall_lived(mine, PRICES, found) == 0


def test_what_is_held_beside_softens_a_fall_by_its_value() -> None:
    found = {"000001": moving(-40), "000002": moving(0)}
    alone = [fact(Kind.SHARES, 90, 200)]
    # Before the fall 200 at 1.6667 and 100 at 2: 0.625 of the portfolio falls by 40 %.
    both = [*alone, fact(Kind.SHARES, 90, 100, "000002")]

    assert fall_lived(alone, PRICES, found) in range(399_999, 400_002)
    assert fall_lived(both, PRICES, found) in range(249_999, 250_002)


def test_a_fall_is_not_told_where_nothing_held_has_prices() -> None:
    mine = [fact(Kind.SHARES, 90, 700)]

    assert fall_lived([], PRICES, {}) is None
    assert fall_lived(mine, PRICES, {"000001": Moves()}) is None
    assert fall_lived(mine, {}, {"000001": moving(-10)}) is None
    assert fall_lived([fact(Kind.SHARES, 300, 7)], PRICES, {"000001": moving(-10)}) is None


@given(
    st.lists(st.tuples(st.integers(80, 130), st.integers(-500, 900)), min_size=1, max_size=8),
    st.lists(st.integers(-30, 30), min_size=1, max_size=20),
    st.randoms(use_true_random=False),
)
def test_a_fall_is_a_share_and_the_order_of_facts_changes_nothing(
    lots: list[tuple[int, int]], percent: list[int], rng: random.Random
) -> None:
    mine = [
        fact(Kind.SHARES, day, shares, code)
        for day, shares in dict(lots).items()
        for code in PRICES
    ]
    found = {"000001": moving(*percent), "000002": moving(*percent[::-1], first_day=104)}

    told = fall_lived(mine, PRICES, found)
    rng.shuffle(mine)

    assert told is None or 0 <= told <= MILLION
    assert fall_lived(mine, PRICES, found) == told
