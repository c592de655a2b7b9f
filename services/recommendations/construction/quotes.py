"""Prices of funds as one matrix of daily returns, with what had to be filled in told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from services.recommendations.construction.problem import Problem, Quotes, Unsolved
from services.recommendations.domain.constraints import MONEY_MARKET

Array = npt.NDArray[np.float64]
# Income of ten thousand shares has four decimals.
_INCOME_SCALE: Final = 1e8
# A price that never moves has no risk, and no strategy can weigh it: this is far below any fund's.
_LEAST_RISK: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Prepared:
    problem: Problem
    dates: tuple[str, ...]
    # Funds whose kind's mean return stands for the days they have no own price.
    filled: tuple[str, ...]
    # Funds left out: code, and days missing.
    short: tuple[tuple[str, int], ...]


def prepare(problem: Problem, quotes: Sequence[Quotes]) -> Prepared | Unsolved:
    """The problem with its returns. Funds that nothing can stand for are left out, by name."""
    limits = problem.limits
    series = [_series(each, problem.assets[n].asset_class) for n, each in enumerate(quotes)]
    dates = _calendar(series, limits.history_max + 1)
    columns = [_returns(each, dates) for each in series]
    own = [int(np.isfinite(column).sum()) for column in columns]
    filled, short, kept = [], [], []
    for n, asset in enumerate(problem.assets):
        if own[n] >= limits.history_min:
            kept.append(n)
            continue
        stand_in = _mean_of_kind(problem, columns, own, asset.asset_class)
        # The fund's own days must be some at least: a kind says nothing of a fund nobody priced.
        if stand_in is None or own[n] < 1:
            short.append((asset.code, limits.history_min - own[n]))
            continue
        columns[n] = np.where(np.isfinite(columns[n]), columns[n], stand_in)
        filled.append(asset.code)
        kept.append(n)
    if not kept or len(dates) - 1 < limits.history_min:
        names = tuple(
            f"{asset.code}:{limits.history_min - own[n]}" for n, asset in enumerate(problem.assets)
        )
        return Unsolved("HISTORY_TOO_SHORT", names)
    matrix = np.column_stack([np.nan_to_num(columns[n], nan=0.0) for n in kept])
    chosen = replace(
        problem,
        assets=tuple(problem.assets[n] for n in kept),
        market=tuple(problem.market[n] for n in kept) if problem.market else (),
        returns=np.ascontiguousarray(_with_risk(matrix)).tobytes(),
        days=len(matrix),
    )
    return Prepared(chosen, dates[1:], tuple(filled), tuple(short))


def _series(quotes: Quotes, asset_class: str) -> Mapping[str, float]:
    """Value of one unit by day, with what was paid out."""
    found = dict(quotes.fed)
    value = 1.0
    for day, nav, accumulated, income in quotes.rows:
        if asset_class == MONEY_MARKET:
            value *= 1.0 + income / _INCOME_SCALE
            found[day] = value * nav
        else:
            found[day] = float(accumulated or nav)
    return found


def _calendar(series: Sequence[Mapping[str, float]], most: int) -> tuple[str, ...]:
    """The last days on which a third of the funds or more had a price."""
    counts: dict[str, int] = {}
    for each in series:
        for day in each:
            counts[day] = counts.get(day, 0) + 1
    least = max(1, len(series) // 3)
    return tuple(sorted(day for day, count in counts.items() if count >= least)[-most:])


def _returns(series: Mapping[str, float], dates: Sequence[str]) -> Array:
    """Daily; a day without a price of a fund that has begun moves nothing; before, NaN."""
    prices = np.array([series.get(day, np.nan) for day in dates])
    last = np.nan
    for n, price in enumerate(prices):
        if np.isfinite(price) and price > 0:
            last = price
        prices[n] = last
    found: Array = prices[1:] / prices[:-1] - 1.0
    return found


def _mean_of_kind(
    problem: Problem, columns: Sequence[Array], own: Sequence[int], asset_class: str
) -> Array | None:
    members = [
        columns[n]
        for n, asset in enumerate(problem.assets)
        if asset.asset_class == asset_class and own[n] >= problem.limits.history_min
    ]
    if not members:
        return None
    found: Array = np.nan_to_num(np.column_stack(members), nan=0.0).mean(axis=1)
    return found


def _with_risk(matrix: Array) -> Array:
    days = np.arange(len(matrix))
    found = matrix.copy()
    for n in range(matrix.shape[1]):
        if matrix[:, n].std() < _LEAST_RISK:
            found[:, n] += _LEAST_RISK * np.cos(days * (n + 1.7))
    return found
