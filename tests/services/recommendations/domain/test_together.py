"""How funds move together: exact sums, the days in common, and what a fund does to a portfolio."""

import random
from statistics import correlation

import numpy as np
import pytest

from services.recommendations.domain.together import (
    MOVES_LEAST,
    MOVES_MOST,
    Moves,
    moves,
    moves_by_currency,
    portfolio_moves,
    together,
)

DAY_US = 86_400_000_000


def walk(seed: int, days: int = 300) -> Moves:
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    price, priced = 10_000, []
    for day in range(days):
        price += rng.randint(-90, 95)
        priced.append((day * DAY_US, price))
    return moves(priced)


def test_the_newest_moves_count_and_each_is_a_share_of_the_price_before() -> None:
    found = moves([(0, 100), (DAY_US, 110), (3 * DAY_US, 0), (4 * DAY_US, 55)])

    assert found == Moves((1, 4), (100_000, -500_000))
    assert len(walk(1).days) == MOVES_MOST


def test_correlation_and_volatility_are_those_of_the_textbook() -> None:
    one, other = walk(1), walk(2)
    both = np.array([one.of, other.of]) / 1_000_000
    mixed = 0.8 * both[0] + 0.2 * both[1]

    found = together(one, other)

    assert found.correlation == pytest.approx(correlation(one.of, other.of) * 1e6, abs=1)
    assert found.volatility == pytest.approx(both[0].std(ddof=1) * 252**0.5 * 1e6, abs=1)
    assert found.volatility_after == pytest.approx(mixed.std(ddof=1) * 252**0.5 * 1e6, abs=1)
    assert together(one, one).correlation == 1_000_000


def test_days_in_common_alone_count_and_too_few_of_them_say_nothing() -> None:
    one, other = walk(1), walk(2)
    part = Moves(other.days[10:], other.of[10:])
    few = Moves(other.days[: MOVES_LEAST - 1], other.of[: MOVES_LEAST - 1])

    assert together(one, part).days == len(one.days) - 10
    assert together(one, part).correlation is not None
    assert together(one, few).correlation is None
    assert together(one, Moves(one.days, (0,) * len(one.days))).correlation is None


def test_a_portfolio_moves_as_its_funds_do_by_their_value() -> None:
    one, other = walk(1), walk(2)
    values = {"a": 300, "b": 100, "young": 10**9, "gone": 5}
    found = {"a": one, "b": other, "young": Moves((1,), (5,))}

    held = portfolio_moves(values, found)

    assert held.days == one.days
    assert held.of[0] == (300 * one.of[0] + 100 * other.of[0]) // 400
    assert portfolio_moves({"gone": 1}, found) == Moves()


def test_what_is_held_of_each_currency_is_a_portfolio_of_its_own() -> None:
    found = {"a": walk(1), "b": walk(2), "c": walk(3)}
    values = {"a": 300, "b": 100, "c": 7, "gone": 5}

    held = moves_by_currency(values, {"a": "CNY", "b": "CNY", "c": "USD", "gone": "EUR"}, found)

    assert set(held) == {"CNY", "USD"}
    assert held["CNY"] == portfolio_moves({"a": 300, "b": 100}, found)
    assert held["USD"] == found["c"]
    assert moves_by_currency(values, {}, found) == {"": portfolio_moves(values, found)}
