"""How funds move together: daily moves in whole millionths, so that every sum is exact."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import mul
from typing import Final

MILLION: Final = 1_000_000
DAY_US: Final = 86_400_000_000
# Moves that count, the newest; with fewer than the least, nothing is said.
MOVES_MOST: Final = 250
MOVES_LEAST: Final = 60
YEAR: Final = 252
# Of the portfolio, so much goes into a fund where it is told what that does.
PUT_IN: Final = 0.2


@dataclass(frozen=True, slots=True)
class Moves:
    """Of one fund, or of a portfolio: days since 1970, rising, and the move of each."""

    days: tuple[int, ...] = ()
    of: tuple[int, ...] = ()
    # Their sum, and that of their squares: asked for with every other fund.
    total: int = field(init=False, repr=False)
    square: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", sum(self.of))
        object.__setattr__(self, "square", sum(map(mul, self.of, self.of)))


def moves(priced: Sequence[tuple[int, int]]) -> Moves:
    """From (business time, price) by day, as `features.series` gives them."""
    newest = [(us // DAY_US, price) for us, price in priced if price > 0][-MOVES_MOST - 1 :]
    return Moves(
        tuple(day for day, _ in newest[1:]),
        tuple(
            (new - old) * MILLION // old
            for old, new in itertools.pairwise(price for _, price in newest)
        ),
    )


def portfolio_moves(values: Mapping[str, int], found: Mapping[str, Moves]) -> Moves:
    """What is held, each fund by its value; funds with too few moves are left out.

    A day counts where every fund that is left has a move.
    """
    held = [
        (value, found[code])
        for code, value in sorted(values.items())
        if value > 0 and code in found and len(found[code].days) >= MOVES_LEAST
    ]
    if not held:
        return Moves()
    if len(held) == 1:
        return held[0][1]
    days = held[0][1].days
    if any(each.days != days for _, each in held):
        common = set(days).intersection(*(each.days for _, each in held))
        days = tuple(sorted(common))
    total = sum(value for value, _ in held)
    columns = (map(value.__mul__, _on(each, days)) for value, each in held)
    return Moves(days, tuple(sum(row) // total for row in zip(*columns, strict=True)))


def moves_by_currency(
    values: Mapping[str, int], currencies: Mapping[str, str], found: Mapping[str, Moves]
) -> Mapping[str, Moves]:
    """What is held of each currency as a portfolio of its own, as far as it has moves.

    Values of different currencies are no weights.
    """
    parts: dict[str, dict[str, int]] = {}
    for code, value in values.items():
        parts.setdefault(currencies.get(code, ""), {})[code] = value
    moved = {currency: portfolio_moves(part, found) for currency, part in parts.items()}
    return {currency: each for currency, each in moved.items() if each.days}


def _on(each: Moves, days: tuple[int, ...]) -> Sequence[int]:
    """The moves of some of its days."""
    if each.days == days:
        return each.of
    by_day = dict(zip(each.days, each.of, strict=True))
    return [by_day[day] for day in days]


@dataclass(frozen=True, slots=True)
class Together:
    """Sums over the days that a portfolio and a fund have in common; all that is told of both."""

    days: int
    own: int
    other: int
    product: int
    own_square: int
    other_square: int

    @property
    def correlation(self) -> int | None:
        """Millionths; None with too few days, or where one of both never moves."""
        own, other = (
            self._spread(self.own, self.own_square),
            self._spread(self.other, self.other_square),
        )
        if self.days < MOVES_LEAST or own <= 0 or other <= 0:
            return None
        shared = self.days * self.product - self.own * self.other
        found = round(shared / math.sqrt(own) / math.sqrt(other) * MILLION)
        return max(-MILLION, min(MILLION, found))

    @property
    def volatility(self) -> int:
        """Of the portfolio as it is, a year, millionths."""
        return self._yearly(self._spread(self.own, self.own_square))

    @property
    def volatility_after(self) -> int:
        """Of the portfolio with a fifth of it put into the fund."""
        kept = 1.0 - PUT_IN
        shared = self.days * self.product - self.own * self.other
        return self._yearly(
            kept * kept * self._spread(self.own, self.own_square)
            + 2.0 * kept * PUT_IN * shared
            + PUT_IN * PUT_IN * self._spread(self.other, self.other_square)
        )

    def _spread(self, total: int, squares: int) -> int:
        """Days squared times the variance."""
        return self.days * squares - total * total

    def _yearly(self, spread: float) -> int:
        if self.days < 2:  # noqa: PLR2004 - one move does not vary
            return 0
        return round(math.sqrt(max(spread, 0.0) * YEAR / (self.days * (self.days - 1))))


def together(portfolio: Moves, fund: Moves) -> Together:
    """Of the days that both have."""
    if portfolio.days != fund.days:
        days = tuple(sorted(set(portfolio.days) & set(fund.days)))
        portfolio, fund = (Moves(days, tuple(_on(each, days))) for each in (portfolio, fund))
    return Together(
        len(fund.days),
        portfolio.total,
        fund.total,
        sum(map(mul, portfolio.of, fund.of)),
        portfolio.square,
        fund.square,
    )
