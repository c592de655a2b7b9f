"""The optimisers, and the only place that imports them: weights for returns under linear rules.

The solver is named (CLARABEL), because another one moves the last digits.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cvxpy as cp
import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from skfolio import RiskMeasure
from skfolio.exceptions import OptimizationError
from skfolio.moments import EmpiricalCovariance, EquilibriumMu, LedoitWolf, ShrunkMu
from skfolio.optimization import (
    HierarchicalRiskParity,
    InverseVolatility,
    MeanRisk,
    ObjectiveFunction,
    RiskBudgeting,
)
from skfolio.prior import BlackLitterman, EmpiricalPrior

from services.recommendations.construction.problem import Strategy, View

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

SOLVER: Final = "CLARABEL"
TRADING_DAYS: Final = 252
# Of the market, as in the equilibrium example.
RISK_AVERSION: Final = 2.5
TAU: Final = 0.05
_SOLVED: Final = frozenset({cp.OPTIMAL, cp.OPTIMAL_INACCURATE})


class NotSolved(Exception):
    """No weights: the rules are in conflict, the numbers are no good, or the solver gave up."""


@dataclass(frozen=True, slots=True)
class Rows:
    """`left @ weights <= right`, weights from 0 to 1."""

    left: Array
    right: Array


@dataclass(frozen=True, slots=True)
class Fit:
    """Weights that sum to one, and for each row what the objective gains by one more of it."""

    weights: Array
    duals: Array
    # Expected returns used, a day.
    mu: Array
    # Of a limited rebalance: where it leads in the end, and the step without an order of selling.
    target: Array | None = None
    plain: Array | None = None


@dataclass(frozen=True, slots=True)
class Tiers:
    """Parts of holdings in the order they are sold; within a fund no rate is below the one before.

    Starts and sizes are shares of the whole, rates and fees of any one unit.
    """

    place: Places
    start: Array
    size: Array
    rate: Array
    fee: Array

    def sold(self, amounts: Array) -> Array:
        """How much of each is sold when so much is sold of each fund."""
        found: Array = np.clip(amounts[self.place] - self.start, 0.0, self.size)
        return found

    def cost(self, held: Array, weights: Any, whole: Any = 1.0) -> Any:  # noqa: ANN401 - of cvxpy, untyped
        """What a move from what is held costs, convex; `whole`: what the weights sum to."""
        if not len(self.place):
            return cp.Constant(0.0)
        is_first = np.append([True], np.diff(self.place) != 0)
        rises = self.rate - np.where(is_first, 0.0, np.append([0.0], self.rate[:-1]))
        begun = (held[self.place] - self.start) * whole - weights[self.place]
        return cp.sum(cp.multiply(rises, cp.pos(begun)))


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one fit is made of. `returns` are daily, a row a day."""

    returns: Array
    rows: Rows
    # A day, as a share of what is bought.
    costs: Array
    previous: Array
    # Share that may be sold; None: no limit.
    sell_max: float | None = None
    market: Array | None = None
    # In the places of the assets.
    views: Sequence[View] = ()
    codes: Sequence[str] = ()
    # What selling costs a day, as a share; None: as much as buying.
    selling: Tiers | None = None
    # The same, or another measure of it, that is to be kept: at most so much.
    fee_max: tuple[Tiers, float] | None = None


def solvers() -> Sequence[str]:
    """What cvxpy found installed."""
    return sorted(cp.installed_solvers())


def covariance(returns: Array) -> Array:
    """Sample covariance of daily returns; shrunk where there are many funds for the days."""
    days, funds = returns.shape
    estimator = LedoitWolf() if funds > days / 4 else EmpiricalCovariance()
    found: Array = estimator.fit(returns).covariance_
    return found


