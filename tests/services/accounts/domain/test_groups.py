"""Linked groups: all are posted or none; a failed one uses its ids up; a repeat is the same one."""

from collections.abc import Sequence

import pytest

from services.accounts.codec.entry_bytes import encode_entry
from services.accounts.domain.commands import Command, Linked, OpenAccount, Transfer
from services.accounts.domain.entries import CommandRefused, Entry
from services.accounts.domain.groups import GROUP_MAX, bytes_of, decide_linked
from services.accounts.domain.journal import Decision, Repeated
from services.accounts.domain.kinds import Kind
from services.accounts.domain.refusals import Refusal
from services.accounts.domain.terms import checks_behind, differing
from tests.services.accounts.desk import CZK, PAYMENTS, Desk, credit, debit


def _do(desk: Desk, *commands: Command, is_open: bool = False) -> list[Decision]:
    return desk.link(Linked(commands, is_open))


def _moving(desk: Desk, payer: str, payee: str, minor: int, fact_key: str = "") -> Transfer:
    return desk.transferring(debit(payer, minor), credit(payee, minor), fact_key=fact_key)


def _reasons(decisions: Sequence[Decision]) -> list[str]:
    """The reason of each refusal, recorded or not; "" for what is posted."""
    found: list[str] = []
    for decision in decisions:
        match decision:
            case Entry(CommandRefused(reason)) | Refusal(reason):
                found.append(reason)
            case Entry():
                found.append("")
            case other:
                found.append(type(other).__name__)
    return found


def _named(desk: Desk, decision: Decision) -> tuple[str, ...]:
    """The terms that a repeat was refused for."""
    assert isinstance(decision, Repeated)
    page, ordinal = decision.place >> 16, decision.place & 0xFFFF
    return differing(decision.terms, checks_behind(desk.pages[page][ordinal]))


def test_each_sees_the_effect_of_those_before_it() -> None:
    desk = Desk()
    first, second, third = desk.account(funds=100), desk.account(), desk.account()
    group = [_moving(desk, first, second, 100), _moving(desk, second, third, 100)]

    decisions = _do(desk, *group)

    assert _reasons(decisions) == ["", ""]
    assert {entry.group_id for entry in decisions if isinstance(entry, Entry)} == {group[0][0]}
    assert [desk.figures(each)[0] for each in (first, second, third)] == [0, 0, 100]
    assert desk.replayed() == desk.book


def test_one_fault_posts_none_and_uses_every_id_up() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=100), desk.account()
    group = [_moving(desk, payer, payee, minor) for minor in (60, 60, 10)]

    decisions = _do(desk, *group)

    assert _reasons(decisions) == ["LINKED_FAILED", "BALANCE_TOO_LOW", "LINKED_FAILED"]
    assert desk.figures(payer) == (100, 0, 100)
    desk.fund(payer, 100)
    assert _reasons(_do(desk, *group)) == ["Repeated"] * 3
    for command in group:
        decision = desk.do(command)
        assert _named(desk, decision) == ("group",)
    assert desk.figures(payer) == (200, 0, 200)
    assert desk.replayed() == desk.book


def test_a_repeat_is_the_same_group_item_for_item() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=100), desk.account()
    one, two = _moving(desk, payer, payee, 10), _moving(desk, payer, payee, 20)
    three = _moving(desk, payer, payee, 30)
    _do(desk, one, two)
    entries = len(desk.pages[-1])

    assert _reasons(_do(desk, one, two)) == ["Repeated", "Repeated"]
    alone = desk.do(two)
    turned = _do(desk, two, one)
    longer = _do(desk, one, two, three)
    changed = _do(desk, one, two._replace(purpose="other"))

    assert _named(desk, alone) == ("group",)
    assert [_named(desk, each) for each in turned] == [("group",), ("group",)]
    assert [_named(desk, each) for each in longer[:2]] == [("group",), ("group",)]
    assert _reasons(longer[2:]) == ["LINKED_FAILED"]
    assert [_named(desk, each) for each in changed] == [("group",), ("group", "purpose")]
    assert len(desk.pages[-1]) == entries
    desk.posted(three)
    assert desk.figures(payer)[0] == 40


def test_what_was_sent_alone_is_in_no_group() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=100), desk.account()
    alone, other = _moving(desk, payer, payee, 10), _moving(desk, payer, payee, 20)
    desk.posted(alone)

    decisions = _do(desk, alone, other)

    assert _named(desk, decisions[0]) == ("group",)
    assert _reasons(decisions[1:]) == ["LINKED_FAILED"]
    desk.posted(other)


