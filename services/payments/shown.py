"""Payments as the API shows them, in the bytes of its messages: each is shown twice at least.

Bytes are text of characters below 256 here (`libs.wire_bytes`), put together in a fifth of the time
that the messages' classes take. A test holds them against those.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from google.protobuf import timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor

from hefu.payments.v1 import events_pb2, payments_pb2
from hefu.type.v1 import money_pb2
from libs.wire_bytes import BYTES, message, number, text, varint
from services.payments.codec import SHAPES
from services.payments.domain.terms import KIND_NAMES, Terms
from services.payments.domain.view import Settlement, Status, View

_STATUSES: Final = {
    each: payments_pb2.PaymentStatus.Value(f"PAYMENT_STATUS_{each.name}") for each in Status
}
_SETTLEMENTS: Final = {
    each: payments_pb2.SettlementStatus.Value(f"SETTLEMENT_STATUS_{each.name}")
    for each in Settlement
}
_MICRO: Final = 1_000_000


def _tags(type_: Any) -> dict[str, str]:  # noqa: ANN401 - a message's class
    """Of a message's fields: number, and whether it is a number (0) or has a length (2)."""
    numbers = (FieldDescriptor.CPPTYPE_STRING, FieldDescriptor.CPPTYPE_MESSAGE)
    return {
        each.name: chr(each.number << 3 | (2 if each.cpp_type in numbers else 0))
        for each in type_.DESCRIPTOR.fields
    }


_PAYMENT: Final = _tags(payments_pb2.Payment)
_TERMS: Final = _tags(events_pb2.PaymentTerms)
_MONEY: Final = _tags(money_pb2.Money)
_TIME: Final = _tags(timestamp_pb2.Timestamp)
_CHANGE: Final = _tags(payments_pb2.PaymentChange)
_WATCHED: Final = _tags(payments_pb2.WatchPaymentsResponse)
_RESULT: Final = _tags(payments_pb2.CreatePaymentResult)
_RESULTS: Final = _tags(payments_pb2.CreatePaymentsResponse)
# By kind: its own tag in the terms, and of each of its fields the name, the tag, how it is written.
_KIND_FIELDS: Final = {
    type_: (
        _TERMS[name],
        [
            (field, _tags(getattr(events_pb2, type_.__name__))[field], number if t is int else text)
            for field, t in SHAPES[type_]
        ],
    )
    for type_, name in KIND_NAMES.items()
}


# Most payments have nothing to say here: what may be empty, in the order of the view and the tags.
_RARELY_SET: Final = (
    ("failure_reason", text),
    ("failure_description", text),
    ("is_in_doubt", number),
    ("window_id", text),
    ("times_carried", number),
    ("settlement_id", text),
    ("refunded_minor", number),
)
_rarely_set: Final = attrgetter(*(name for name, _ in _RARELY_SET))
_TAGS_OF_RARELY_SET: Final = [(_PAYMENT[name], write) for name, write in _RARELY_SET]
_WORDS: Final = {
    (status, settlement): number(_PAYMENT["status"], _STATUSES[status])
    + number(_PAYMENT["settlement"], _SETTLEMENTS[settlement])
    for status in Status
    for settlement in Settlement
}
_AMOUNTS_KEPT: Final = 4_096
_ID, _TERMS_TAG, _NOTE = _PAYMENT["payment_id"], _PAYMENT["terms"], _TERMS["note"]
_REQUESTED, _CHANGED = _PAYMENT["request_time"], _PAYMENT["change_time"]
_SECONDS, _NANOS = _TIME["seconds"], _TIME["nanos"]


@lru_cache(_AMOUNTS_KEPT)
def _amount_shown(currency: str, minor: int) -> str:
    shown = text(_MONEY["currency_code"], currency) + number(_MONEY["minor_units"], minor)
    return message(_TERMS["amount"], shown)


def _terms_shown(terms: Terms) -> str:
    kind, amount = terms.kind, terms.amount
    tag, fields = _KIND_FIELDS[type(kind)]
    asked = "".join([write(field, getattr(kind, name)) for name, field, write in fields])
    shown = f"{_amount_shown(amount.currency, amount.minor)}{tag}{varint(len(asked))}{asked}"
    return shown + text(_NOTE, terms.note) if terms.note else shown


def _time_shown(tag: str, micros: int) -> str:
    seconds, rest = divmod(micros, _MICRO)
    return message(tag, number(_SECONDS, seconds) + number(_NANOS, rest * 1_000))


def _view_shown(view: View) -> str:
    terms = _terms_shown(view.terms)
    words = _WORDS[view.status, view.settlement]
    values = _rarely_set(view)
    if any(values):
        pairs = zip(_TAGS_OF_RARELY_SET, values, strict=True)
        words += "".join([write(tag, value) for (tag, write), value in pairs])
    words += _time_shown(_REQUESTED, view.request_ms * 1_000)
    if view.change_us:
        words += _time_shown(_CHANGED, view.change_us)
    return f"{text(_ID, view.payment_id)}{_TERMS_TAG}{varint(len(terms))}{terms}{words}"


def view_to_wire(view: View) -> payments_pb2.Payment:
    """A payment as the API shows it."""
    return payments_pb2.Payment.FromString(_view_shown(view).encode(BYTES))


def change_shown(view: View, event: str, position: int) -> str:
    """A `PaymentChange`, which has the fields of a `WatchPaymentsResponse` with one change."""
    payment = message(_CHANGE["payment"], _view_shown(view))
    return payment + text(_CHANGE["event"], event) + number(_CHANGE["position"], position)


def changes_in_bytes(changes: Sequence[str], changes_max: int) -> Iterator[bytes]:
    """`WatchPaymentsResponse`s: so many changes in each, or one, where 0 were asked for."""
    if not changes_max:
        yield from (change.encode(BYTES) for change in changes)
        return
    tag = _WATCHED["changes"]
    for start in range(0, len(changes), changes_max):
        part = changes[start : start + changes_max]
        yield "".join([message(tag, change) for change in part]).encode(BYTES)


def result_shown(payment_id: str, view: View, *, is_replayed: bool) -> str:
    """A `CreatePaymentResult` of one that was taken."""
    return (
        text(_RESULT["payment_id"], payment_id)
        + message(_RESULT["payment"], _view_shown(view))
        + number(_RESULT["is_replayed"], is_replayed)
    )


def refusal_shown(payment_id: str, refusal: payments_pb2.PaymentRefusal) -> str:
    """A `CreatePaymentResult` of one that was refused."""
    result = payments_pb2.CreatePaymentResult(payment_id=payment_id, refusal=refusal)
    return result.SerializeToString().decode(BYTES)


def results_in_bytes(results: Sequence[str], position: int) -> bytes:
    """A `CreatePaymentsResponse`."""
    tag = _RESULTS["results"]
    found = "".join([message(tag, result) for result in results])
    return (found + number(_RESULTS["position"], position)).encode(BYTES)
