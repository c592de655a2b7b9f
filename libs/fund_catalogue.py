"""Catalogues of funds to load: the samples with their real prices, and the funds of FAR-Trans.

Sample funds are described in `deploy/samples/funds.csv`. A fund's NAV of a day is the price of its
source (see `nav_history`) divided by its divisor; a money fund has no price, and its income follows
the rule of `money_income`. Dividends are paid on the last session of March, June, September and
December, a quarter of the yearly yield each.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time
from pathlib import Path

from libs.fund_arithmetic import (
    BackEnd,
    FeeBand,
    FeeMethod,
    FrontEnd,
    FundType,
    HoldingBand,
    InvestorKind,
)
from libs.nav_history import CALENDAR, History, nav_history
from libs.suitability import InvestorClass, RiskLevel

SAMPLES = Path(__file__).parents[1] / "deploy" / "samples"
# From this day on the sample fees count; they keep to the caps of 2026, so they may stand for ever.
FEES_FROM = date(2000, 1, 1)
_DIVIDEND_MONTHS = (3, 6, 9, 12)
_ONE = 1_000_000
_FREE_IN = FrontEnd(FeeMethod.OUTSIDE, (FeeBand(0, 0),))
_FREE_OUT = BackEnd((HoldingBand(0, 0),))
# A day's income wanders by so many ten-thousandths around its base, by a rule anyone can repeat.
_INCOME_STEP, _INCOME_WIDTH = 37, 201


class CatalogueInvalid(ValueError):
    """A row of a catalogue cannot be read; the text names the file, the row and the column."""


@dataclass(frozen=True, slots=True)
class CatalogueFund:
    """A fund as a catalogue describes it: money in minor units, rates in millionths."""

    code: str
    name: str
    ta_id: str
    currency: str
    fund_type: FundType
    risk_level: RiskLevel
    is_omnibus: bool = False
    calendars: tuple[str, ...] = (CALENDAR,)
    time_zone: str = "America/New_York"
    cut_off: time = time(15, 0)
    settle_subscribe_days: int = 1
    settle_redeem_days: int = 2
    # Empty where there is none: a money fund, or a fund whose prices we do not have.
    price_source: str = ""
    price_divisor: int = 1
    # 万份收益 around which a money fund's days wander, 4 decimals.
    income_base: int = 0
    # Of the NAV, a year.
    dividend_yield: int = 0
    front_end: FrontEnd = _FREE_IN
    back_end: BackEnd = _FREE_OUT
    agency_share: int = 0
    first_minor: int = 0
    top_up_minor: int = 0
    redeem_shares: int = 0
    remaining_shares: int = 0
    sells_remainder: bool = True
    daily_minor: int = 0
    holding_shares: int = 0
    fast_daily_minor: int = 0
    gate: int = 100_000
    advancing_bank_id: str = ""
    asks_second_confirmation: bool = False
    description: str = ""

    @property
    def history(self) -> History:
        """Its real NAVs. Raises `HistoryMissing`."""
        return nav_history(self.price_source, self.price_divisor)


@dataclass(frozen=True, slots=True)
class CatalogueRegistrar:
    """A registrar of the samples, and the bank it is paid through."""

    ta_id: str
    name: str
    bank_id: str
    currency: str


@dataclass(frozen=True, slots=True)
class CatalogueInvestor:
    """A real customer and the class that the bank's questionnaire, or its guess, gives."""

    customer_id: str
    investor_class: InvestorClass
    kind: InvestorKind
    questionnaire_date: date | None
    is_predicted: bool


def sample_funds(path: Path = SAMPLES / "funds.csv") -> Sequence[CatalogueFund]:
    """The sample catalogue, in its order. Raises `CatalogueInvalid`."""
    return [_sample(path, number, row) for number, row in _rows(path, ";")]


def sample_registrars(path: Path = SAMPLES / "registrars.csv") -> Sequence[CatalogueRegistrar]:
    """The registrars of the sample funds."""
    return [
        CatalogueRegistrar(row["ta_id"], row["name"], row["bank_id"], row["currency"])
        for _, row in _rows(path, ";")
    ]


def money_income(fund: CatalogueFund, day: date) -> int:
    """万份收益 of a natural day, 4 decimals: the base, and a wander by the day alone."""
    wander = day.toordinal() * _INCOME_STEP % _INCOME_WIDTH - _INCOME_WIDTH // 2
    return max(0, fund.income_base + wander)


def dividend_per_share(fund: CatalogueFund, day: date, next_session: date, nav: int) -> int | None:
    """What a share gets on this session, at the NAV's scale; none on days without a dividend."""
    is_last = day.month in _DIVIDEND_MONTHS and next_session.month != day.month
    share = nav * fund.dividend_yield // (_ONE * len(_DIVIDEND_MONTHS))
    return share if is_last and share > 0 else None


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