def fit(strategy: Strategy, inputs: Inputs) -> Fit:
    """Raises `NotSolved`. Hierarchical risk parity takes bounds only, the last two take no rule."""
    with warnings.catch_warnings():
        # Inaccurate solutions are judged by the rules afterwards, not by a line on a console.
        warnings.simplefilter("ignore")
        try:
            return _FITS[strategy](inputs)
        except (OptimizationError, cp.error.SolverError, ValueError, np.linalg.LinAlgError) as why:
            raise NotSolved(str(why)) from why


def nearest(target: Array, rows: Rows) -> Array:
    """The weights closest to a target that keep the rows. Raises `NotSolved`."""
    weights = cp.Variable(len(target))
    kept = [weights >= 0, cp.sum(weights) == 1]
    if len(rows.right):
        kept.append(rows.left @ weights <= rows.right)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(weights - target)), kept)
    try:
        problem.solve(solver=SOLVER)
    except cp.error.SolverError as why:
        raise NotSolved(str(why)) from why
    if problem.status not in _SOLVED or weights.value is None:
        raise NotSolved(problem.status)
    found: Array = np.clip(weights.value, 0.0, 1.0)
    whole: Array = found / found.sum()
    return whole


def can_hold(rows: Rows) -> bool:
    """Whether any weights keep the rows."""
    return _is_feasible(rows, range(len(rows.right)))


def conflicting(rows: Rows) -> Sequence[int]:
    """Rows none of which may stay if the others do; empty: there is no conflict."""
    kept = list(range(len(rows.right)))
    if _is_feasible(rows, kept):
        return ()
    for row in list(kept):
        without = [each for each in kept if each != row]
        if not _is_feasible(rows, without):
            kept = without
    return kept


def least(costs: Array, rows: Rows, most: Array, total: float) -> Array | None:
    """Amounts of least cost, each up to its most, that keep the rows and come to the total."""
    found = linprog(
        costs,
        A_ub=rows.left if len(rows.right) else None,
        b_ub=rows.right + 1e-9 if len(rows.right) else None,
        A_eq=np.ones((1, len(costs))),
        b_eq=[total],
        bounds=np.column_stack([np.zeros(len(most)), most]),
        method="highs",
    )
    return np.asarray(found.x, dtype=float) if found.status == 0 else None


def least_sold(held: Array, rows: Rows) -> float:
    """How much of what is held has to go, at least, for any weights to keep the rows.

    Raises `NotSolved` where none do.
    """
    funds = len(held)
    # Weights, and beside them what is sold of each.
    found = linprog(
        np.append(np.zeros(funds), np.ones(funds)),
        A_ub=np.vstack(
            [
                np.hstack([rows.left, np.zeros((len(rows.right), funds))]),
                np.hstack([-np.eye(funds), -np.eye(funds)]),
            ]
        ),
        b_ub=np.concatenate([rows.right + 1e-9, -held]),
        A_eq=np.append(np.ones(funds), np.zeros(funds)).reshape(1, 2 * funds),
        b_eq=[1.0],
        bounds=(0, None),
        method="highs",
    )
    if found.status != 0:
        raise NotSolved("no weights keep the rules")
    return float(found.fun)


def _is_feasible(rows: Rows, kept: Sequence[int]) -> bool:
    funds = rows.left.shape[1]
    found = linprog(
        np.zeros(funds),
        A_ub=rows.left[list(kept)] if kept else None,
        b_ub=rows.right[list(kept)] + 1e-9 if kept else None,
        A_eq=np.ones((1, funds)),
        b_eq=[1.0],
        bounds=(0, 1),
        method="highs",
    )
    return bool(found.status == 0)


def _prior(returns: Array, *, mu: object = None) -> EmpiricalPrior:
    days, funds = returns.shape
    estimator = LedoitWolf() if funds > days / 4 else EmpiricalCovariance()
    return EmpiricalPrior(mu_estimator=mu, covariance_estimator=estimator)


def _solved(model: Any, inputs: Inputs) -> Fit:  # noqa: ANN401 - an estimator, untyped
    model.fit(inputs.returns)
    weights: Array = np.clip(np.asarray(model.weights_, dtype=float), 0.0, 1.0)
    if not np.isfinite(weights).all() or weights.sum() <= 0:
        raise NotSolved("the solver gave no numbers")
    mu: Array = np.asarray(model.prior_estimator_.return_distribution_.mu)
    return Fit(weights / weights.sum(), _duals(model, inputs.rows), mu)


