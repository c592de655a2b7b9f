"""Rankings on history: split by time, nothing unsuitable, simple baselines beside."""

import numpy as np
import pytest

from services.recommendations.ranking.besides import TEST_DAYS
from services.recommendations.ranking.evaluation import asked_at, evaluate, verdicts
from tests.services.recommendations.ranking.small import SEED, small_world


def test_an_asker_held_something_before_and_bought_something_else_after() -> None:
    world = small_world()
    day = int(world.market.days[-1]) - TEST_DAYS
    tests = asked_at(world.interactions, day, 50, SEED)

    assert len(tests) == 50
    assert all(test.bought and not test.bought & set(test.question.held) for test in tests)
    again = asked_at(world.interactions, day, 50, SEED)
    assert tests == again


@pytest.fixture(scope="module")
def table() -> dict[str, object]:
    world = small_world()
    last = int(world.market.days[-1]) - TEST_DAYS
    return evaluate(
        world.interactions, world.market, world.levels, [last - 28, last - 14, last],
        askers=60, seed=SEED,
    )  # fmt: skip


def test_a_crowd_with_tastes_is_ranked_better_than_by_chance_and_nothing_unsuitable_is_shown(
    table: dict[str, object],
) -> None:
    rows = table["rows"]
    assert isinstance(rows, dict)

    assert table["violations"] == 0
    assert set(rows) == {
        "popularity", "co_purchase", "matrix_factorisation", "price_model", "blend", "random",
    }  # fmt: skip
    assert rows["popularity"]["ndcg"] > rows["random"]["ndcg"]
    assert rows["blend"]["ndcg"] > rows["random"]["ndcg"]
    assert all(0 <= row["ndcg"] <= 1 and np.isfinite(row["roi"]) for row in rows.values())
    besides = ("novelty", "delta_volatility", "delta_sharpe", "delta_drawdown")
    assert all(np.isfinite(row[name]) for row in rows.values() for name in besides)
    assert rows["popularity"]["novelty"] < rows["random"]["novelty"]


def test_a_baseline_that_wins_is_named(table: dict[str, object]) -> None:
    told = " ".join(verdicts(table))

    assert "popularity beats price_model in preference" in told
