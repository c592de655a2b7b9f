"""Properties of every path that a payment can take."""

from hypothesis import event, given
from hypothesis import strategies as st

from services.payments.domain.lifecycle import Begun, Event, Stage
from services.payments.domain.payment import Command, next_step, payment
from services.payments.domain.refunds import RefundStage, split_back
from tests.services.payments.walks import walks

Walked = list[tuple[Command, list[Event]]]


@given(walks())
def test_a_repeat_records_nothing(walked: Walked) -> None:
    state = payment.initial
    for command, events in walked:
        state = payment.fold(state, events)
        assert list(payment.decide(command, state)) == []


@given(walks(is_to_end=True))
def test_every_payment_comes_to_rest_with_an_outcome(walked: Walked) -> None:
    state = payment.fold(payment.initial, [each for _, events in walked for each in events])
    assert isinstance(state, Begun)
    event(f"{type(state.terms.kind).__name__} {state.stage.name}")
    assert next_step(state) is None
    assert state.stage in (Stage.SUCCEEDED, Stage.FAILED, Stage.CANCELLED)
    assert not state.is_in_doubt


@given(walks())
def test_no_more_is_given_back_than_was_paid(walked: Walked) -> None:
    state = payment.fold(payment.initial, [each for _, events in walked for each in events])
    assert isinstance(state, Begun)
    taken = [part for part in state.refunds if part.stage is not RefundStage.GIVEN_UP]
    assert sum(part.amount_minor for part in taken) <= state.terms.amount.minor
    assert all(part.merchant_minor + part.fee_minor == part.amount_minor for part in taken)
    fee = getattr(state.terms.kind, "fee_minor", 0)
    assert sum(part.fee_minor for part in taken) <= fee
    assert sum(part.merchant_minor for part in taken) <= state.terms.amount.minor - fee


@given(
    st.lists(st.integers(0, 10**17), min_size=1, max_size=6),
    st.lists(st.integers(1, 10**17), max_size=8),
)
def test_a_split_is_undone_in_parts_to_exactly_nothing(legs: list[int], asked: list[int]) -> None:
    left = list(legs)
    for each in [*asked, sum(left)]:
        amount = min(each, sum(left))
        parts = split_back(amount, left)
        assert sum(parts) == amount
        left = [before - part for before, part in zip(left, parts, strict=True)]
        assert min(left) >= 0