def test_a_fault_of_shape_records_nothing() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=100), desk.account()
    good, poor = _moving(desk, payer, payee, 10), _moving(desk, payer, payee, 999)
    entries = len(desk.pages[-1])

    decisions = _do(desk, good, poor, _moving(desk, payer, payee, 0))

    assert _reasons(decisions) == ["LINKED_FAILED", "LINKED_FAILED", "AMOUNT_NOT_POSITIVE"]
    assert len(desk.pages[-1]) == entries
    desk.posted(good)


def test_an_id_from_the_future_in_a_group_records_nothing_even_behind_a_fault() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=100), desk.account()
    poor = _moving(desk, payer, payee, 999)
    ahead = _moving(desk, payer, payee, 1)._replace(
        transfer_id="ffffffff-ffff-7000-8000-000000000001"
    )
    assert _reasons(_do(desk, poor, ahead)) == ["LINKED_FAILED", "ID_FROM_FUTURE"]
    assert desk.refused(poor) == "BALANCE_TOO_LOW"


def test_the_last_item_of_a_request_is_linked_to_none() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=100), desk.account()
    group = [_moving(desk, payer, payee, 1) for _ in range(2)]
    assert _reasons(_do(desk, *group, is_open=True)) == ["LINKED_FAILED", "GROUP_OPEN"]
    assert _reasons(_do(desk, *group)) == ["", ""]


def test_a_group_has_at_most_500_items() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=1_000), desk.account()
    group = [_moving(desk, payer, payee, 1) for _ in range(GROUP_MAX + 1)]
    reasons = _reasons(_do(desk, *group))
    assert (reasons[GROUP_MAX], set(reasons[:GROUP_MAX])) == ("GROUP_TOO_LARGE", {"LINKED_FAILED"})
    assert set(_reasons(_do(desk, *group[:GROUP_MAX]))) == {""}


def test_a_group_that_no_page_can_hold_is_too_large() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=100_000), desk.account()
    legs = [debit(payer, 32), *[credit(payee, 1)] * 32]
    group = [desk.transferring(*legs) for _ in range(200)]
    assert _reasons(_do(desk, *group))[-1] == "GROUP_TOO_LARGE"


def test_an_id_stands_in_a_group_once() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=100), desk.account()
    command = _moving(desk, payer, payee, 1)
    assert _reasons(_do(desk, command, command)) == ["LINKED_FAILED", "FIELD_NOT_ALLOWED"]


def test_a_fact_and_a_hold_of_one_item_are_there_for_the_next() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=100), desk.account()
    twice = [_moving(desk, payer, payee, 1, "sale") for _ in range(2)]
    assert _reasons(_do(desk, *twice)) == ["LINKED_FAILED", "FACT_ALREADY_POSTED"]

    opening = OpenAccount(desk.id(), "new", Kind.CUSTOMER_WALLET, CZK, 0, "")
    hold = desk.placing(payer, 30)
    capture = desk.capturing(hold.hold_id, 20, opening.account_id, is_final=True)
    assert _reasons(_do(desk, opening, hold, capture)) == ["", "", ""]
    assert desk.figures(opening.account_id)[0] == 20
    assert desk.figures(payer) == (80, 0, 80)


def test_the_book_does_not_move_until_a_group_is_taken_in() -> None:
    desk = Desk()
    payer, payee = desk.account(funds=100), desk.account()
    hold = desk.placing(payer, 30)
    group = Linked((_moving(desk, payer, payee, 10), hold))
    before = desk.replayed()
    decide_linked(group, PAYMENTS, desk.book, len(desk.pages[-1]))
    assert desk.book == before


@pytest.mark.parametrize("legs", [2, 3, 64])
def test_no_entry_takes_more_bytes_than_a_group_counts_for_it(legs: int) -> None:
    desk = Desk()
    credits_of = [credit(desk.account(), 10**15) for _ in range(legs - 1)]
    payer = desk.account()
    desk.book.accounts[payer].floor = None
    command = desk.transferring(
        debit(payer, 10**15 * (legs - 1)), *credits_of, fact_key="f" * 200
    )._replace(purpose="p" * 80, correlation_id="ě" * 80)
    (entry,) = _do(desk, command)
    assert isinstance(entry, Entry)
    assert len(encode_entry(entry, 500)) <= bytes_of([command])
