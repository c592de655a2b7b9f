"""What can be counted: popularity by class, and funds bought together; arrays, for millions."""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from services.recommendations.domain.measures import JOINT_BUYERS_MIN
from services.recommendations.ranking.interactions import Interactions
from services.recommendations.ranking.parts import Neighbours

Array = npt.NDArray[np.float64]

HALF_LIFE_DAYS: Final = 90
BANDS: Final = 8
_DAMPING: Final = 20


def matrix_of(interactions: Interactions) -> "sparse.csr_matrix":
    """Investors by funds; 1 where one bought the other."""
    rows, columns = interactions.investor, interactions.fund
    shape = (len(interactions.investors), len(interactions.codes))
    found = sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)
    found.data[:] = 1.0
    return found


def popularity(interactions: Interactions, today: int) -> Array:
    """Class band by fund: the sum over distinct buyers of 0.5^(age / 90 d), latest purchase."""
    funds = len(interactions.codes)
    key = interactions.investor.astype(np.int64) * funds + interactions.fund
    # Rows are in order of time, so of each pair the last one in the reversed rows is the latest.
    _, first = np.unique(key[::-1], return_index=True)
    latest = len(key) - 1 - first
    age = np.maximum(today - interactions.day[latest], 0)
    found = np.zeros((BANDS, funds))
    weight = np.power(0.5, age / HALF_LIFE_DAYS)
    np.add.at(found, (interactions.band[latest], interactions.fund[latest]), weight)
    return found


def neighbours(interactions: Interactions, most: int = 50) -> Neighbours:
    """n_ij / (sqrt(n_i n_j) + 20), nothing below five joint buyers (advice.md, section 6)."""
    bought = matrix_of(interactions)
    joint = np.asarray((bought.T @ bought).todense(), dtype=np.float64)
    buyers = joint.diagonal().copy()
    np.fill_diagonal(joint, 0.0)
    joint[joint < JOINT_BUYERS_MIN] = 0.0
    similarity = joint / (np.sqrt(np.outer(buyers, buyers)) + _DAMPING)
    most = min(most, max(len(interactions.codes) - 1, 1))
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :most]
    rows = np.arange(len(order))[:, None]
    near, shared = similarity[rows, order], joint[rows, order]
    return Neighbours(
        np.where(shared > 0, order, -1).astype(np.int32), near, shared.astype(np.int32)
    )
