"""Money-market funds: income of a day, the bucket that keeps what is below a cent, yields."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal

# 万份收益 has so many decimals, and so has what an account accrues.
INCOME_SCALE = 4
_PER_SHARES = 10_000
_DAYS = 7
_YIELD_SCALE = Decimal(1).scaleb(-6)
# Enough for powers whose result is shown in millionths.
_PRECISE = Context(prec=40)


@dataclass(frozen=True, slots=True)
class Accrued:
    """One account after a day, in ten-thousandths of the major unit; `credit` in shares."""

    accrual: int
    bucket: int
    credit: int


def day_income(shares: int, per_ten_thousand: int, share_scale: int = 2) -> int:
    """Income of shares for one day, cut off to 4 decimals (funds, section 11)."""
    unit: int = _PER_SHARES * 10**share_scale
    return shares * per_ten_thousand // unit


def accrue(
    shares: int, per_ten_thousand: int, bucket: int, share_scale: int = 2, *, is_carry_day: bool
) -> Accrued:
    """Put a day's income into the bucket; on a carry day whole cents leave it as new shares."""
    accrual = day_income(shares, per_ten_thousand, share_scale)
    filled = bucket + accrual
    if not is_carry_day:
        return Accrued(accrual, filled, 0)
    unit = 10 ** (INCOME_SCALE - share_scale)
    return Accrued(accrual, filled % unit, filled // unit)


def simple_yield(incomes: Sequence[int]) -> Decimal:
    """7-day yield in simple form, as a fraction: `sum / 7 * 365 / 10 000`."""
    _check(incomes)
    total = Decimal(sum(incomes)).scaleb(-INCOME_SCALE)
    return _PRECISE.divide(total * 365, Decimal(_DAYS * _PER_SHARES)).quantize(_YIELD_SCALE)


def compound_yield(incomes: Sequence[int]) -> Decimal:
    """7-day yield in compound form, as a fraction: `product(1 + income/10 000)^(365/7) - 1`."""
    _check(incomes)
    product = Decimal(1)
    for income in incomes:
        rate = Decimal(income).scaleb(-INCOME_SCALE) / _PER_SHARES
        product = _PRECISE.multiply(product, 1 + rate)
    power = _PRECISE.divide(Decimal(365), Decimal(_DAYS))
    return (_PRECISE.power(product, power) - 1).quantize(_YIELD_SCALE)


def _check(incomes: Sequence[int]) -> None:
    if len(incomes) != _DAYS:
        raise AssertionError(f"a 7-day yield is of seven days, not {len(incomes)}")
