"""Novelty, what following a list does to a portfolio, and for whom a list is good."""

import numpy as np
import pytest

from services.recommendations.domain.ranking import Question
from services.recommendations.ranking.besides import Asked, Beside, by_group, calibrated, risk
from services.recommendations.ranking.interactions import Interactions
from services.recommendations.ranking.market import Market

CODES = ("000001", "000002", "000003")


def market(days: int = 200) -> Market:
    """The first swings, the second swings the other way, the third stands still."""
    swing = np.where(np.arange(days) % 2 == 0, 1.01, 0.99)
    prices = np.stack([np.cumprod(swing), np.cumprod(2.0 - swing), np.ones(days)], axis=1)
    return Market(np.arange(days, dtype=np.int32), CODES, prices)


def bought(rows: list[tuple[int, int]]) -> Interactions:
    """(investor, place of a fund), all on the first day."""
    who, what = np.array(rows, dtype=np.int32).T
    zero = np.zeros(len(rows), dtype=np.int32)
    names = tuple(f"i{n}" for n in range(int(who.max()) + 1))
    return Interactions(names, CODES, who, what, zero, zero + 4, zero.astype(np.int64))


def asked(*held: str, wants: str = "000003", age: str = "") -> Asked:
    return Asked(Question("i0", 4, held, 365), frozenset({wants}), {"age": age, "class": "C3"})


def beside() -> Beside:
    return Beside.at(bought([(0, 0), (1, 0), (2, 0), (3, 0), (0, 1)]), market(), 10)


def test_what_few_bought_is_newer_than_what_all_bought() -> None:
    common = beside().measured([asked("000002")], [["000001"]])
    rare = beside().measured([asked("000001")], [["000002"]])
    never = beside().measured([asked("000001")], [["000003"]])

    assert common["novelty"] == 0.0
    assert rare["novelty"] == pytest.approx(2.0)
    assert never["novelty"] == pytest.approx(3.0)


def test_a_list_that_swings_the_other_way_takes_risk_from_a_portfolio() -> None:
    found = beside().measured([asked("000001")], [["000002"]])

    swing = risk(market().prices[11:, 0] / market().prices[10:-1, 0] - 1.0)[0]
    # A fifth of the other way round takes away two fifths of the swing.
    assert found["delta_volatility"] == pytest.approx(-0.4 * swing, rel=1e-3)
    assert found["delta_drawdown"] < 0


def test_more_of_the_same_changes_nothing() -> None:
    found = beside().measured([asked("000001")], [["000001"]])

    assert found["delta_volatility"] == pytest.approx(0.0)
    assert found["delta_sharpe"] == pytest.approx(0.0)


def test_the_gap_between_groups_is_told_where_there_are_lists_enough() -> None:
    tests = [asked(age="young")] * 25 + [asked(age="old")] * 25 + [asked(age="rare")] * 3
    lists = [["000003"]] * 25 + [["000001"]] * 25 + [["000001"]] * 3

    found = calibrated(by_group(tests, lists))

    assert found["age"]["ndcg"] == {"young": 1.0, "old": 0.0}
    assert (found["age"]["best"], found["age"]["worst"], found["age"]["gap"]) == ("young", "old", 1)
    assert found["class"]["gap"] == 0.0
