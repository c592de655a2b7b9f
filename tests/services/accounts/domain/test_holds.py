"""Holds: money set aside, taken in parts, given back, lapsed; and every way that is refused."""

from collections.abc import Callable

import pytest

from services.accounts.domain.book import End
from services.accounts.domain.commands import (
    Amount,
    CaptureHold,
    CloseAccount,
    FreezeAccount,
    PlaceHold,
)
from services.accounts.domain.entries import HoldCaptured, HoldExpired
from services.accounts.domain.kinds import FreezeSide, Kind
from tests.services.accounts.desk import (
    BANK,
    OPERATOR,
    SETTLEMENT,
    WALLET,
    Desk,
    banks,
    credit,
    debit,
)


def test_the_figures_of_the_reference_example() -> None:
    desk = Desk()
    wallet, merchant = desk.account(funds=5_000), desk.account(Kind.MERCHANT)

    hold_id = desk.posted(desk.placing(wallet, 1_000)).command_id
    assert desk.figures(wallet) == (5_000, 1_000, 4_000)
    desk.posted(desk.capturing(hold_id, 300, merchant))
    assert desk.figures(wallet) == (4_700, 700, 4_000)
    last = desk.posted(desk.capturing(hold_id, 200, merchant, is_final=True))

    assert desk.figures(wallet) == (4_500, 0, 4_500)
    assert isinstance(last.fact, HoldCaptured)
    assert (last.fact.released, last.fact.remaining) == (500, 0)
    assert desk.figures(merchant)[0] == 500


def test_six_holds_of_1000_on_5000_are_five() -> None:
    desk = Desk()
    wallet = desk.account(funds=5_000)

    for _ in range(5):
        desk.posted(desk.placing(wallet, 1_000))

    assert desk.refused(desk.placing(wallet, 1_000)) == "BALANCE_TOO_LOW"


def test_held_money_cannot_be_spent() -> None:
    desk = Desk()
    wallet, other = desk.account(funds=100), desk.account()
    desk.posted(desk.placing(wallet, 60))

    command = desk.transferring(debit(wallet, 41), credit(other, 41))

    assert desk.refused(command) == "BALANCE_TOO_LOW"


def test_a_capture_into_the_open_window_names_it() -> None:
    desk = Desk()
    wallet, window_id = desk.account(funds=100), desk.window()
    hold_id = desk.posted(desk.placing(wallet, 60)).command_id

    entry = desk.posted(desk.capturing(hold_id, bank_id=BANK, obligation=banks(60)))

    assert entry.obligation is not None
    assert entry.obligation.window_id == window_id
    assert desk.book.windows[window_id].sum_bank == 60
    assert desk.figures(desk.book.windows[window_id].clearing_account_id)[0] == 60


def test_incoming_stands_on_the_named_destination_until_it_is_captured() -> None:
    desk = Desk()
    wallet, merchant = desk.account(funds=100), desk.account(Kind.MERCHANT)
    hold_id = desk.posted(desk.placing(wallet, 60, merchant)).command_id
    assert desk.book.accounts[merchant].incoming == 60

    desk.posted(desk.capturing(hold_id, 40))
    assert (desk.book.accounts[merchant].posted, desk.book.accounts[merchant].incoming) == (40, 20)
    desk.posted(desk.releasing(hold_id))

    assert desk.book.accounts[merchant].incoming == 0
    assert desk.figures(wallet) == (60, 0, 60)


def test_a_promised_amount_counts_against_the_ceiling() -> None:
    desk = Desk()
    wallet, capped = desk.account(funds=100), desk.account()
    desk.book.accounts[capped].ceiling = 50
    desk.posted(desk.placing(wallet, 40, capped))

    assert desk.refused(desk.placing(wallet, 11, capped)) == "BALANCE_TOO_HIGH"


def test_a_hold_lapses_on_the_page_of_its_deadline_before_any_capture() -> None:
    desk = Desk()
    wallet, merchant = desk.account(funds=100), desk.account(Kind.MERCHANT)
    hold_id = desk.posted(desk.placing(wallet, 60, expires_after_s=10)).command_id
    desk.turn_page(seconds=9)
    assert desk.pages[-1] == []

    desk.turn_page(seconds=1)

    assert isinstance(desk.pages[-1][0].fact, HoldExpired)
    assert desk.figures(wallet) == (100, 0, 100)
    assert desk.refused(desk.capturing(hold_id, 60, merchant)) == "HOLD_EXPIRED"


