"""Value dates, the business date an operator moves, days that are locked, days gone negative."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.accounts.domain.commands import LockPeriod, MoveBusinessDate
from services.accounts.domain.entries import Entry, TransferPosted
from services.accounts.domain.journal import Repeated
from services.accounts.domain.kinds import Kind
from tests.services.accounts.desk import OPERATOR, SETTLEMENT, TODAY, Desk, credit, debit


def _day(days: int) -> str:
    return (date.fromisoformat(TODAY) + timedelta(days=days)).isoformat()


def _close_day(desk: Desk, to_date: str = "") -> None:
    today = date.fromisoformat(desk.book.business_date)
    to_date = to_date or (today + timedelta(days=1)).isoformat()
    desk.posted(MoveBusinessDate(desk.id(), to_date, today.isoformat()), OPERATOR)


def _lock(desk: Desk, last_date: str) -> None:
    desk.posted(LockPeriod(desk.id(), last_date), OPERATOR)


def test_the_day_that_is_closed_is_named() -> None:
    desk = Desk()
    wrong = MoveBusinessDate(desk.id(), _day(2), _day(1))
    assert desk.refused(wrong, OPERATOR) == "BUSINESS_DATE_DIFFERS"
    move = MoveBusinessDate(desk.id(), _day(1), TODAY)
    desk.posted(move, OPERATOR)
    assert isinstance(desk.do(move, OPERATOR), Repeated)
    late = MoveBusinessDate(desk.id(), _day(2), TODAY)
    assert desk.refused(late, OPERATOR) == "BUSINESS_DATE_DIFFERS"
    bad = MoveBusinessDate(desk.id(), _day(2), "yesterday")
    assert desk.turned_away(bad, OPERATOR) == "DATE_MALFORMED"


def test_after_a_lock_no_entry_has_a_value_date_in_the_period() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=50), desk.account()
    _close_day(desk)
    _lock(desk, TODAY)
    legs = (debit(payer, 1), credit(payee, 1))

    assert desk.refused(desk.transferring(*legs, value_date=TODAY)) == "PERIOD_LOCKED"
    # A lock is told before a date that is too old besides.
    assert desk.refused(desk.transferring(*legs, value_date="2020-01-01")) == "PERIOD_LOCKED"
    desk.posted(desk.transferring(*legs, value_date=_day(1)))
    assert desk.replayed() == desk.book


def test_a_period_is_locked_once_it_has_ended_and_never_unlocked() -> None:
    desk = Desk()
    assert desk.refused(LockPeriod(desk.id(), TODAY), OPERATOR) == "PERIOD_NOT_ENDED"
    assert desk.turned_away(LockPeriod(desk.id(), "May"), OPERATOR) == "DATE_MALFORMED"
    _close_day(desk)
    lock = LockPeriod(desk.id(), TODAY)
    desk.posted(lock, OPERATOR)
    assert isinstance(desk.do(lock, OPERATOR), Repeated)
    assert desk.refused(LockPeriod(desk.id(), _day(-1)), OPERATOR) == "PERIOD_LOCKED"
    assert desk.refused(LockPeriod(desk.id(), TODAY), OPERATOR) == "PERIOD_LOCKED"


@pytest.mark.parametrize(
    ("days", "reason"),
    [(-30, ""), (-31, "VALUE_DATE_TOO_OLD"), (0, ""), (1, "VALUE_DATE_IN_FUTURE")],
)
def test_a_posting_goes_30_days_back_and_not_ahead(days: int, reason: str) -> None:
    desk = Desk()
    payer, payee = desk.account(funds=50), desk.account()
    command = desk.transferring(debit(payer, 1), credit(payee, 1), value_date=_day(days))
    assert desk.reason_of(command) == reason


def test_a_bank_may_date_its_fact_ahead() -> None:
    desk = Desk()
    mirror, in_transit = desk.account(Kind.BANK_MIRROR), desk.account(Kind.IN_TRANSIT_IN)
    desk.transfer(debit(in_transit, 5), credit(desk.account(), 5))
    legs = (debit(mirror, 1), credit(in_transit, 1))
    entry = desk.posted(desk.transferring(*legs, value_date=_day(3)), SETTLEMENT)
    assert (entry.value_date, entry.business_date) == (_day(3), TODAY)
    assert not entry.is_past_day_negative


def test_a_debit_dated_before_the_money_came_is_flagged() -> None:
    desk = Desk()
    payer, payee = desk.account(), desk.account()
    _close_day(desk)
    desk.fund(payer, 50)
    _close_day(desk)
    legs = (debit(payer, 10), credit(payee, 10))

    early = desk.posted(desk.transferring(*legs, value_date=TODAY))
    on_the_day = desk.posted(desk.transferring(*legs, value_date=_day(1)))
    today = desk.posted(desk.transferring(*legs))

    assert [entry.is_past_day_negative for entry in (early, on_the_day, today)] == [
        True,
        False,
        False,
    ]
    assert desk.figures(payer) == (20, 0, 20)
    assert desk.replayed() == desk.book


def test_money_dated_back_mends_the_days_from_there_on() -> None:
    desk = Desk()
    payer, payee = desk.account(), desk.account()
    _close_day(desk, _day(10))
    source = desk.account(Kind.FEE_INCOME)
    desk.posted(desk.transferring(debit(source, 50), credit(payer, 50), value_date=_day(4)))
    legs = (debit(payer, 10), credit(payee, 10))
    assert not desk.posted(desk.transferring(*legs, value_date=_day(4))).is_past_day_negative
    assert desk.posted(desk.transferring(*legs, value_date=_day(3))).is_past_day_negative


MOVES = st.lists(
    st.tuples(st.integers(-40, 60), st.integers(0, 32), st.integers(0, 9)), max_size=40
)


@settings(max_examples=80)
@given(MOVES)
def test_the_flag_is_what_a_sum_over_all_legs_says(moves: list[tuple[int, int, int]]) -> None:
    """Each move: an amount in or out, so many days back, and how many days end before it."""
    desk = Desk()
    wallet, house = desk.account(), desk.account(Kind.FEE_INCOME)
    dated: list[tuple[str, int]] = []
    for minor, back, days_on in moves:
        if days_on > 7:  # not every move: most days have several
            today = date.fromisoformat(desk.book.business_date)
            _close_day(desk, (today + timedelta(days=days_on)).isoformat())
        today = date.fromisoformat(desk.book.business_date)
        value_date = (today - timedelta(days=back)).isoformat() if back else ""
        if not minor:
            continue
        payer, payee = (house, wallet) if minor > 0 else (wallet, house)
        legs = (debit(payer, abs(minor)), credit(payee, abs(minor)))
        entry = desk.do(desk.transferring(*legs, value_date=value_date))
        assert isinstance(entry, Entry)
        if not isinstance(entry.fact, TransferPosted):
            continue
        dated.append((entry.value_date, minor))
        days = {day for day, _ in dated if entry.value_date <= day < entry.business_date}
        ends = [sum(each for at, each in dated if at <= day) for day in days]
        assert entry.is_past_day_negative == (minor < 0 and any(end < 0 for end in ends))
    assert desk.replayed() == desk.book
