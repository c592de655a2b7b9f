"""Random problems: weights sum to one and keep every rule that was not given up by name."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from libs.suitability import InvestorClass
from services.recommendations.construction import optimiser
from services.recommendations.construction.construct import construct
from services.recommendations.construction.optimiser import Fit, Inputs, fit
from services.recommendations.construction.problem import Problem, Solution, Strategy, Unsolved
from services.recommendations.domain.constraints import (
    CONSTRAINT_SETS,
    MONEY,
    THEME,
    TURNOVER,
    WHOLE,
    Asset,
    broken,
    rules_of,
    sold,
)
from services.recommendations.domain.lots import fee_minor
from services.recommendations.domain.rounding import amounts_of
from tests.services.recommendations.construction.problems import random_problem

BY_COSTS = {Strategy.MAXIMUM_SHARPE, Strategy.BLACK_LITTERMAN}
# Weights by the first constraint set, as they were before there was an order of selling.
OF_THE_FIRST_SET: Mapping[int, Mapping[str, int]] = {
    11: {"000000": 1725, "000001": 1725, "000002": 4825, "000003": 1725},
    23: {
        "000000": 972,
        "000002": 955,
        "000003": 910,
        "000008": 1233,
        "000010": 1687,
        "000012": 2109,
        "000014": 1223,
        "000015": 911,
    },
    39: {
        "000000": 2987,
        "000001": 240,
        "000003": 1019,
        "000004": 272,
        "000007": 2154,
        "000009": 1608,
        "000010": 382,
        "000011": 1338,
    },
    80: {
        "000003": 984,
        "000006": 2893,
        "000008": 195,
        "000010": 1130,
        "000011": 101,
        "000013": 2794,
        "000015": 1903,
    },
}


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
    if solution.plain is not None:
        assert fee_of(problem, solution.weights) <= fee_of(problem, solution.plain)


def fee_of(problem: Problem, weights: Mapping[str, int]) -> int:
    """What is paid for selling down to these weights (minor units)."""
    total = [weights.get(asset.code, 0) for asset in problem.assets]
    amounts = amounts_of(problem.assets, total, problem.amount_minor)
    return sum(
        fee_minor(asset.parts, sum(part.worth_minor for part in asset.parts) - amount)
        for asset, amount in zip(problem.assets, amounts, strict=True)
    )


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


def without_order(problem: Problem) -> Problem:
    return replace(problem, limits=CONSTRAINT_SETS["2026-1"])


def compared(seeds: range) -> Counter[str]:
    """Limited rebalances with an order of selling beside the same without one."""
    told: Counter[str] = Counter()
    for seed in seeds:
        problem = random_problem(seed)
        if not problem.is_rebalance:
            continue
        found, other = construct(problem), construct(without_order(problem))
        assert isinstance(found, Solution) is isinstance(other, Solution)
        if not isinstance(found, Solution) or not isinstance(other, Solution):
            continue
        judge(problem, found)
        # What is given up is never more than without an order.
        assert len(found.fallbacks) <= len(other.fallbacks)
        # Who weighs costs goes elsewhere for knowing what a sale costs: see `judge` for those.
        if found.plain is not None and problem.strategy not in BY_COSTS:
            paid, before = fee_of(problem, found.weights), fee_of(problem, other.weights)
            assert paid <= before, seed
            told.update(limited=1, paid=paid, before=before)
    return told


def test_a_limited_rebalance_pays_less_in_fees_and_never_more() -> None:
    told = compared(range(60))

    assert told["limited"] >= 5
    assert told["paid"] < told["before"]


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_of_a_thousand_portfolios_no_limited_rebalance_pays_more_than_without_an_order() -> None:
    told = compared(range(1_000))

    assert told["limited"] >= 60, told
    assert told["paid"] < told["before"] * 3 // 4, told


def given_up(seeds: range) -> Counter[str]:
    """Rebalances that give up the limit on sales, beside the same that go their whole way then."""
    told: Counter[str] = Counter()
    for seed in seeds:
        problem = random_problem(seed)
        limits = replace(problem.limits, sells_as_needed=False)
        whole = construct(replace(problem, limits=limits)) if problem.is_rebalance else None
        if not isinstance(whole, Solution) or TURNOVER not in whole.fallbacks:
            continue
        found = construct(problem)
        assert isinstance(found, Solution)
        judge(problem, found)
        assert found.fallbacks == whole.fallbacks
        now, before = (sold(problem.assets, weights_of(problem, x)) for x in (found, whole))
        assert now <= before, seed
        told.update(given_up=1, now=now, before=before, less=now < before)
    return told


def test_where_the_limit_on_sales_is_given_up_no_more_is_sold_than_on_the_whole_way() -> None:
    told = given_up(range(60))

    assert told["given_up"] >= 5
    assert told["less"] >= 2


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_of_a_thousand_portfolios_none_sells_more_for_a_limit_that_was_given_up() -> None:
    told = given_up(range(1_000))

    assert told["given_up"] >= 100, told
    assert told["now"] * 20 < told["before"] * 19, told


def test_of_a_fund_that_is_too_large_as_much_is_sold_as_the_rules_ask_for() -> None:
    """Three fifths of it are held, three tenths allowed, and an eighth is the target."""
    rng = np.random.default_rng(3)
    held = [6_000, *[4_000 // 7] * 7]
    held[-1] += WHOLE - sum(held)
    assets = tuple(
        Asset(f"{n:06d}", 2, f"M{n}", "", "BOND", least_minor=100, previous=weight)
        for n, weight in enumerate(held)
    )
    problem = Problem(
        Strategy.EQUAL_WEIGHT,
        assets,
        (0.001 * rng.standard_normal((300, 8))).tobytes(),
        300,
        InvestorClass.C4,
        1_000_000,
        is_rebalance=True,
    )

    found = construct(problem)

    assert isinstance(found, Solution)
    assert found.fallbacks == (TURNOVER,)
    assert 2_990 <= found.weights["000000"] <= 3_000
    assert found.target is not None
    assert found.target["000000"] == 1_250


def test_proposals_of_the_first_constraint_set_stay_provable() -> None:
    """What they were made with gives the same, whatever is known of lots since."""
    for seed in (11, 23, 39, 80):
        problem = random_problem(seed)
        bare = tuple(replace(asset, parts=()) for asset in problem.assets)
        known = construct(without_order(replace(problem, assets=bare)))

        assert construct(without_order(problem)) == known
        assert isinstance(known, Solution)
        assert known.weights == OF_THE_FIRST_SET[seed]


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


@pytest.mark.parametrize("seed", [18, 51, 116])
def test_what_several_attempts_ask_alike_is_solved_once(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Each attempt gives up something: mostly not what the strategy itself goes by."""
    asked: Counter[tuple[Strategy, bytes, bytes, bytes]] = Counter()

    def counted(strategy: Strategy, inputs: Inputs) -> Fit:
        rows = inputs.rows
        asked[strategy, inputs.returns.tobytes(), rows.left.tobytes(), rows.right.tobytes()] += (
            inputs.sell_max is None and inputs.selling is None
        )
        return fit(strategy, inputs)

    monkeypatch.setattr(optimiser, "fit", counted)
    problem = replace(random_problem(seed), strategy=Strategy.RISK_PARITY)

    found = construct(problem)

    assert isinstance(found, Solution)
    assert TURNOVER in found.fallbacks
    assert set(asked.values()) == {1}
