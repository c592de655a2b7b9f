from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.money import Money
from services.samplebank.domain.orders import (
    DONE,
    PAYOUT,
    PENDING,
    PULL,
    REFUSED,
    Account,
    Executed,
    Order,
    execute,
    foreign,
    not_found,
    told,
)

ACCOUNT = Account("CD", "WALLET1", "CZK", credit_line_minor=100)


def order(ordinal: int, minor: int = 10, kind: str = PAYOUT, **changes: object) -> Order:
    made = Order(
        uetr=UUID(int=ordinal),
        kind=kind,
        end_to_end_id=f"{ordinal:032x}",
        instruction_id=f"I{ordinal}",
        amount=Money("CZK", minor),
        bank_account=f"PAYEE{ordinal}",
        message_id="m1",
        value_date="2030-01-15",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def executed(
    asked: list[Order],
    known: dict[UUID, Order] | None = None,
    account: Account = ACCOUNT,
    knows: Callable[[str], bool] = lambda _: True,
) -> Executed:
    return execute(asked, known or {}, account, knows, now_ms=5, confirmed_ms=9)


def test_pulls_add_to_the_balance_and_payouts_take_from_it() -> None:
    result = executed([order(1, 70, PULL), order(2, 30)])
    assert result.balance_minor == 40
    assert [each.status for each in result.answered] == [DONE, DONE]
    assert result.added == result.answered


def test_what_was_decided_before_is_answered_and_not_done_again() -> None:
    first = executed([order(1, 30)])
    again = executed([order(1, 30)], {order(1).uetr: first.added[0]})
    assert again.answered == first.answered
    assert (again.added, again.balance_minor) == ((), 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": Money("CZK", 31)},
        {"bank_account": "OTHER"},
        {"kind": PULL},
        {"end_to_end_id": "f" * 32},
    ],
)
def test_the_same_reference_with_other_terms_is_refused(changes: dict[str, object]) -> None:
    first = executed([order(1, 30)])
    again = executed([replace(order(1, 30), **changes)], {order(1).uetr: first.added[0]})  # type: ignore[arg-type]
    assert (again.answered[0].status, again.answered[0].reason) == (REFUSED, "DU03")
    assert again.added == ()


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (order(1, amount=Money("EUR", 1)), "AM03"),
        (order(1, 101), "AM04"),
        (order(1, 100), ""),
        (order(1, bank_account="NOBODY"), "AC01"),
        (order(1, 101, bank_account="NOBODY"), "AC01"),
        (order(1, kind=PULL, bank_account="NOBODY"), ""),
    ],
)
def test_the_reason_of_a_refusal_is_the_first_that_holds(asked: Order, reason: str) -> None:
    result = executed([asked], knows=lambda account: account != "NOBODY")
    assert result.answered[0].reason == reason
    assert (result.balance_minor == 0) == bool(reason and asked.kind == PAYOUT)


def test_a_refused_order_takes_nothing_from_those_behind_it() -> None:
    result = executed([order(1, 90), order(2, 20), order(3, 10)])
    assert [each.status for each in result.answered] == [DONE, REFUSED, DONE]
    assert result.balance_minor == -100


def test_money_never_counts_on_a_day_that_has_ended() -> None:
    late = executed([order(1)], account=replace(ACCOUNT, ended_date="2030-01-17"))
    early = executed([order(1)], account=replace(ACCOUNT, ended_date="2030-01-14"))
    assert late.answered[0].value_date == "2030-01-17"
    assert early.answered[0].value_date == "2030-01-15"


def test_until_it_is_confirmed_an_order_is_pending() -> None:
    (done,) = executed([order(1)]).answered
    assert told(done, 8).status == PENDING
    assert told(done, 8).value_date == ""
    assert told(done, 9) == done


def test_a_refusal_is_told_at_once() -> None:
    (refused,) = executed([order(1, 101)]).answered
    assert told(refused, 5) == refused


def test_an_order_under_foreign_references_shares_none_with_the_wallet() -> None:
    other = foreign(order(1))
    assert other.uetr.version == 4
    assert {other.uetr, other.end_to_end_id}.isdisjoint({order(1).uetr, order(1).end_to_end_id})
    assert not_found(order(1).uetr, "e").reason == "NOOR"


@given(
    st.lists(
        st.tuples(st.integers(1, 12), st.integers(1, 60), st.sampled_from([PULL, PAYOUT])),
        max_size=40,
    )
)
def test_each_order_moves_money_at_most_once_and_never_beyond_the_line(
    drawn: list[tuple[int, int, str]],
) -> None:
    known: dict[UUID, Order] = {}
    account = ACCOUNT
    for ordinal, minor, kind in drawn:
        result = executed([order(ordinal, minor, kind)], known, account)
        known.update({each.uetr: each for each in result.added})
        account = replace(account, balance_minor=result.balance_minor)
        assert account.balance_minor >= -account.credit_line_minor
    assert account.balance_minor == sum(each.effect_minor for each in known.values())
