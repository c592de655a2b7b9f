"""How far accounts may fall and rise, whom a freeze stops, and accounts closed and opened again."""

import pytest

from services.accounts.domain.commands import (
    CloseAccount,
    FreezeAccount,
    OpenAccount,
    ReopenAccount,
    SetBounds,
    UnfreezeAccount,
)
from services.accounts.domain.journal import Repeated
from services.accounts.domain.kinds import FreezeSide, Kind
from tests.services.accounts.desk import (
    BANK,
    CZK,
    OPERATOR,
    WALLET,
    Desk,
    banks,
    credit,
    debit,
)


def _bounds(
    desk: Desk, account_id: str, floor: int | None = None, ceiling: int | None = None
) -> SetBounds:
    return SetBounds(desk.id(), account_id, floor, ceiling, "agreed")


def _reopening(desk: Desk, account_id: str) -> ReopenAccount:
    return ReopenAccount(desk.id(), account_id, "closed by mistake")


def _freezing(
    desk: Desk, account_id: str, side: FreezeSide, *, stops: bool = False
) -> FreezeAccount:
    return FreezeAccount(desk.id(), account_id, side, "order", stops)


def test_a_merchant_may_fall_to_its_agreed_line_and_no_further() -> None:
    desk = Desk()
    merchant, wallet = desk.account(Kind.MERCHANT, funds=10), desk.account()
    desk.posted(_bounds(desk, merchant, floor=-100), OPERATOR)

    desk.transfer(debit(merchant, 110), credit(wallet, 110))

    assert desk.figures(merchant) == (-100, 0, -100)
    assert desk.refused(desk.placing(merchant, 1)) == "BALANCE_TOO_LOW"
    assert desk.refused(_bounds(desk, merchant), OPERATOR) == "BALANCE_TOO_LOW"
    desk.transfer(debit(wallet, 100), credit(merchant, 100))
    desk.posted(_bounds(desk, merchant), OPERATOR)
    assert desk.book.accounts[merchant].floor == 0
    assert desk.refused(desk.transferring(debit(merchant, 1), credit(wallet, 1))) == (
        "BALANCE_TOO_LOW"
    )
    assert desk.replayed() == desk.book


def test_only_a_merchant_has_a_line_and_only_bounded_kinds_a_ceiling() -> None:
    desk = Desk()
    wallet, fees = desk.account(), desk.account(Kind.FEE_INCOME)
    assert desk.refused(_bounds(desk, wallet, floor=-1), OPERATOR) == "ROUTE_NOT_ALLOWED"
    assert desk.refused(_bounds(desk, fees, ceiling=5), OPERATOR) == "ROUTE_NOT_ALLOWED"
    assert desk.turned_away(_bounds(desk, wallet, floor=1), OPERATOR) == "FIELD_NOT_ALLOWED"
    assert desk.turned_away(_bounds(desk, wallet, ceiling=-1), OPERATOR) == "FIELD_NOT_ALLOWED"
    assert desk.refused(_bounds(desk, desk.id()), OPERATOR) == "ACCOUNT_NOT_FOUND"


def test_the_ceiling_of_a_tier_is_a_term_of_opening() -> None:
    desk = Desk()
    opening = OpenAccount(desk.id(), "ann", Kind.CUSTOMER_WALLET, CZK, 0, "", 1_000)
    desk.posted(opening, WALLET)
    source = desk.account(Kind.FEE_INCOME)

    desk.transfer(debit(source, 1_000), credit(opening.account_id, 1_000))

    again = desk.transferring(debit(source, 1), credit(opening.account_id, 1))
    assert desk.refused(again) == "BALANCE_TOO_HIGH"
    decision = desk.do(opening._replace(ceiling=None), WALLET)
    assert isinstance(decision, Repeated)
    assert decision.terms
    negative = opening._replace(account_id=desk.id(), ceiling=-1)
    assert desk.turned_away(negative, WALLET) == "FIELD_NOT_ALLOWED"


def test_what_stands_above_a_new_ceiling_may_only_come_down() -> None:
    desk = Desk()
    wallet, other = desk.account(funds=500), desk.account(funds=5)
    desk.posted(_bounds(desk, wallet, ceiling=100), OPERATOR)

    assert desk.refused(desk.transferring(debit(other, 1), credit(wallet, 1))) == "BALANCE_TOO_HIGH"
    desk.transfer(debit(wallet, 300), credit(other, 300))
    assert desk.figures(wallet)[0] == 200


def test_a_closed_account_is_opened_again_by_a_command_of_its_own() -> None:
    desk = Desk()
    wallet, payer = desk.account(), desk.account(funds=10)
    assert desk.refused(_reopening(desk, wallet), OPERATOR) == "ACCOUNT_OPEN"
    desk.posted(CloseAccount(desk.id(), wallet), OPERATOR)
    assert desk.refused(desk.transferring(debit(payer, 1), credit(wallet, 1))) == "ACCOUNT_CLOSED"

    reopening = _reopening(desk, wallet)
    desk.posted(reopening, OPERATOR)

    desk.transfer(debit(payer, 1), credit(wallet, 1))
    assert isinstance(desk.do(reopening, OPERATOR), Repeated)
    assert desk.refused(_reopening(desk, desk.id()), OPERATOR) == "ACCOUNT_NOT_FOUND"
    assert desk.replayed() == desk.book


