"""Payments in bytes put together by hand: what the messages' own classes would write."""

from typing import Any

from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from hefu.payments.v1 import events_pb2
from hefu.payments.v1 import payments_pb2 as pb
from libs.money import MINOR_MAX, Money
from libs.wire import money_to_wire, time_to_wire
from services.payments.codec import SHAPES, terms_from_wire
from services.payments.domain import lifecycle as life
from services.payments.domain.payment import Command
from services.payments.domain.terms import (
    KIND_NAMES,
    MerchantPayment,
    Payout,
    Refund,
    Terms,
    TopUp,
    WalletTransfer,
)
from services.payments.domain.view import Settlement, Status, View, view_of
from services.payments.shown import (
    change_shown,
    changes_in_bytes,
    refusal_shown,
    result_shown,
    results_in_bytes,
    view_to_wire,
)
from tests.services.payments.walks import walks

TEXTS = st.text(max_size=200)
MINOR = st.integers(0, MINOR_MAX)
KINDS = st.one_of(
    st.builds(TopUp, TEXTS, TEXTS, TEXTS),
    st.builds(Payout, TEXTS, TEXTS, TEXTS, TEXTS),
    st.builds(WalletTransfer, TEXTS, TEXTS),
    st.builds(MerchantPayment, TEXTS, TEXTS, MINOR),
    st.builds(Refund, TEXTS),
)
TIMES_MS = st.integers(0, 4_000_000_000_000)
VIEWS = st.builds(
    View,
    TEXTS,
    st.builds(Terms, st.builds(Money, TEXTS, MINOR), KINDS, TEXTS),
    TEXTS,
    st.sampled_from(Status),
    st.sampled_from(Settlement),
    TEXTS,
    TEXTS,
    st.booleans(),
    TEXTS,
    st.integers(0, 2**31 - 1),
    TEXTS,
    MINOR,
    TIMES_MS,
    TIMES_MS.map(lambda ms: ms * 1_000 + 7),
)


def by_classes(view: View) -> pb.Payment:
    kind = view.terms.kind
    asked: dict[str, Any] = {name: getattr(kind, name) for name, _ in SHAPES[type(kind)]}
    message_class = getattr(events_pb2, type(kind).__name__)
    terms: dict[str, Any] = {KIND_NAMES[type(kind)]: message_class(**asked)}
    payment = pb.Payment(
        payment_id=view.payment_id,
        terms=events_pb2.PaymentTerms(
            amount=money_to_wire(view.terms.amount), note=view.terms.note, **terms
        ),
        status=pb.PaymentStatus.Value(f"PAYMENT_STATUS_{view.status.name}"),
        settlement=pb.SettlementStatus.Value(f"SETTLEMENT_STATUS_{view.settlement.name}"),
        failure_reason=view.failure_reason,
        failure_description=view.failure_description,
        is_in_doubt=view.is_in_doubt,
        window_id=view.window_id,
        times_carried=view.times_carried,
        settlement_id=view.settlement_id,
        refunded_minor=view.refunded_minor,
        request_time=time_to_wire(view.request_ms * 1_000),
    )
    if view.change_us:
        payment.change_time.CopyFrom(time_to_wire(view.change_us))
    return payment


def in_bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


@given(st.lists(VIEWS, max_size=4), st.integers(0, 3), st.integers(0, 2**62))
def test_changes_are_those_of_the_classes(
    views: list[View], changes_max: int, position: int
) -> None:
    found = list(
        changes_in_bytes([change_shown(v, "PaymentPaid", position) for v in views], changes_max)
    )

    told = [
        pb.PaymentChange(payment=by_classes(v), event="PaymentPaid", position=position)
        for v in views
    ]
    if changes_max:
        parts = [told[at : at + changes_max] for at in range(0, len(told), changes_max)]
        assert found == [in_bytes(pb.WatchPaymentsResponse(changes=part)) for part in parts]
    else:
        assert found == [
            in_bytes(
                pb.WatchPaymentsResponse(
                    payment=each.payment, event=each.event, position=each.position
                )
            )
            for each in told
        ]


@given(st.lists(st.tuples(VIEWS, st.booleans()), max_size=4), st.integers(0, 2**62))
def test_results_are_those_of_the_classes(created: list[tuple[View, bool]], position: int) -> None:
    refusal = pb.PaymentRefusal(
        reason="SPLIT_INVALID", fields=[pb.FieldDifference(field="f", description="é")]
    )
    shown = [result_shown(v.payment_id, v, is_replayed=again) for v, again in created]

    found = results_in_bytes([*shown, refusal_shown("one", refusal)], position)

    results = [
        pb.CreatePaymentResult(payment_id=v.payment_id, payment=by_classes(v), is_replayed=again)
        for v, again in created
    ]
    results.append(pb.CreatePaymentResult(payment_id="one", refusal=refusal))
    assert found == in_bytes(pb.CreatePaymentsResponse(results=results, position=position))


@given(walks())
def test_each_state_of_a_payment_is_shown_as_by_the_classes(
    walked: list[tuple[Command, list[life.Event]]],
) -> None:
    state: life.Payment = life.Absent()
    for _, events in walked:
        for event in events:
            state = life.evolve(state, event)
            assert isinstance(state, life.Begun)
            view = view_of(state)
            assert view_to_wire(view) == by_classes(view)
            assert terms_from_wire(view_to_wire(view).terms) == state.terms
