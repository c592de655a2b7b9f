"""All parts of a ranking, learnt from what was known before one day."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from services.recommendations.ranking import crowd, factors, price_model
from services.recommendations.ranking.interactions import Interactions
from services.recommendations.ranking.market import FEATURES, Market
from services.recommendations.ranking.parts import WEIGHTS, Trained

Array = npt.NDArray[np.float64]


def train(
    interactions: Interactions,
    market: Market | None,
    as_of_day: int,
    seed: int = 2026,
    weights: Mapping[str, float] | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Trained:
    """The same arguments give the same parts. Rows of the day and later are not looked at."""
    known = interactions.between(-(10**6), as_of_day)
    told(f"{len(known):,} purchases of {len(known.codes):,} funds before the day")
    told("popularity, and what is bought together")
    popular = crowd.popularity(known, as_of_day)
    near = crowd.neighbours(known)
    told("matrix factorisation")
    points = factors.trained(known, seed)
    score = np.full(len(known.codes), np.nan)
    parts = np.full((len(known.codes), len(FEATURES)), np.nan)
    text = ""
    if market is not None:
        told("price model")
        score, parts, text = _priced(known, market, as_of_day, seed, told)
    chosen = dict(WEIGHTS if weights is None else weights)
    return Trained(known.codes, as_of_day, popular, near, points, score, parts, text, chosen)


def _priced(
    known: Interactions, market: Market, as_of_day: int, seed: int, told: Callable[[str], None]
) -> tuple[Array, Array, str]:
    score = np.full(len(known.codes), np.nan)
    parts = np.full((len(known.codes), len(FEATURES)), np.nan)
    try:
        text = price_model.trained(market, as_of_day, seed)
    except price_model.TooLittleHistory as why:
        told(f"no price model: {why}")
        return score, parts, ""
    of_market, parts_of_market = price_model.judged(text, market, market.session_before(as_of_day))
    place = {code: n for n, code in enumerate(market.codes)}
    for n, code in enumerate(known.codes):
        if code in place:
            score[n] = of_market[place[code]]
            parts[n] = parts_of_market[place[code]]
    return score, parts, text