def far_trans_funds(folder: Path, ta_id: str = "FARTA") -> Sequence[CatalogueFund]:
    """The mutual funds of FAR-Trans, by ISIN, the newest row of each; codes count them.

    Three of the 318 rows repeat a fund. Prices do not come with them. Raises `CatalogueInvalid`.
    """
    path = folder / "asset_information.csv"
    newest: dict[str, tuple[str, CatalogueFund]] = {}
    for number, row in _rows(path, ","):
        if row["assetCategory"] != "MTF":
            continue
        kind = _LEVELS.get(row["assetSubCategory"])
        if kind is None:
            raise _invalid(path, number, "assetSubCategory", row["assetSubCategory"])
        fund = CatalogueFund(
            "",
            row["assetName"],
            ta_id,
            "EUR",
            *kind,
            calendars=("XETR",),
            time_zone="Europe/Berlin",
            description=row["ISIN"],
        )
        if row["ISIN"] not in newest or newest[row["ISIN"]][0] <= row["timestamp"]:
            newest[row["ISIN"]] = (row["timestamp"], fund)
    return [
        replace(fund, code=f"F{place:05}")
        for place, (_, (_, fund)) in enumerate(sorted(newest.items()), 1)
    ]


def far_trans_investors(folder: Path) -> Sequence[CatalogueInvestor]:
    """The customers of FAR-Trans by id, as their newest row has them; those without a class not."""
    path = folder / "customer_information.csv"
    newest: dict[str, tuple[str, CatalogueInvestor | None]] = {}
    for number, row in _rows(path, ","):
        customer = row["customerID"]
        if customer in newest and newest[customer][0] > row["timestamp"]:
            continue
        newest[customer] = (row["timestamp"], _investor(path, number, row))
    return [found for _, (_, found) in sorted(newest.items()) if found is not None]


def _investor(path: Path, number: int, row: Mapping[str, str]) -> CatalogueInvestor | None:
    level = row["riskLevel"]
    if level == "Not_Available":
        return None
    is_predicted = level.startswith(_PREDICTED)
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
        is_predicted,
    )


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    with path.open(encoding="utf-8", newline="") as text:
        # The header is row 1.
        yield from enumerate(csv.DictReader(text, delimiter=delimiter), 2)


def _sample(path: Path, number: int, row: Mapping[str, str]) -> CatalogueFund:
    column = ""

    def take(name: str) -> str:
        nonlocal column
        column = name
        return row[name]

    try:
        return CatalogueFund(
            code=take("code"),
            name=take("name"),
            ta_id=take("ta_id"),
            currency=take("currency"),
            fund_type=FundType[take("fund_type")],
            risk_level=RiskLevel[take("risk_level")],
            is_omnibus={"OMNIBUS": True, "LOOK_THROUGH": False}[take("register_model")],
            calendars=tuple(take("calendars").split(",")),
            time_zone=take("time_zone"),
            cut_off=time.fromisoformat(take("cut_off")),
            settle_subscribe_days=int(take("settle_subscribe_days")),
            settle_redeem_days=int(take("settle_redeem_days")),
            price_source=take("price_source"),
            price_divisor=int(take("price_divisor")),
            income_base=int(take("income_base")),
            dividend_yield=int(take("dividend_yield")),
            front_end=FrontEnd(
                FeeMethod[take("fee_method")],
                tuple(_front(band) for band in take("front").split(",")),
                int(take("discount")),
            ),
            back_end=BackEnd(tuple(_held(band) for band in take("redemption").split(","))),
            agency_share=int(take("agency_share")),
            first_minor=int(take("first_minor")),
            top_up_minor=int(take("top_up_minor")),
            redeem_shares=int(take("redeem_shares")),
            remaining_shares=int(take("remaining_shares")),
            sells_remainder=_flag(take("sells_remainder")),
            daily_minor=int(take("daily_minor")),
            holding_shares=int(take("holding_shares")),
            fast_daily_minor=int(take("fast_daily_minor")),
            gate=int(take("gate")),
            advancing_bank_id=take("advancing_bank_id"),
            asks_second_confirmation=_flag(take("asks_second_confirmation")),
            description=take("description"),
        )
    except (KeyError, ValueError) as error:
        raise _invalid(path, number, column, row.get(column, "")) from error


def _front(band: str) -> FeeBand:
    begin, _, rate = band.partition(":")
    is_fixed = rate.startswith("F")
    return FeeBand(int(begin), 0, int(rate[1:])) if is_fixed else FeeBand(int(begin), int(rate))


def _held(band: str) -> HoldingBand:
    begin, _, rate = band.partition(":")
    return HoldingBand(int(begin), int(rate))


def _flag(text: str) -> bool:
    return {"true": True, "false": False}[text]


def _invalid(path: Path, number: int, column: str, value: str) -> CatalogueInvalid:
    return CatalogueInvalid(f"{path.name}, row {number}: {column} {value!r} cannot be read")
