"""Small numbers of ranking, as worked in the reference."""

import pytest

from services.recommendations.domain.measures import (
    DAY_US,
    average_precision,
    co_purchase,
    faded,
    ndcg,
    policy_value,
    recall,
)
from services.recommendations.domain.rounding import by_largest_remainder


def test_joint_purchases_are_damped() -> None:
    assert co_purchase(40, 30, 12) == pytest.approx(0.219615, abs=5e-7)
    assert co_purchase(40, 30, 4) == 0.0


def test_a_list_is_measured_against_the_ideal() -> None:
    ranked = ["a", "x", "b", "c", "y"]
    relevant = {"x", "y", "z"}

    assert ndcg(ranked, relevant) == pytest.approx(0.477624, abs=5e-7)
    assert recall(ranked, relevant) == pytest.approx(2 / 3)
    assert average_precision(ranked, relevant) == pytest.approx((1 / 2 + 2 / 5) / 3)


def test_views_fade_by_half_every_thirty_days() -> None:
    seen = [(0, 1.0), (10 * DAY_US, 1.0), (40 * DAY_US, 3.0)]

    assert faded(seen, 70 * DAY_US, 30) == pytest.approx(1.948425, abs=5e-7)
    assert faded(reversed(seen), 70 * DAY_US, 30) == faded(seen, 70 * DAY_US, 30)


def test_a_policy_is_valued_from_what_another_one_showed() -> None:
    logged = [(1.0, 0.5, 1.0), (0.0, 0.5, 0.0), (1.0, 0.01, 1.0)]

    ips, snips, effective = policy_value(logged)

    # Weights 2, 0 and 100, clipped at 10.
    assert ips == pytest.approx(4.0)
    assert snips == pytest.approx(1.0)
    assert effective == pytest.approx(144 / 104)


@pytest.mark.parametrize(
    ("weights", "whole"),
    [
        ([1 / 3, 1 / 3, 1 / 3], [3_334, 3_333, 3_333]),
        ([0.5, 0.5], [5_000, 5_000]),
        ([0.30004, 0.30004, 0.39992], [3_001, 3_000, 3_999]),
    ],
)
def test_whole_weights_sum_to_exactly_one(weights: list[float], whole: list[int]) -> None:
    assert by_largest_remainder(weights) == whole
