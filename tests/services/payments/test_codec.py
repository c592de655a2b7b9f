"""Events as stored: protobuf reads what we write, and every version ever written is still read."""

from pathlib import Path

import orjson
import pytest
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import Default
from hypothesis import given

from hefu.payments.v1 import events_pb2
from libs.money import Money
from services.payments.codec import UnknownEvent, codec, terms_from_wire
from services.payments.domain import lifecycle as life
from services.payments.domain.payment import Command
from services.payments.domain.terms import Refund, Terms
from services.payments.domain.view import view_of
from services.payments.shown import view_to_wire
from tests.services.payments.domain.stories import (
    AT_MS,
    CARRIED,
    CONFIRMED,
    CREDITED,
    DOUBTED,
    ENTERED,
    HELD,
    ID,
    OTHER_ID,
    PAID,
    PAYOUT,
    PULL,
    REFUND_ID,
    REFUSED,
    REQUEST_ID,
    SALE,
    SETTLED,
    TOP_UP,
    TRANSFER,
)
from tests.services.payments.walks import walks

GOLDEN = Path(__file__).parents[2] / "golden" / "payments"


def requested(kind: life.Begun | object, note: str = "") -> life.Requested:
    terms = Terms(Money("CZK", 72_500), kind, note)  # type: ignore[arg-type]
    return life.Requested(ID, terms, "wallet", AT_MS)


# One file each under tests/golden/payments, never edited: a new shape is a new file beside the old.
STORED: dict[str, life.Event] = {
    "requested_payout": requested(PAYOUT, "rent"),
    "requested_top_up": requested(TOP_UP),
    "requested_transfer": requested(TRANSFER),
    "requested_merchant_payment": requested(SALE),
    "requested_refund": requested(Refund(OTHER_ID)),
    "funds_held": HELD,
    "entered_window": ENTERED,
    "pull_requested": PULL,
    "pull_confirmed": CONFIRMED,
    "completed": CREDITED,
    "paid": PAID,
    "settled": SETTLED,
    "doubted": DOUBTED,
    "carried": CARRIED,
    "refused_by_bank": REFUSED,
    "failed": life.Failed("BALANCE_TOO_LOW", "too little"),
    "stuck": life.Stuck("CREDIT_WALLET", "ACCOUNT_CLOSED", "closed", AT_MS),
    "cancel_requested": life.CancelRequested(REQUEST_ID),
    "cancelled": life.Cancelled(),
    "refund_reserved": life.RefundReserved(REFUND_ID, 1_000, 985, 15, "n", AT_MS, is_rest=True),
    "refund_completed": life.RefundCompleted(REFUND_ID, 1_000),
    "refund_given_up": life.RefundGivenUp(REFUND_ID, "BALANCE_TOO_LOW"),
}


@pytest.mark.parametrize("name", sorted(STORED))
def test_what_was_ever_stored_is_still_read(name: str) -> None:
    type_, data = (GOLDEN / f"{name}.v1.json").read_bytes().split(b"\n", 1)
    assert codec.decode(type_.decode(), data.strip()) == STORED[name]


@pytest.mark.parametrize("name", sorted(STORED))
def test_what_is_stored_now_is_what_was_stored(name: str) -> None:
    type_, data = codec.encode(STORED[name])
    assert (GOLDEN / f"{name}.v1.json").read_bytes() == type_.encode() + b"\n" + data + b"\n"


def test_every_event_has_a_golden_file() -> None:
    named = {codec.encode(event)[0].rpartition(".")[2] for event in STORED.values()}
    messages = set(events_pb2.DESCRIPTOR.message_types_by_name)
    assert named == {name for name in messages if name.startswith("Payment")} - {"PaymentTerms"}


@given(walks())
def test_protobuf_reads_every_event_and_writes_the_same(
    walked: list[tuple[Command, list[life.Event]]],
) -> None:
    for _, events in walked:
        for event in events:
            type_, data = codec.encode(event)
            descriptor = Default().FindMessageTypeByName(type_)
            message = json_format.Parse(data, message_factory.GetMessageClass(descriptor)())
            written = json_format.MessageToDict(message, preserving_proto_field_name=True)
            assert orjson.loads(data) == written
            assert codec.decode(type_, data) == event


def test_an_event_of_a_later_version_is_not_guessed_at() -> None:
    with pytest.raises(UnknownEvent):
        codec.decode("hefu.payments.v1.PaymentForgotten", b"{}")


@pytest.mark.parametrize("kind", [PAYOUT, TOP_UP, TRANSFER, SALE, Refund(OTHER_ID)])
def test_terms_survive_the_wire(kind: object) -> None:
    begun = life.evolve(life.Absent(), requested(kind, "n"))
    assert isinstance(begun, life.Begun)
    assert terms_from_wire(view_to_wire(view_of(begun)).terms) == begun.terms
