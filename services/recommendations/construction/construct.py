"""A portfolio from candidates: fit, choose few funds, keep least lots, round; fall back in order.

Relaxed are turnover, then themes, then the share of money funds; then other strategies are taken,
and what they break moves to the money fund. The risk level is never relaxed. All of it is told.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from services.recommendations.construction import optimiser
from services.recommendations.construction.optimiser import Fit, NotSolved
from services.recommendations.construction.problem import (
    Problem,
    Solution,
    Strategy,
    Unsolved,
)
from services.recommendations.construction.telling import Found, Market, solution_of
from services.recommendations.construction.weighing import floats, rows_of, rules_at, weigh
from services.recommendations.domain.constraints import (
    MONEY,
    THEME,
    TURNOVER,
    Asset,
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
    names = [rules[n].name for n in optimiser.conflicting(rows_of(rules, len(problem.assets)))]
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
        found = weigh(market, strategy, places, relaxed)
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
            rules = rules_at(market, places, relaxed)
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
    return optimiser.can_hold(rows_of(rules_at(market, places, relaxed), len(places)))


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
    rules = rules_at(market, places, relaxed)
    weights = np.where(weights > LEAST_WEIGHT, weights, 0.0)
    parts = mended(by_largest_remainder(floats(weights)), rules)
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
