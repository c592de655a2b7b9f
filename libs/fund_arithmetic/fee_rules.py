"""What the regulator says of fees, by date: caps on the way in, floors on the way out.

Rules of the public-offering fee reform in force from 2026-01-01 (funds, sections 8, 9 and 17).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from types import MappingProxyType

from libs.fund_arithmetic.buying import FrontEnd


class FundType(Enum):
    """What rules of fees tell apart. The names are storage."""

    EQUITY = "EQUITY"  # active equity
    MIXED = "MIXED"
    INDEX = "INDEX"
    BOND = "BOND"
    MONEY_MARKET = "MONEY_MARKET"
    ETF = "ETF"
    NCD = "NCD"  # 同业存单


class InvestorKind(Enum):
    """Whose shares they are: the exemptions differ. The names are storage."""

    PERSON = "PERSON"
    INSTITUTION = "INSTITUTION"


@dataclass(frozen=True, slots=True)
class HoldingBand:
    """A rate in millionths for shares held so many days or more."""

    from_days: int
    rate: int


@dataclass(frozen=True, slots=True)
class FeeRules:
    """One state of the rules: caps in millionths by type, floor bands, who is exempt from when.

    An exemption names the days from which the floor no longer holds.
    """

    effective: date
    caps: Mapping[FundType, int]
    floor: tuple[HoldingBand, ...]
    exempt_from_days: Mapping[tuple[FundType, InvestorKind], int]


_EXEMPT = {
    (type_, kind): 0
    for type_ in (FundType.ETF, FundType.NCD, FundType.MONEY_MARKET)
    for kind in InvestorKind
}
RULES_2026 = FeeRules(
    date(2026, 1, 1),
    MappingProxyType(
        {
            FundType.EQUITY: 8_000,
            FundType.MIXED: 5_000,
            FundType.INDEX: 3_000,
            FundType.BOND: 3_000,
        }
    ),
    (
        HoldingBand(0, 15_000),
        HoldingBand(7, 10_000),
        HoldingBand(30, 5_000),
        HoldingBand(180, 0),
    ),
    MappingProxyType(
        {
            **_EXEMPT,
            (FundType.INDEX, InvestorKind.PERSON): 7,
            (FundType.BOND, InvestorKind.PERSON): 7,
            (FundType.BOND, InvestorKind.INSTITUTION): 30,
        }
    ),
)
# What is in force where nothing else is published: an operator adds rows, none is taken away.
RULES: tuple[FeeRules, ...] = (RULES_2026,)


def rules_on(day: date, rules: Sequence[FeeRules] = RULES) -> FeeRules | None:
    """The rules of a day; none where the table begins later."""
    known = [each for each in rules if each.effective <= day]
    return max(known, key=lambda each: each.effective, default=None)


def rate_for(bands: Sequence[HoldingBand], days: int) -> int:
    """The rate of the last band that begins at or below so many days; 0 below all of them."""
    found = 0
    for band in bands:
        if band.from_days <= days:
            found = band.rate
    return found


def floor_rate(rules: FeeRules | None, type_: FundType, kind: InvestorKind, days: int) -> int:
    """The least redemption fee in millionths for shares held so many days."""
    if rules is None:
        return 0
    exempt_from = rules.exempt_from_days.get((type_, kind))
    if exempt_from is not None and days >= exempt_from:
        return 0
    return rate_for(rules.floor, days)


def rate_above_cap(rules: FeeRules | None, type_: FundType, front_end: FrontEnd) -> int | None:
    """The first rate of a published fee table that is above the cap, before any discount."""
    cap = rules.caps.get(type_) if rules is not None else None
    if cap is None:
        return None
    return next((band.rate for band in front_end.bands if band.rate > cap), None)
