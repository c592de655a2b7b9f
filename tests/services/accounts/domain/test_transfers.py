"""Transfers: what they post, what each refusal is for, and that a refusal stands for ever."""

from collections.abc import Callable

import pytest

from libs.money import MINOR_MAX
from services.accounts.domain.commands import CloseAccount, FreezeAccount, Leg, Transfer
from services.accounts.domain.entries import TransferPosted
from services.accounts.domain.journal import Repeated
from services.accounts.domain.kinds import Direction, FreezeSide, Kind
from tests.services.accounts.desk import (
    BANK,
    CZK,
    OPERATOR,
    PAYMENTS,
    SETTLEMENT,
    WALLET,
    Desk,
    banks,
    clearing,
    credit,
    debit,
    ours,
)


def test_a_transfer_moves_money_between_two_wallets() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=500), desk.account()

    entry = desk.transfer(debit(payer, 200), credit(payee, 200))

    assert isinstance(entry.fact, TransferPosted)
    assert desk.figures(payer) == (300, 0, 300)
    assert desk.figures(payee) == (200, 0, 200)
    assert [balance.account_seq for balance in entry.balances] == [3, 2]


def test_a_split_posts_as_one_entry() -> None:
    desk = Desk()
    payer, merchant = desk.account(funds=10_000), desk.account(Kind.MERCHANT)
    fees = desk.account(Kind.FEE_INCOME)

    desk.transfer(debit(payer, 10_000), credit(merchant, 9_850), credit(fees, 150))

    assert [desk.figures(each)[0] for each in (payer, merchant, fees)] == [0, 9_850, 150]


def test_each_currency_balances_alone() -> None:
    desk = Desk()
    crowns, euros = desk.account(funds=725), desk.account(currency="EUR")
    position_czk = desk.account(Kind.FX_POSITION)
    position_eur = desk.account(Kind.FX_POSITION, "EUR")

    desk.transfer(
        debit(crowns, 725),
        credit(position_czk, 725),
        debit(position_eur, 29, "EUR"),
        credit(euros, 29, "EUR"),
    )

    assert desk.figures(euros)[0] == 29
    assert desk.figures(position_eur)[0] == -29


def test_the_bound_is_on_the_net_effect_of_the_entry() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=100), desk.account()

    desk.transfer(debit(payer, 70), debit(payer, 30), credit(payee, 100))

    assert desk.figures(payer)[0] == 0


def test_a_debit_normal_account_rises_by_debits_and_stops_at_its_floor() -> None:
    desk = Desk()
    wallet, in_transit = desk.account(), desk.account(Kind.IN_TRANSIT_IN)
    mirror = desk.account(Kind.BANK_MIRROR)
    desk.transfer(debit(in_transit, 1_000), credit(wallet, 1_000))

    desk.transfer(debit(mirror, 1_000), credit(in_transit, 1_000), caller=SETTLEMENT)

    assert [desk.figures(each)[0] for each in (wallet, in_transit, mirror)] == [1_000, 0, 1_000]
    again = desk.transferring(debit(mirror, 1), credit(in_transit, 1))
    assert desk.refused(again, SETTLEMENT) == "BALANCE_TOO_LOW"


def test_a_top_up_enters_the_open_window() -> None:
    desk = Desk()
    wallet, in_transit, window_id = desk.account(), desk.account(Kind.IN_TRANSIT_IN), desk.window()

    entry = desk.posted(
        desk.transferring(debit(in_transit, 900), credit(wallet, 900), obligation=ours(900))
    )

    assert entry.obligation is not None
    assert entry.obligation.window_id == window_id
    window = desk.book.windows[window_id]
    assert (window.legs, window.sum_ours, window.sum_bank) == (1, 900, 0)


def test_a_clearing_leg_lands_on_the_open_windows_own_account() -> None:
    desk = Desk()
    wallet, window_id = desk.account(funds=900), desk.window()

    desk.posted(
        desk.transferring(
            debit(wallet, 900), clearing(Direction.CREDIT, 900), obligation=banks(900)
        )
    )

    assert desk.figures(desk.book.windows[window_id].clearing_account_id)[0] == 900


def test_a_clearing_leg_without_an_open_window_leaves_the_id_free() -> None:
    desk = Desk()
    wallet = desk.account(funds=900)
    command = desk.transferring(debit(wallet, 900), clearing(Direction.CREDIT, 900))
    assert desk.turned_away(command) == "WINDOW_NOT_OPEN"

    desk.window()

    assert desk.posted(command)


def test_a_clearing_leg_may_not_be_the_account_on_the_other_side() -> None:
    desk = Desk()
    window_id = desk.window()
    account_id = desk.book.windows[window_id].clearing_account_id
    command = desk.transferring(debit(account_id, 5), clearing(Direction.CREDIT, 5))
    assert desk.turned_away(command, SETTLEMENT) == "SAME_ACCOUNT_BOTH_SIDES"


