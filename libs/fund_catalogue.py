"""The funds and customers of FAR-Trans, a large European bank's, as a catalogue to load.

The sample funds with their real prices are `libs.fund_samples`.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from libs.fund_arithmetic import FundType, InvestorKind
from libs.suitability import InvestorClass, RiskLevel

CURRENCY = "EUR"
# Exchange-traded ones trade there, and the others keep European business days.
CALENDAR, TIME_ZONE = "XETR", "Europe/Berlin"

# The bank's words for what it asked its customers: mildest first.
_CLASSES = {
    "Conservative": InvestorClass.C1,
    "Income": InvestorClass.C2,
    "Balanced": InvestorClass.C3,
    "Aggressive": InvestorClass.C5,
}
_PREDICTED = "Predicted_"
_LEVELS: Mapping[str, tuple[FundType, RiskLevel]] = {
    "Money Market": (FundType.MONEY_MARKET, RiskLevel.R1),
    "Bond": (FundType.BOND, RiskLevel.R2),
    "Bonds": (FundType.BOND, RiskLevel.R2),
    "Balanced": (FundType.MIXED, RiskLevel.R3),
    "Structured": (FundType.MIXED, RiskLevel.R4),
    "Equity": (FundType.EQUITY, RiskLevel.R4),
    # Nobody says what is inside: the riskiest level is the careful answer.
    "Other": (FundType.MIXED, RiskLevel.R5),
}


class CatalogueInvalid(ValueError):
    """A row of a catalogue cannot be read; the text names the file, the row and the column."""


@dataclass(frozen=True, slots=True)
class CatalogueFund:
    """A real fund. `code` is ours and counts them in the order of their ISINs."""

    code: str
    isin: str
    name: str
    fund_type: FundType
    risk_level: RiskLevel


@dataclass(frozen=True, slots=True)
class CatalogueInvestor:
    """A real customer and the class that the bank's questionnaire, or its guess, gives."""

    customer_id: str
    investor_class: InvestorClass
    kind: InvestorKind
    questionnaire_date: date | None
    is_predicted: bool


def far_trans_funds(folder: Path) -> Sequence[CatalogueFund]:
    """The mutual funds by ISIN, the newest row of each. Raises `CatalogueInvalid`.

    Three of the 318 rows repeat a fund. Their prices are not public.
    """
    path = folder / "asset_information.csv"
    newest: dict[str, tuple[str, CatalogueFund]] = {}
    for number, row in _rows(path):
        if row["assetCategory"] != "MTF":
            continue
        kind = _LEVELS.get(row["assetSubCategory"])
        if kind is None:
            raise _invalid(path, number, "assetSubCategory", row["assetSubCategory"])
        isin = row["ISIN"]
        if isin not in newest or newest[isin][0] <= row["timestamp"]:
            fund = CatalogueFund("", isin, row["assetName"], *kind)
            newest[isin] = (row["timestamp"], fund)
    funds = (newest[isin][1] for isin in sorted(newest))
    return [replace(fund, code=f"F{place:05}") for place, fund in enumerate(funds, 1)]


def far_trans_investors(folder: Path) -> Sequence[CatalogueInvestor]:
    """The customers by id, as their newest row has them; those without a class are left out.

    Raises `CatalogueInvalid`.
    """
    path = folder / "customer_information.csv"
    newest: dict[str, tuple[str, CatalogueInvestor | None]] = {}
    for number, row in _rows(path):
        customer = row["customerID"]
        if customer in newest and newest[customer][0] > row["timestamp"]:
            continue
        newest[customer] = (row["timestamp"], _investor(path, number, row))
    return [found for _, (_, found) in sorted(newest.items()) if found is not None]


def _investor(path: Path, number: int, row: Mapping[str, str]) -> CatalogueInvestor | None:
    level = row["riskLevel"]
    if level == "Not_Available":
        return None
    class_ = _CLASSES.get(level.removeprefix(_PREDICTED))
    if class_ is None:
        raise _invalid(path, number, "riskLevel", level)
    is_legal = row["customerType"] == "Legal Entity"
    asked = row["lastQuestionnaireDate"]
    return CatalogueInvestor(
        row["customerID"],
        InvestorClass.PROFESSIONAL if row["customerType"] == "Professional" else class_,
        InvestorKind.INSTITUTION if is_legal else InvestorKind.PERSON,
        date.fromisoformat(asked[:10]) if asked else None,
        level.startswith(_PREDICTED),
    )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with path.open(encoding="utf-8", newline="") as text:
        # The header is row 1.
        yield from enumerate(csv.DictReader(text), 2)


def _invalid(path: Path, number: int, column: str, value: str) -> CatalogueInvalid:
    return CatalogueInvalid(f"{path.name}, row {number}: {column} {value!r} cannot be read")
