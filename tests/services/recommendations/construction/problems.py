"""Random portfolios to be constructed: funds, returns, an investor, an amount, perhaps holdings."""

from dataclasses import replace

import numpy as np

from libs.suitability import InvestorClass, RiskLevel, highest_level
from services.recommendations.construction.problem import Problem, Strategy, View
from services.recommendations.domain.catalogue import FeeStep, Fund
from services.recommendations.domain.constraints import CONSTRAINTS, WHOLE, Asset
from services.recommendations.domain.lots import Lot, parts_of
from services.recommendations.domain.rounding import by_largest_remainder

KINDS = ("EQUITY", "MIXED", "INDEX", "BOND", "MONEY_MARKET", "NCD")
LEVELS = {"EQUITY": (3, 5), "MIXED": (3, 4), "INDEX": (3, 5), "BOND": (2, 3), "NCD": (1, 2)}
RISK = {"EQUITY": 0.014, "MIXED": 0.009, "INDEX": 0.012, "BOND": 0.002, "NCD": 0.0005}
# What is sold costs by the days it was held: the floors of 2026, a dearer fund, and a free one.
SCHEDULES = (
    (FeeStep(0, 15_000), FeeStep(7, 10_000), FeeStep(30, 5_000), FeeStep(180, 0)),
    (FeeStep(0, 15_000), FeeStep(365, 7_500), FeeStep(730, 2_500)),
    (),
)
STRATEGIES = tuple(Strategy)


def random_problem(seed: int, funds: int | None = None, days: int = 300) -> Problem:
    """Nothing but the seed decides; every fund is within the investor's class."""
    rng = np.random.default_rng(seed)
    investor_class = InvestorClass(int(rng.integers(1, 8)))
    highest = int(highest_level(investor_class))
    count = funds or int(rng.integers(2, 24))
    assets = tuple(_asset(rng, n, highest) for n in range(count))
    is_rebalance = bool(rng.random() < 0.3)
    if is_rebalance:
        assets = _held(rng, assets)
    codes = [asset.code for asset in assets]
    views: tuple[View, ...] = ()
    if rng.random() < 0.5 and count > 1:
        legs = ((codes[0], 1.0), (codes[-1], -1.0))
        views = (View(legs, float(rng.uniform(-0.1, 0.1)), float(rng.uniform(0.05, 0.95))),)
    needed = int(rng.integers(0, 5_000)), int(rng.integers(0, 5_000))
    strategy = STRATEGIES[int(rng.integers(0, len(STRATEGIES)))]
    returns = _returns(rng, assets, days).tobytes()
    amount = int(rng.integers(50_000, 50_000_000))
    return Problem(
        strategy,
        _in_lots(np.random.default_rng((seed, 1)), assets, amount),
        returns,
        days,
        investor_class,
        amount,
        views=views,
        is_rebalance=is_rebalance,
        needed=needed,
    )


def _asset(rng: np.random.Generator, number: int, highest: int) -> Asset:
    kinds = [kind for kind in KINDS if kind == "MONEY_MARKET" or LEVELS[kind][0] <= highest]
    kind = kinds[int(rng.integers(0, len(kinds)))]
    low, high = (1, 1) if kind == "MONEY_MARKET" else LEVELS[kind]
    return Asset(
        f"{number:06d}",
        int(rng.integers(low, min(high, highest) + 1)),
        f"M{int(rng.integers(0, 8))}",
        "" if kind == "MONEY_MARKET" else f"T{int(rng.integers(0, 6))}",
        kind,
        upper=WHOLE if rng.random() < 0.8 else int(rng.integers(500, 3_000)),
        least_minor=int(rng.choice([100, 1_000, 10_000, 100_000])),
        yearly_cost_millionths=int(rng.integers(0, 15_000)),
    )


def _held(rng: np.random.Generator, assets: tuple[Asset, ...]) -> tuple[Asset, ...]:
    raw = rng.random(len(assets)) * (rng.random(len(assets)) < 0.5)
    if not raw.any():
        raw[0] = 1.0
    parts = by_largest_remainder([float(each) for each in raw], int(rng.integers(5_000, WHOLE)))
    return tuple(replace(a, previous=part) for a, part in zip(assets, parts, strict=True))


def _in_lots(
    rng: np.random.Generator, assets: tuple[Asset, ...], amount_minor: int
) -> tuple[Asset, ...]:
    """What is held, in lots of every age from three years to a day."""
    today, found = 20_000, []
    for asset in assets:
        worth = amount_minor * asset.previous // WHOLE
        cuts = sorted(int(cut) for cut in rng.integers(0, worth + 1, int(rng.integers(0, 4))))
        ages = sorted((int(age) for age in rng.integers(1, 1_100, len(cuts) + 1)), reverse=True)
        sizes = np.diff([0, *cuts, worth])
        lots = [Lot(today - age, int(size)) for age, size in zip(ages, sizes, strict=True)]
        steps = SCHEDULES[int(rng.integers(0, len(SCHEDULES)))]
        fund = Fund(asset.code, "", RiskLevel.R2, "CNY", "BOND", "", redemption=steps)
        parts = parts_of(fund, lots, worth, 10_000, today, CONSTRAINTS.rebalance_days)
        found.append(replace(asset, parts=parts))
    return tuple(found)


def _returns(
    rng: np.random.Generator, assets: tuple[Asset, ...], days: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    shared = rng.standard_normal((days, 2))
    columns = []
    for asset in assets:
        if asset.is_money:
            columns.append(0.00005 + 0.00001 * rng.standard_normal(days))
            continue
        risk = RISK[asset.asset_class] * rng.uniform(0.6, 1.4)
        moved = 0.6 * shared[:, int(asset.level > 2)] + 0.8 * rng.standard_normal(days)
        columns.append(0.0002 * risk / 0.01 + risk * moved)
    return np.ascontiguousarray(np.array(columns).T, dtype=np.float64)