def test_a_repeat_is_the_first_answer_and_records_nothing() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=500), desk.account()
    command = desk.transferring(debit(payer, 200), credit(payee, 200))
    desk.posted(command)

    decision = desk.do(command)

    assert isinstance(decision, Repeated)
    assert decision.terms == ()
    assert desk.figures(payer) == (300, 0, 300)


def test_a_refusal_stands_after_its_cause_is_gone() -> None:
    desk = Desk()
    payer, payee = desk.account(), desk.account()
    command = desk.transferring(debit(payer, 200), credit(payee, 200))
    assert desk.refused(command) == "BALANCE_TOO_LOW"
    desk.fund(payer, 1_000)

    assert isinstance(desk.do(command), Repeated)

    assert desk.figures(payer) == (1_000, 0, 1_000)


def test_ids_belong_to_their_caller() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=500), desk.account()
    command = desk.transferring(debit(payer, 100), credit(payee, 100))
    desk.posted(command, PAYMENTS)

    desk.posted(command, WALLET)

    assert desk.figures(payer)[0] == 300


def test_one_business_fact_is_posted_once_whatever_the_id() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=500), desk.account()
    desk.posted(desk.transferring(debit(payer, 1), credit(payee, 1), fact_key="p/credit"))

    again = desk.transferring(debit(payer, 1), credit(payee, 1), fact_key="p/credit")

    assert desk.refused(again) == "FACT_ALREADY_POSTED"
    assert desk.figures(payee)[0] == 1


def test_a_posting_may_be_dated_back_and_never_ahead() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=500), desk.account()
    legs = (debit(payer, 1), credit(payee, 1))

    entry = desk.posted(desk.transferring(*legs, value_date="2026-08-22"))

    assert entry.value_date == "2026-08-22"
    too_old = desk.transferring(*legs, value_date="2026-08-21")
    assert desk.refused(too_old) == "VALUE_DATE_TOO_OLD"
    ahead = desk.transferring(*legs, value_date="2026-09-22")
    assert desk.refused(ahead) == "VALUE_DATE_IN_FUTURE"
    by_wallet = desk.transferring(*legs, value_date="2026-09-20")
    assert desk.refused(by_wallet, WALLET) == "VALUE_DATE_TOO_OLD"


SHAPES: list[tuple[str, Callable[[Desk, str, str], Transfer]]] = [
    (
        "ID_MALFORMED",
        lambda _, a, b: Transfer("no-id", (debit(a, 0), credit(b, 0)), "", "", "", "x", None),
    ),
    (
        "FIELD_NOT_ALLOWED",
        lambda d, a, b: d.transferring(Leg(a, "", 0, CZK, 0), credit(b, 0), value_date="x"),
    ),
    ("FIELD_NOT_ALLOWED", lambda d, a, _: d.transferring(debit(a, 0), Leg("", "", 2, CZK, 0))),
    ("FIELD_NOT_ALLOWED", lambda d, a, b: d.transferring(debit(a, 0), Leg(b, BANK, 2, CZK, 0))),
    (
        "FIELD_NOT_ALLOWED",
        lambda d, a, b: d.transferring(debit(a, 0), credit(b, 0), fact_key="a\x1fb"),
    ),
    ("LEG_COUNT", lambda d, a, _: d.transferring(debit(a, 0), value_date="x")),
    ("LEG_COUNT", lambda d, a, _: d.transferring(*[debit(a, 1)] * 65)),
    ("AMOUNT_NOT_POSITIVE", lambda d, a, b: d.transferring(debit(a, MINOR_MAX + 1), credit(b, 0))),
    (
        "AMOUNT_OUT_OF_RANGE",
        lambda d, a, b: d.transferring(debit(a, MINOR_MAX + 1, "XXX"), credit(b, 1)),
    ),
    (
        "AMOUNT_OUT_OF_RANGE",
        lambda d, a, b: d.transferring(*[debit(a, MINOR_MAX, "XXX")] * 10, credit(b, 1)),
    ),
    ("CURRENCY_UNKNOWN", lambda d, a, _: d.transferring(debit(a, 1, "XAU"), credit(a, 2, "XAU"))),
    ("SAME_ACCOUNT_BOTH_SIDES", lambda d, a, _: d.transferring(debit(a, 1), credit(a, 2))),
    ("SAME_ACCOUNT_BOTH_SIDES", lambda d, a, _: d.transferring(debit(a, 1), credit(a, 1))),
    (
        "LEGS_NOT_BALANCED",
        lambda d, a, b: d.transferring(debit(a, 1), credit(b, 2), value_date="x"),
    ),
    ("DATE_MALFORMED", lambda d, a, b: d.transferring(debit(a, 1), credit(b, 1), value_date="x")),
    (
        "DATE_MALFORMED",
        lambda d, a, b: d.transferring(debit(a, 1), credit(b, 1), value_date="2026-02-30"),
    ),
]


@pytest.mark.parametrize(("reason", "command"), SHAPES)
def test_a_shape_is_refused_by_its_first_fault_and_not_recorded(
    reason: str, command: Callable[[Desk, str, str], Transfer]
) -> None:
    desk = Desk()
    a, b = desk.account(funds=5), desk.account()
    entries = len(desk.pages[-1])
    assert desk.turned_away(command(desk, a, b)) == reason
    assert len(desk.pages[-1]) == entries


