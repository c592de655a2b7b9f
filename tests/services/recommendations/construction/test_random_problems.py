"""Random problems: weights sum to one and keep every rule that was not given up by name."""

from collections import Counter

import numpy as np
import pytest

from services.recommendations.construction.construct import construct
from services.recommendations.construction.problem import Problem, Solution, Unsolved
from services.recommendations.domain.constraints import (
    MONEY,
    THEME,
    TURNOVER,
    WHOLE,
    broken,
    rules_of,
    sold,
)
from tests.services.recommendations.construction.problems import random_problem


def weights_of(problem: Problem, solution: Solution) -> list[int]:
    return [solution.weights.get(asset.code, 0) for asset in problem.assets]


def judge(problem: Problem, solution: Solution) -> None:
    weights = weights_of(problem, solution)
    relaxed = set(solution.fallbacks) & {THEME, MONEY}
    rules = rules_of(problem.assets, problem.investor_class, problem.limits, relaxed)
    assert sum(weights) == WHOLE
    assert min(weights) >= 0
    assert broken(rules, weights) == []
    assert sum(solution.amounts.values()) == problem.amount_minor
    assert len(solution.weights) <= problem.limits.funds_max
    if problem.is_rebalance and TURNOVER not in solution.fallbacks:
        assert sold(problem.assets, weights) <= problem.limits.turnover
    for asset in problem.assets:
        amount = solution.amounts.get(asset.code, 0)
        assert amount >= 0
        assert not amount or asset.previous or amount >= asset.least_minor
    assert abs(sum(solution.contributions.values()) - 1_000_000) < 10


@pytest.mark.parametrize("first", [0, 40])
def test_random_portfolios_keep_every_rule(first: int) -> None:
    solved = 0
    for seed in range(first, first + 40):
        problem = random_problem(seed)
        found = construct(problem)
        if isinstance(found, Solution):
            judge(problem, found)
            solved += 1
    assert solved >= 25


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_a_thousand_random_portfolios_keep_every_rule() -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(1_000):
        problem = random_problem(seed)
        found = construct(problem)
        if isinstance(found, Solution):
            judge(problem, found)
            outcomes["solved"] += 1
            outcomes.update(found.fallbacks)
        else:
            outcomes[found.reason] += 1
    assert outcomes["solved"] >= 800, outcomes


def test_the_same_problem_gives_the_same_solution() -> None:
    for seed in (3, 5, 8):
        assert construct(random_problem(seed)) == construct(random_problem(seed))


def test_what_cannot_all_hold_is_named() -> None:
    problem = random_problem(2, funds=3)
    rng = np.random.default_rng(1)
    assets = tuple(
        type(asset)(asset.code, 1, f"M{n}", "", "BOND", upper=3_000, least_minor=100)
        for n, asset in enumerate(problem.assets)
    )
    returns = (0.001 * rng.standard_normal((300, 3))).tobytes()
    short = Problem(
        problem.strategy, assets, returns, 300, problem.investor_class, problem.amount_minor
    )

    found = construct(short)

    assert found == Unsolved("CONSTRAINTS_CONFLICT", ("FUND:000000", "FUND:000001", "FUND:000002"))


def test_an_amount_below_every_lot_buys_nothing() -> None:
    problem = random_problem(6)
    least = min(asset.least_minor for asset in problem.assets)
    tiny = Problem(
        problem.strategy,
        problem.assets,
        problem.returns,
        problem.days,
        problem.investor_class,
        least - 1,
    )

    assert construct(tiny) == Unsolved(
        "AMOUNT_BELOW_LOTS", tuple(asset.code for asset in problem.assets)
    )
