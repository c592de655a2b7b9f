"""The same id with other terms: refused, with each differing term named."""

from collections.abc import Callable, Sequence

import pytest

from services.accounts.domain.commands import (
    Amount,
    Balancing,
    CaptureHold,
    CloseAccount,
    Command,
    Correction,
    FreezeAccount,
    MoveBusinessDate,
    ObligationTerms,
    OpenAccount,
    PlaceHold,
    ReleaseHold,
    Transfer,
    UnfreezeAccount,
)
from services.accounts.domain.entries import Entry
from services.accounts.domain.journal import Repeated
from services.accounts.domain.terms import canonical, checks_behind, differing, digest
from tests.services.accounts.desk import CZK, PAYMENTS, Desk, credit, debit

A, B, C = (f"00000000-0000-7000-8000-00000000000{n}" for n in (1, 2, 3))
OTHER = ObligationTerms("CD", 1, CZK, 5, "p", "")
TRANSFER = Transfer(A, (debit(B, 5), credit(C, 5)), "x", "c", "f", "", OTHER)
HOLD = PlaceHold(A, B, Amount(CZK, 5), C, 7, "x", "c")
NO, YES = False, True
CAPTURE = CaptureHold(A, B, Amount(CZK, 5), NO, C, "", "x", "c", "f", OTHER)
CHANGES: list[tuple[Command, Command, str]] = [
    (TRANSFER, TRANSFER._replace(purpose="y"), "purpose"),
    (TRANSFER, TRANSFER._replace(correlation_id="d"), "correlation_id"),
    (TRANSFER, TRANSFER._replace(fact_key="g"), "fact_key"),
    (TRANSFER, TRANSFER._replace(value_date="2026-01-01"), "value_date"),
    (TRANSFER, TRANSFER._replace(legs=(debit(C, 5), credit(C, 5))), "legs[0].target"),
    (TRANSFER, TRANSFER._replace(legs=(credit(B, 5), credit(C, 5))), "legs[0].direction"),
    (TRANSFER, TRANSFER._replace(legs=(debit(B, 5), credit(C, 6))), "legs[1].amount"),
    (TRANSFER, TRANSFER._replace(legs=(debit(B, 5), credit(C, 5, "EUR"))), "legs[1].amount"),
    (TRANSFER, TRANSFER._replace(legs=(*TRANSFER.legs, credit(C, 5))), "legs"),
    (TRANSFER, TRANSFER._replace(obligation=OTHER._replace(minor=6)), "obligation.amount"),
    (TRANSFER, TRANSFER._replace(obligation=OTHER._replace(favour=2)), "obligation.favour"),
    (TRANSFER, HOLD, "command"),
    (HOLD, HOLD._replace(account_id=C), "account_id"),
    (HOLD, HOLD._replace(amount=Amount(CZK, 6)), "amount"),
    (HOLD, HOLD._replace(destination=""), "destination_account_id"),
    (HOLD, HOLD._replace(expires_after_s=8), "expires_after_s"),
    (CAPTURE, CAPTURE._replace(hold_id=C), "hold_id"),
    (CAPTURE, CAPTURE._replace(amount=None), "amount"),
    (CAPTURE, CAPTURE._replace(is_final=True), "is_final"),
    (CAPTURE, CAPTURE._replace(account_id="", bank_id="CD"), "destination"),
    (ReleaseHold(A, B, None, ""), ReleaseHold(A, B, Amount(CZK, 1), ""), "amount"),
    (OpenAccount(A, "o", 1, CZK, 0, ""), OpenAccount(A, "o", 2, CZK, 0, ""), "kind"),
    (OpenAccount(A, "o", 1, CZK, 0, ""), OpenAccount(A, "o", 1, "EUR", 0, ""), "currency_code"),
    (FreezeAccount(A, B, 1, "x", NO), FreezeAccount(A, B, 1, "x", YES), "stop_captures"),
    (UnfreezeAccount(A, B, C), UnfreezeAccount(A, C, C), "freeze_id"),
    (CloseAccount(A, B), CloseAccount(A, C), "account_id"),
    (MoveBusinessDate(A, "2026-01-01"), MoveBusinessDate(A, "2026-01-02"), "to_date"),
]