def test_closed_is_told_before_frozen_and_the_freeze_outlives_the_closing() -> None:
    desk = Desk()
    wallet, payer = desk.account(), desk.account(funds=10)
    freeze = _freezing(desk, wallet, FreezeSide.BOTH)
    desk.posted(freeze, OPERATOR)
    desk.posted(CloseAccount(desk.id(), wallet), OPERATOR)
    lift = UnfreezeAccount(desk.id(), freeze.freeze_id, wallet)
    assert desk.refused(lift, OPERATOR) == "ACCOUNT_CLOSED"
    assert desk.refused(desk.transferring(debit(payer, 1), credit(wallet, 1))) == "ACCOUNT_CLOSED"

    desk.posted(_reopening(desk, wallet), OPERATOR)

    frozen = desk.transferring(debit(payer, 1), credit(wallet, 1))
    assert desk.refused(frozen) == "ACCOUNT_FROZEN_CREDIT"
    desk.posted(UnfreezeAccount(desk.id(), freeze.freeze_id, wallet), OPERATOR)
    desk.transfer(debit(payer, 1), credit(wallet, 1))


def test_a_clearing_account_stays_closed() -> None:
    desk = Desk()
    clearing_id = desk.book.windows[desk.window()].clearing_account_id
    assert desk.refused(_reopening(desk, clearing_id), OPERATOR) == "ROUTE_NOT_ALLOWED"


# What is refused under a freeze of each side: a debit, a credit, a new hold, a promise.
FROZEN = [
    (FreezeSide.DEBIT, {"ACCOUNT_FROZEN_DEBIT"}, set[str]()),
    (FreezeSide.CREDIT, set[str](), {"ACCOUNT_FROZEN_CREDIT"}),
    (FreezeSide.BOTH, {"ACCOUNT_FROZEN_DEBIT"}, {"ACCOUNT_FROZEN_CREDIT"}),
]


@pytest.mark.parametrize(("side", "as_source", "as_target"), FROZEN)
def test_a_freeze_bars_its_side_alone(
    side: FreezeSide, as_source: set[str], as_target: set[str]
) -> None:
    desk = Desk()
    frozen, other = desk.account(funds=100), desk.account(funds=100)
    desk.posted(_freezing(desk, frozen, side), OPERATOR)

    def reasons(*commands: object) -> set[str]:
        found = [desk.reason_of(command) for command in commands]  # type: ignore[arg-type]
        return {reason for reason in found if reason}

    assert (
        reasons(desk.transferring(debit(frozen, 1), credit(other, 1)), desk.placing(frozen, 1))
        == as_source
    )
    assert (
        reasons(
            desk.transferring(debit(other, 1), credit(frozen, 1)), desk.placing(other, 1, frozen)
        )
        == as_target
    )


@pytest.mark.parametrize("side", list(FreezeSide))
@pytest.mark.parametrize("stops", [False, True])
def test_earlier_holds_are_captured_unless_the_order_stops_captures(
    side: FreezeSide, *, stops: bool
) -> None:
    desk = Desk()
    payer, merchant = desk.account(funds=100), desk.account(Kind.MERCHANT)
    desk.window()
    named = desk.posted(desk.placing(payer, 20, merchant)).command_id
    unnamed = desk.posted(desk.placing(payer, 20)).command_id
    lapsing = desk.posted(desk.placing(payer, 5, expires_after_s=5)).command_id
    desk.posted(_freezing(desk, payer, side, stops=stops), OPERATOR)

    is_stopped = stops and side != FreezeSide.CREDIT
    expected = "ACCOUNT_FROZEN_DEBIT" if is_stopped else ""
    assert desk.reason_of(desk.capturing(named, 10)) == expected
    into_bank = desk.capturing(unnamed, 10, bank_id=BANK, obligation=banks(10))
    assert desk.reason_of(into_bank) == expected
    desk.posted(desk.releasing(named))
    desk.turn_page(seconds=5)
    assert desk.book.holds["payments", lapsing].remaining == 0


@pytest.mark.parametrize("stops", [False, True])
def test_the_destination_a_hold_has_named_may_be_frozen_since(*, stops: bool) -> None:
    desk = Desk()
    payer, merchant = desk.account(funds=100), desk.account(Kind.MERCHANT)
    named = desk.posted(desk.placing(payer, 20, merchant)).command_id
    unnamed = desk.posted(desk.placing(payer, 20)).command_id
    desk.posted(_freezing(desk, merchant, FreezeSide.CREDIT, stops=stops), OPERATOR)

    assert desk.reason_of(desk.capturing(named, 10)) == ("ACCOUNT_FROZEN_CREDIT" if stops else "")
    # This one names the account only now, after the freeze.
    assert desk.refused(desk.capturing(unnamed, 10, merchant)) == "ACCOUNT_FROZEN_CREDIT"
