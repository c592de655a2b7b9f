"""Lots of a holding, taken first in, first out by confirm date."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from libs.fund_arithmetic.rounding import Rounding, divided


@dataclass(frozen=True, slots=True)
class Lot:
    """Shares confirmed together. `nav` is the price of the original purchase, `cost` minor units.

    `lot_id` names what brought them.
    """

    lot_id: str
    confirm_date: date
    registered_date: date
    shares: int
    cost: int
    nav: int


class TooFewShares(ValueError):
    """More is to be taken than the lots hold."""


def take(lots: Sequence[Lot], shares: int) -> tuple[tuple[Lot, ...], tuple[Lot, ...]]:
    """The parts taken and what is left, both oldest first. Raises `TooFewShares`.

    A lot's cost is split with its shares; the part taken is rounded down, so none is lost.
    """
    taken: list[Lot] = []
    left: list[Lot] = []
    for lot in sorted(lots, key=lambda each: each.confirm_date):
        if shares >= lot.shares:
            taken.append(lot)
            shares -= lot.shares
        elif shares > 0:
            cost = divided(lot.cost * shares, lot.shares, Rounding.TRUNCATE)
            taken.append(replace(lot, shares=shares, cost=cost))
            left.append(replace(lot, shares=lot.shares - shares, cost=lot.cost - cost))
            shares = 0
        else:
            left.append(lot)
    if shares > 0:
        raise TooFewShares(f"{shares} shares are missing")
    return tuple(taken), tuple(left)


def total(lots: Sequence[Lot]) -> int:
    """Shares of all lots."""
    return sum(lot.shares for lot in lots)


def cost(lots: Sequence[Lot]) -> int:
    """Minor units that all lots cost."""
    return sum(lot.cost for lot in lots)
