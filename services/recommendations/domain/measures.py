"""Small numbers of ranking: views that fade, joint purchases, and how good a list is."""

import math
from collections.abc import Collection, Iterable, Sequence

DAY_US = 86_400_000_000
# Fewer joint buyers tell of people, and of chance.
JOINT_BUYERS_MIN = 5
_DAMPING = 20


def faded(seen: Iterable[tuple[int, float]], at_us: int, half_life_days: float) -> float:
    """The sum of weights, each halved for every half-life since its time.

    `fsum` rounds once, so the order of what was seen does not matter.
    """
    half_life_us = half_life_days * DAY_US
    return math.fsum(weight * 0.5 ** ((at_us - us) / half_life_us) for us, weight in seen)


def co_purchase(buyers_of_one: int, buyers_of_other: int, joint: int) -> float:
    """n_ij / (sqrt(n_i n_j) + 20); 0 below five joint buyers."""
    if joint < JOINT_BUYERS_MIN:
        return 0.0
    return joint / (math.sqrt(buyers_of_one * buyers_of_other) + _DAMPING)


def ndcg(ranked: Sequence[str], relevant: Collection[str], k: int = 10) -> float:
    """Binary gain, 1/log2(rank + 1), against the ideal of min(k, relevant) hits."""
    if not relevant:
        return 0.0
    gain = math.fsum(
        1 / math.log2(place + 2) for place, code in enumerate(ranked[:k]) if code in relevant
    )
    ideal = math.fsum(1 / math.log2(place + 2) for place in range(min(k, len(relevant))))
    return gain / ideal


def recall(ranked: Sequence[str], relevant: Collection[str], k: int = 10) -> float:
    """The share of what is relevant that is among the first k."""
    return len(set(ranked[:k]) & set(relevant)) / len(relevant) if relevant else 0.0


def average_precision(ranked: Sequence[str], relevant: Collection[str], k: int = 10) -> float:
    """Mean over the hits of the precision down to each."""
    hits = [place for place, code in enumerate(ranked[:k]) if code in relevant]
    if not relevant:
        return 0.0
    return math.fsum((n + 1) / (place + 1) for n, place in enumerate(hits)) / min(k, len(relevant))


def policy_value(
    logged: Iterable[tuple[float, float, float]], clip: float = 10.0
) -> tuple[float, float, float]:
    """IPS, SNIPS and the effective sample size of (reward, old propensity, new propensity)."""
    weighted = [(min(new / old, clip), reward) for reward, old, new in logged]
    total = math.fsum(weight for weight, _ in weighted)
    if not weighted or total == 0.0:
        return 0.0, 0.0, 0.0
    gained = math.fsum(weight * reward for weight, reward in weighted)
    squares = math.fsum(weight * weight for weight, _ in weighted)
    return gained / len(weighted), gained / total, total * total / squares
