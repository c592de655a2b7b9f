"""What a registrar ought to confirm, and what an answered part does to holdings."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from libs.fund_arithmetic import (
    DividendMode,
    FeeBand,
    FeeMethod,
    HoldingBand,
    InvestorKind,
    Lot,
    TooFewShares,
    YearBand,
)
from services.funds.domain.booking import bookings_of
from services.funds.domain.expectation import (
    Expected,
    Owner,
    agency_fee,
    differences,
    expected_dividend,
    expected_forced_redemption,
    expected_offering,
    expected_redemption,
    expected_subscription,
    expected_switch,
)
from services.funds.domain.fund import Dividend
from services.funds.domain.holding import (
    AddLot,
    BookAgain,
    ReceiveDividend,
    RedeemShares,
    SetDividendMode,
)
from services.funds.domain.order import order
from services.funds.domain.order_lifecycle import (
    Begun,
    ConfirmationAmended,
    Confirmed,
    Event,
    PartAgreed,
    PartBooked,
    Placed,
)
from services.funds.domain.order_terms import Confirmation, Kind, RegistrarMovement
from services.funds.domain.product import FeeTable
from tests.services.funds.domain.stories import (
    BUY,
    CONFIRM_DAY,
    FUND,
    MODE,
    NAV,
    ORDER_ID,
    PLACE_US,
    SELL,
    SERIAL,
    SWITCH,
    T,
    expected,
    row,
    sent,
    terms,
)

NOW = date(2026, 3, 9), date(2026, 3, 10)


def fees(front: int, redemption: int = 0, back_end: int = 0) -> tuple[FeeTable, ...]:
    return (
        FeeTable(
            date(2000, 1, 1),
            FeeMethod.OUTSIDE,
            (FeeBand(0, front),),
            (HoldingBand(0, redemption),),
            (YearBand(0, back_end),),
            agency_share=1_000_000,
        ),
    )


def owner(*lots: tuple[int, int, int]) -> Owner:
    """Lots of (shares, days held, NAV of the purchase)."""
    begins = [NOW[1] - timedelta(days=days) for _, days, _ in lots]
    held = [
        Lot(str(n), begin, begin, shares, shares, nav)
        for n, ((shares, _, nav), begin) in enumerate(zip(lots, begins, strict=True))
    ]
    return Owner(held, InvestorKind.PERSON)


def test_ten_thousand_at_a_fee_of_eight_thousandths() -> None:
    fund = replace(FUND, fee_tables=fees(8_000))

    ours = expected_subscription(fund, 10_000_00, 1_0025, T)

    assert ours == Expected(1_0025, 9_895_89, 10_000_00, 79_37)
    # The example of section 15: all of the fee is ours.
    assert agency_fee(fund, ours.fee_minor, T) == 79_37


def test_an_offering_is_at_one() -> None:
    fund = replace(FUND, fee_tables=fees(12_000))

    assert expected_offering(fund, 10_000_00, 3_33, T) == Expected(
        1_0000, 9_884_75, 10_000_00, 118_58
    )


def test_a_redemption_meets_the_floor_of_its_trade_day() -> None:
    fund = replace(FUND, fee_tables=fees(0))
    lots = owner((800_00, 45, 1_0000), (500_00, 3, 1_0000))

    assert expected_redemption(fund, lots, 900_00, 1_3000, NOW) == Expected(
        1_3000, 900_00, 1_162_85, 7_15
    )
    # The day before the rules, whatever day it is confirmed on.
    eve = (date(2025, 12, 31), NOW[1])
    assert expected_redemption(fund, lots, 900_00, 1_3000, eve).fee_minor == 0
    with pytest.raises(TooFewShares):
        expected_redemption(fund, lots, 1_300_01, 1_3000, NOW)


def test_a_switch_out_of_a_back_end_class() -> None:
    left = replace(FUND, fee_tables=fees(0, 5_000, 18_000))
    entered = replace(FUND, code="000002", fee_tables=fees(5_000))

    ours = expected_switch(
        (left, entered),
        owner((1_000_00, 40, 1_1000)),
        1_000_00,
        (1_2000, 1_3000),
        (date(2025, 3, 9), NOW[1]),
    )

    assert ours == Expected(1_2000, 1_000_00, 1_174_55, 6_00, 19_45, 1_3000, 899_01, 5_84)


def test_a_dividend_in_cash_and_in_shares() -> None:
    dividend = Dividend("d", T, T, T, 350)

    assert expected_dividend(FUND, dividend, 12_345_67, DividendMode.CASH, 1_2150) == Expected(
        1_2150, 0, 432_10
    )
    assert expected_dividend(FUND, dividend, 12_345_67, DividendMode.REINVEST, 1_2150) == Expected(
        1_2150, 355_64, 432_10
    )


def test_a_forced_redemption_pays_no_fee() -> None:
    assert expected_forced_redemption(FUND, 100_00, 1_2345) == Expected(1_2345, 100_00, 123_45)


def test_every_field_that_follows_from_the_price_is_compared() -> None:
    answer = row(SWITCH)
    ours = expected(answer)

    assert differences(answer, ours) == ()
    for name, reason in [
        ("nav", "NAV_DIFFERS"),
        ("target_nav", "NAV_DIFFERS"),
        ("shares", "UNITS_DIFFER"),
        ("target_shares", "UNITS_DIFFER"),
        ("amount_minor", "AMOUNT_DIFFERS"),
        ("fee_minor", "FEE_MISMATCH"),
        ("back_end_minor", "FEE_MISMATCH"),
        ("recuperate_fee_minor", "FEE_MISMATCH"),
    ]:
        other = replace(answer, **{name: getattr(answer, name) + 1})
        (found,) = differences(other, ours)
        assert (found.reason, found.field) == (reason, name)
        assert found.theirs == found.ours + 1


def booked(kind: Kind, answer: Confirmation, *more: Event) -> list[object]:
    """The commands by fund of the order's only part."""
    history: list[Event] = sent(kind) if not isinstance(kind, RegistrarMovement) else _begun(kind)
    state = order.fold(order.initial, [*history, Confirmed(answer), *more])
    assert isinstance(state, Begun)
    return list(bookings_of(state, state.parts[0]))


