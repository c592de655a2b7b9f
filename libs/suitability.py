"""Suitability: which fund an investor may buy, may buy after a warning, or may never buy.

The cells are those of the Chinese rules for the suitability of securities and futures investors
(证券期货投资者适当性管理办法): a class buys its own level and below; above it only on the
investor's own initiative, after a written warning and a second confirmation; the lowest never.
"""

from enum import Enum, IntEnum


class InvestorClass(IntEnum):
    """What an investor can bear, least first. The numbers are those of the proto and storage."""

    C1_MINIMUM = 1
    C1 = 2
    C2 = 3
    C3 = 4
    C4 = 5
    C5 = 6
    PROFESSIONAL = 7


class RiskLevel(IntEnum):
    """How risky a fund is, least first. The numbers are those of the proto and storage."""

    R1 = 1
    R2 = 2
    R3 = 3
    R4 = 4
    R5 = 5


class Suitability(Enum):
    """What the table says of one class and one level."""

    BUY = "BUY"
    WARN = "WARN"
    NEVER = "NEVER"


_HIGHEST = {
    InvestorClass.C1_MINIMUM: RiskLevel.R1,
    InvestorClass.C1: RiskLevel.R1,
    InvestorClass.C2: RiskLevel.R2,
    InvestorClass.C3: RiskLevel.R3,
    InvestorClass.C4: RiskLevel.R4,
    InvestorClass.C5: RiskLevel.R5,
    InvestorClass.PROFESSIONAL: RiskLevel.R5,
}


def highest_level(investor_class: InvestorClass) -> RiskLevel:
    """The riskiest level this class buys without a warning."""
    return _HIGHEST[investor_class]


def suitability(investor_class: InvestorClass, level: RiskLevel) -> Suitability:
    """The cell of the table. Only BUY cells may ever be recommended."""
    if level <= _HIGHEST[investor_class]:
        return Suitability.BUY
    if investor_class is InvestorClass.C1_MINIMUM:
        return Suitability.NEVER
    return Suitability.WARN
