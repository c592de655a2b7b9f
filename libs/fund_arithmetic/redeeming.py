"""Redemption fees: what lots bring on a day, by how long they were held."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from libs.fund_arithmetic.fee_rules import (
    FeeRules,
    FundType,
    HoldingBand,
    InvestorKind,
    floor_rate,
    rate_for,
)
from libs.fund_arithmetic.lots import Lot, take, total
from libs.fund_arithmetic.rounding import RATE_ONE, USUAL, Scales, divided, value_of


@dataclass(frozen=True, slots=True)
class YearBand:
    """A back-end rate in millionths for shares held so many whole years or more."""

    from_years: int
    rate: int


@dataclass(frozen=True, slots=True)
class BackEnd:
    """A class's fees on the way out: by days held, and of a back-end class by years held."""

    bands: tuple[HoldingBand, ...] = ()
    back_end: tuple[YearBand, ...] = ()


@dataclass(frozen=True, slots=True)
class Redemption:
    """What shares bring, in minor units: `net = gross - fee - back_end`, and the lots taken."""

    gross: int
    fee: int
    back_end: int
    taken: tuple[Lot, ...]

    @property
    def net(self) -> int:
        """What reaches the investor."""
        return self.gross - self.fee - self.back_end


@dataclass(frozen=True, slots=True)
class Terms:
    """All that a redemption's price depends on beside the lots: the fund, the owner, the rules."""

    back_end: BackEnd
    fund_type: FundType
    investor_kind: InvestorKind
    rules: FeeRules | None
    scales: Scales = USUAL


def redeem(
    lots: Sequence[Lot], shares: int, nav: int, confirm_date: date, terms: Terms
) -> Redemption:
    """Redemption of shares first in, first out at NAV_T. Raises `TooFewShares`."""
    taken, _ = take(lots, shares)
    gross = value_of(total(taken), nav, terms.scales)
    fee = sum(_fee(part, nav, confirm_date, terms) for part in _joined(taken))
    back_end = sum(_back_end(part, confirm_date, terms) for part in _joined(taken))
    # After a great fall the deferred fee may be more than the shares are worth: no more is taken.
    return Redemption(gross, fee, min(back_end, gross - fee), taken)


def redemption_rate(days: int, terms: Terms) -> int:
    """The rate in millionths for shares held so many days: the product's own, or the floor."""
    least = floor_rate(terms.rules, terms.fund_type, terms.investor_kind, days)
    return max(rate_for(terms.back_end.bands, days), least)


def whole_years(begin: date, end: date) -> int:
    """Whole years between two days; one begun on 29 February ends on 1 March of a short year."""
    return end.year - begin.year - ((end.month, end.day) < (begin.month, begin.day))


def _joined(taken: Sequence[Lot]) -> Sequence[Lot]:
    """Parts registered on one day at one price are one: who booked them first does not matter."""
    joined: dict[tuple[date, int], Lot] = {}
    for part in taken:
        key = (part.registered_date, part.nav)
        known = joined.get(key)
        joined[key] = part if known is None else replace(part, shares=known.shares + part.shares)
    return tuple(joined.values())


def _fee(part: Lot, nav: int, confirm_date: date, terms: Terms) -> int:
    rate = redemption_rate((confirm_date - part.registered_date).days, terms)
    scales = terms.scales
    numerator = part.shares * nav * rate * 10**scales.money
    return divided(numerator, RATE_ONE * 10 ** (scales.shares + scales.nav), scales.rounding)


def _back_end(part: Lot, confirm_date: date, terms: Terms) -> int:
    years = whole_years(part.registered_date, confirm_date)
    rate = 0
    for band in terms.back_end.back_end:
        if band.from_years <= years:
            rate = band.rate
    if rate == 0:
        return 0
    scales = terms.scales
    numerator = part.shares * part.nav * rate * 10**scales.money
    denominator = (RATE_ONE + rate) * 10 ** (scales.shares + scales.nav)
    return divided(numerator, denominator, scales.rounding)
