"""How much an investor's themes are worth in a blend: learnt on the newest past, or nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from libs.suitability import RiskLevel
from services.recommendations.domain.catalogue import Catalogue
from services.recommendations.domain.measures import ndcg
from services.recommendations.ranking.besides import TEST_DAYS, Asked, K
from services.recommendations.ranking.evaluation import asked_at, catalogue_of, lists_of
from services.recommendations.ranking.interactions import Interactions, iso_of
from services.recommendations.ranking.parts import THEME, WEIGHTS, Trained
from services.recommendations.ranking.training import train

Array = npt.NDArray[np.float64]

# Tried in this order; 0 is what they must beat.
TRIED: Final = (0.25, 0.5, 1.0)
# Fewer lists tell of chance.
LISTS_LEAST: Final = 50
ASKERS: Final = 400
# The gain must be so many standard errors above nothing.
ERRORS: Final = 2.0


def theme_weight(
    interactions: Interactions,
    as_of_day: int,
    seed: int,
    told: Callable[[str], None] = lambda _: None,
) -> float:
    """The weight that ranked purchases of the last half year before the day best; 0: none does.

    Learnt from what came before that half year, so neither the half year nor what follows is
    seen. Levels are not known here: every fund is a candidate.
    """
    known = interactions.between(-(10**6), as_of_day)
    day = as_of_day - TEST_DAYS
    tests = [test for test in asked_at(known, day, ASKERS, seed) if test.question.bought_themes]
    if len(tests) < LISTS_LEAST:
        told(f"themes: {len(tests)} investors to learn from, {LISTS_LEAST} are needed; no weight")
        return 0.0
    trained = train(known, None, day, seed)
    catalogue = catalogue_of(known, [RiskLevel.R1] * len(known.codes), day)
    without = _good(catalogue, trained, tests, WEIGHTS)
    gains = {
        weight: _good(catalogue, trained, tests, {**WEIGHTS, THEME: weight}) - without
        for weight in TRIED
    }
    best = max(TRIED, key=lambda weight: float(gains[weight].mean()))
    mean, error = float(gains[best].mean()), _error(gains[best])
    chosen = best if mean > ERRORS * error else 0.0
    told(
        f"themes: after {iso_of(day)} a weight of {best} changes nDCG by {mean:+.4f} "
        f"(standard error {error:.4f}): the weight is {chosen}"
    )
    return chosen


def _good(
    catalogue: Catalogue, trained: Trained, tests: Sequence[Asked], weights: Mapping[str, float]
) -> Array:
    """How good each list is (nDCG)."""
    shown = lists_of(catalogue, replace(trained, weights=weights), tests)
    pairs = zip(shown, tests, strict=True)
    return np.array([ndcg(each, test.bought, K) for each, test in pairs])


def _error(gains: Array) -> float:
    return float(gains.std(ddof=1) / np.sqrt(len(gains)))
