"""A portfolio from candidates: fit, choose few funds, keep least lots, round; fall back in order.

Relaxed are turnover, then themes, then the share of money funds; then other strategies are taken,
and what they break moves to the money fund. The risk level is never relaxed. All of it is told.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from services.recommendations.construction import optimiser
from services.recommendations.construction.optimiser import Fit, Inputs, NotSolved, Rows
from services.recommendations.construction.problem import (
    Problem,
    Solution,
    Strategy,
    Unsolved,
    View,
)
from services.recommendations.construction.selling import Step, by_cost, by_fee, keeps, tiers_of
from services.recommendations.construction.telling import Found, Market, solution_of
from services.recommendations.domain.constraints import (
    MONEY,
    MONEY_MARKET,
    RISKY,
    THEME,
    TURNOVER,
    WHOLE,
    Asset,
    Rule,
    broken,
    raised,
    rules_of,
    sold,
)
from services.recommendations.domain.lots import fee_minor
from services.recommendations.domain.rounding import (
    amounts_of,
    below_lot,
    by_largest_remainder,
    mended,
)

Array = npt.NDArray[np.float64]
# Fits of one attempt: each leaves out at least one fund.
ROUNDS_MAX: Final = 24
# Weights below this are none.
LEAST_WEIGHT: Final = 1e-4
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


def construct(problem: Problem) -> Solution | Unsolved:
    """The same problem gives the same solution."""
    market = Market(problem)
    if problem.amount_minor < min(asset.least_minor for asset in problem.assets):
        return Unsolved("AMOUNT_BELOW_LOTS", _codes(problem.assets))
    lots_missed = False
    for strategy, relaxed, fallbacks in _attempts(problem):
        for each in _orders_of(market, relaxed):
            try:
                found = _attempt(each, strategy, relaxed)
            except _BelowLots:
                lots_missed = True
            except NotSolved:
                pass
            else:
                return solution_of(each, found, fallbacks)
    if lots_missed:
        return Unsolved("AMOUNT_BELOW_LOTS", _codes(problem.assets))
    return Unsolved("CONSTRAINTS_CONFLICT", conflicts(problem))


def conflicts(problem: Problem) -> tuple[str, ...]:
    """Names of rules that cannot all hold, none of them too many; with all relaxed that may be."""
    rules = rules_of(problem.assets, problem.investor_class, problem.limits, (THEME, MONEY))
    names = [rules[n].name for n in optimiser.conflicting(_rows(rules, len(problem.assets)))]
    return tuple(names)


def _codes(assets: Sequence[Asset]) -> tuple[str, ...]:
    return tuple(asset.code for asset in assets)


class _BelowLots(NotSolved):
    """The amount is too small for any lots that would keep the rules."""


def _attempts(
    problem: Problem,
) -> Iterator[tuple[Strategy, frozenset[str], tuple[str, ...]]]:
    """Each with what it gives up, least first."""
    relaxing = [TURNOVER] if problem.is_rebalance else []
    for name in ("", *relaxing, THEME, MONEY):
        told = tuple(each for each in (*relaxing, THEME, MONEY) if name and _upto(each, name))
        yield problem.strategy, frozenset(told), told
    everything = (*relaxing, THEME, MONEY)
    for strategy in (Strategy.RISK_PARITY, Strategy.INVERSE_VOLATILITY, Strategy.EQUAL_WEIGHT):
        if strategy is not problem.strategy:
            yield strategy, frozenset(everything), (*everything, strategy.value.upper())


def _orders_of(market: Market, relaxed: frozenset[str]) -> Iterator[Market]:
    """With an order of selling; then, before a limit is given up for it, without.

    Where the limit on sales is given up, no further than the rules need; then altogether.
    """
    yield market
    problem, limits = market.problem, market.problem.limits
    others = []
    if problem.is_rebalance and TURNOVER in relaxed and limits.sells_as_needed:
        others.append(replace(limits, sells_as_needed=False))
    elif problem.is_rebalance and TURNOVER not in relaxed and limits.sells_cheapest_first:
        others.append(replace(limits, sells_cheapest_first=False))
    for each in others:
        yield replace(market, problem=replace(problem, limits=each))


def _upto(name: str, last: str) -> bool:
    order = (TURNOVER, THEME, MONEY)
    return order.index(name) <= order.index(last)


def _attempt(market: Market, strategy: Strategy, relaxed: frozenset[str]) -> Found:
    problem = market.problem
    places = tuple(range(len(problem.assets)))
    first: Fit | None = None
    dropped: dict[int, str] = {}
    for _ in range(ROUNDS_MAX):
        found = _weights(market, strategy, places, relaxed)
        first = first or found
        kept = _largest(problem, places, found.weights)
        if len(kept) < len(places) and len(_positive(found.weights)) > problem.limits.funds_max:
            dropped |= dict.fromkeys(set(places) - set(kept), "FUNDS_MAX")
            places = _feasible_few(market, kept, places, found, relaxed)
            continue
        weights, plain = _rounded(market, places, found, relaxed)
        assets = [problem.assets[n] for n in places]
        amounts = amounts_of(assets, weights, problem.amount_minor)
        new = [0 if a.previous else amount for a, amount in zip(assets, amounts, strict=True)]
        lots = below_lot(assets, new)
        if not lots:
            rules = _rules(market, places, relaxed)
            return Found(places, tuple(weights), rules, found, first, dropped, plain)
        if len(places) == 1:
            raise _BelowLots("one fund is left, and the amount is below its lot")
        dropped[places[lots[0]]] = "LEAST_LOT"
        places = tuple(n for n in places if n != places[lots[0]])
        if not _can_hold(market, places, relaxed):
            raise _BelowLots("fewer funds cannot keep the rules")
    raise NotSolved("too many rounds")


def _positive(weights: Array) -> Sequence[int]:
    return [n for n, weight in enumerate(weights) if weight > LEAST_WEIGHT]


def _largest(problem: Problem, places: Sequence[int], weights: Array) -> tuple[int, ...]:
    """The places with most weight; equal ones by cost, then by code."""
    ranked = sorted(
        _positive(weights),
        key=lambda n: (
            -round(float(weights[n]), 9),
            problem.assets[places[n]].yearly_cost_millionths,
            problem.assets[places[n]].code,
        ),
    )
    return tuple(sorted(places[n] for n in ranked[: problem.limits.funds_max]))


def _feasible_few(
    market: Market,
    kept: tuple[int, ...],
    places: tuple[int, ...],
    found: Fit,
    relaxed: frozenset[str],
) -> tuple[int, ...]:
    """The largest few, or, where those cannot keep the rules, a few that can."""
    if _can_hold(market, kept, relaxed):
        return kept
    problem = market.problem
    order = sorted(range(len(places)), key=lambda n: (-round(float(found.weights[n]), 9), n))
    chosen: list[int] = []
    # Each fund in turn for the one it is most in the way of: spread over managers and themes.
    for spread in (True, False):
        for n in order:
            asset = problem.assets[places[n]]
            crowd = sum(problem.assets[c].manager == asset.manager for c in chosen)
            if places[n] in chosen or len(chosen) == problem.limits.funds_max:
                continue
            if asset.is_money or not spread or crowd == 0:
                chosen.append(places[n])
    few = tuple(sorted(chosen))
    if not _can_hold(market, few, relaxed):
        raise NotSolved("no few of them keep the rules")
    return few


def _can_hold(market: Market, places: Sequence[int], relaxed: frozenset[str]) -> bool:
    return optimiser.can_hold(_rows(_rules(market, places, relaxed), len(places)))


def _rules(market: Market, places: Sequence[int], relaxed: frozenset[str]) -> Sequence[Rule]:
    problem = market.problem
    assets = [problem.assets[n] for n in places]
    return rules_of(assets, problem.investor_class, problem.limits, relaxed)


def _rows(rules: Sequence[Rule], funds: int) -> Rows:
    """Scaled so that every row speaks of weights from 0 to 1."""
    left = np.array([rule.coefficients for rule in rules], dtype=float).reshape(len(rules), funds)
    right = np.array([rule.limit for rule in rules], dtype=float) / WHOLE
    return Rows(left, right)


def _weights(
    market: Market, strategy: Strategy, places: tuple[int, ...], relaxed: frozenset[str]
) -> Fit:
    """Weights that keep the rules, before rounding."""
    problem = market.problem
    rules = _rules(market, places, relaxed)
    rows = _rows(rules, len(places))
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


def _kept(
    market: Market, places: tuple[int, ...], weights: Array, rules: Sequence[Rule], rows: Rows
) -> Array:
    """What breaks a rule moves to the money fund; without one, to the nearest that holds."""
    if not broken(rules, by_largest_remainder(_list(weights))):
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
    whole = [rule for rule in rules if rule.excess(by_largest_remainder(_list(moved))) > 0]
    return optimiser.nearest(moved, rows) if whole else moved


def _rounded(
    market: Market, places: tuple[int, ...], found: Fit, relaxed: frozenset[str]
) -> tuple[list[int], tuple[int, ...] | None]:
    """Whole weights, and those of the plain step: its own where rounding makes it the cheaper."""
    if found.plain is None:
        return _whole(market, places, found.weights, relaxed), None
    plain = None
    with suppress(NotSolved):
        plain = _whole(market, places, found.plain, relaxed)
    try:
        weights = _whole(market, places, found.weights, relaxed)
    except NotSolved:
        if plain is None:
            raise
        return plain, tuple(plain)
    if plain is None:
        return weights, None
    if _fee(market, places, plain) < _fee(market, places, weights):
        weights = plain
    return weights, tuple(plain)


def _fee(market: Market, places: tuple[int, ...], weights: Sequence[int]) -> int:
    """What is paid for selling down to these weights (minor units)."""
    problem = market.problem
    assets = [problem.assets[n] for n in places]
    amounts = amounts_of(assets, weights, problem.amount_minor)
    return sum(
        fee_minor(asset.parts, sum(part.worth_minor for part in asset.parts) - amount)
        for asset, amount in zip(assets, amounts, strict=True)
    )


def _whole(
    market: Market, places: tuple[int, ...], weights: Array, relaxed: frozenset[str]
) -> list[int]:
    rules = _rules(market, places, relaxed)
    weights = np.where(weights > LEAST_WEIGHT, weights, 0.0)
    parts = mended(by_largest_remainder(_list(weights)), rules)
    if parts is None:
        raise NotSolved("rounded, they break a rule")
    problem = market.problem
    if problem.is_rebalance and TURNOVER not in relaxed:
        whole = [0] * len(problem.assets)
        for place, part in zip(places, parts, strict=True):
            whole[place] = part
        if sold(problem.assets, whole) > problem.limits.turnover + raised(problem.assets):
            raise NotSolved("rounded, they sell too much")
    return parts


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


def _list(weights: Array) -> list[float]:
    return [float(weight) for weight in weights]
