"""Purchases to learn from: who bought which fund when, as columns that are split by time."""

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

COLUMNS: Final = ("investor_id", "fund_code", "date", "investor_class")
# May follow: what was paid, and what the fund is. A fund has one theme and currency in a file.
MORE: Final = ("amount_minor", "currency", "theme")
_EPOCH: Final = date(1970, 1, 1)
_CLASS_MAX: Final = 7
_AMOUNT_DIGITS: Final = 15
# Letters of a currency.
_CODE: Final = 3
# Before any purchase: a file tells one theme of a fund, and not since when.
_ALWAYS: Final = -(10**6)


@dataclass(frozen=True, slots=True)
class Label:
    """A fund's currency, and its themes by the day each was told, in the order of days."""

    currency: str = "CNY"
    themes: tuple[tuple[int, str], ...] = ()

    def theme(self, day: int) -> str:
        """As it was known before a day."""
        return next((theme for told, theme in reversed(self.themes) if told < day), "")


_UNTOLD: Final = Label()


class InteractionsInvalid(Exception):
    """A file of purchases that cannot be read; the message names the line and the field."""


@dataclass(frozen=True, slots=True)
class Interactions:
    """Rows in order of time. Investors and funds are places in `investors` and `codes`.

    `day` counts from 1970-01-01, `band` is the investor's class when buying.
    """

    investors: tuple[str, ...]
    codes: tuple[str, ...]
    investor: Ints
    fund: Ints
    day: Ints
    band: Ints
    # Minor units; 0 where it was not told.
    amount: Longs
    labels: Mapping[str, Label] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.day)

    def between(self, first_day: int, before_day: int) -> "Interactions":
        """The rows of these days; the names stay, so places mean the same."""
        chosen = (self.day >= first_day) & (self.day < before_day)
        return Interactions(
            self.investors,
            self.codes,
            self.investor[chosen],
            self.fund[chosen],
            self.day[chosen],
            self.band[chosen],
            self.amount[chosen],
            self.labels,
        )

    def label(self, code: str) -> "Label":
        return self.labels.get(code, _UNTOLD)

    def bought(self, most: int | None = None) -> dict[int, set[int]]:
        """Funds by investor, for at most so many investors, in the order they appear."""
        found: dict[int, set[int]] = {}
        for investor, fund in zip(self.investor.tolist(), self.fund.tolist(), strict=True):
            if investor not in found and most is not None and len(found) >= most:
                continue
            found.setdefault(investor, set()).add(fund)
        return found


def collected(
    rows: Iterable[tuple[str, str, int, int] | tuple[str, str, int, int, int]],
    labels: Mapping[str, Label] | None = None,
) -> Interactions:
    """From (investor, fund code, day, class), and the amount where it is told.

    The same rows in any order give the same columns.
    """
    ordered = sorted(rows, key=lambda row: (row[2], row[0], row[1], row[3:]))
    investors = sorted({row[0] for row in ordered})
    codes = sorted({row[1] for row in ordered})
    of_investor = {name: n for n, name in enumerate(investors)}
    of_code = {code: n for n, code in enumerate(codes)}
    return Interactions(
        tuple(investors),
        tuple(codes),
        np.array([of_investor[row[0]] for row in ordered], dtype=np.int32),
        np.array([of_code[row[1]] for row in ordered], dtype=np.int32),
        np.array([row[2] for row in ordered], dtype=np.int32),
        np.array([row[3] for row in ordered], dtype=np.int32),
        np.array([sum(row[4:]) for row in ordered], dtype=np.int64),
        labels or {},
    )


def read_interactions(file: Path) -> Interactions:
    """A CSV file with the header of `COLUMNS`. Raises `InteractionsInvalid`."""
    try:
        with file.open(encoding="utf-8", newline="") as text:
            reader = csv.reader(text)
            header = next(reader, [])
            if tuple(header) not in (COLUMNS, COLUMNS + MORE):
                raise InteractionsInvalid(
                    f"line 1: the header is not {','.join(COLUMNS)}, nor that and {','.join(MORE)}"
                )
            labels: dict[str, Label] = {}
            rows = [_row(n, row, len(header), labels) for n, row in enumerate(reader, 2)]
            return collected(rows, labels)
    except (OSError, UnicodeDecodeError) as error:
        raise InteractionsInvalid(f"{file}: {error}") from error


def _row(
    number: int, row: Sequence[str], width: int, labels: dict[str, Label]
) -> tuple[str, str, int, int, int]:
    if len(row) != width:
        raise InteractionsInvalid(f"line {number}: {len(row)} fields, not {width}")
    investor, code, day, band, *more = row
    for name, value in (("investor_id", investor), ("fund_code", code)):
        if not value:
            raise InteractionsInvalid(f"line {number}: {name} is empty")
    try:
        at = (date.fromisoformat(day) - _EPOCH).days
    except ValueError:
        raise InteractionsInvalid(f"line {number}: date {day!r} is not ISO 8601") from None
    if not (band.isascii() and band.isdigit() and 1 <= int(band) <= _CLASS_MAX):
        raise InteractionsInvalid(
            f"line {number}: investor_class {band!r} is not 1 to {_CLASS_MAX}"
        )
    amount, currency, theme = more or ("0", "", "")
    if not (amount.isascii() and amount.isdigit() and len(amount) <= _AMOUNT_DIGITS):
        raise InteractionsInvalid(f"line {number}: amount_minor {amount!r} is no amount")
    if more:
        if not (len(currency) == _CODE and currency.isascii() and currency.isupper()):
            raise InteractionsInvalid(f"line {number}: currency {currency!r} is no currency")
        label = Label(currency, ((_ALWAYS, theme),))
        if labels.setdefault(code, label) != label:
            raise InteractionsInvalid(f"line {number}: {code} had another currency or theme before")
    return investor, code, at, int(band), int(amount)


def day_of(text: str) -> int:
    """Days since 1970 of an ISO date."""
    return (date.fromisoformat(text) - _EPOCH).days


def iso_of(day: int) -> str:
    """The ISO date of days since 1970."""
    return date.fromordinal(_EPOCH.toordinal() + day).isoformat()


def places_of(names: Sequence[str], wanted: Collection[str]) -> list[int]:
    """Places of the wanted names that are there."""
    index = {name: n for n, name in enumerate(names)}
    return [index[name] for name in wanted if name in index]
