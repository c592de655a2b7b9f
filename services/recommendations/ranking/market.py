"""Prices side by side, and what a price model may know of a fund on a day: the past alone."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FEATURES: Final = (
    "return_21",
    "return_63",
    "return_126",
    "return_252",
    "volatility_60",
    "volatility_250",
    "drawdown_250",
    "trend_250",
)
# Sessions before a day that its features need.
LOOK_BACK: Final = 252
YEAR: Final = 252


@dataclass(frozen=True, slots=True)
class Market:
    """Prices: a row a session (`days` since 1970, ascending), a column a fund; NaN: no price."""

    days: npt.NDArray[np.int32]
    codes: tuple[str, ...]
    prices: Array

    def session_before(self, day: int) -> int:
        """Place of the last session before a day; -1: none."""
        return int(np.searchsorted(self.days, day, side="left")) - 1

    def session_at(self, day: int) -> int:
        """Place of the last session up to a day and with it; -1: none."""
        return int(np.searchsorted(self.days, day, side="right")) - 1


def features_at(market: Market, session: int) -> Array:
    """A row a fund, a column a feature; NaN where a fund is too young. Uses rows up to `session`.

    A NAV is known from its publication, the evening of its day: a decision of the day after may
    use it, and `session_before` gives that session.
    """
    found = np.full((len(market.codes), len(FEATURES)), np.nan)
    if session < LOOK_BACK:
        return found
    window = market.prices[session - LOOK_BACK : session + 1]
    moves = window[1:] / window[:-1] - 1.0
    last = window[-1]
    for column, sessions in enumerate((21, 63, 126, 252)):
        found[:, column] = last / window[-1 - sessions] - 1.0
    found[:, 4] = moves[-60:].std(axis=0, ddof=1) * np.sqrt(YEAR)
    found[:, 5] = moves[-250:].std(axis=0, ddof=1) * np.sqrt(YEAR)
    year = window[-250:]
    found[:, 6] = (1.0 - year / np.maximum.accumulate(year, axis=0)).max(axis=0)
    found[:, 7] = last / year.mean(axis=0) - 1.0
    return found


def forward_return(market: Market, session: int, sessions: int) -> Array:
    """What each fund earned over the sessions after; NaN past the end of the prices."""
    if session + sessions >= len(market.days):
        return np.full(len(market.codes), np.nan)
    ahead: Array = market.prices[session + sessions] / market.prices[session] - 1.0
    return ahead


def monthly(total: Array, days: int) -> Array:
    """(1 + r)^(30/days) - 1: a return over calendar days as a return of 30 of them."""
    found: Array = np.power(1.0 + total, 30.0 / max(days, 1)) - 1.0
    return found
