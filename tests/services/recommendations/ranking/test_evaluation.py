"""Rankings on history: split by time, nothing unsuitable, simple baselines beside."""

import numpy as np
import pytest

from services.recommendations.ranking.besides import TEST_DAYS
from services.recommendations.ranking.evaluation import asked_at, evaluate, verdicts
from services.recommendations.ranking.population import AGES, WEALTH, world_of
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
        groups=world.groups, askers=60, seed=SEED,
    )  # fmt: skip


def test_a_crowd_with_tastes_is_ranked_better_than_by_chance_and_nothing_unsuitable_is_shown(
    table: dict[str, object],
) -> None:
    rows = table["rows"]
    assert isinstance(rows, dict)

    assert table["violations"] == 0
    assert set(rows) == {
        "popularity", "co_purchase", "matrix_factorisation", "price_model", "theme_affinity",
        "blend", "blend_with_themes", "random",
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


def test_it_is_told_for_whom_a_ranking_is_good_by_class_age_and_wealth(
    table: dict[str, object],
) -> None:
    groups = table["groups"]
    assert isinstance(groups, dict)

    for each in groups.values():
        assert set(each) == {"age", "class", "wealth"}
        assert set(each["age"]["ndcg"]) <= set(AGES)
        assert set(each["wealth"]["ndcg"]) <= set(WEALTH)
        for group in each.values():
            means = group["ndcg"].values()
            assert group["gap"] == pytest.approx(max(means) - min(means))


def test_a_group_that_is_served_far_worse_than_chance_explains_is_named(
    table: dict[str, object],
) -> None:
    by_age = {"ndcg": {}, "best": "18 to 30", "worst": "above 60", "gap": 1.0}
    groups = table["groups"]
    assert isinstance(groups, dict)
    worse = {**table, "groups": {**groups, "blend": {**groups["blend"], "age": by_age}}}

    told = " ".join(verdicts(worse))

    assert "by age lists of blend are better for 18 to 30 than for above 60" in told


def test_wealth_follows_the_class_and_the_wealthier_buy_more_often() -> None:
    world = world_of(4_000, 8_000, funds=20, seed=SEED)
    wealth = np.array([WEALTH.index(each) for each in world.groups["wealth"]])
    bought = np.bincount(world.interactions.investor, minlength=4_000)
    band = np.zeros(4_000, dtype=int)
    band[world.interactions.investor] = world.interactions.band

    assert wealth[band == 6].mean() > wealth[band == 3].mean() > wealth[band == 2].mean()
    assert bought[wealth == 3].mean() > 2 * bought[wealth == 0].mean()
    assert world_of(4_000, 8_000, funds=20, seed=SEED).groups == world.groups