def test_holds_lapse_in_the_order_of_deadline_and_id() -> None:
    desk = Desk()
    wallet = desk.account(funds=100)
    late = desk.posted(desk.placing(wallet, 1, expires_after_s=9)).command_id
    first = desk.posted(desk.placing(wallet, 1, expires_after_s=5)).command_id
    second = desk.posted(desk.placing(wallet, 1, expires_after_s=5)).command_id
    ended = desk.posted(desk.placing(wallet, 1, expires_after_s=5)).command_id
    desk.posted(desk.releasing(ended))

    desk.turn_page(seconds=60)

    lapsed = [entry.fact.hold_id for entry in desk.pages[-1] if isinstance(entry.fact, HoldExpired)]
    assert lapsed == [first, second, late]


def test_the_last_act_names_the_end() -> None:
    desk = Desk()
    wallet, merchant = desk.account(funds=100), desk.account(Kind.MERCHANT)
    taken = desk.posted(desk.placing(wallet, 10)).command_id
    given_back = desk.posted(desk.placing(wallet, 10)).command_id

    desk.posted(desk.releasing(taken, 4))
    desk.posted(desk.capturing(taken, 6, merchant))
    desk.posted(desk.capturing(given_back, 6, merchant))
    desk.posted(desk.releasing(given_back, 4))

    assert desk.book.holds["payments", taken].end is End.CAPTURED
    assert desk.book.holds["payments", given_back].end is End.RELEASED
    assert desk.refused(desk.releasing(taken)) == "HOLD_CAPTURED"
    assert desk.refused(desk.capturing(given_back, 1, merchant)) == "HOLD_RELEASED"


def test_a_refused_hold_does_not_exist() -> None:
    desk = Desk()
    wallet, merchant = desk.account(), desk.account(Kind.MERCHANT)
    command = desk.placing(wallet, 10)
    assert desk.refused(command) == "BALANCE_TOO_LOW"
    desk.fund(wallet, 100)

    assert desk.refused(desk.capturing(command.hold_id, 10, merchant)) == "HOLD_NOT_FOUND"


def test_anothers_hold_is_as_if_absent() -> None:
    desk = Desk()
    wallet = desk.account(funds=100)
    hold_id = desk.posted(desk.placing(wallet, 60)).command_id

    assert desk.refused(desk.releasing(hold_id), SETTLEMENT) == "HOLD_NOT_FOUND"


def test_earlier_holds_are_captured_under_a_freeze_unless_it_stops_captures() -> None:
    desk = Desk()
    wallet, merchant = desk.account(funds=100), desk.account(Kind.MERCHANT)
    hold_id = desk.posted(desk.placing(wallet, 60)).command_id
    desk.posted(
        FreezeAccount(desk.id(), wallet, FreezeSide.DEBIT, "x", stop_captures=False), OPERATOR
    )
    desk.posted(desk.capturing(hold_id, 10, merchant))

    desk.posted(
        FreezeAccount(desk.id(), wallet, FreezeSide.BOTH, "x", stop_captures=True), OPERATOR
    )

    assert desk.refused(desk.capturing(hold_id, 10, merchant)) == "ACCOUNT_FROZEN_DEBIT"
    assert desk.refused(desk.placing(wallet, 1)) == "ACCOUNT_FROZEN_DEBIT"
    desk.posted(desk.releasing(hold_id))


def test_only_our_own_services_hold_without_end() -> None:
    desk = Desk()
    wallet = desk.account(funds=100)
    assert desk.turned_away(desk.placing(wallet, 1), WALLET) == "FIELD_NOT_ALLOWED"
    assert desk.posted(desk.placing(wallet, 1, expires_after_s=1), WALLET)


def test_nothing_is_held_on_a_debit_normal_account() -> None:
    desk = Desk()
    in_transit = desk.account(Kind.IN_TRANSIT_IN)
    assert desk.refused(desk.placing(in_transit, 1)) == "ROUTE_NOT_ALLOWED"


def test_a_capture_may_not_land_on_the_held_account_itself() -> None:
    desk = Desk()
    wallet = desk.account(funds=100)
    hold_id = desk.posted(desk.placing(wallet, 60)).command_id
    assert desk.turned_away(desk.capturing(hold_id, 1, wallet)) == "SAME_ACCOUNT_BOTH_SIDES"
    assert desk.turned_away(desk.placing(wallet, 1, wallet)) == "SAME_ACCOUNT_BOTH_SIDES"


def _closed(desk: Desk) -> str:
    account_id = desk.account()
    desk.posted(CloseAccount(desk.id(), account_id), OPERATOR)
    return account_id


