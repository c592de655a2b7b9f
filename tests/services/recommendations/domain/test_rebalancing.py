"""What the trades of a rebalance cost, and when they are worth it."""

import pytest

from libs.suitability import InvestorClass, RiskLevel
from services.recommendations.domain.catalogue import Catalogue, Fund
from services.recommendations.domain.constraints import CONSTRAINTS, Asset, rules_of
from services.recommendations.domain.lots import Part
from services.recommendations.domain.rebalancing import (
    drift,
    fees_minor,
    gain_minor,
    must_mend,
    settled,
)

FUND = Fund(
    *("000002", "Bond", RiskLevel.R2, "CNY", "BOND", "M1"),
    front_fee_millionths=1_500,
)


def test_fees_of_trades_are_those_of_purchases_and_sales_rounded_up() -> None:
    catalogue = Catalogue((FUND,), 1_000)
    parts = {"000002": (Part(5_000, 5_000, 5_000),)}

    bought = fees_minor(catalogue, {"000002": 1_001}, {})
    sold = fees_minor(catalogue, {"000002": -1_001}, parts)

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


def test_purchases_are_paid_by_sales_after_their_fees() -> None:
    parts = {"000002": (Part(100_000, 5_000, 5_000),)}
    trades = {"000002": -100_000, "000003": 60_000, "000004": 40_000}
    least = {"000002": 1_000, "000003": 1_000, "000004": 1_000}

    found = settled(trades, 0, parts, least)

    assert found == {"000002": -100_000, "000003": 59_500, "000004": 40_000}


def test_a_purchase_gives_way_down_to_its_least_and_then_the_next() -> None:
    parts = {"000002": (Part(100_000, 15_000, 15_000),)}
    trades = {"000002": -100_000, "000003": 60_000, "000004": 40_000}

    found = settled(trades, 0, parts, {"000002": 0, "000003": 59_000, "000004": 1_000})

    assert found == {"000002": -100_000, "000003": 59_000, "000004": 39_500}


def test_where_nothing_is_bought_the_fees_come_off_what_is_paid_out() -> None:
    parts = {"000002": (Part(100_000, 5_000, 5_000),)}

    assert settled({"000002": -100_000}, -100_000, parts, {"000002": 0}) == {"000002": -100_000}
