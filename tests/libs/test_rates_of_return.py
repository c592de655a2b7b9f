"""Money maths, to the digits of the reference."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from libs.rates_of_return import NoRate, irr, npv, pmt, ppmt, xirr

FLOWS = [
    (date(2008, 1, 1), -10_000),
    (date(2008, 3, 1), 2_750),
    (date(2008, 10, 30), 4_250),
    (date(2009, 2, 15), 3_250),
    (date(2009, 4, 1), 2_750),
]


def test_the_rate_of_dated_flows() -> None:
    assert xirr(FLOWS) == Decimal("0.373362534")


def test_the_rate_does_not_depend_on_the_unit_or_on_the_order() -> None:
    assert xirr([(day, amount * 100) for day, amount in reversed(FLOWS)]) == xirr(FLOWS)


@pytest.mark.parametrize(
    "flows",
    [
        [],
        [(date(2020, 1, 1), 100)],
        [(date(2020, 1, 1), 100), (date(2021, 1, 1), 100)],
        [(date(2020, 1, 1), -100), (date(2020, 1, 1), 100)],
    ],
)
def test_flows_without_a_change_of_sign_have_no_rate(flows: list[tuple[date, int]]) -> None:
    with pytest.raises(NoRate):
        xirr(flows)


@pytest.mark.parametrize("back", [1, 3, 50, 99_999, 400_000, 10**9])
def test_a_great_loss_and_a_great_gain_have_a_rate_too(back: int) -> None:
    begin = date(2020, 1, 1)

    rate = xirr([(begin, -100_000), (begin + timedelta(days=365), back)])

    assert abs(rate - (Decimal(back) / 100_000 - 1)) <= Decimal("0.000001")


def test_annuities() -> None:
    assert pmt(Decimal("0.08") / 12, 10, 10_000) == Decimal("-1037.032089")
    assert ppmt(Decimal("0.1") / 12, 1, 24, 2_000) == Decimal("-75.623186")


def test_the_rate_and_the_worth_of_equal_periods() -> None:
    rate = irr([-70_000, 12_000, 15_000, 18_000, 21_000, 26_000])

    assert rate.quantize(Decimal("0.0000001")) == Decimal("0.0866309")
    assert npv(Decimal("0.1"), [-10_000, 3_000, 4_200, 6_800]) == Decimal("1307.287754")
    with pytest.raises(NoRate):
        irr([1, 2])