@pytest.mark.parametrize(("first", "second", "field"), CHANGES)
def test_each_changed_term_is_named(first: Command, second: Command, field: str) -> None:
    assert differing(canonical(second), digest(canonical(first)).checks) == (field,)
    assert digest(canonical(first)).hash != digest(canonical(second)).hash


def test_all_changed_terms_are_named() -> None:
    changed = HOLD._replace(purpose="y", amount=Amount(CZK, 6))
    assert differing(canonical(changed), digest(canonical(HOLD)).checks) == ("amount", "purpose")


@pytest.mark.parametrize(
    "change",
    [
        lambda first: first._replace(purpose="y"),
        lambda first: first._replace(correlation_id="d"),
        lambda first: first._replace(fact_key="g"),
        lambda first: first._replace(value_date="2026-09-21"),
        lambda first: first._replace(obligation=OTHER),
        lambda first: first._replace(legs=(debit(B, 5), *first.legs[1:])),
        lambda first: first._replace(legs=tuple(reversed(first.legs))),
    ],
)
@pytest.mark.parametrize("legs", [2, 3])
def test_an_entry_that_tells_its_terms_names_what_differs_without_checks_of_them(
    change: Callable[[Transfer], Transfer], legs: int
) -> None:
    desk = Desk()
    payer, payee, other = desk.account(funds=100), desk.account(), desk.account()
    to = [credit(payee, 50)] if legs == 2 else [credit(payee, 20), credit(other, 30)]
    first = desk.transferring(debit(payer, 50), *to)._replace(purpose="x", correlation_id="c")
    entry = desk.posted(first)

    changed = canonical(change(first))

    assert entry.term_checks == b""
    assert differing(changed, checks_behind(entry)) == differing(
        changed, digest(canonical(first)).checks
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda first: first._replace(value_date="2026-09-21"),
        lambda first: first._replace(computed=Balancing(0, 0)),
        lambda first: first._replace(corrects=Correction("1.0", "")),
    ],
)
def test_what_an_entry_does_not_tell_is_kept_as_checks(
    change: Callable[[Transfer], Transfer],
) -> None:
    desk = Desk()
    payer, payee = desk.account(funds=100), desk.account()
    command = change(desk.transferring(debit(payer, 50), credit(payee, 50)))

    assert desk.posted(command).term_checks == digest(canonical(command)).checks


REUSES: list[Callable[[Transfer], Transfer]] = [
    lambda first: first._replace(purpose="other"),
    lambda first: first._replace(legs=tuple(reversed(first.legs))),
]


@pytest.mark.parametrize("change", REUSES)
@pytest.mark.parametrize("funds", [0, 100])
def test_other_terms_under_a_used_id_are_refused_and_not_recorded(
    change: Callable[[Transfer], Transfer], funds: int
) -> None:
    desk = Desk()
    payer, payee = desk.account(), desk.account()
    if funds:
        desk.fund(payer, funds)
    command = desk.transferring(debit(payer, 50), credit(payee, 50))
    desk.do(command)
    figures, entries = desk.figures(payer), len(desk.pages[-1])

    decision = desk.do(change(command))

    assert isinstance(decision, Repeated)
    assert decision.terms
    assert (desk.figures(payer), len(desk.pages[-1])) == (figures, entries)


def test_a_shape_fault_comes_before_the_id() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=100), desk.account()
    command = desk.transferring(debit(payer, 50), credit(payee, 50))
    desk.posted(command)
    unbalanced = command._replace(legs=(debit(payer, 50), credit(payee, 51)))
    assert desk.turned_away(unbalanced) == "LEGS_NOT_BALANCED"


def test_every_command_of_one_caller_shares_one_id_space() -> None:
    desk = Desk()
    wallet = desk.account(funds=100)
    hold = desk.placing(wallet, 5)
    desk.posted(hold)
    decision = desk.do(ReleaseHold(hold.hold_id, hold.hold_id, None, ""), PAYMENTS)
    assert isinstance(decision, Repeated)
    assert _named(decision.terms, desk.pages[-1]) == ("command",)


def _named(terms: Sequence[str], entries: Sequence[Entry]) -> tuple[str, ...]:
    return differing(terms, checks_behind(entries[-1]))
