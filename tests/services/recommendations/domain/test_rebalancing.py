"""What the trades of a rebalance cost, lot by lot, and when they are worth it."""

import pytest

from libs.suitability import InvestorClass, RiskLevel
from services.recommendations.domain.catalogue import Catalogue, FeeStep, Fund
from services.recommendations.domain.constraints import CONSTRAINTS, Asset, rules_of
from services.recommendations.domain.facts import DAY_US, Fact
from services.recommendations.domain.rebalancing import (
    Lot,
    drift,
    fees_minor,
    gain_minor,
    lots_of,
    must_mend,
    redemption_fee,
)

TODAY = 1_000
STEPS = (FeeStep(0, 15_000), FeeStep(7, 5_000), FeeStep(365, 0))
FUND = Fund(
    *("000002", "Bond", RiskLevel.R2, "CNY", "BOND", "M1"),
    front_fee_millionths=1_500,
    redemption=STEPS,
)
# A share is worth one minor unit.
PRICE = 10_000


def shares(day: int, amount: int, code: str = "000002") -> Fact:
    return Fact(day * DAY_US, f"{day}/{amount}", "SHARES", day * DAY_US, "anna", code, amount)


def test_what_was_sold_came_off_the_oldest_lots() -> None:
    facts = [shares(20, 300), shares(30, -250), shares(10, 200), shares(5, 9, "000003")]

    assert lots_of(facts, "000002") == [Lot(20, 250)]


@pytest.mark.parametrize(
    ("amount", "fee"),
    [
        (1_000_000, 0),  # all of it past the last step
        (1_400_000, 2_000),  # and 400,000 held for thirty days
        (2_100_000, 6_500),  # and 100,000 bought yesterday
        (2_200_000, 8_000),  # and 100,000 of which no lot is known
    ],
)
def test_the_oldest_lots_are_sold_first_each_at_the_fee_of_its_age(amount: int, fee: int) -> None:
    lots = [Lot(TODAY - 400, 1_000_000), Lot(TODAY - 30, 1_000_000), Lot(TODAY - 1, 100_000)]

    assert redemption_fee(FUND, lots, amount, PRICE, TODAY) == fee


def test_fees_of_trades_are_those_of_purchases_and_sales_rounded_up() -> None:
    catalogue = Catalogue((FUND,), TODAY)

    bought = fees_minor(catalogue, [], {"000002": 1_001}, {})
    sold = fees_minor(catalogue, [shares(TODAY - 10, 5_000)], {"000002": -1_001}, {"000002": PRICE})

    assert (bought, sold) == (2, 6)


def test_a_gain_lasts_for_the_horizon() -> None:
    assert gain_minor(2_000, 1_000_000, 365 * 3) == 6_000


def asset(code: str, level: int, previous: int) -> Asset:
    return Asset(code, level, code, "", "EQUITY" if level > 3 else "BOND", previous=previous)


def test_drift_is_the_largest_difference_from_the_target() -> None:
    assets = [asset("000002", 2, 6_000), asset("000004", 2, 4_000)]

    assert drift(assets, {"000002": 4_500, "000003": 1_500, "000004": 4_000}) == 1_500


@pytest.mark.parametrize(("level", "mends"), [(2, False), (5, True)])
def test_a_risk_above_the_class_is_mended_whatever_it_costs(level: int, *, mends: bool) -> None:
    assets = [asset("000002", 2, 3_000), asset("000004", level, 3_000)]
    rules = rules_of(assets, InvestorClass.C3, CONSTRAINTS)

    assert must_mend(assets, rules) is mends
