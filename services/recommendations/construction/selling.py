"""Which holdings a limited rebalance sells first: those that cost least, and soon no less."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from services.recommendations.construction import optimiser
from services.recommendations.construction.optimiser import Rows, Tiers
from services.recommendations.domain.constraints import Asset
from services.recommendations.domain.lots import Part

Array = npt.NDArray[np.float64]

# Equal costs are told apart by the fee alone, then by code: in millionths, below any rate's step.
_BY_FEE: Final = 1e-4
_BY_CODE: Final = 1e-6
_WITHIN: Final = 1e-9
# A thousandth of a ten-thousandth part, at a rate of a ten-thousandth: less is noise.
_LEAST_GAIN: Final = 1e-5


def by_fee(part: Part) -> int:
    """What selling it costs now (millionths)."""
    return part.rate_millionths


def by_cost(part: Part) -> int:
    """As above, and once more what waiting for the next rebalance would save."""
    return part.rate_millionths + part.saved_millionths


def tiers_of(
    assets: Sequence[Asset], held: Array, rate: Callable[[Part], int], unit: float = 1.0
) -> Tiers:
    """Holdings in the order they are sold, as shares of the whole; in no fund does a rate fall.

    Older lots go first whatever they cost: where a younger one is cheaper, both count as one.
    `unit`: what a rate of one millionth counts.
    """
    places: list[int] = []
    rows: list[tuple[float, float, float, float]] = []
    for place, asset in enumerate(assets):
        worth = sum(part.worth_minor for part in asset.parts)
        if not worth or held[place] <= 0:
            continue
        scale, start = float(held[place]) / worth, 0.0
        for size, cost, fee in _rising(asset.parts, rate):
            places.append(place)
            rows.append((start, size * scale, cost * unit, fee * unit))
            start += size * scale
    columns = np.array(rows, dtype=float).reshape(len(rows), 4).T
    return Tiers(np.array(places, dtype=np.intp), *columns)


def _rising(
    parts: Sequence[Part], rate: Callable[[Part], int]
) -> Sequence[tuple[float, float, float]]:
    """Size, rate and fee of parts joined until no rate is below the one before."""
    found: list[tuple[float, float, float]] = []
    for part in parts:
        size, cost, fee = float(part.worth_minor), float(rate(part)), float(part.rate_millionths)
        while found and found[-1][1] >= cost:
            before, costs, fees = found.pop()
            both = before + size
            cost, fee = (before * costs + size * cost) / both, (before * fees + size * fee) / both
            size = both
        found.append((size, cost, fee))
    return found


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the way from what is held to a target."""

    held: Array
    target: Array
    # Where every fund goes the same part of its way.
    plain: Array
    # The order of selling: only these funds are sold, and only down to their targets.
    tiers: Tiers

    def cheapest(self, rows: Rows) -> Array | None:
        """As much sold as in the plain step, of what costs least; None: nothing costs less.

        The fee is never above the plain one's, unless that breaks a rule.
        """
        if not len(self.tiers.place):
            return None
        tiers, lower = self.tiers, np.minimum(self.target, self.plain)
        sells = (self.held > lower + _WITHIN) & (self.plain <= self.held + _WITHIN)
        sells &= np.isin(np.arange(len(sells)), tiers.place)
        base = np.where(sells, self.held, self.plain)
        plain = tiers.sold(np.maximum(base - self.plain, 0.0))
        costs = tiers.rate + _BY_FEE * tiers.fee + _BY_CODE * tiers.place
        left, right = -rows.left[:, tiers.place], rows.right - rows.left @ base
        if is_kept := keeps(rows, self.plain):
            left, right = np.vstack([left, tiers.fee]), np.append(right, float(tiers.fee @ plain))
        most = tiers.sold(np.where(sells, self.held - lower, 0.0))
        found = optimiser.least(costs, Rows(left, right), most, float(plain.sum()))
        if found is None or (is_kept and float(costs @ (plain - found)) <= _LEAST_GAIN):
            return None
        moved = base.copy()
        np.subtract.at(moved, tiers.place, found)
        return np.clip(moved, 0.0, 1.0)


def keeps(rows: Rows, weights: Array) -> bool:
    """Whether weights keep the rows, as far as a step is exact."""
    return not len(rows.right) or not (rows.left @ weights > rows.right + 1e-6).any()
