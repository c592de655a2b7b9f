"""Locked numbers of the strategies on real prices, and the worked equilibrium example."""

import warnings

import numpy as np
import numpy.typing as npt
import pytest

from services.recommendations.construction import optimiser
from services.recommendations.construction.black_litterman import (
    implied_returns,
    optimum,
    posterior,
)
from services.recommendations.construction.optimiser import Inputs, Rows
from services.recommendations.construction.problem import Strategy, View
from services.recommendations.history import stocks

Array = npt.NDArray[np.float64]

TRAIN = 5_569
FREE = Rows(np.zeros((0, 20)), np.zeros(0))
RISKS = np.array([16.0, 20.3, 24.8, 27.1, 21.0, 20.0, 18.7]) / 100
MARKET = np.array([1.6, 2.2, 5.2, 5.5, 11.6, 12.4, 61.5]) / 100
CORRELATIONS = (
    (0.488,),
    (0.478, 0.664),
    (0.515, 0.655, 0.861),
    (0.439, 0.310, 0.355, 0.354),
    (0.512, 0.608, 0.783, 0.777, 0.405),
    (0.491, 0.779, 0.668, 0.653, 0.306, 0.652),
)


def seven_markets() -> Array:
    correlation = np.eye(7)
    for row, values in enumerate(CORRELATIONS, start=1):
        for column, value in enumerate(values):
            correlation[row, column] = correlation[column, row] = value
    return correlation * np.outer(RISKS, RISKS)


@pytest.fixture(scope="module")
def returns() -> Array:
    return stocks().returns


def inputs(train: Array, rows: Rows = FREE, **more: object) -> Inputs:
    funds = train.shape[1]
    return Inputs(train, rows, np.zeros(funds), np.zeros(funds), **more)  # type: ignore[arg-type]


def measured(weights: Array, test: Array) -> tuple[float, float, float, float]:
    daily = test @ weights
    mean, deviation = daily.mean() * 252, daily.std(ddof=1) * np.sqrt(252)
    summed = np.cumsum(daily)
    drawdown = float((np.maximum.accumulate(summed) - summed).max())
    return float(mean), float(deviation), float(mean / deviation), drawdown


LOCKED = {
    Strategy.MINIMUM_VARIANCE: (0.136313, 0.148976, 0.914994, 0.335783),
    Strategy.RISK_PARITY: (0.164027, 0.162189, 1.011328, 0.342997),
    Strategy.INVERSE_VOLATILITY: (0.160605, 0.160014, 1.003698, 0.348336),
}


@pytest.mark.parametrize("strategy", list(LOCKED), ids=lambda each: each.value)
def test_a_strategy_gives_its_locked_numbers_on_twenty_stocks(
    strategy: Strategy, returns: Array
) -> None:
    train, test = returns[:TRAIN], returns[TRAIN:]
    assert len(test) == 2_743

    found = optimiser.fit(strategy, inputs(train))

    assert measured(found.weights, test) == pytest.approx(LOCKED[strategy], abs=1e-4)


def test_minimum_variance_agrees_with_another_library(returns: Array) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pypfopt import EfficientFrontier  # noqa: PLC0415 - for this test alone

    train = returns[:TRAIN]
    ours = optimiser.fit(Strategy.MINIMUM_VARIANCE, inputs(train)).weights

    theirs = EfficientFrontier(np.zeros(20), np.cov(train.T) * 252)
    theirs.min_volatility()

    assert np.abs(ours - theirs.weights).max() < 1e-5
    named = dict(zip(stocks().names, ours, strict=True))
    assert [name for name, _ in sorted(named.items(), key=lambda e: -e[1])][:3] == [
        "JNJ",
        "PG",
        "CVX",
    ]
    assert [round(float(named[n]), 3) for n in ("JNJ", "PG", "CVX")] == [0.188, 0.164, 0.133]


def test_risk_parity_gives_each_stock_the_same_risk(returns: Array) -> None:
    train = returns[:TRAIN]
    weights = optimiser.fit(Strategy.RISK_PARITY, inputs(train)).weights

    shares = weights * (np.cov(train.T) @ weights)

    assert np.ptp(shares) / shares.mean() < 1e-4


def test_inverse_volatility_is_its_closed_form(returns: Array) -> None:
    train = returns[:TRAIN]
    weights = optimiser.fit(Strategy.INVERSE_VOLATILITY, inputs(train)).weights

    closed = 1 / train.std(axis=0, ddof=1)

    assert np.abs(weights - closed / closed.sum()).max() < 1e-12


def test_both_solvers_are_installed() -> None:
    # Another package in the process can take HiGHS away without a word.
    assert {"CLARABEL", "HIGHS"} <= set(optimiser.solvers())


def test_seven_markets_expect_what_was_printed() -> None:
    found = implied_returns(seven_markets(), MARKET, 2.5) * 100

    assert found == pytest.approx([3.9, 6.9, 8.4, 9.0, 4.3, 6.8, 7.6], abs=0.05)


def test_without_views_the_optimum_is_the_market_a_little_smaller() -> None:
    covariance, tau = seven_markets(), 0.05
    prior = implied_returns(covariance, MARKET, 2.5)

    mean, scale = posterior(covariance, prior, tau, np.zeros((0, 7)), np.zeros(0))

    assert mean == pytest.approx(prior)
    assert optimum(covariance, scale, mean, 2.5) == pytest.approx(MARKET / (1 + tau))


def test_a_view_moves_the_mean_as_the_formula_says(returns: Array) -> None:
    train = returns[:TRAIN, :7]
    codes = tuple(f"{n:06d}" for n in range(7))
    rows = Rows(np.zeros((0, 7)), np.zeros(0))
    view = View(((codes[2], 1.0), (codes[5], -1.0)), 0.10, 0.5)

    found = optimiser.fit(
        Strategy.BLACK_LITTERMAN,
        inputs(train, rows, market=MARKET, views=(view,), codes=codes),
    )

    covariance = np.cov(train.T)
    picks = np.zeros((1, 7))
    picks[0, 2], picks[0, 5] = 1.0, -1.0
    prior = implied_returns(covariance, MARKET, optimiser.RISK_AVERSION)
    mean, _ = posterior(covariance, prior, optimiser.TAU, picks, np.array([0.10 / 252]))
    assert found.mu == pytest.approx(mean, rel=1e-6)
    assert picks[0] @ found.mu > picks[0] @ prior