def _frozen(desk: Desk) -> str:
    account_id = desk.account()
    freeze = FreezeAccount(desk.id(), account_id, FreezeSide.CREDIT, "x", stop_captures=False)
    desk.posted(freeze, OPERATOR)
    return account_id


def _in_euros(desk: Desk, hold_id: str, account_id: str) -> CaptureHold:
    return desk.capturing(hold_id, 1, account_id)._replace(amount=Amount("EUR", 999))


Case = Callable[[Desk, str, str], CaptureHold]
# Rows in the order of the table; each carries faults of later rows too.
CAPTURES: list[tuple[str, Case]] = [
    ("ACCOUNT_NOT_FOUND", lambda d, _, __: d.capturing(d.id(), 999, d.id(), fact_key="taken")),
    (
        "ACCOUNT_CURRENCY_DIFFERS",
        lambda d, _, __: d.capturing(d.id(), 999, d.account(Kind.HOUSE, "EUR"), fact_key="taken"),
    ),
    (
        "ROUTE_NOT_ALLOWED",
        lambda d, _, __: d.capturing(d.id(), 999, d.account(Kind.HOUSE), fact_key="taken"),
    ),
    ("ACCOUNT_CLOSED", lambda d, _, __: d.capturing(d.id(), 999, _closed(d), fact_key="taken")),
    (
        "ACCOUNT_FROZEN_CREDIT",
        lambda d, _, __: d.capturing(d.id(), 999, _frozen(d), fact_key="taken"),
    ),
    ("HOLD_NOT_FOUND", lambda d, _, m: d.capturing(d.id(), 999, m, fact_key="taken")),
    ("HOLD_TERMS_DIFFER", lambda d, h, _: _in_euros(d, h, d.account(currency="EUR"))),
    ("HOLD_TERMS_DIFFER", lambda d, h, _: d.capturing(h, 999, fact_key="taken")),
    ("CAPTURE_EXCEEDS_HOLD", lambda d, h, m: d.capturing(h, 999, m, fact_key="taken")),
    ("FACT_ALREADY_POSTED", lambda d, h, m: d.capturing(h, 9, m, fact_key="taken")),
]


@pytest.mark.parametrize(("reason", "command"), CAPTURES)
def test_captures_are_refused_in_the_tables_order(reason: str, command: Case) -> None:
    desk = Desk()
    wallet, merchant = desk.account(funds=100), desk.account(Kind.MERCHANT)
    desk.posted(desk.transferring(debit(wallet, 1), credit(merchant, 1), fact_key="taken"))
    hold_id = desk.posted(desk.placing(wallet, 60)).command_id

    assert desk.refused(command(desk, hold_id, merchant)) == reason


def test_a_named_destination_is_the_only_one() -> None:
    desk = Desk()
    wallet, merchant = desk.account(funds=100), desk.account(Kind.MERCHANT)
    hold_id = desk.posted(desk.placing(wallet, 60, merchant)).command_id

    assert desk.refused(desk.capturing(hold_id, 1, desk.account())) == "HOLD_TERMS_DIFFER"
    assert desk.refused(desk.releasing(hold_id, 61)) == "RELEASE_EXCEEDS_HOLD"
    desk.posted(desk.capturing(hold_id, 60))
    assert desk.refused(desk.capturing(hold_id, 61)) == "HOLD_CAPTURED"


PLACES: list[tuple[str, Callable[[Desk, str], PlaceHold]]] = [
    ("ID_MALFORMED", lambda d, w: d.placing(w, 0)._replace(hold_id="x")),
    ("FIELD_NOT_ALLOWED", lambda d, w: d.placing(w, 0, expires_after_s=-1)),
    ("AMOUNT_NOT_POSITIVE", lambda d, w: d.placing(w, 0)._replace(amount=Amount("XXX", 0))),
    (
        "AMOUNT_OUT_OF_RANGE",
        lambda d, w: d.placing(w, 10**18)._replace(amount=Amount("XXX", 10**18)),
    ),
    ("CURRENCY_UNKNOWN", lambda d, w: d.placing(w, 1, w)._replace(amount=Amount("XXX", 1))),
]


@pytest.mark.parametrize(("reason", "command"), PLACES)
def test_the_shape_of_a_hold(reason: str, command: Callable[[Desk, str], PlaceHold]) -> None:
    desk = Desk()
    assert desk.turned_away(command(desk, desk.account(funds=100))) == reason
