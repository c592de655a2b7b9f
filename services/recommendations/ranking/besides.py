"""What a list does beside being liked: how new it is, what it does to a portfolio, and for whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from services.recommendations.domain.measures import ndcg
from services.recommendations.domain.ranking import Question
from services.recommendations.ranking.interactions import Interactions
from services.recommendations.ranking.market import Market

Array = npt.NDArray[np.float64]

K: Final = 10
TEST_DAYS: Final = 182
YEAR: Final = 252
# Of the portfolio, so much goes into what is shown, in equal parts: what a rebalance may turn over.
FOLLOWED: Final = 0.2
# A group with fewer lists tells of chance.
LISTS_LEAST: Final = 20
CLASS: Final = "class"


@dataclass(frozen=True, slots=True)
class Asked:
    """A test: who asks at a date, what is held, what was bought in the half year after."""

    question: Question
    bought: frozenset[str]
    # What who asks is, by the name of the grouping: class, age, wealth.
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Beside:
    """Popularity before a date, and daily returns of all funds in the half year after it."""

    place: Mapping[str, int]
    # Share of all investors that bought a fund before, by place.
    popularity: Array
    # A row a session.
    returns: Array

    @classmethod
    def at(cls, interactions: Interactions, market: Market, day: int) -> "Beside":
        """Nobody bought it: it counts as half a buyer, so that novelty stays finite."""
        bought = interactions.between(-(10**6), day).bought()
        buyers = np.zeros(len(interactions.codes))
        for codes in bought.values():
            buyers[list(codes)] += 1.0
        start, end = market.session_before(day), market.session_at(day + TEST_DAYS)
        order = [market.codes.index(code) for code in interactions.codes]
        prices = market.prices[start : end + 1, order]
        return cls(
            {code: n for n, code in enumerate(interactions.codes)},
            np.maximum(buyers, 0.5) / max(len(bought), 1),
            prices[1:] / prices[:-1] - 1.0,
        )

    def measured(
        self, tests: Sequence[Asked], lists: Sequence[Sequence[str]]
    ) -> Mapping[str, float]:
        """Novelty, and the portfolio with a fifth of it as shown less the one without.

        Portfolios are equal parts of what is held: a log of purchases says no more.
        """
        novelty, changes = [], []
        for test, shown in zip(tests, lists, strict=True):
            if not shown:
                continue
            new = [self.place[code] for code in shown]
            novelty.append(float(-np.log2(self.popularity[new]).mean()))
            old = self.returns[:, [self.place[code] for code in test.question.held]].mean(axis=1)
            mixed = (1.0 - FOLLOWED) * old + FOLLOWED * self.returns[:, new].mean(axis=1)
            changes.append(risk(mixed) - risk(old))
        volatility, sharpe, drawdown = np.mean(changes, axis=0) if changes else np.zeros(3)
        return {
            "novelty": float(np.mean(novelty)) if novelty else 0.0,
            "delta_volatility": float(volatility),
            "delta_sharpe": float(sharpe),
            "delta_drawdown": float(drawdown),
        }


def risk(returns: Array) -> Array:
    """Yearly volatility, yearly Sharpe at a zero rate, greatest fall from a peak."""
    deviation = float(returns.std(ddof=1))
    sharpe = float(returns.mean()) / deviation * YEAR**0.5 if deviation > 0 else 0.0
    grown = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    fall = float(np.max(1.0 - grown / np.maximum.accumulate(grown)))
    return np.array([deviation * YEAR**0.5, sharpe, fall])


def by_group(
    tests: Sequence[Asked], lists: Sequence[Sequence[str]]
) -> Mapping[tuple[str, str], Sequence[float]]:
    """Quality (nDCG) of each list, by grouping and the group in it of who asked."""
    found: dict[tuple[str, str], list[float]] = {}
    for test, shown in zip(tests, lists, strict=True):
        good = ndcg(shown, test.bought, K)
        for group in test.groups.items():
            found.setdefault(group, []).append(good)
    return found


def calibrated(
    groups: Mapping[tuple[str, str], Sequence[float]],
) -> Mapping[str, Mapping[str, Any]]:
    """By grouping: mean quality of groups with enough lists, and the gap from best to worst."""
    found: dict[str, dict[str, float]] = {}
    for (grouping, name), each in sorted(groups.items()):
        if len(each) >= LISTS_LEAST:
            found.setdefault(grouping, {})[name] = float(np.mean(each))
    return {
        grouping: {
            "ndcg": means,
            "best": max(means, key=means.__getitem__),
            "worst": min(means, key=means.__getitem__),
            "gap": max(means.values()) - min(means.values()),
        }
        for grouping, means in found.items()
    }
