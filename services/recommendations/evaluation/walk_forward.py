"""Strategies on real prices, decided on the past alone and held through what came: net of fees.

Fitted on the sessions before, one session left out between, weights drift until the next month.
Lots are real: a sale takes the oldest first, and its fee is by the days each was held.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from services.recommendations.construction import optimiser
from services.recommendations.construction.optimiser import Inputs, NotSolved, Rows
from services.recommendations.construction.problem import Strategy, View

Array = npt.NDArray[np.float64]

TRADING_DAYS: Final = 252
# Weights below this are not bought.
LEAST_WEIGHT: Final = 1e-4
# What is left of a lot after a sale in full.
DUST: Final = 1e-15


@dataclass(frozen=True, slots=True)
class Fees:
    """Of what is bought, and of what is sold by sessions held; as shares."""

    front: float = 0.0015
    redemption: tuple[tuple[int, float], ...] = ((0, 0.005), (252, 0.0025), (504, 0.0))

    def of_sale(self, sessions: int) -> float:
        return next(rate for start, rate in reversed(self.redemption) if sessions >= start)


@dataclass(frozen=True, slots=True)
class Rules:
    """How the walk goes. Sessions, and shares of the whole."""

    fit: int = 756
    hold: int = 21
    purge: int = 1
    most: float = 0.30
    fees: Fees = field(default_factory=Fees)


@dataclass(frozen=True, slots=True)
class Decision:
    """Weights decided at a session (place in the prices) from what lies before it."""

    session: int
    weights: tuple[float, ...]
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class Walked:
    """Daily returns net of fees from the first decision on, and what trading cost."""

    name: str
    daily: Array
    decisions: tuple[Decision, ...]
    # Sums over the walk, as shares of the value at the time.
    turnover: float
    fees: float


# From returns up to the decision, and its number, to weights.
Decide = Callable[[Array, int], tuple[Array, str]]


def walk(name: str, prices: Array, decide: Decide, rules: Rules) -> Walked:
    """The same prices give the same walk; a decision is given only rows before its session."""
    returns = prices[1:] / prices[:-1] - 1.0
    first = rules.fit + rules.purge
    book = _Book(prices.shape[1], rules.fees)
    daily: list[float] = []
    decisions: list[Decision] = []
    for session in range(first, len(returns)):
        if (session - first) % rules.hold == 0:
            known = returns[session - rules.purge - rules.fit : session - rules.purge]
            weights, fallback = decide(known.copy(), len(decisions))
            decisions.append(Decision(session, tuple(float(w) for w in weights), fallback))
            book.trade(weights, session)
        daily.append(book.day(returns[session]))
    return Walked(name, np.array(daily), tuple(decisions), book.turnover, book.fees_paid)


class _Book:
    """Values held by asset in lots, starting from 1 in cash."""

    def __init__(self, assets: int, fees: Fees) -> None:
        self._fees = fees
        self._lots: list[deque[list[float]]] = [deque() for _ in range(assets)]
        self._cash = 1.0
        self._pending = 0.0
        self.turnover = 0.0
        self.fees_paid = 0.0

    def day(self, moves: Array) -> float:
        """One session: what the whole value moved, with the fees paid before it."""
        before = self._value() + self._pending
        for lots, move in zip(self._lots, moves, strict=True):
            for lot in lots:
                lot[0] *= 1.0 + move
        self._pending = 0.0
        return self._value() / before - 1.0

    def trade(self, weights: Array, session: int) -> None:
        """Sell what is too much, oldest first; buy with what comes of it."""
        value = self._value()
        weights = np.where(weights > LEAST_WEIGHT, weights, 0.0)
        target = weights / weights.sum() * value
        held = np.array([sum(lot[0] for lot in lots) for lots in self._lots])
        paid = 0.0
        sold = 0.0
        for place in np.flatnonzero(held > target):
            amount = float(held[place] - target[place])
            sold += amount
            fee = self._sell(int(place), amount, session)
            paid += fee
            self._cash += amount - fee
        wanted = np.maximum(target - held, 0.0)
        if wanted.sum() > 0:
            spend = min(self._cash, float(wanted.sum()))
            for place in np.flatnonzero(wanted):
                part = spend * float(wanted[place] / wanted.sum())
                fee = part * self._fees.front / (1.0 + self._fees.front)
                paid += fee
                self._lots[place].append([part - fee, float(session)])
            self._cash -= spend
        self._pending = paid
        self.turnover += sold / value
        self.fees_paid += paid / value

    def _sell(self, place: int, amount: float, session: int) -> float:
        lots, left, fee = self._lots[place], amount, 0.0
        while left > DUST and lots:
            part = min(left, lots[0][0])
            fee += part * self._fees.of_sale(session - int(lots[0][1]))
            lots[0][0] -= part
            left -= part
            if lots[0][0] <= DUST:
                lots.popleft()
        return fee

    def _value(self) -> float:
        return self._cash + sum(lot[0] for lots in self._lots for lot in lots)


# ---- who decides


def by_strategy(strategy: Strategy, rules: Rules, codes: Sequence[str]) -> Decide:
    """A strategy with at most so much in one asset; what fails holds equal weights, and says so."""

    def decide(known: Array, _: int) -> tuple[Array, str]:
        assets = known.shape[1]
        rows = Rows(np.eye(assets), np.full(assets, rules.most))
        views = momentum(known, codes) if strategy is Strategy.BLACK_LITTERMAN else ()
        nothing = np.zeros(assets)
        inputs = Inputs(known, rows, nothing, nothing, None, None, views, codes)
        try:
            found = optimiser.fit(strategy, inputs).weights
            if (found > rules.most + 1e-6).any():
                found = optimiser.nearest(found, rows)
        except NotSolved as why:
            return np.full(assets, 1 / assets), str(why)[:80]
        return found, ""

    return decide


def momentum(known: Array, codes: Sequence[str]) -> Sequence[View]:
    """The best five of the last year without its last month earn 5 % more than the worst five."""
    past = np.prod(1.0 + known[-TRADING_DAYS:-21], axis=0)
    order = np.argsort(past, kind="stable")
    few = min(5, len(codes) // 2)
    legs = [(codes[n], 1.0 / few) for n in order[-few:]]
    legs += [(codes[n], -1.0 / few) for n in order[:few]]
    return (View(tuple(sorted(legs)), 0.05, 0.5),)


def equally(known: Array, _: int) -> tuple[Array, str]:
    return np.full(known.shape[1], 1 / known.shape[1]), ""


def randomly(seed: int) -> Decide:
    """Other weights each month; the same for the same seed."""

    def decide(known: Array, number: int) -> tuple[Array, str]:
        drawn = np.random.default_rng((seed, number)).dirichlet(np.ones(known.shape[1]))
        return drawn, ""

    return decide


# ---- what it came to


def measures(walked: Walked, months: Sequence[str]) -> Mapping[str, float]:
    """Yearly; drawdown and worst month of the value itself."""
    daily = walked.daily
    years = len(daily) / TRADING_DAYS
    value = np.concatenate([[1.0], np.cumprod(1.0 + daily)])
    peaks = np.maximum.accumulate(value)
    mean = float(daily.mean() * TRADING_DAYS)
    deviation = float(daily.std(ddof=1) * np.sqrt(TRADING_DAYS))
    by_month: dict[str, float] = {}
    for month, move in zip(months, daily, strict=True):
        by_month[month] = by_month.get(month, 1.0) * (1.0 + float(move))
    return {
        "mean": mean,
        "deviation": deviation,
        "sharpe": mean / deviation if deviation else 0.0,
        "max_drawdown": float(np.max(1.0 - value / peaks)),
        "growth": float(value[-1] ** (1 / years) - 1.0),
        "turnover": walked.turnover / years,
        "fees": walked.fees / years,
        "worst_month": min(by_month.values()) - 1.0,
        "fallbacks": float(sum(bool(d.fallback) for d in walked.decisions)),
    }


def beside(
    walked: Walked, other: Walked, *, seed: int = 7, draws: int = 2_000
) -> tuple[float, ...]:
    """Yearly difference of means, and its 95 % interval by blocks of 20 sessions."""
    difference = walked.daily - other.daily
    block, rng = 20, np.random.default_rng(seed)
    starts = len(difference) - block + 1
    count = -(-len(difference) // block)
    sums = np.convolve(difference, np.ones(block), mode="valid")
    drawn = sums[rng.integers(0, starts, size=(draws, count))].sum(axis=1) / (count * block)
    low, high = np.percentile(drawn * TRADING_DAYS, [2.5, 97.5])
    return float(difference.mean() * TRADING_DAYS), float(low), float(high)
