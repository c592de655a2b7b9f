"""The parts of a trained ranking, and the names of its sources; numpy alone, for who serves it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Names of sources are storage: proposals keep them with their scores.
POPULARITY: Final = "popularity"
CO_PURCHASE: Final = "co_purchase"
MATRIX: Final = "matrix_factorisation"
PRICE_MODEL: Final = "price_model"
THEME: Final = "theme_affinity"
# What the blend starts from; evaluation.py looks for better on early dates, and tuning.py for what
# themes are worth. A version that says no weight of a source, not even 0, does not have it.
WEIGHTS: Final[Mapping[str, float]] = {
    POPULARITY: 1.0,
    CO_PURCHASE: 1.0,
    MATRIX: 1.0,
    PRICE_MODEL: 0.0,
}


@dataclass(frozen=True, slots=True)
class Neighbours:
    """For each fund its nearest, best first: places (-1: none), similarity, joint buyers."""

    places: npt.NDArray[np.int32]
    similarity: Array
    joint: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Trained:
    """What an artifact holds. Arrays are by fund, in the order of `codes`."""

    codes: tuple[str, ...]
    # The day from which it may be used: it knows nothing of that day or later.
    as_of_day: int
    popularity: Array
    neighbours: Neighbours
    factors: Array
    price_score: Array
    price_parts: Array
    price_text: str
    weights: Mapping[str, float] = field(default_factory=lambda: dict(WEIGHTS))
