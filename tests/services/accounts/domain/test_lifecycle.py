"""Accounts from opening to closing, freezes between, and the business date."""

from services.accounts.domain.commands import (
    CloseAccount,
    FreezeAccount,
    MoveBusinessDate,
    OpenAccount,
    UnfreezeAccount,
)
from services.accounts.domain.journal import Repeated
from services.accounts.domain.kinds import FreezeSide, Kind
from tests.services.accounts.desk import (
    CZK,
    OPERATOR,
    PAYMENTS,
    SETTLEMENT,
    TODAY,
    WALLET,
    Desk,
    credit,
    debit,
)


def _opening(desk: Desk, owner: str = "ann", kind: int = Kind.CUSTOMER_WALLET) -> OpenAccount:
    return OpenAccount(desk.id(), owner, kind, CZK, 0, "")


def _freezing(desk: Desk, account_id: str, side: FreezeSide = FreezeSide.BOTH) -> FreezeAccount:
    return FreezeAccount(desk.id(), account_id, side, "court order", stop_captures=False)


def test_the_business_key_is_unique_for_ever() -> None:
    desk = Desk()
    first = _opening(desk)
    desk.posted(first, WALLET)
    assert desk.refused(_opening(desk), WALLET) == "ACCOUNT_KEY_TAKEN"

    desk.posted(CloseAccount(desk.id(), first.account_id), OPERATOR)

    assert desk.refused(_opening(desk), WALLET) == "ACCOUNT_KEY_TAKEN"
    desk.posted(_opening(desk)._replace(ordinal=1), WALLET)


def test_an_account_id_is_taken_for_every_caller() -> None:
    desk = Desk()
    command = _opening(desk)
    desk.posted(command, WALLET)
    assert desk.refused(command._replace(owner="bob"), OPERATOR) == "ACCOUNT_KEY_TAKEN"


def test_who_may_open_what() -> None:
    desk = Desk()
    assert desk.refused(_opening(desk, "bank:CD", Kind.BANK_MIRROR), WALLET) == "ROUTE_NOT_ALLOWED"
    assert desk.refused(_opening(desk, "bank:CD", Kind.CLEARING), OPERATOR) == "ROUTE_NOT_ALLOWED"
    desk.posted(_opening(desk, "bank:CD", Kind.BANK_MIRROR), SETTLEMENT)
    desk.posted(_opening(desk, "house", Kind.FEE_INCOME), PAYMENTS)


def test_the_shape_of_an_opening() -> None:
    desk = Desk()
    assert desk.turned_away(_opening(desk, ""), OPERATOR) == "FIELD_NOT_ALLOWED"
    assert desk.turned_away(_opening(desk, kind=0), OPERATOR) == "FIELD_NOT_ALLOWED"
    assert desk.turned_away(_opening(desk)._replace(currency="XTS"), OPERATOR) == "CURRENCY_UNKNOWN"
    assert desk.turned_away(_opening(desk)._replace(ordinal=-1), OPERATOR) == "FIELD_NOT_ALLOWED"


def test_an_account_is_frozen_while_one_freeze_stands() -> None:
    desk = Desk()
    a, b = desk.account(funds=10), desk.account()
    first, second = _freezing(desk, a), _freezing(desk, a)
    desk.posted(first, OPERATOR)
    desk.posted(second, OPERATOR)

    desk.posted(UnfreezeAccount(desk.id(), first.freeze_id, a), OPERATOR)
    assert desk.refused(desk.transferring(debit(a, 1), credit(b, 1))) == "ACCOUNT_FROZEN_DEBIT"
    again = UnfreezeAccount(desk.id(), first.freeze_id, a)
    assert desk.refused(again, OPERATOR) == "FREEZE_NOT_FOUND"
    desk.posted(UnfreezeAccount(desk.id(), second.freeze_id, a), OPERATOR)

    desk.transfer(debit(a, 1), credit(b, 1))


def test_account_commands_are_refused_in_their_order() -> None:
    desk = Desk()
    account_id = desk.account(funds=10)
    nobody = desk.id()
    assert desk.refused(CloseAccount(desk.id(), nobody), OPERATOR) == "ACCOUNT_NOT_FOUND"
    assert desk.refused(_freezing(desk, nobody), OPERATOR) == "ACCOUNT_NOT_FOUND"
    hold_id = desk.posted(desk.placing(account_id, 4)).command_id
    assert desk.refused(CloseAccount(desk.id(), account_id), OPERATOR) == "ACCOUNT_HAS_HOLDS"
    desk.posted(desk.releasing(hold_id))
    assert desk.refused(CloseAccount(desk.id(), account_id), OPERATOR) == "ACCOUNT_NOT_EMPTY"
    desk.transfer(debit(account_id, 10), credit(desk.account(), 10))
    desk.posted(CloseAccount(desk.id(), account_id), OPERATOR)
    assert desk.refused(CloseAccount(desk.id(), account_id), OPERATOR) == "ACCOUNT_CLOSED"
    assert desk.refused(_freezing(desk, account_id), OPERATOR) == "ACCOUNT_CLOSED"


def test_expected_money_keeps_an_account_open() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=10), desk.account()
    desk.posted(desk.placing(payer, 4, payee))
    assert desk.refused(CloseAccount(desk.id(), payee), OPERATOR) == "ACCOUNT_HAS_HOLDS"


def test_a_clearing_account_is_closed_with_its_window_only() -> None:
    desk = Desk()
    clearing_id = desk.book.windows[desk.window()].clearing_account_id
    assert desk.refused(CloseAccount(desk.id(), clearing_id), OPERATOR) == "ROUTE_NOT_ALLOWED"


def test_the_business_date_moves_by_an_entry_and_never_back() -> None:
    desk = Desk()
    a, b = desk.account(funds=10), desk.account()
    before = desk.transfer(debit(a, 1), credit(b, 1))
    move = MoveBusinessDate(desk.id(), "2026-09-22")
    desk.posted(move, OPERATOR)
    after = desk.transfer(debit(a, 1), credit(b, 1))

    assert (before.business_date, after.business_date) == (TODAY, "2026-09-22")
    assert isinstance(desk.do(move, OPERATOR), Repeated)
    assert desk.refused(MoveBusinessDate(desk.id(), TODAY), OPERATOR) == "BUSINESS_DATE_PAST"
    assert desk.turned_away(MoveBusinessDate(desk.id(), "22.9."), OPERATOR) == "DATE_MALFORMED"
