"""The worked numbers of the reference, to the cent and the unit."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from libs.fund_arithmetic import (
    RULES,
    BackEnd,
    Entering,
    FeeBand,
    FeeMethod,
    Flows,
    FrontEnd,
    FundType,
    HoldingBand,
    InvestorKind,
    Leaving,
    Lot,
    Purchase,
    Rounding,
    Scales,
    Terms,
    YearBand,
    accrue,
    compound_yield,
    dividend_cash,
    is_large,
    least_accepted,
    offer,
    rate_above_cap,
    redeem,
    redemption_rate,
    reinvested,
    rules_on,
    share_out,
    simple_yield,
    subscribe,
    subscribe_whole_units,
    switch,
    take,
    total,
)

SCALES = Scales()
TODAY = date(2026, 3, 10)
RULES_NOW = rules_on(TODAY, RULES)


def outside(rate: int) -> FrontEnd:
    return FrontEnd(FeeMethod.OUTSIDE, (FeeBand(0, rate),))


def lot(shares: int, days_held: int, nav: int = 10_000, lot_id: str = "a") -> Lot:
    registered = TODAY - timedelta(days=days_held)
    return Lot(lot_id, registered, registered, shares, shares, nav)


@pytest.mark.parametrize(
    ("amount", "rate", "nav", "net", "fee", "shares"),
    [
        (100_000_00, 15_000, 1_0170, 98_522_17, 1_477_83, 96_875_29),
        (10_000_00, 8_000, 1_0025, 9_920_63, 79_37, 9_895_89),
        (5_000_00, 12_000, 1_1280, 4_940_71, 59_29, 4_380_06),
    ],
)
def test_a_subscription_deducts_its_fee_from_outside(
    amount: int, rate: int, nav: int, net: int, fee: int, shares: int
) -> None:
    assert subscribe(amount, nav, outside(rate), SCALES) == Purchase(net, fee, shares)


def test_a_switch_pays_the_difference_of_entry_fees() -> None:
    terms = Terms(
        BackEnd((HoldingBand(0, 5_000),), (YearBand(0, 18_000),)),
        FundType.EQUITY,
        InvestorKind.PERSON,
        None,
    )
    leaving = Leaving(1_2000, terms, outside(0))

    done = switch(
        [lot(1_000_00, 40, 1_1000)], 1_000_00, TODAY, leaving, Entering(1_3000, outside(5_000))
    )

    assert (done.redemption.gross, done.redemption.fee) == (1_200_00, 6_00)
    assert (done.redemption.back_end, done.redemption.net) == (19_45, 1_174_55)
    assert (done.net, done.recuperate_fee, done.shares_in) == (1_168_71, 5_84, 899_01)


def test_a_gate_shares_out_what_is_accepted() -> None:
    flows = Flows(redeem=180_000_00, switch_out=20_000_00, subscribe=50_000_00, switch_in=0)
    requests = {"A": 90_000_00, "B": 60_000_00, "C": 30_000_00, "D": 20_000_00}

    parts = share_out(requests, 100_000_00)

    assert flows.net == 150_000_00
    assert is_large(flows, 1_000_000_00)
    assert least_accepted(1_000_000_00) == 100_000_00
    assert parts == {"A": 45_000_00, "B": 30_000_00, "C": 15_000_00, "D": 10_000_00}


def test_a_gate_closes_above_the_threshold_and_not_at_it() -> None:
    assert not is_large(Flows(100_000_00, 0, 0, 0), 1_000_000_00)
    assert is_large(Flows(100_000_01, 0, 0, 0), 1_000_000_00)


def test_left_over_units_go_to_the_largest_remainders_and_then_to_the_smaller_id() -> None:
    assert share_out({"B": 1, "A": 1, "C": 1}, 2) == {"A": 1, "B": 1, "C": 0}
    assert share_out({"A": 10, "B": 11}, 10) == {"A": 5, "B": 5}
    assert share_out({"A": 0}, 0) == {"A": 0}


def test_a_redemption_takes_the_oldest_lot_first_and_meets_the_floor() -> None:
    lots = [lot(500_00, 3, lot_id="young"), lot(800_00, 45, lot_id="old")]
    terms = Terms(BackEnd(), FundType.EQUITY, InvestorKind.PERSON, RULES_NOW)

    done = redeem(lots, 900_00, 1_3000, TODAY, terms)
    _, left = take(lots, 900_00)

    assert [(part.lot_id, part.shares) for part in done.taken] == [
        ("old", 800_00),
        ("young", 100_00),
    ]
    assert (done.gross, done.fee, done.net) == (1_170_00, 7_15, 1_162_85)
    assert total(left) == 400_00


def test_lots_of_one_day_and_price_pay_one_fee_in_whatever_order_they_came() -> None:
    terms = Terms(BackEnd((HoldingBand(0, 5_000),)), FundType.ETF, InvestorKind.PERSON, None)
    lots = [lot(1_01, 3, lot_id="a"), lot(98, 3, lot_id="b"), lot(1, 3, lot_id="c")]

    fees = {
        redeem(some, 2_00, 1_0000, TODAY, terms).fee for some in (lots, lots[::-1], [lot(2_00, 3)])
    }

    assert fees == {1}


@pytest.mark.parametrize(
    ("days", "rate"),
    [(0, 15_000), (6, 15_000), (7, 10_000), (29, 10_000), (30, 5_000), (179, 5_000), (180, 0)],
)
def test_the_floor_falls_with_the_days_held(days: int, rate: int) -> None:
    terms = Terms(BackEnd(), FundType.EQUITY, InvestorKind.PERSON, RULES_NOW)

    assert redemption_rate(days, terms) == rate


@pytest.mark.parametrize(
    ("type_", "kind", "days", "rate"),
    [
        (FundType.ETF, InvestorKind.PERSON, 0, 0),
        (FundType.NCD, InvestorKind.INSTITUTION, 0, 0),
        (FundType.MONEY_MARKET, InvestorKind.PERSON, 1, 0),
        (FundType.INDEX, InvestorKind.PERSON, 6, 15_000),
        (FundType.INDEX, InvestorKind.PERSON, 7, 0),
        (FundType.INDEX, InvestorKind.INSTITUTION, 7, 10_000),
        (FundType.BOND, InvestorKind.PERSON, 7, 0),
        (FundType.BOND, InvestorKind.INSTITUTION, 29, 10_000),
        (FundType.BOND, InvestorKind.INSTITUTION, 30, 0),
        (FundType.MIXED, InvestorKind.PERSON, 7, 10_000),
    ],
)
def test_some_are_exempt_from_the_floor(
    type_: FundType, kind: InvestorKind, days: int, rate: int
) -> None:
    assert redemption_rate(days, Terms(BackEnd(), type_, kind, RULES_NOW)) == rate


def test_the_products_own_band_counts_where_it_is_higher_and_before_the_rules_alone() -> None:
    own = BackEnd((HoldingBand(0, 20_000), HoldingBand(365, 1_000)))
    now = Terms(own, FundType.ETF, InvestorKind.PERSON, RULES_NOW)
    before = Terms(own, FundType.EQUITY, InvestorKind.PERSON, rules_on(date(2025, 12, 31)))

    assert [redemption_rate(days, now) for days in (0, 364, 365)] == [20_000, 20_000, 1_000]
    assert redemption_rate(364, before) == 20_000
    assert redemption_rate(400, before) == 1_000


def test_income_below_a_cent_stays_in_the_bucket() -> None:
    first = accrue(8_000_00, 5432, 0, is_carry_day=True)
    second = accrue(8_000_00 + first.credit, 5500, first.bucket, is_carry_day=True)

    assert (first.accrual, first.credit, first.bucket) == (4345, 43, 45)
    assert (second.accrual, second.credit, second.bucket) == (4400, 44, 45)
    assert 8_000_00 + first.credit + second.credit == 8_000_87


def test_on_other_days_all_income_stays_in_the_bucket() -> None:
    assert accrue(8_000_00, 5432, 45, is_carry_day=False).bucket == 4390


def test_the_seven_day_yield_has_two_forms() -> None:
    assert simple_yield([5000] * 7) == Decimal("0.018250")
    assert compound_yield([5000] * 7) == Decimal("0.018417")


def test_a_dividend_is_paid_or_reinvested() -> None:
    cash = dividend_cash(12_345_67, 350, 4, SCALES)

    assert cash == 432_10
    assert reinvested(cash, 1_2150, SCALES) == 355_64


def test_a_fee_inside_is_a_part_of_the_amount() -> None:
    inside = FrontEnd(FeeMethod.INSIDE, (FeeBand(0, 15_000),))

    assert subscribe(100_000_00, 1_0170, inside, SCALES) == Purchase(98_500_00, 1_500_00, 96_853_49)


def test_a_fixed_fee_begins_with_its_band() -> None:
    bands = (FeeBand(0, 15_000), FeeBand(1_000_000_00, 0, fixed_minor=1_000_00))
    table = FrontEnd(FeeMethod.OUTSIDE, bands)

    assert subscribe(1_000_000_00, 1_0000, table, SCALES).fee == 1_000_00
    assert subscribe(999_999_99, 1_0000, table, SCALES).fee == 14_778_32


def test_a_discount_multiplies_the_rate_and_not_the_fee() -> None:
    cheap = FrontEnd(FeeMethod.OUTSIDE, (FeeBand(0, 15_000),), discount=100_000)

    # 0.15 % outside of 100,000: 149.78; a tenth of the fee at 1.5 % would be 147.78.
    assert subscribe(100_000_00, 1_0000, cheap, SCALES).fee == 149_78


def test_an_offering_buys_at_one_with_the_interest() -> None:
    done = offer(10_000_00, 3_33, outside(12_000), SCALES)

    assert (done.net, done.fee, done.shares) == (9_881_42, 118_58, 9_884_75)


def test_a_back_end_class_pays_nothing_on_the_way_in() -> None:
    table = FrontEnd(FeeMethod.BACK_END, (FeeBand(0, 15_000),))

    assert subscribe(1_000_00, 1_0000, table, SCALES) == Purchase(1_000_00, 0, 1_000_00)


def test_a_class_on_an_exchange_buys_whole_units_and_gives_the_rest_back() -> None:
    done = subscribe_whole_units(1_000_00, 3_3000, outside(0), SCALES)

    assert (done.shares, done.net, done.refund) == (303_00, 999_90, 10)


def test_a_fund_that_truncates_rounds_nothing_up() -> None:
    truncating = Scales(rounding=Rounding.TRUNCATE)

    assert subscribe(1_168_71, 1_3000, outside(0), SCALES).shares == 899_01
    assert subscribe(1_168_71, 1_3000, outside(0), truncating).shares == 899_00


def test_a_fee_table_above_the_cap_is_found_from_the_rules_first_day() -> None:
    table = outside(15_000)

    assert rate_above_cap(rules_on(date(2026, 1, 1)), FundType.EQUITY, table) == 15_000
    assert rate_above_cap(rules_on(date(2026, 1, 1)), FundType.EQUITY, outside(8_000)) is None
    assert rate_above_cap(rules_on(date(2025, 12, 31)), FundType.EQUITY, table) is None
