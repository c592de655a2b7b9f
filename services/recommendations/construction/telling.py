"""What is told of a portfolio that was found: shares of risk, limits, figures, the runner-up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from services.recommendations.construction import optimiser
from services.recommendations.construction.optimiser import Fit
from services.recommendations.construction.problem import (
    Binding,
    Figures,
    Problem,
    RunnerUp,
    Solution,
    Strategy,
)
from services.recommendations.domain.constraints import WHOLE, Rule, sold
from services.recommendations.domain.rounding import amounts_of, by_largest_remainder

Array = npt.NDArray[np.float64]
MILLION: Final = 1_000_000
TRADING_DAYS: Final = 252
YEAR_DAYS: Final = 365
BINDING_WITHIN: Final = 2
# Strategies whose aim is less risk, and those that weigh it against means.
_BY_RISK: Final = frozenset(
    {
        Strategy.MINIMUM_VARIANCE,
        Strategy.RISK_PARITY,
        Strategy.HIERARCHICAL_RISK_PARITY,
        Strategy.INVERSE_VOLATILITY,
    }
)
_BY_MEAN: Final = frozenset({Strategy.MAXIMUM_SHARPE, Strategy.BLACK_LITTERMAN})


@dataclass(frozen=True)
class Market:
    """The candidates' returns, and what is computed of them once."""

    problem: Problem
    # What several attempts ask alike is solved once; None: it has no solution.
    fits: dict[object, Fit | None] = field(default_factory=dict, repr=False)

    @cached_property
    def returns(self) -> Array:
        flat = np.frombuffer(self.problem.returns, dtype=np.float64)
        return flat.reshape(self.problem.days, len(self.problem.assets))

    @cached_property
    def covariance(self) -> Array:
        return optimiser.covariance(self.returns)

    @cached_property
    def costs(self) -> Array:
        costs = [asset.yearly_cost_millionths for asset in self.problem.assets]
        return np.array(costs, dtype=float) / MILLION / TRADING_DAYS

    @cached_property
    def previous(self) -> Array:
        held = [asset.previous + asset.raised for asset in self.problem.assets]
        return np.array(held, dtype=float) / WHOLE

    @property
    def daily(self) -> float:
        """What a millionth that is paid once counts a day, over the horizon."""
        yearly = YEAR_DAYS / max(self.problem.horizon_days, 1)
        return yearly / MILLION / TRADING_DAYS


@dataclass(frozen=True, slots=True)
class Found:
    """Whole weights of the chosen places, and the fits they come from."""

    places: tuple[int, ...]
    weights: tuple[int, ...]
    rules: Sequence[Rule]
    fit: Fit
    first: Fit
    # Places left out for their number or their lots, in that order.
    dropped: Mapping[int, str]
    # Whole weights of the step without an order of selling, where there is an order.
    plain: tuple[int, ...] | None = None


def solution_of(market: Market, found: Found, fallbacks: tuple[str, ...]) -> Solution:
    """Whole weights with all that is told of them."""
    problem = market.problem
    assets = [problem.assets[n] for n in found.places]
    weights = np.array(found.weights, dtype=float) / WHOLE
    covariance = market.covariance[np.ix_(found.places, found.places)]
    variance = float(weights @ covariance @ weights)
    shares = weights * (covariance @ weights) / variance if variance > 0 else weights
    used = [n for n, weight in enumerate(found.weights) if weight]
    amounts = amounts_of(assets, found.weights, problem.amount_minor)
    few = len(used) < min(problem.limits.funds_min, len(problem.assets))
    return Solution(
        {assets[n].code: found.weights[n] for n in used},
        {assets[n].code: amounts[n] for n in used},
        {
            problem.assets[n].code: _millionths(found.first.weights[n])
            for n in range(len(problem.assets))
        },
        {
            assets[n].code: part
            for n, part in zip(
                used, by_largest_remainder([shares[n] for n in used], MILLION), strict=True
            )
        }
        if all(shares[n] >= 0 for n in used)
        else {assets[n].code: _millionths(shares[n]) for n in used},
        (*fallbacks, *(["FUNDS_MIN"] if few else [])),
        tuple(_binding(found)),
        _figures(market, found, variance),
        _runner_up(market, found, weights),
        _gain(market, found),
        None if found.fit.target is None else _by_code(market, found, _parts(found.fit.target)),
        None if found.plain is None else _by_code(market, found, found.plain),
    )