Case = Callable[[Desk, str, str], tuple[Leg, Leg]]


def _frozen(desk: Desk, account_id: str, side: FreezeSide) -> str:
    desk.posted(FreezeAccount(desk.id(), account_id, side, "test", stop_captures=False), OPERATOR)
    return account_id


def _closed(desk: Desk, account_id: str) -> str:
    _frozen(desk, account_id, FreezeSide.BOTH)
    desk.posted(CloseAccount(desk.id(), account_id), OPERATOR)
    return account_id


# Each row has its own fault and those of the rows below it, where they can stand together.
RULES: list[tuple[str, Case]] = [
    (
        "ACCOUNT_NOT_FOUND",
        lambda d, _, __: (debit(d.account(currency="EUR"), 9), credit(d.id(), 9)),
    ),
    (
        "ACCOUNT_CURRENCY_DIFFERS",
        lambda d, _, __: (debit(d.account(currency="EUR"), 9), credit(d.account(Kind.HOUSE), 9)),
    ),
    (
        "ROUTE_NOT_ALLOWED",
        lambda d, a, _: (debit(a, 9), credit(_closed(d, d.account(Kind.HOUSE)), 9)),
    ),
    (
        "ACCOUNT_CLOSED",
        lambda d, a, _: (
            debit(_frozen(d, a, FreezeSide.DEBIT), 9),
            credit(_closed(d, d.account()), 9),
        ),
    ),
    (
        "ACCOUNT_FROZEN_DEBIT",
        lambda d, a, b: (debit(_frozen(d, a, FreezeSide.DEBIT), 9), credit(b, 9)),
    ),
    (
        "ACCOUNT_FROZEN_DEBIT",
        lambda d, a, b: (debit(_frozen(d, a, FreezeSide.BOTH), 9), credit(b, 9)),
    ),
    (
        "ACCOUNT_FROZEN_CREDIT",
        lambda d, a, b: (debit(a, 9), credit(_frozen(d, b, FreezeSide.CREDIT), 9)),
    ),
]


@pytest.mark.parametrize(("reason", "legs"), RULES)
def test_rules_refuse_in_their_order(reason: str, legs: Case) -> None:
    desk = Desk()
    a, b = desk.account(funds=5), desk.account()
    desk.posted(desk.transferring(debit(a, 1), credit(b, 1), fact_key="taken"))

    command = desk.transferring(*legs(desk, a, b), fact_key="taken", value_date="2020-01-01")

    assert desk.refused(command) == reason


def test_dates_come_before_facts_and_facts_before_balances() -> None:
    desk = Desk()
    a, b = desk.account(funds=5), desk.account()
    desk.posted(desk.transferring(debit(a, 1), credit(b, 1), fact_key="taken"))
    legs = (debit(a, 900), credit(b, 900))

    old = desk.transferring(*legs, fact_key="taken", value_date="2020-01-01")
    assert desk.refused(old) == "VALUE_DATE_TOO_OLD"
    assert desk.refused(desk.transferring(*legs, fact_key="taken")) == "FACT_ALREADY_POSTED"
    assert desk.refused(desk.transferring(*legs)) == "BALANCE_TOO_LOW"


def test_too_low_comes_before_too_high_and_both_before_overflow() -> None:
    desk = Desk()
    house = desk.account(Kind.FEE_INCOME)
    payee, capped = desk.account(), desk.account()
    desk.book.accounts[capped].ceiling = 1_000
    for _ in range(8):
        desk.transfer(debit(house, MINOR_MAX), credit(payee, MINOR_MAX))

    low = desk.transferring(debit(desk.account(), 2_000), credit(capped, 2_000))
    assert desk.refused(low) == "BALANCE_TOO_LOW"
    high = desk.transferring(debit(house, 2_000), credit(capped, 2_000))
    assert desk.refused(high) == "BALANCE_TOO_HIGH"
    both = desk.transferring(
        debit(house, MINOR_MAX),
        debit(house, 2_000),
        credit(payee, MINOR_MAX),
        credit(capped, 2_000),
    )
    assert desk.refused(both) == "BALANCE_TOO_HIGH"
    desk.transfer(debit(house, MINOR_MAX), credit(payee, MINOR_MAX))
    over = desk.transferring(debit(house, MINOR_MAX), credit(payee, MINOR_MAX))
    assert desk.refused(over) == "BALANCE_OVERFLOW"


def test_an_id_from_the_future_is_not_consumed() -> None:
    desk = Desk()
    a, b = desk.account(funds=5), desk.account()
    ahead = desk.book.page_us // 1_000 + 5 * 60 * 1_000 + 1
    id_ = f"{ahead >> 16:08x}-{ahead & 0xFFFF:04x}-7000-8000-000000000001"
    command = Transfer(id_, (debit(a, 1), credit(b, 1)), "", "", "", "", None)
    assert desk.turned_away(command) == "ID_FROM_FUTURE"

    desk.turn_page(seconds=1)

    assert desk.posted(command)