def _duals(model: Any, rows: Rows) -> Array:  # noqa: ANN401 - an estimator, untyped
    """The multipliers of our rows: the one vector of constraints that has their number."""
    wanted = (len(rows.right),)
    for constraint in reversed(model.problem_.constraints):
        if constraint.shape == wanted and isinstance(constraint.dual_value, np.ndarray):
            return np.asarray(constraint.dual_value, dtype=float)
    return np.zeros(len(rows.right))


def _distinct(rows: Rows) -> Rows:
    """A row that says nothing is added where there are as many rows as funds: see `_duals`."""
    funds = rows.left.shape[1]
    left, right = rows.left, rows.right
    while len(right) in (1, funds, funds + 1):
        left = np.vstack([left, np.zeros((1, funds))])
        right = np.append(right, 1.0)
    return Rows(left, right)


def _common(inputs: Inputs) -> tuple[Rows, dict[str, object]]:
    common: dict[str, object] = {"solver": SOLVER, "save_problem": True}
    if not len(inputs.rows.right):
        return inputs.rows, common
    rows = _distinct(inputs.rows)
    return rows, {**common, "left_inequality": rows.left, "right_inequality": rows.right}


def _selling(inputs: Inputs) -> dict[str, object]:
    if inputs.sell_max is None:
        return {}
    most, previous, fee_max = inputs.sell_max, inputs.previous, inputs.fee_max

    def kept(w: Any) -> list[Any]:  # noqa: ANN401 - of cvxpy, untyped
        found = [cp.sum(cp.pos(previous - w)) <= most]
        if fee_max is not None:
            found.append(fee_max[0].cost(previous, w) <= fee_max[1])
        return found

    return {"add_constraints": kept}


def _trading(inputs: Inputs, w: Any, whole: Any = 1.0) -> Any:  # noqa: ANN401 - of cvxpy, untyped
    """What buying and selling costs a day."""
    if inputs.selling is None:
        raise AssertionError("asked only where holdings are sold in an order")
    bought = cp.pos(w - inputs.previous * whole)
    return inputs.costs @ bought + inputs.selling.cost(inputs.previous, w, whole)


def _alike(inputs: Inputs) -> dict[str, object]:
    """Selling costs as much as buying."""
    return {"transaction_costs": inputs.costs, "previous_weights": inputs.previous}


def _minimum_variance(inputs: Inputs) -> Fit:
    rows, common = _common(inputs)
    if (selling := inputs.selling) is not None:
        # Half the risk aversion times variance is what a fee is weighed against.
        common["add_objective"] = lambda w: 2 / RISK_AVERSION * selling.cost(inputs.previous, w)
    model = MeanRisk(prior_estimator=_prior(inputs.returns), **common, **_selling(inputs))
    return _cut(_solved(model, _with(inputs, rows)), inputs.rows)


def _maximum_sharpe(inputs: Inputs) -> Fit:
    rows, common = _common(inputs)
    prior = _prior(inputs.returns, mu=ShrunkMu())
    if inputs.selling is None:
        common |= _alike(inputs)
    else:
        mu = prior.fit(inputs.returns).return_distribution_.mu
        # Weights are scaled while a ratio is looked for: they sum to the scale.
        common["overwrite_expected_return"] = lambda w: mu @ w - _trading(inputs, w, cp.sum(w))
    model = MeanRisk(
        objective_function=ObjectiveFunction.MAXIMIZE_RATIO,
        risk_measure=RiskMeasure.VARIANCE,
        prior_estimator=prior,
        **common,
    )
    return _cut(_solved(model, _with(inputs, rows)), inputs.rows)