def _begun(kind: RegistrarMovement) -> list[Event]:
    return [Placed(ORDER_ID, terms(kind), "registrar:HFTA", PLACE_US, "HFTA", SERIAL, "143")]


def sale(answer: Confirmation, fee: int) -> RedeemShares:
    return RedeemShares(
        ORDER_ID, answer.row_id, answer.shares, CONFIRM_DAY, answer.amount_minor, fee
    )


def lot(answer: Confirmation, shares: int, paid: int, nav: int) -> AddLot:
    return AddLot(ORDER_ID, answer.row_id, shares, CONFIRM_DAY, CONFIRM_DAY, paid, nav)


def test_each_kind_of_row_has_its_bookings() -> None:
    buy, sell, swap, mode = row(BUY), row(SELL, back_end_minor=1_00), row(SWITCH), row(MODE)

    assert booked(BUY, buy) == [("000001", lot(buy, 9_895_89, 10_000_00, NAV))]
    assert booked(SELL, sell) == [("000001", sale(sell, 6_01))]
    assert booked(SWITCH, swap) == [
        ("000001", sale(swap, 5_01)),
        ("000002", lot(swap, 767_30, 997_49, 1_3000)),
    ]
    assert booked(MODE, mode) == [
        ("000001", SetDividendMode(ORDER_ID, DividendMode.REINVEST, CONFIRM_DAY))
    ]
    assert booked(SELL, row(SELL, shares=0)) == []


@pytest.mark.parametrize(
    ("code", "shares", "amount", "is_sale"),
    [("142", 5_00, 5_00, True), ("145", 5_00, 0, True), ("144", 5_00, 0, False)],
)
def test_what_the_registrar_begins_is_booked_by_its_code(
    code: str, shares: int, amount: int, *, is_sale: bool
) -> None:
    kind = RegistrarMovement("000001", code)
    answer = row(kind, shares=shares, amount_minor=amount)

    wanted = sale(answer, 0) if is_sale else lot(answer, shares, 0, NAV)
    assert booked(kind, answer) == [("000001", wanted)]


def test_a_dividend_is_booked_as_cash_or_as_a_lot_that_cost_nothing() -> None:
    kind = RegistrarMovement("000001", "143")
    cash, shares = row(kind), row(kind, shares=355_64)

    assert booked(kind, cash) == [
        ("000001", ReceiveDividend(ORDER_ID, cash.row_id, 70_00, CONFIRM_DAY))
    ]
    assert booked(kind, shares) == [("000001", lot(shares, 355_64, 0, NAV))]


def test_an_amended_row_books_again_under_its_proposal() -> None:
    answer, other = row(BUY), row(BUY, shares=9_895_90)
    history = (
        PartAgreed(answer.row_id),
        PartBooked(answer.row_id),
        ConfirmationAmended(answer, other, "p1"),
    )

    assert booked(BUY, answer, *history) == [
        ("000001", BookAgain(lot(other, 9_895_90, 10_000_00, NAV), "p1"))
    ]


def test_a_registered_date_other_than_the_confirm_date_is_kept() -> None:
    later = CONFIRM_DAY + timedelta(days=3)
    answer = row(BUY, register_date=later)

    ((_, command),) = bookings_of(_with(answer), _with(answer).parts[0])

    assert isinstance(command, AddLot)
    assert command.register_date == later


def _with(answer: Confirmation) -> Begun:
    state = order.fold(order.initial, [*sent(BUY), Confirmed(answer)])
    assert isinstance(state, Begun)
    return state
