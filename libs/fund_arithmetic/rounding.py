"""Exact division with a named rounding, and the scales in which a fund counts."""

from dataclasses import dataclass
from enum import Enum

# Rates are whole millionths: 1.5 % is 15 000.
RATE_ONE = 1_000_000
_POWERS = tuple(10**n for n in range(40))


class Rounding(Enum):
    """What becomes of a fraction. The names are storage."""

    HALF_UP = "HALF_UP"
    TRUNCATE = "TRUNCATE"


@dataclass(frozen=True, slots=True)
class Scales:
    """Decimals of money (those of the currency), shares and NAV, and the fund's rounding."""

    money: int = 2
    shares: int = 2
    nav: int = 4
    rounding: Rounding = Rounding.HALF_UP


def divided(numerator: int, denominator: int, rounding: Rounding = Rounding.HALF_UP) -> int:
    """The quotient as a whole number; halves go away from zero, truncation goes towards it."""
    if denominator <= 0:
        raise AssertionError(f"a divisor is above zero, not {denominator}")
    size = abs(numerator)
    if rounding is Rounding.HALF_UP:
        whole = (2 * size + denominator) // (2 * denominator)
    else:
        whole = size // denominator
    return -whole if numerator < 0 else whole


def value_of(shares: int, nav: int, scales: Scales) -> int:
    """Minor units that so many shares are worth at this NAV (funds, section 9: gross)."""
    numerator = shares * nav * _POWERS[scales.money]
    return divided(numerator, _POWERS[scales.shares + scales.nav], scales.rounding)


def shares_for(amount_minor: int, nav: int, scales: Scales) -> int:
    """Shares that an amount buys at this NAV (funds, section 8)."""
    if nav <= 0:
        raise AssertionError(f"a NAV is above zero, not {nav}")
    numerator = amount_minor * _POWERS[scales.shares + scales.nav]
    return divided(numerator, nav * _POWERS[scales.money], scales.rounding)


# Yuan and cents, two decimals of shares, four of the NAV, halves up: what most funds have.
USUAL = Scales()
