"""Front-end fees: what an amount buys at an unknown price, method by method."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from libs.fund_arithmetic.rounding import RATE_ONE, Scales, divided, shares_for, value_of


class FeeMethod(Enum):
    """How the fee leaves the amount (funds, section 8). The names are storage."""

    OUTSIDE = "OUTSIDE"  # 外扣法
    INSIDE = "INSIDE"  # 内扣法
    BACK_END = "BACK_END"  # no fee now, one on the way out


@dataclass(frozen=True, slots=True)
class FeeBand:
    """A fee from this amount on: a rate in millionths, or a fixed sum in minor units."""

    from_minor: int
    rate: int
    fixed_minor: int | None = None


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """A class's fee on the way in. `discount` multiplies the rate, in millionths."""

    method: FeeMethod
    bands: tuple[FeeBand, ...]
    discount: int = RATE_ONE


@dataclass(frozen=True, slots=True)
class Purchase:
    """An amount in parts: `net` buys the shares, `fee` is the fee, `refund` goes back."""

    net: int
    fee: int
    shares: int
    refund: int = 0


def band_for(bands: Sequence[FeeBand], amount_minor: int) -> FeeBand:
    """The band of an amount: the last one that begins at or below it."""
    found = FeeBand(0, 0)
    for band in bands:
        if band.from_minor <= amount_minor:
            found = band
    return found


def front_end_fee(amount_minor: int, front_end: FrontEnd, scales: Scales) -> int:
    """The fee in an amount, in minor units."""
    if front_end.method is FeeMethod.BACK_END:
        return 0
    band = band_for(front_end.bands, amount_minor)
    if band.fixed_minor is not None:
        return min(band.fixed_minor, amount_minor)
    # Both factors are millionths: exact in parts of 10**12.
    one, rate = RATE_ONE * RATE_ONE, band.rate * front_end.discount
    if front_end.method is FeeMethod.INSIDE:
        return divided(amount_minor * rate, one, scales.rounding)
    return amount_minor - divided(amount_minor * one, one + rate, scales.rounding)


def subscribe(amount_minor: int, nav: int, front_end: FrontEnd, scales: Scales) -> Purchase:
    """Subscription 申购 of an amount at NAV_T."""
    fee = front_end_fee(amount_minor, front_end, scales)
    net = amount_minor - fee
    return Purchase(net, fee, shares_for(net, nav, scales))


def subscribe_whole_units(
    amount_minor: int, nav: int, front_end: FrontEnd, scales: Scales
) -> Purchase:
    """Subscription of a class on an exchange: whole units only, and the rest goes back."""
    fee = front_end_fee(amount_minor, front_end, scales)
    unit = 10**scales.shares
    exact = (amount_minor - fee) * 10 ** (scales.shares + scales.nav)
    shares = exact // (nav * 10**scales.money) // unit * unit
    net = value_of(shares, nav, scales)
    return Purchase(net, fee, shares, amount_minor - fee - net)


def offer(amount_minor: int, interest_minor: int, front_end: FrontEnd, scales: Scales) -> Purchase:
    """Offering 认购: at 1.00, with the interest of the raising period."""
    fee = front_end_fee(amount_minor, front_end, scales)
    net = amount_minor - fee
    return Purchase(net, fee, shares_for(net + interest_minor, 10**scales.nav, scales))
