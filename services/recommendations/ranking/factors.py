"""Matrix factorisation: funds as points in a space of tastes, learnt from who bought what."""

from typing import Final

import numpy as np
import numpy.typing as npt
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from services.recommendations.ranking.crowd import matrix_of
from services.recommendations.ranking.interactions import Interactions
from services.recommendations.ranking.tastes import CONFIDENCE, REGULARISATION

Array = npt.NDArray[np.float64]

FACTORS: Final = 32
ROUNDS: Final = 12


def trained(interactions: Interactions, seed: int) -> Array:
    """A row a fund. Alternating least squares on implicit feedback (Hu, Koren, Volinsky 2008)."""
    # One thread, and one beneath it: training runs beside a service on the same cores.
    with threadpool_limits(limits=1, user_api="blas"):
        model = AlternatingLeastSquares(
            factors=min(FACTORS, max(2, len(interactions.codes) - 1)),
            regularization=REGULARISATION,
            alpha=CONFIDENCE,
            iterations=ROUNDS,
            num_threads=1,
            random_state=seed,
        )
        model.fit(matrix_of(interactions), show_progress=False)
    return np.asarray(model.item_factors, dtype=np.float64)
