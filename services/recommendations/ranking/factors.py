"""Matrix factorisation: funds as points in a space of tastes; an investor is what is held.

Only the funds' factors are kept. An investor's point is solved from the holdings of the moment, so
a purchase counts at once and nobody's taste is stored.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from services.recommendations.ranking.crowd import matrix_of
from services.recommendations.ranking.interactions import Interactions

Array = npt.NDArray[np.float64]

FACTORS: Final = 32
ROUNDS: Final = 12
REGULARISATION: Final = 0.05
CONFIDENCE: Final = 8.0


def trained(interactions: Interactions, seed: int) -> Array:
    """A row a fund. Alternating least squares on implicit feedback (Hu, Koren, Volinsky 2008)."""
    # Its own threads and those of the linear algebra beneath would fight for two cores.
    with threadpool_limits(limits=1, user_api="blas"):
        model = AlternatingLeastSquares(
            factors=min(FACTORS, max(2, len(interactions.codes) - 1)),
            regularization=REGULARISATION,
            alpha=CONFIDENCE,
            iterations=ROUNDS,
            num_threads=2,
            random_state=seed,
        )
        model.fit(matrix_of(interactions), show_progress=False)
    return np.asarray(model.item_factors, dtype=np.float64)


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
