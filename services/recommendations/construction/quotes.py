"""Prices of funds as one matrix of daily returns, with what had to be filled in told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from services.recommendations.construction.problem import Problem, Quotes, Unsolved

Array = npt.NDArray[np.float64]
Days = npt.NDArray[np.int32]
# A price that never moves has no risk, and no strategy can weigh it: this is far below any fund's.
_LEAST_RISK: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Prepared:
    problem: Problem
    # Funds whose kind's mean return stands for the days they have no own price.
    filled: tuple[str, ...]
    # Funds left out: code, and days missing.
    short: tuple[tuple[str, int], ...]


def prepare(problem: Problem, quotes: Sequence[Quotes]) -> Prepared | Unsolved:
    """The problem with its returns. Funds that nothing can stand for are left out, by name."""
    limits = problem.limits
    series = [
        (np.frombuffer(each.days, dtype=np.int32), np.frombuffer(each.values, dtype=np.float64))
        for each in quotes
    ]
    calendar = _calendar([days for days, _ in series], limits.history_max + 1)
    columns = [_returns(days, values, calendar) for days, values in series]
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
    if not kept or len(calendar) - 1 < limits.history_min:
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
    return Prepared(chosen, tuple(filled), tuple(short))


def _calendar(days: Sequence[Days], most: int) -> Days:
    """The last days on which a third of the funds or more had a price."""
    found, counts = np.unique(np.concatenate(days), return_counts=True)
    least = max(1, len(days) // 3)
    chosen: Days = found[counts >= least][-most:]
    return chosen


def _returns(days: Days, values: Array, calendar: Days) -> Array:
    """Daily; a day without a price of a fund that has begun moves nothing; before, NaN."""
    prices = np.full(len(calendar), np.nan)
    places = np.searchsorted(calendar, days)
    counts = (places < len(calendar)) & np.isfinite(values) & (values > 0)
    counts[counts] = calendar[places[counts]] == days[counts]
    prices[places[counts]] = values[counts]
    # Each place, or the last one before it that has a price.
    latest = np.maximum.accumulate(np.where(np.isfinite(prices), np.arange(len(prices)), 0))
    prices = prices[latest]
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
