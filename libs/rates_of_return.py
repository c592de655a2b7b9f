"""Rates of return and annuities, by pyxirr, which nobody else imports.

Amounts go in as minor units and rates come out as decimals for people to read: its binary floating
point never reaches a book.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pyxirr

# Decimals of a rate and of an amount that is shown.
_RATE = Decimal(1).scaleb(-9)
_AMOUNT = Decimal(1).scaleb(-6)
_BISECTIONS_MAX = 200
_LOWEST, _HIGHEST = -0.999999, 1e6


class NoRate(ValueError):
    """There is no rate: the flows have one sign only, or one day only."""


def xirr(flows: Sequence[tuple[date, int]]) -> Decimal:
    """The yearly rate that discounts flows to zero, on actual/365. Raises `NoRate`.

    Newton first; bisection where it does not arrive (funds, section 16).
    """
    _check([amount for _, amount in flows])
    days = [day for day, _ in flows]
    if min(days) == max(days):
        raise NoRate("all flows are of one day")
    amounts = [float(amount) for _, amount in flows]
    found = pyxirr.xirr(days, amounts, silent=True)
    return _shown(_bisected(days, amounts) if found is None else found, _RATE)


def irr(amounts: Sequence[int]) -> Decimal:
    """The rate per period of equal periods. Raises `NoRate`."""
    _check(amounts)
    return _shown(pyxirr.irr([float(amount) for amount in amounts], silent=True), _RATE)


def npv(rate: Decimal, amounts: Sequence[int]) -> Decimal:
    """What flows of equal periods are worth now; the first of them is now."""
    return _shown(pyxirr.npv(float(rate), [float(amount) for amount in amounts]), _AMOUNT)


def pmt(rate: Decimal, periods: int, present: int) -> Decimal:
    """The payment at the end of each period that pays a loan off; negative, as it leaves."""
    return _shown(pyxirr.pmt(float(rate), periods, float(present)), _AMOUNT)


def ppmt(rate: Decimal, period: int, periods: int, present: int) -> Decimal:
    """The part of one such payment that repays."""
    return _shown(pyxirr.ppmt(float(rate), period, periods, float(present)), _AMOUNT)


def _check(amounts: Sequence[int]) -> None:
    if not any(amount > 0 for amount in amounts) or not any(amount < 0 for amount in amounts):
        raise NoRate("flows of one sign have no rate")


def _bisected(days: Sequence[date], amounts: Sequence[float]) -> float:
    def worth(rate: float) -> float:
        found = pyxirr.xnpv(rate, days, amounts)
        if found is None:
            raise NoRate(f"the flows have no worth at {rate}")
        return found

    low, high = _LOWEST, _HIGHEST
    if worth(low) * worth(high) > 0:
        raise NoRate("the flows have no rate between -100 % and a million")
    for _ in range(_BISECTIONS_MAX):
        middle = (low + high) / 2
        if worth(low) * worth(middle) <= 0:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def _shown(value: float | None, step: Decimal) -> Decimal:
    if value is None:
        raise NoRate("the search did not end")
    return Decimal(repr(float(value))).quantize(step)
