"""An investor's taste, solved from what is held at the moment: a purchase counts at once.

Only the funds' factors are kept, and nobody's taste is stored.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

REGULARISATION: Final = 0.05
CONFIDENCE: Final = 8.0


def gram(factors: Array) -> Array:
    """What solving for an investor needs of all funds: Y'Y."""
    found: Array = factors.T @ factors
    return found


def scores(factors: Array, gram_of_all: Array, held: Sequence[int]) -> Array:
    """A score for each fund, for an investor who holds these."""
    mine = factors[list(held)]
    size = factors.shape[1]
    left = gram_of_all + CONFIDENCE * mine.T @ mine + REGULARISATION * np.eye(size)
    point = np.linalg.solve(left, (1.0 + CONFIDENCE) * mine.sum(axis=0))
    found: Array = factors @ point
    return found
