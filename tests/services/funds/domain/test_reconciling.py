"""Differences between us and a registrar: each found once, named by its place."""

from datetime import date

import pytest

from services.funds.domain.breaks import BreakType
from services.funds.domain.reconciling import (
    Mismatch,
    break_of,
    compare_cash,
    compare_income,
    compare_navs,
    compare_orders,
    compare_shares,
    compare_total_shares,
)

T = date(2026, 3, 2)


def test_rows_that_were_not_answered_are_late_until_the_file_is_there() -> None:
    sent, answered = {"a", "b", "c"}, {"a"}

    before = list(compare_orders(sent, answered, sent, has_file=False))
    after = list(compare_orders(sent, answered, sent, has_file=True))

    assert [(each.type, each.place) for each in before] == [
        (BreakType.LATE, "b"),
        (BreakType.LATE, "c"),
    ]
    assert {each.type for each in after} == {BreakType.MISSING_AT_TA}


def test_rows_of_orders_nobody_knows_are_missing_here() -> None:
    found = list(compare_orders({"a"}, {"a", "x"}, {"a", "old"}, has_file=True))

    assert found == [Mismatch(BreakType.MISSING_HERE, "x")]


def test_shares_are_compared_account_by_account_and_zero_is_no_account() -> None:
    ours, theirs = {"a": 5, "b": 7, "zero": 0}, {"a": 5, "b": 8, "c": 1}

    found = list(compare_shares("F", ours, theirs))

    assert found == [
        Mismatch(BreakType.SHARE_DIFF, "b", 7, 8, "F"),
        Mismatch(BreakType.SHARE_DIFF, "c", 0, 1, "F"),
    ]
    assert list(compare_total_shares("F", 12, 12)) == []
    assert list(compare_total_shares("F", 12, 13)) == [
        Mismatch(BreakType.SHARE_DIFF, "total", 12, 13, "F")
    ]


def test_prices_of_rows_are_the_published_ones() -> None:
    found = list(compare_navs({"F": 10_025}, {"F": {10_025, 10_026}, "G": {9_000}}))

    assert found == [
        Mismatch(BreakType.NAV_DIFF, "10026", 10_025, 10_026, "F"),
        Mismatch(BreakType.NAV_DIFF, "9000", None, 9_000, "G"),
    ]


def test_cash_has_no_tolerance() -> None:
    assert list(compare_cash("SUB", 100, 100)) == []
    assert list(compare_cash("SUB", 100, 101)) == [Mismatch(BreakType.CASH_DIFF, "SUB", 100, 101)]


@pytest.mark.parametrize(
    ("accounts", "accrued", "income", "is_break"),
    [
        (3, 100, 100, False),
        (3, 98, 100, False),
        (3, 97, 100, True),
        (3, 101, 100, True),
        (0, 0, 0, False),
    ],
)
def test_income_of_all_accounts_is_below_the_funds_by_less_than_a_unit_each(
    accounts: int, accrued: int, income: int, *, is_break: bool
) -> None:
    assert bool(list(compare_income("F", accounts, accrued, income))) is is_break


def test_the_same_difference_is_the_same_break() -> None:
    first = break_of(Mismatch(BreakType.SHARE_DIFF, "b", 7, 8, "F"), "HFTA", T)
    again = break_of(Mismatch(BreakType.SHARE_DIFF, "b", 7, 9, "F"), "HFTA", T)
    other = break_of(Mismatch(BreakType.SHARE_DIFF, "c", 7, 8, "F"), "HFTA", T)

    assert first.break_id == again.break_id != other.break_id
    assert (first.ours, first.theirs) == ("7", "8")
