"""Weights by a strategy that keep the rules, before rounding; of a rebalance, how far it goes."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from services.recommendations.construction import optimiser
from services.recommendations.construction.optimiser import Fit, Inputs, NotSolved, Rows
from services.recommendations.construction.problem import Strategy, View
from services.recommendations.construction.selling import Step, by_cost, by_fee, keeps, tiers_of
from services.recommendations.construction.telling import Market
from services.recommendations.domain.constraints import (
    MONEY_MARKET,
    RISKY,
    TURNOVER,
    WHOLE,
    Rule,
    broken,
    raised,
    rules_of,
    sold,
)
from services.recommendations.domain.rounding import by_largest_remainder

Array = npt.NDArray[np.float64]
_RULED: Final = frozenset(
    {
        Strategy.MINIMUM_VARIANCE,
        Strategy.MAXIMUM_SHARPE,
        Strategy.RISK_PARITY,
        Strategy.BLACK_LITTERMAN,
    }
)
_SELLS_WITHIN: Final = frozenset({Strategy.MINIMUM_VARIANCE, Strategy.BLACK_LITTERMAN})
# Those that weigh costs against what they expect to earn.
_COSTED: Final = frozenset({Strategy.MAXIMUM_SHARPE, Strategy.BLACK_LITTERMAN})
_BONDS: Final = frozenset({"BOND", "NCD"})


def weigh(
    market: Market, strategy: Strategy, places: tuple[int, ...], relaxed: frozenset[str]
) -> Fit:
    """Weights that keep the rules, before rounding."""
    problem = market.problem
    rules = rules_at(market, places, relaxed)
    rows = rows_of(rules, len(places))
    sell_max = _sell_max(market, places, relaxed, rows)
    is_within = strategy in _SELLS_WITHIN and not problem.limits.sells_cheapest_first
    if len(places) == 1:
        found = Fit(np.ones(1), np.zeros(len(rules)), market.returns[:, places].mean(axis=0))
    elif strategy is Strategy.GOAL_LADDER:
        found = _ladder(market, places, rules)
    else:
        inputs = _inputs(market, strategy, places, rows)
        found = _fit(
            strategy, market, places, replace(inputs, sell_max=sell_max if is_within else None)
        )
    if strategy not in _RULED:
        found = replace(found, weights=_kept(market, places, found.weights, rules, rows))
    if sell_max is None or is_within:
        return found
    return _limited(market, strategy, places, found, (rows, sell_max))


def _limited(
    market: Market,
    strategy: Strategy,
    places: tuple[int, ...],
    aim: Fit,
    limit: tuple[Rows, float],
) -> Fit:
    """As far towards the target as may be sold; of what is sold, what costs least goes first."""
    (rows, sell_max), held = limit, market.previous[list(places)]
    is_ordered = market.problem.limits.sells_cheapest_first
    # Where cash is raised there will be less than there is: plainly, all are sold alike for it.
    whole = max(1.0, float(held.sum()))
    alike, budget = held / whole, sell_max - (whole - 1.0)
    selling = float(np.maximum(alike - aim.weights, 0.0).sum())
    if selling <= budget:
        return replace(aim, target=aim.weights)
    if budget < 0:
        raise NotSolved("the cash alone is more than may be sold")
    if is_ordered and strategy in _SELLS_WITHIN:
        return replace(_within(market, strategy, places, limit), target=aim.weights)
    # New money is placed like the target.
    old = alike + (1.0 - alike.sum()) * aim.weights
    plain = old + budget / selling * (aim.weights - old)
    chosen = None
    if is_ordered:
        tiers = tiers_of([market.problem.assets[n] for n in places], held, by_cost)
        chosen = Step(held, aim.weights, plain, tiers).cheapest(rows)
    if chosen is None and not keeps(rows, plain):
        raise NotSolved("part of the way does not keep the rules")
    weights = plain if chosen is None else chosen
    return replace(aim, weights=weights, target=aim.weights, plain=plain)


def _within(
    market: Market, strategy: Strategy, places: tuple[int, ...], limit: tuple[Rows, float]
) -> Fit:
    """The optimiser chooses what is sold; and again with what that costs, which may not rise."""
    rows, sell_max = limit
    inputs = replace(_inputs(market, strategy, places, rows), sell_max=sell_max)
    plain = _fit(strategy, market, places, inputs)
    assets, held = [market.problem.assets[n] for n in places], market.previous[list(places)]
    fees = tiers_of(assets, held, by_fee, market.daily)
    if not fees.rate.any():
        return replace(plain, plain=plain.weights)
    fee = float(fees.fee @ fees.sold(np.maximum(held - plain.weights, 0.0)))
    ordered = replace(
        inputs,
        selling=tiers_of(assets, held, by_cost, market.daily),
        fee_max=(fees, fee * (1 + 1e-6) + 1e-12),
    )
    try:
        found = _fit(strategy, market, places, ordered)
    except NotSolved:
        found = plain
    return replace(found, plain=plain.weights)


def _sell_max(
    market: Market, places: Sequence[int], relaxed: frozenset[str], rows: Rows
) -> float | None:
    problem = market.problem
    if not problem.is_rebalance:
        return None
    if TURNOVER in relaxed and not problem.limits.sells_as_needed:
        return None
    # Places left out are sold, and count; the rounding may add less than one part a fund.
    left_out = [a for n, a in enumerate(problem.assets) if n not in set(places)]
    most = problem.limits.turnover + raised(problem.assets)
    least = most - sold(left_out, [0] * len(left_out)) - problem.limits.funds_max
    if TURNOVER in relaxed:
        needed = optimiser.least_sold(market.previous[list(places)], rows)
        return max(least, problem.limits.funds_max + math.ceil(needed * WHOLE)) / WHOLE
    if least < 0:
        raise NotSolved("what is left out is more than may be sold")
    return least / WHOLE


def _fit(strategy: Strategy, market: Market, places: tuple[int, ...], inputs: Inputs) -> Fit:
    """Solved once where what is held has no say in it."""
    if inputs.sell_max is not None or inputs.selling is not None:
        return _solved(strategy, market, places, inputs)
    asked = strategy, places, inputs.rows.left.tobytes(), inputs.rows.right.tobytes()
    if asked not in market.fits:
        market.fits[asked] = None
        market.fits[asked] = _solved(strategy, market, places, inputs)
    known = market.fits[asked]
    if known is None:
        raise NotSolved("it was tried before")
    return known


def _solved(strategy: Strategy, market: Market, places: tuple[int, ...], inputs: Inputs) -> Fit:
    """Strategies that weigh by risk alone would hold nothing but money funds: those come after."""
    if strategy in _RULED:
        return optimiser.fit(strategy, inputs)
    risky = [n for n, place in enumerate(places) if not market.problem.assets[place].is_money]
    if len(risky) < 2:  # noqa: PLR2004 - nothing to weigh against another
        return optimiser.fit(Strategy.EQUAL_WEIGHT, inputs)
    part = optimiser.fit(
        strategy,
        Inputs(
            inputs.returns[:, risky],
            Rows(inputs.rows.left[:, risky], inputs.rows.right),
            inputs.costs[risky],
            inputs.previous[risky],
        ),
    )
    weights = np.zeros(len(places))
    weights[risky] = part.weights
    return Fit(weights, part.duals, inputs.returns.mean(axis=0))


def _inputs(market: Market, strategy: Strategy, places: tuple[int, ...], rows: Rows) -> Inputs:
    problem = market.problem
    assets = [problem.assets[n] for n in places]
    codes = [asset.code for asset in assets]
    previous = market.previous[list(places)]
    knows_lots = (
        strategy in _COSTED and problem.is_rebalance and problem.limits.sells_cheapest_first
    )
    chosen = np.array([problem.market[n] for n in places]) if problem.market else None
    total = 0.0 if chosen is None else float(chosen.sum())
    return Inputs(
        market.returns[:, places],
        rows,
        market.costs[list(places)],
        previous,
        None,
        None if chosen is None or total <= 0 else chosen / total,
        [view for view in problem.views if _speaks_of(view, codes)],
        codes,
        tiers_of(assets, previous, by_fee, market.daily) if knows_lots else None,
    )


def _speaks_of(view: View, codes: Sequence[str]) -> bool:
    return all(code in codes for code, _ in view.legs)


def _kept(
    market: Market, places: tuple[int, ...], weights: Array, rules: Sequence[Rule], rows: Rows
) -> Array:
    """What breaks a rule moves to the money fund; without one, to the nearest that holds."""
    if not broken(rules, by_largest_remainder(floats(weights))):
        return weights
    assets = [market.problem.assets[n] for n in places]
    if not any(asset.is_money for asset in assets):
        return optimiser.nearest(weights, rows)
    money = min(
        (n for n, a in enumerate(assets) if a.is_money),
        key=lambda n: (assets[n].yearly_cost_millionths, assets[n].code),
    )
    moved = weights.copy()
    for rule in rules:
        members = np.array(rule.coefficients, dtype=float)
        if rule.name == "LEVEL" or members[money]:
            continue
        held = float(members @ moved)
        if held > rule.limit / WHOLE:
            scale = rule.limit / WHOLE / held
            freed = moved * (members > 0) * (1 - scale)
            moved -= freed
            moved[money] += freed.sum()
    whole = [rule for rule in rules if rule.excess(by_largest_remainder(floats(moved))) > 0]
    return optimiser.nearest(moved, rows) if whole else moved


def _ladder(market: Market, places: tuple[int, ...], rules: Sequence[Rule]) -> Fit:
    """Money for what is needed within a year, bonds for one to three, the rest by class."""
    problem = market.problem
    assets = [problem.assets[n] for n in places]
    volatility = np.sqrt(np.diag(market.covariance))[list(places)]
    soon, later = (share / WHOLE for share in problem.needed)
    rest = 1.0 - soon - later
    risky_share = min(problem.limits.risky_max[problem.investor_class] / WHOLE, 1.0)
    steps = (
        (soon, [n for n, a in enumerate(assets) if a.asset_class == MONEY_MARKET]),
        (
            later + rest * (1 - risky_share),
            [n for n, a in enumerate(assets) if a.asset_class in _BONDS],
        ),
        (rest * risky_share, [n for n, a in enumerate(assets) if a.asset_class in RISKY]),
    )
    weights = np.zeros(len(places))
    carried = 0.0
    # A step with no fund goes to the safer one before it, or, without that, to all.
    for share, members in reversed(steps):
        wanted = share + carried
        carried = 0.0 if members else wanted
        if members:
            calm = 1.0 / np.maximum(volatility[members], 1e-9)
            weights[members] += wanted * calm / calm.sum()
    if carried:
        weights += carried / len(places)
    mean = market.returns[:, places].mean(axis=0)
    return Fit(weights, np.zeros(len(rules)), mean)


def rules_at(market: Market, places: Sequence[int], relaxed: frozenset[str]) -> Sequence[Rule]:
    """The rules for these of the candidates, but for those that are given up."""
    problem = market.problem
    assets = [problem.assets[n] for n in places]
    return rules_of(assets, problem.investor_class, problem.limits, relaxed)


def rows_of(rules: Sequence[Rule], funds: int) -> Rows:
    """Scaled so that every row speaks of weights from 0 to 1."""
    left = np.array([rule.coefficients for rule in rules], dtype=float).reshape(len(rules), funds)
    right = np.array([rule.limit for rule in rules], dtype=float) / WHOLE
    return Rows(left, right)


def floats(weights: Array) -> list[float]:
    """As plain numbers, which rounding takes."""
    return [float(weight) for weight in weights]
