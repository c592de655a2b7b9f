"""Equal weights as far as the rules allow: what is left when nothing can be optimised."""

from collections.abc import Sequence
from typing import Final

from services.recommendations.domain.constraints import WHOLE, Asset, Rule

# A percent at a time, to each fund in turn.
_STEP: Final = 100


def equal_floor(assets: Sequence[Asset], rules: Sequence[Rule], most: int) -> list[int] | None:
    """Weights that keep every rule; None: the rules leave no room for the whole."""
    order = sorted(range(len(assets)), key=lambda n: _preference(assets, n))
    weights = [0] * len(assets)
    left = WHOLE
    while left:
        placed = 0
        for place in order:
            if not weights[place] and sum(w > 0 for w in weights) == most:
                continue
            step = min(_STEP, left)
            weights[place] += step
            if any(rule.coefficients[place] > 0 and rule.excess(weights) > 0 for rule in rules):
                weights[place] -= step
                continue
            placed += step
            left -= step
            if not left:
                return weights
        if not placed:
            return None
    return weights


def _preference(assets: Sequence[Asset], place: int) -> tuple[int, int, str]:
    """The money fund is always among the few; then the cheaper, then by code."""
    asset = assets[place]
    return (not asset.is_money, asset.yearly_cost_millionths, asset.code)