def _parts(weights: Array) -> Sequence[int]:
    return by_largest_remainder([float(weight) for weight in weights])


def _by_code(market: Market, found: Found, weights: Sequence[int]) -> Mapping[str, int]:
    assets = market.problem.assets
    return {assets[n].code: w for n, w in zip(found.places, weights, strict=True) if w}


def _gain(market: Market, found: Found) -> int | None:
    """Certainty equivalents, mean less half the risk aversion times variance, after less before.

    Means count only where the strategy itself goes by them.
    """
    problem = market.problem
    held = float(market.previous.sum())
    if problem.strategy not in _BY_RISK | _BY_MEAN or held <= 0:
        return None
    weights = np.zeros(len(problem.assets))
    weights[list(found.places)] = np.array(found.weights) / WHOLE
    before, covariance = market.previous / held, market.covariance
    gain = (
        optimiser.RISK_AVERSION
        / 2
        * float(before @ covariance @ before - weights @ covariance @ weights)
    )
    if problem.strategy in _BY_MEAN and len(found.first.mu) == len(weights):
        gain += float(found.first.mu @ (weights - before))
    return _millionths(gain * TRADING_DAYS)


def _binding(found: Found) -> Iterator[Binding]:
    for rule, dual in zip(found.rules, found.fit.duals, strict=True):
        scale = max(rule.coefficients, default=1)
        if rule.excess(found.weights) >= -BINDING_WITHIN * scale:
            limit = rule.limit * MILLION // WHOLE
            yield Binding(rule.name, limit, _millionths(abs(float(dual)) * TRADING_DAYS))


def _figures(market: Market, found: Found, variance: float) -> Figures:
    problem = market.problem
    weights = np.zeros(len(problem.assets))
    for place, weight in zip(found.places, found.weights, strict=True):
        weights[place] = weight / WHOLE
    held = market.previous
    before = float(held @ market.covariance @ held) / max(float(held.sum()), 1e-12) ** 2
    chosen = list(found.places)
    growth = np.cumprod(1.0 + market.returns @ weights)
    peaks = np.maximum.accumulate(np.concatenate([[1.0], growth]))[1:]
    whole = [round(float(w) * WHOLE) for w in weights]
    level = sum(w * a.level for w, a in zip(whole, problem.assets, strict=True))
    return Figures(
        _millionths(float(found.fit.mu @ weights[chosen]) * TRADING_DAYS),
        _millionths((variance * TRADING_DAYS) ** 0.5),
        _millionths((before * TRADING_DAYS) ** 0.5) if held.sum() > 0 else 0,
        _millionths(float(market.costs @ weights) * TRADING_DAYS),
        sold(problem.assets, whole) * MILLION // WHOLE,
        _millionths(float(np.max(1.0 - growth / peaks, initial=0.0))),
        level * MILLION // WHOLE,
    )


def _runner_up(market: Market, found: Found, weights: Array) -> RunnerUp | None:
    """The fund that came closest without being in, and the number that kept it out."""
    problem = market.problem
    used = {n for n, weight in zip(found.places, found.weights, strict=True) if weight}
    out = [n for n in range(len(problem.assets)) if n not in used]
    if not out:
        return None
    first = found.first.weights
    chosen = list(found.places)
    variance = float(weights @ market.covariance[np.ix_(chosen, chosen)] @ weights)
    # What a little more of it adds to the variance, beside what the portfolio has on average.
    marginal = market.covariance[:, chosen] @ weights / variance if variance > 0 else first * 0
    place = min(out, key=lambda n: (-round(float(first[n]), 9), round(float(marginal[n]), 9), n))
    cause = found.dropped.get(place, "RISKIER_AT_THE_MARGIN")
    evidence = (
        ("weight_before_choice_millionths", _millionths(first[place])),
        ("marginal_risk_millionths", _millionths(marginal[place])),
        ("funds_max", problem.limits.funds_max),
        ("least_minor", problem.assets[place].least_minor),
    )
    return RunnerUp(problem.assets[place].code, cause, evidence)


def _millionths(value: float) -> int:
    return round(float(value) * MILLION)
