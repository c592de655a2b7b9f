"""What holds of the arithmetic for any numbers."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from libs.fund_arithmetic import (
    RATE_ONE,
    BackEnd,
    FeeBand,
    FeeMethod,
    FrontEnd,
    FundType,
    InvestorKind,
    Lot,
    Rounding,
    Scales,
    Terms,
    accrue,
    cost,
    day_income,
    divided,
    redeem,
    rules_on,
    share_out,
    subscribe,
    subscribe_whole_units,
    take,
    total,
    value_of,
)

AMOUNTS = st.integers(1, 10**13)
NAVS = st.integers(1, 10**8)
RATES = st.integers(0, 50_000)
DAY = date(2026, 6, 1)
LOTS = st.lists(
    st.builds(
        lambda n, age, shares, paid: Lot(
            str(n), DAY - timedelta(days=age), DAY - timedelta(days=age), shares, paid, 10_000
        ),
        st.integers(0, 99),
        st.integers(0, 400),
        st.integers(1, 10**9),
        st.integers(0, 10**9),
    ),
    min_size=1,
    max_size=8,
)


@given(AMOUNTS, NAVS, RATES, st.integers(0, RATE_ONE), st.sampled_from(FeeMethod))
def test_net_and_fee_are_the_amount(
    amount: int, nav: int, rate: int, discount: int, method: FeeMethod
) -> None:
    done = subscribe(amount, nav, FrontEnd(method, (FeeBand(0, rate),), discount), Scales())

    assert done.net + done.fee == amount
    assert 0 <= done.fee <= amount
    assert done.shares >= 0


@given(AMOUNTS, NAVS, RATES)
def test_net_fee_and_refund_of_whole_units_are_the_amount(amount: int, nav: int, rate: int) -> None:
    table = FrontEnd(FeeMethod.OUTSIDE, (FeeBand(0, rate),))

    done = subscribe_whole_units(amount, nav, table, Scales())

    assert done.net + done.fee + done.refund == amount
    assert done.refund >= 0
    assert done.shares % 100 == 0


@given(st.integers(-(10**20), 10**20), st.integers(1, 10**12))
def test_division_is_within_half_of_what_is_exact(numerator: int, denominator: int) -> None:
    nearest = divided(numerator, denominator)
    cut = divided(numerator, denominator, Rounding.TRUNCATE)

    assert abs(2 * (numerator - nearest * denominator)) <= denominator
    assert abs(cut) * denominator <= abs(numerator) < (abs(cut) + 1) * denominator


@given(
    st.dictionaries(st.text("0123456789abcdef", min_size=1, max_size=6), st.integers(0, 10**12)),
    st.data(),
)
def test_the_parts_of_a_gate_are_what_was_accepted(
    requests: dict[str, int], data: st.DataObject
) -> None:
    accepted = data.draw(st.integers(0, sum(requests.values())))

    parts = share_out(requests, accepted)

    assert sum(parts.values()) == accepted
    assert all(0 <= parts[each] <= requests[each] for each in requests)


@given(LOTS, st.data())
def test_no_younger_lot_is_taken_while_an_older_one_is_left(
    lots: list[Lot], data: st.DataObject
) -> None:
    shares = data.draw(st.integers(0, total(lots)))

    taken, left = take(lots, shares)

    assert total(taken) == shares
    assert total(left) == total(lots) - shares
    assert cost(taken) + cost(left) == cost(lots)
    if taken and left:
        assert taken[-1].confirm_date <= left[0].confirm_date


@given(LOTS, NAVS, st.sampled_from(FundType), st.data())
def test_what_is_redeemed_is_paid_in_parts_that_add_up(
    lots: list[Lot], nav: int, type_: FundType, data: st.DataObject
) -> None:
    shares = data.draw(st.integers(1, total(lots)))
    terms = Terms(BackEnd(), type_, InvestorKind.PERSON, rules_on(DAY))

    done = redeem(lots, shares, nav, DAY, terms)

    assert done.gross == done.net + done.fee + done.back_end
    assert done.gross == value_of(shares, nav, terms.scales)
    assert done.net >= 0


@given(
    st.lists(st.integers(0, 10**10), min_size=1, max_size=20),
    st.lists(st.integers(0, 30_000), min_size=1, max_size=40),
)
def test_credits_and_buckets_never_exceed_the_funds_income(
    accounts: list[int], days: list[int]
) -> None:
    shares, buckets, given_out, income = list(accounts), [0] * len(accounts), 0, 0
    for day, rate in enumerate(days):
        income += day_income(sum(shares), rate)
        for n, bucket in enumerate(buckets):
            done = accrue(shares[n], rate, bucket, is_carry_day=day % 3 != 2)
            buckets[n] = done.bucket
            shares[n] += done.credit
            given_out += done.credit * 100
        assert given_out + sum(buckets) <= income
        if day % 3 != 2:
            assert all(0 <= bucket < 100 for bucket in buckets)
