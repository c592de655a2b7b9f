"""Funds that move little with what is held: looked for among the widely bought, all at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from services.recommendations.domain.catalogue import Catalogue, Fund, FundSet
from services.recommendations.domain.ranking import Crowd
from services.recommendations.domain.together import MILLION, MOVES_LEAST, Moves, Together

Array = npt.NDArray[np.float64]

# Funds that are looked among, some 4 kB each; and those that are named for one investor.
WIDELY: Final = 300
NAMED: Final = 10
# A fund that moves more than this with what is held (millionths) lowers little.
CORRELATION_MOST: Final = 500_000
_FEE_DAYS: Final = 365


def widely_bought(catalogue: Catalogue, crowd: Crowd, most: int = WIDELY) -> Sequence[str]:
    """Of each kind in turn the most bought, else the cheapest; one share class of a fund.

    Money funds never move, so they are no answer to how a portfolio moves.
    """
    bought: dict[str, float] = {}
    for band in sorted(crowd.popularity):
        for code, weight in crowd.popularity[band].items():
            bought[code] = bought.get(code, 0.0) + weight
    ranked = sorted(
        (fund for fund in catalogue.funds if fund.nav_position and not fund.is_money),
        key=lambda f: (-bought.get(f.code, 0.0), f.fee_millionths(_FEE_DAYS), f.code),
    )
    kinds: dict[str, list[Fund]] = {}
    families: set[str] = set()
    for fund in ranked:
        family = fund.family or fund.code
        if family not in families:
            families.add(family)
            kinds.setdefault(fund.asset_class, []).append(fund)
    # The first of each kind, then the second of each: the round before the kind.
    rounds = [(n, kind, fund.code) for kind, of in kinds.items() for n, fund in enumerate(of)]
    return sorted(code for _, _, code in sorted(rounds)[:most])


@dataclass(frozen=True)
class Diversifiers:
    """Moves of funds side by side. All are whole numbers below 2^53: sums are exact in any order.

    `moved`: a row a fund, a column a day, 0 where it has none; `squares` of them. Few funds differ
    in the days they have: `patterns` are those that occur (1: has a move), `pattern` a fund's own.
    """

    codes: tuple[str, ...] = ()
    days: tuple[int, ...] = ()
    moved: Array = field(default_factory=lambda: np.zeros((0, 0)), repr=False)
    squares: Array = field(default_factory=lambda: np.zeros((0, 0)), repr=False)
    patterns: Array = field(default_factory=lambda: np.zeros((0, 0)), repr=False)
    pattern: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False
    )
    # Sums of all days of a fund: most portfolios have a move on every one of them.
    totals: Array = field(default_factory=lambda: np.zeros((0, 2)), repr=False)

    @classmethod
    def of(cls, found: Mapping[str, Moves]) -> "Diversifiers":
        """Funds with too few moves are left out."""
        codes = tuple(sorted(c for c, each in found.items() if len(each.days) >= MOVES_LEAST))
        if not codes:
            return cls()
        days = tuple(sorted(set[int]().union(*(found[code].days for code in codes))))
        place = {day: n for n, day in enumerate(days)}
        moved, has = np.zeros((len(codes), len(days))), np.zeros((len(codes), len(days)))
        for row, code in enumerate(codes):
            columns = [place[day] for day in found[code].days]
            moved[row, columns] = found[code].of
            has[row, columns] = 1.0
        patterns, pattern = np.unique(has, axis=0, return_inverse=True)
        squares = moved * moved
        totals = np.column_stack([moved.sum(axis=1), squares.sum(axis=1)])
        return cls(codes, days, moved, squares, patterns, pattern.reshape(-1), totals)

    def beside(
        self, portfolio: Moves, catalogue: Catalogue, eligible: FundSet
    ) -> Mapping[str, Together]:
        """Those that are eligible, move little with a portfolio and would lower its risk.

        At most so many, the least alike first; equal ones in the order of codes.
        """
        if not self.codes or len(portfolio.days) < MOVES_LEAST:
            return {}
        sums = self._sums(portfolio)
        alike = _correlations(sums)
        flags, index = catalogue.flags(eligible), catalogue.index
        found: dict[str, Together] = {}
        for row in np.argsort(alike, kind="stable").tolist():
            if not alike[row] <= CORRELATION_MOST or len(found) == NAMED:
                break
            place = index.get(self.codes[row])
            if place is None or not flags[place]:
                continue
            each = Together(*map(int, sums[row].tolist()))
            if each.volatility_after < each.volatility:
                found[self.codes[row]] = each
        return found

    def _sums(self, portfolio: Moves) -> Array:
        """A row a fund: days, sums of both, of their products, of their squares."""
        own, mask = self._on_our_days(portfolio)
        ours = (self.patterns @ np.column_stack([mask, own, own * own]))[self.pattern]
        theirs = (
            self.totals if mask.all() else np.column_stack([self.moved @ mask, self.squares @ mask])
        )
        return np.column_stack(
            [ours[:, 0], ours[:, 1], theirs[:, 0], self.moved @ own, ours[:, 2], theirs[:, 1]]
        )

    def _on_our_days(self, portfolio: Moves) -> tuple[Array, Array]:
        """A portfolio's moves on these days, and on which of them it has one."""
        days = np.array(self.days)
        theirs = np.array(portfolio.days)
        places = np.searchsorted(days, theirs)
        is_ours = places < len(days)
        is_ours[is_ours] = days[places[is_ours]] == theirs[is_ours]
        own, mask = np.zeros(len(days)), np.zeros(len(days))
        own[places[is_ours]] = np.array(portfolio.of, dtype=np.float64)[is_ours]
        mask[places[is_ours]] = 1.0
        return own, mask


def _correlations(sums: Array) -> Array:
    """Millionths; NaN, which is sorted last, with too few days or where one of both never moves."""
    days, own, other, product, own_square, other_square = sums.T
    shared = days * product - own * other
    spread = (days * own_square - own * own) * (days * other_square - other * other)
    found: Array = np.full(len(sums), np.nan)
    np.divide(
        shared * MILLION,
        np.sqrt(np.maximum(spread, 0.0)),
        out=found,
        where=(spread > 0) & (days >= MOVES_LEAST),
    )
    return np.rint(found)
