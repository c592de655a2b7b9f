"""The sample funds: a catalogue file, and for each fund real prices as its NAVs.

Columns of the file: `source` is `file:column` of `libs.nav_history` divided by `divisor`, or
`income` for a money fund, whose income is made up by `income_on`. `subscribe` and `redeem` are
bands `from:rate` (minor units or days; millionths) or `from:=fixed` (minor units).
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from pathlib import Path

from libs.fund_arithmetic import FeeBand, FundType, HoldingBand
from libs.nav_history import History, nav_history
from libs.suitability import RiskLevel

SAMPLE_FILE = Path(__file__).parents[1] / "deploy" / "samples" / "funds.csv"
# `code.KIND.language.valid_from.md`, beside the catalogue; the first line is the title.
DOCUMENTS = "documents"
INCOME = "income"
PAR = 10_000
# Of ten thousand shares and one day, four decimals: about 2.2 % a year, and never the same twice.
_INCOME_LEAST = 5_600
_INCOME_SPREAD = 800
_SPREAD_BY = 337
_DAYS_OF_YIELD = 7


class SamplesWrong(Exception):
    """The catalogue file cannot be read; the message names line and column."""


@dataclass(frozen=True, slots=True)
class SampleDocument:
    """Something to read about a fund; `link` is from the catalogue's folder."""

    title: str
    kind: str
    language: str
    valid_from: date
    link: str
    sha256: str


@dataclass(frozen=True, slots=True)
class SampleFund:
    """One line of the file."""

    code: str
    name: str
    kind: FundType
    level: RiskLevel
    is_omnibus: bool
    source: str
    divisor: int
    subscribe: tuple[FeeBand, ...]
    redeem: tuple[HoldingBand, ...]
    agency_ppm: int
    gate_ppm: int
    # What a quarter's dividend is of the NAV, millionths; 0: none is paid.
    dividend_ppm: int
    documents: tuple[SampleDocument, ...] = ()

    @property
    def is_money_market(self) -> bool:
        """Whether it is priced at 1.00."""
        return self.kind is FundType.MONEY_MARKET

    def history(self) -> History:
        """Its NAVs by day. Raises `HistoryMissing`."""
        return nav_history(self.source, self.divisor)


def load_samples(file: Path = SAMPLE_FILE) -> tuple[SampleFund, ...]:
    """The funds of a file. Raises `SamplesWrong`."""
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            rows = list(csv.DictReader(opened, delimiter=";"))
    except OSError as error:
        raise SamplesWrong(f"{file}: {error.strerror}") from error
    found = (_fund(file.name, number, row) for number, row in enumerate(rows, 2))
    return tuple(replace(fund, documents=_documents(file.parent, fund.code)) for fund in found)


def _documents(folder: Path, code: str) -> tuple[SampleDocument, ...]:
    return tuple(map(_document, sorted((folder / DOCUMENTS).glob(f"{code}.*.md"))))


def _document(file: Path) -> SampleDocument:
    """Read one. Raises `SamplesWrong`."""
    body, parts = file.read_bytes(), file.name.split(".")
    try:
        _, kind, language, valid_from, _ = parts
        begins = date.fromisoformat(valid_from)
        title = body.decode().partition("\n")[0].lstrip("# ")
    except ValueError as error:
        raise SamplesWrong(f"{file.name}: {error}") from error
    link = f"{file.parent.name}/{file.name}"
    return SampleDocument(title, kind, language, begins, link, sha256(body).hexdigest())


def income_on(day: date) -> int:
    """A money fund's income of ten thousand shares on a day, four decimals; made up."""
    return _INCOME_LEAST + day.toordinal() * _SPREAD_BY % _INCOME_SPREAD


def yield_on(day: date) -> int:
    """Seven-day yield in simple form, millionths."""
    first = day.toordinal() - _DAYS_OF_YIELD + 1
    days = [date.fromordinal(each) for each in range(first, day.toordinal() + 1)]
    total = sum(income_on(each) for each in days)
    # Income has four decimals and is of ten thousand: a hundredth of a millionth each.
    return total * 365 // (_DAYS_OF_YIELD * 100)


def sessions_between(funds: Sequence[SampleFund], first: date, last: date) -> list[date]:
    """Days on which every fund that has prices has one."""
    histories = [fund.history() for fund in funds if not fund.is_money_market]
    common = set.intersection(*(set(history.days) for history in histories))
    return sorted(day for day in common if first <= day <= last)


def _fund(name: str, line: int, row: dict[str, str]) -> SampleFund:
    column = "code"
    try:
        column = "kind"
        kind = FundType[row["kind"]]
        column = "level"
        level = RiskLevel[row["level"]]
        column = "subscribe"
        subscribe = tuple(_band(part) for part in row["subscribe"].split())
        column = "redeem"
        redeem = tuple(HoldingBand(*map(int, part.split(":"))) for part in row["redeem"].split())
        column = "a number"
        numbers = [int(row[each]) for each in ("divisor", "agency_ppm", "gate_ppm", "dividend_ppm")]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise SamplesWrong(f"{name}, line {line}: {column}: {error}") from error
    divisor, agency, gate, dividend = numbers
    return SampleFund(
        code=row["code"],
        name=row["name"],
        kind=kind,
        level=level,
        is_omnibus=row["register"] == "OMNIBUS",
        source=row["source"],
        divisor=divisor,
        subscribe=subscribe,
        redeem=redeem,
        agency_ppm=agency,
        gate_ppm=gate,
        dividend_ppm=dividend,
    )


def _band(text: str) -> FeeBand:
    begin, _, value = text.partition(":")
    if value.startswith("="):
        return FeeBand(int(begin), 0, int(value[1:]))
    return FeeBand(int(begin), int(value))
