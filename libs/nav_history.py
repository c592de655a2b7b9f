"""Real daily prices 1990-2022 as NAVs: files inside the installed skfolio package, read as files.

A source is `file:column`, say `sp500_dataset:KO`; the package itself is never imported. Prices are
in US dollars with at most three decimals; a NAV is the price divided by the fund's own divisor.
"""

import csv
import gzip
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from libs.fund_arithmetic import divided

FILES = ("factors_dataset", "sp500_dataset", "sp500_index")
# The exchange whose sessions the prices are of.
CALENDAR = "XNYS"
_PRICE_SCALE = 3


class HistoryMissing(Exception):
    """The package with the prices is not installed, or has no such file or column."""


@dataclass(frozen=True, slots=True)
class History:
    """NAVs of one fund at its scale, by day, oldest first."""

    source: str
    days: tuple[date, ...]
    navs: tuple[int, ...]

    def on(self, day: date) -> int | None:
        """The NAV of a day; none where there is no price."""
        place = bisect_right(self.days, day) - 1
        return self.navs[place] if place >= 0 and self.days[place] == day else None


def nav_history(source: str, divisor: int = 1, nav_scale: int = 4) -> History:
    """All NAVs of a source. Raises `HistoryMissing`."""
    file, _, column = source.partition(":")
    days, columns = _prices(file)
    if column not in columns:
        raise HistoryMissing(f"{file!r} has no column {column!r}")
    power = 10**nav_scale
    unit = divisor * 10**_PRICE_SCALE
    navs = tuple(divided(price * power, unit) for price in columns[column])
    return History(source, days, navs)


@cache
def _prices(file: str) -> tuple[tuple[date, ...], Mapping[str, Sequence[int]]]:
    path = _folder() / f"{file}.csv.gz"
    if file not in FILES or not path.is_file():
        raise HistoryMissing(f"the prices have no file {file!r}")
    with gzip.open(path, "rt", encoding="ascii", newline="") as text:
        header, *rows = csv.reader(text)
    days = tuple(date.fromisoformat(row[0]) for row in rows)
    columns = {
        name: [_thousandths(row[place]) for row in rows]
        for place, name in enumerate(header)
        if place
    }
    return days, columns


def _folder() -> Path:
    spec = find_spec("skfolio")
    if spec is None or not spec.submodule_search_locations:
        raise HistoryMissing("real prices ship with skfolio: install the extra `advice`")
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data"


def _thousandths(text: str) -> int:
    whole, _, fraction = text.partition(".")
    if len(fraction) > _PRICE_SCALE or not (whole + fraction).isdigit():
        raise HistoryMissing(f"{text!r} is no price")
    return int(whole + fraction.ljust(_PRICE_SCALE, "0"))
