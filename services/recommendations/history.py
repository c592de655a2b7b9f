"""Real daily prices 1990-2022 side by side: twenty stocks, the index, five factor funds."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from libs.nav_history import nav_history

Array = npt.NDArray[np.float64]

STOCKS: Final = (
    *("AAPL", "AMD", "BAC", "BBY", "CVX", "GE", "HD", "JNJ", "JPM", "KO"),
    *("LLY", "MRK", "MSFT", "PEP", "PFE", "PG", "RRC", "UNH", "WMT", "XOM"),
)
FACTORS: Final = ("MTUM", "QUAL", "SIZE", "USMV", "VLUE")
# The prices have at most three decimals: so read, they are exact.
_SCALE: Final = 3


@dataclass(frozen=True, slots=True)
class History:
    """Prices, a row a day in the order of dates (ISO 8601), a column a name."""

    dates: tuple[str, ...]
    names: tuple[str, ...]
    prices: Array

    @property
    def returns(self) -> Array:
        """Simple daily returns; one row fewer, belonging to `dates[1:]`."""
        found: Array = self.prices[1:] / self.prices[:-1] - 1.0
        return found


def stocks() -> History:
    """1990-01-02 to 2022-12-28. Raises `HistoryMissing`."""
    return _side_by_side("sp500_dataset", STOCKS)


def index() -> History:
    """The same days. Raises `HistoryMissing`."""
    return _side_by_side("sp500_index", ("SP500",))


def factors() -> History:
    """2014-01-02 to 2022-12-28. Raises `HistoryMissing`."""
    return _side_by_side("factors_dataset", FACTORS)


def _side_by_side(file: str, names: tuple[str, ...]) -> History:
    columns = [nav_history(f"{file}:{name}", 1, _SCALE) for name in names]
    prices = np.array([column.navs for column in columns], dtype=float).T / 10**_SCALE
    return History(tuple(day.isoformat() for day in columns[0].days), names, prices)
