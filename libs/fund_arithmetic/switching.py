"""A switch: out of one fund and into another on the same day, with the difference of fees."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from libs.fund_arithmetic.buying import FeeMethod, FrontEnd, band_for, front_end_fee
from libs.fund_arithmetic.lots import Lot
from libs.fund_arithmetic.redeeming import Redemption, Terms, redeem
from libs.fund_arithmetic.rounding import RATE_ONE, USUAL, Scales, divided, shares_for


@dataclass(frozen=True, slots=True)
class Leaving:
    """The fund that is left: its NAV_T, what redemption costs, its own fee on the way in."""

    nav: int
    terms: Terms
    front_end: FrontEnd


@dataclass(frozen=True, slots=True)
class Entering:
    """The fund that is entered: its NAV_T and its fee on the way in."""

    nav: int
    front_end: FrontEnd
    scales: Scales = USUAL


@dataclass(frozen=True, slots=True)
class Switch:
    """Both halves: what was redeemed, what buys, 补差费 in minor units, and the new shares."""

    redemption: Redemption
    net: int
    recuperate_fee: int
    shares_in: int


def switch(
    lots: Sequence[Lot], shares: int, confirm_date: date, leaving: Leaving, entering: Entering
) -> Switch:
    """A switch of shares, first in first out (funds, section 10). Raises `TooFewShares`."""
    redemption = redeem(lots, shares, leaving.nav, confirm_date, leaving.terms)
    fee = recuperate_fee(redemption.net, leaving.front_end, entering.front_end, entering.scales)
    net = redemption.net - fee
    shares_in = shares_for(net, entering.nav, entering.scales)
    return Switch(redemption, net, fee, shares_in)


def recuperate_fee(converted: int, left: FrontEnd, entered: FrontEnd, scales: Scales) -> int:
    """补差费 on what is converted: never below zero. A fixed band gives a difference of sums."""
    fixed = [
        band_for(each.bands, converted).fixed_minor
        for each in (left, entered)
        if each.method is not FeeMethod.BACK_END
    ]
    if any(each is not None for each in fixed):
        fee_in, fee_out = (front_end_fee(converted, each, scales) for each in (entered, left))
        return max(0, fee_in - fee_out)
    one = RATE_ONE * RATE_ONE
    rate = max(0, _rate(entered, converted) - _rate(left, converted))
    return converted - divided(converted * one, one + rate, scales.rounding)


def _rate(front_end: FrontEnd, amount_minor: int) -> int:
    """After discount, in parts of 10**12."""
    if front_end.method is FeeMethod.BACK_END:
        return 0
    return band_for(front_end.bands, amount_minor).rate * front_end.discount