def _risk_parity(inputs: Inputs) -> Fit:
    rows, common = _common(inputs)
    model = RiskBudgeting(prior_estimator=_prior(inputs.returns), **common)
    return _cut(_solved(model, _with(inputs, rows)), inputs.rows)


def _black_litterman(inputs: Inputs) -> Fit:
    rows, common = _common(inputs)
    prior: Any = equilibrium(inputs.returns, inputs.market)
    if inputs.views:
        prior = BlackLitterman(
            views=[_equation(view) for view in inputs.views],
            view_confidences=[min(max(v.confidence, 0.01), 0.99) for v in inputs.views],
            groups=[list(inputs.codes)],
            prior_estimator=prior,
            tau=TAU,
        )
    if inputs.selling is None:
        common |= _alike(inputs)
    else:
        common["add_objective"] = lambda w: -_trading(inputs, w)
    model = MeanRisk(
        objective_function=ObjectiveFunction.MAXIMIZE_UTILITY,
        risk_aversion=RISK_AVERSION / 2,
        prior_estimator=prior,
        **common,
        **_selling(inputs),
    )
    return _cut(_solved(model, _with(inputs, rows)), inputs.rows)


def equilibrium(returns: Array, market: Array | None) -> EmpiricalPrior:
    """What the market's weights say that it expects."""
    mu = EquilibriumMu(risk_aversion=RISK_AVERSION, weights=market)
    return _prior(returns, mu=mu)


def _equation(view: View) -> str:
    """`0.5 * A - 0.5 * B == 0.0002`: a day's return, as the prior's are."""
    left = " ".join(f"{'-' if w < 0 else '+'} {abs(w):.12f} * {code}" for code, w in view.legs)
    return f"{left.removeprefix('+ ')} == {view.yearly_return / TRADING_DAYS:.12f}"


def _hierarchical(inputs: Inputs) -> Fit:
    model = HierarchicalRiskParity(
        prior_estimator=_prior(inputs.returns), max_weights=_upper(inputs.rows)
    )
    return _plain(model, inputs)


def _inverse_volatility(inputs: Inputs) -> Fit:
    return _plain(InverseVolatility(), inputs)


def _equal_weight(inputs: Inputs) -> Fit:
    funds = inputs.returns.shape[1]
    return Fit(
        np.full(funds, 1 / funds), np.zeros(len(inputs.rows.right)), inputs.returns.mean(axis=0)
    )


def _plain(model: Any, inputs: Inputs) -> Fit:  # noqa: ANN401 - an estimator, untyped
    model.fit(inputs.returns)
    weights: Array = np.asarray(model.weights_, dtype=float)
    return Fit(weights, np.zeros(len(inputs.rows.right)), inputs.returns.mean(axis=0))


def _upper(rows: Rows) -> Array:
    """The bounds of single funds among the rows: hierarchical risk parity takes no other."""
    upper = np.ones(rows.left.shape[1])
    for left, right in zip(rows.left, rows.right, strict=True):
        places = np.flatnonzero(left)
        if len(places) == 1:
            upper[places[0]] = min(upper[places[0]], right / left[places[0]])
    return upper if upper.sum() >= 1 else np.ones(len(upper))


def _with(inputs: Inputs, rows: Rows) -> Inputs:
    return Inputs(inputs.returns, rows, inputs.costs, inputs.previous)


def _cut(found: Fit, rows: Rows) -> Fit:
    return Fit(found.weights, found.duals[: len(rows.right)], found.mu)


_FITS: Final[Mapping[Strategy, Callable[[Inputs], Fit]]] = {
    Strategy.MINIMUM_VARIANCE: _minimum_variance,
    Strategy.MAXIMUM_SHARPE: _maximum_sharpe,
    Strategy.RISK_PARITY: _risk_parity,
    Strategy.HIERARCHICAL_RISK_PARITY: _hierarchical,
    Strategy.INVERSE_VOLATILITY: _inverse_volatility,
    Strategy.EQUAL_WEIGHT: _equal_weight,
    Strategy.BLACK_LITTERMAN: _black_litterman,
}
