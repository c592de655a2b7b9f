"""Among funds to be sold: first what costs least, and what waits gets cheaper meanwhile."""

import numpy as np
import pytest

from services.recommendations.construction.optimiser import Rows
from services.recommendations.construction.selling import Step, by_cost, by_fee, tiers_of
from services.recommendations.domain.constraints import Asset
from services.recommendations.domain.lots import Part

FREE = Part(1_000, 0, 0)
DEAR = Part(1_000, 15_000, 15_000)
# Half a percent for good, and half a percent that a quarter takes away.
LASTING = Part(1_000, 5_000, 5_000)
PASSING = Part(1_000, 5_000, 0, 1_010, 0)
NO_RULE = Rows(np.zeros((0, 4)), np.zeros(0))


def asset(code: str, *parts: Part) -> Asset:
    return Asset(code, 3, code, "", "BOND", previous=2_500, parts=parts)


def stepped(
    *held: tuple[Part, ...], share: float = 0.5, rows: Rows = NO_RULE
) -> list[float] | None:
    """Three funds of 30 % each that go down to 10 %, a share of the way; the fourth is bought."""
    assets = [*(asset(f"00000{n}", *parts) for n, parts in enumerate(held)), asset("000009")]
    now, aim = np.array([0.3, 0.3, 0.3, 0.1]), np.array([0.1, 0.1, 0.1, 0.7])
    step = Step(now, aim, now + share * (aim - now), tiers_of(assets, now, by_cost))
    found = step.cheapest(rows)
    return None if found is None else [round(float(weight), 6) for weight in found]


def test_what_is_free_goes_before_what_costs_and_no_further_than_its_target() -> None:
    assert stepped((DEAR,), (FREE,), (LASTING,)) == [0.3, 0.1, 0.2, 0.4]


def test_at_one_fee_what_soon_costs_less_is_left_for_the_next_time() -> None:
    assert stepped((PASSING,), (LASTING,), (FREE,)) == [0.3, 0.2, 0.1, 0.4]


def test_the_free_part_of_a_fund_goes_and_its_young_lots_stay() -> None:
    assert stepped((FREE, DEAR), (LASTING,), (DEAR,), share=0.25) == [0.15, 0.3, 0.3, 0.25]


def test_equal_costs_are_told_apart_by_code() -> None:
    assert stepped((FREE,), (FREE,), (DEAR,), share=1 / 3) == [0.1, 0.3, 0.3, 0.3]


def test_where_all_cost_the_same_all_go_the_same_part_of_their_way() -> None:
    """Selling in the order of codes saves nothing there."""
    assert stepped((DEAR,), (DEAR,), (DEAR,)) is None


def test_a_dear_fund_is_sold_where_a_rule_asks_for_it() -> None:
    at_most_a_quarter = Rows(np.array([[1.0, 0.0, 0.0, 0.0]]), np.array([0.25]))

    assert stepped((DEAR,), (FREE,), (FREE,), rows=at_most_a_quarter) == [0.25, 0.1, 0.25, 0.4]


def test_a_step_that_breaks_a_rule_is_mended_by_what_is_sold() -> None:
    """A third of the way leaves 23 % of each: the second is to be below 15 %."""
    rows = Rows(np.array([[0.0, 1.0, 0.0, 0.0]]), np.array([0.15]))

    found = stepped((FREE,), (FREE,), (FREE,), share=1 / 3, rows=rows)

    assert found == [0.25, 0.15, 0.3, 0.3]


def test_younger_lots_that_cost_less_wait_for_the_older_ones_before_them() -> None:
    """Nobody sells the younger first: both count as one, at what they cost together."""
    tiers = tiers_of([asset("000001", PASSING, LASTING)], np.array([0.5]), by_cost)

    assert tiers.rate.tolist() == [7_500]
    assert tiers.size.tolist() == [0.5]


def test_what_a_move_costs_rises_with_each_lot() -> None:
    tiers = tiers_of([asset("000001", FREE, LASTING, DEAR)], np.array([0.6]), by_fee)
    held = np.array([0.6])

    costs = [tiers.cost(held, np.array([left])).value for left in (0.6, 0.4, 0.2, 0.0)]

    assert costs == pytest.approx([0.0, 0.0, 0.2 * 5_000, 0.2 * 20_000])
