"""The price model: gradient boosting from a fund's past prices to its place among all, 6 months on.

It knows nothing of buyers. Its word is a column of its own; blending it in is the version's choice.
"""

from collections.abc import Sequence
from typing import Final

import lightgbm
import numpy as np
import numpy.typing as npt

from services.recommendations.ranking.market import FEATURES, Market, features_at, forward_return

Array = npt.NDArray[np.float64]

HORIZON: Final = 126
# A fortnight between the days it learns from: neighbours tell nearly the same.
EVERY: Final = 10
ROUNDS: Final = 120
_PARAMETERS: Final = {
    "objective": "regression",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
    # Two threads that wait for each other cost more than they bring on a busy machine.
    "num_threads": 1,
    "verbosity": -1,
}


class TooLittleHistory(Exception):
    """There are no two years of prices before the day."""


def trained(market: Market, before_day: int, seed: int) -> str:
    """The model as text, from outcomes complete before the day. Raises `TooLittleHistory`.

    An outcome of `HORIZON` sessions is known only after them: the last days learnt from lie that
    far before the day.
    """
    last = market.session_before(before_day) - HORIZON
    rows, targets = [], []
    for session in range(252, last + 1, EVERY):
        known = features_at(market, session)
        ahead = forward_return(market, session, HORIZON)
        usable = np.isfinite(known).all(axis=1) & np.isfinite(ahead)
        if usable.sum() > 1:
            place = np.argsort(np.argsort(ahead[usable])) / (usable.sum() - 1)
            rows.append(known[usable])
            targets.append(place)
    if not rows:
        raise TooLittleHistory("the price model needs two years of prices before its day")
    data = lightgbm.Dataset(
        np.concatenate(rows), label=np.concatenate(targets), feature_name=list(FEATURES)
    )
    model = lightgbm.train({**_PARAMETERS, "seed": seed}, data, num_boost_round=ROUNDS)
    return str(model.model_to_string())


def judged(model: str, market: Market, session: int) -> tuple[Array, Array]:
    """Score by fund, and each feature's contribution to it (exact TreeSHAP, LightGBM's own).

    NaN where a fund is too young to be judged.
    """
    known = features_at(market, session)
    usable = np.isfinite(known).all(axis=1)
    score = np.full(len(market.codes), np.nan)
    parts = np.full((len(market.codes), len(FEATURES)), np.nan)
    if usable.any():
        booster = lightgbm.Booster(model_str=model)
        told = np.asarray(booster.predict(known[usable], pred_contrib=True))
        parts[usable] = told[:, :-1]
        score[usable] = told.sum(axis=1)
    return score, parts


def greatest(parts: Array, most: int = 3) -> Sequence[tuple[str, float]]:
    """The features that moved one fund's score most, the greatest first."""
    order = np.argsort(-np.abs(parts), kind="stable")[:most]
    return [(FEATURES[place], float(parts[place])) for place in order]
