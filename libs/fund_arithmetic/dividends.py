"""Dividends: what shares at the record date bring, in cash or in new shares."""

from enum import Enum

from libs.fund_arithmetic.rounding import Scales, divided, shares_for


class DividendMode(Enum):
    """What an investor chose; the values are the registrar's codes and storage."""

    REINVEST = 0
    CASH = 1


def dividend_cash(shares: int, per_share: int, per_share_scale: int, scales: Scales) -> int:
    """Minor units that shares bring; `per_share` in major units at its own scale."""
    numerator = shares * per_share * 10**scales.money
    return divided(numerator, 10 ** (scales.shares + per_share_scale), scales.rounding)


def reinvested(cash_minor: int, ex_nav: int, scales: Scales) -> int:
    """Shares that a dividend buys at the NAV of the ex-date, without a fee."""
    return shares_for(cash_minor, ex_nav, scales)
