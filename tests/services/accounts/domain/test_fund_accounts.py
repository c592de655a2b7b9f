"""Accounts of fund distribution: who may move them, and in which direction."""

import pytest

from services.accounts.domain.callers import Caller, caller_of
from services.accounts.domain.kinds import Kind
from tests.services.accounts.desk import (
    OPERATOR,
    PAYMENTS,
    SETTLEMENT,
    WALLET,
    Desk,
    credit,
    debit,
)

FUNDS = caller_of("funds", "service")


def test_what_a_subscriber_sets_aside_is_captured_into_fund_clearing_and_given_back() -> None:
    desk = Desk()
    wallet, clearing = desk.account(funds=1_000), desk.account(Kind.FUND_CLEARING, caller=FUNDS)
    hold = desk.placing(wallet, 600)

    desk.posted(hold, FUNDS)
    desk.posted(desk.capturing(hold.hold_id, account_id=clearing), FUNDS)
    desk.transfer(debit(clearing, 100), credit(wallet, 100), caller=FUNDS)

    assert desk.figures(wallet) == (500, 0, 500)
    assert desk.figures(clearing)[0] == 500


def test_an_advance_is_a_claim_on_the_fund_until_its_money_arrives() -> None:
    desk = Desk()
    wallet, fast = desk.account(), desk.account(Kind.FUND_CLEARING)

    desk.transfer(debit(fast, 600), credit(wallet, 600), caller=FUNDS)

    assert desk.figures(fast)[0] == -600
    assert desk.figures(wallet)[0] == 600


@pytest.mark.parametrize("kind", [Kind.FUND_CLEARING, Kind.ADVANCE])
def test_payments_carry_fund_money_but_open_no_fund_accounts(kind: Kind) -> None:
    assert kind in PAYMENTS.posts_to
    assert kind not in PAYMENTS.opens


@pytest.mark.parametrize("caller", [WALLET, OPERATOR, SETTLEMENT])
def test_nobody_else_moves_fund_money(caller: Caller) -> None:
    desk = Desk()
    clearing, wallet = desk.account(Kind.FUND_CLEARING, funds=100), desk.account()
    transfer = desk.transferring(debit(clearing, 9), credit(wallet, 9))

    assert desk.refused(transfer, caller) == "ROUTE_NOT_ALLOWED"


@pytest.mark.parametrize(
    "kind", [Kind.BANK_MIRROR, Kind.IN_TRANSIT_IN, Kind.IN_TRANSIT_OUT, Kind.CLEARING, Kind.HOUSE]
)
def test_funds_touch_neither_mirrors_nor_money_on_its_way(kind: Kind) -> None:
    assert kind not in FUNDS.posts_to
    assert kind not in FUNDS.opens
