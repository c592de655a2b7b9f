"""Payment events as stored bytes, settlement's facts as our commands, and what the API is asked.

Stored is protobuf JSON with the proto's field names, written by hand: `json_format` takes thirty
times as long. A test proves that protobuf reads every event of ours and writes the same.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

import orjson

from hefu.payments.v1 import events_pb2
from libs.event_store import StoredEvent
from libs.money import Money
from libs.wire import money_from_wire
from services.payments.domain import lifecycle as life
from services.payments.domain.payment import Command, HearDone, HearRefused, Record
from services.payments.domain.terms import KIND_NAMES, Kind, Terms

_PACKAGE: Final = "hefu.payments.v1."
# The stored names of events: contract, whatever the classes are called.
_NAMES: Final[dict[type, str]] = {
    life.Requested: "PaymentRequested",
    life.FundsHeld: "PaymentFundsHeld",
    life.EnteredWindow: "PaymentEnteredWindow",
    life.PullRequested: "PaymentPullRequested",
    life.PullConfirmed: "PaymentPullConfirmed",
    life.Completed: "PaymentCompleted",
    life.Paid: "PaymentPaid",
    life.Settled: "PaymentSettled",
    life.Doubted: "PaymentDoubted",
    life.Carried: "PaymentCarried",
    life.RefusedByBank: "PaymentRefusedByBank",
    life.Failed: "PaymentFailed",
    life.Stuck: "PaymentStuck",
    life.CancelRequested: "PaymentCancelRequested",
    life.Cancelled: "PaymentCancelled",
    life.RefundReserved: "PaymentRefundReserved",
    life.RefundCompleted: "PaymentRefundCompleted",
    life.RefundGivenUp: "PaymentRefundGivenUp",
}
# Events that leave every public word of a payment as it was: neither watched nor told to others.
NOT_PUBLIC: Final = frozenset({"PaymentFundsHeld", "PaymentPullRequested", "PaymentPullConfirmed"})
# The first event of each payment.
REQUESTED: Final = _NAMES[life.Requested]
_CLASSES: Final = {_PACKAGE + name: type_ for type_, name in _NAMES.items()}
_KINDS: Final = {name: type_ for type_, name in KIND_NAMES.items()}


class UnknownEvent(Exception):
    """An event of ours that this version does not know: it must be taught to read it first."""


def _shape(type_: type) -> tuple[tuple[str, type], ...]:
    names = {"str": str, "int": int, "bool": bool}
    found = ((each.name, each.type) for each in fields(type_))
    return tuple(
        (name, names.get(type_, object) if isinstance(type_, str) else type_)
        for name, type_ in found
    )


# By class: names of fields, and what each is.
SHAPES: Final = {type_: _shape(type_) for type_ in (*_NAMES, *KIND_NAMES)}


class PaymentCodec:
    """Events of payments and their stored bytes."""

    def encode(self, event: life.Event) -> tuple[str, bytes]:
        if isinstance(event, life.Requested):
            body: dict[str, Any] = {
                "payment_id": event.payment_id,
                "terms": terms_to_json(event.terms),
                "caller": event.caller,
                "request_ms": str(event.request_ms),
            }
        else:
            body = _to_json(event)
        return _PACKAGE + _NAMES[type(event)], orjson.dumps(body)

    def decode(self, event_type: str, data: bytes) -> life.Event:
        type_ = _CLASSES.get(event_type)
        if type_ is None:
            raise UnknownEvent(event_type)
        body = orjson.loads(data)
        if type_ is life.Requested:
            return life.Requested(
                body["payment_id"],
                terms_from_json(body["terms"]),
                body.get("caller", ""),
                int(body.get("request_ms", 0)),
            )
        event: life.Event = _from_json(type_, body)
        return event


codec = PaymentCodec()


def terms_to_json(terms: Terms) -> dict[str, Any]:
    """Terms as `hefu.payments.v1.PaymentTerms` in protobuf JSON."""
    body: dict[str, Any] = {
        "amount": {
            "currency_code": terms.amount.currency,
            "minor_units": str(terms.amount.minor),
        },
        KIND_NAMES[type(terms.kind)]: _to_json(terms.kind),
    }
    if terms.note:
        body["note"] = terms.note
    return body


def terms_from_json(body: Mapping[str, Any]) -> Terms:
    """The terms of stored JSON."""
    amount = body["amount"]
    name = next(each for each in body if each in _KINDS)
    kind: Kind = _from_json(_KINDS[name], body[name])
    money = Money(amount["currency_code"], int(amount.get("minor_units", 0)))
    return Terms(money, kind, body.get("note", ""))


def _to_json(value: object) -> dict[str, Any]:
    # Protobuf JSON: what is at its default is left out, and 64-bit integers are text.
    body: dict[str, Any] = {}
    for name, type_ in SHAPES[type(value)]:
        each = getattr(value, name)
        if each:
            body[name] = str(each) if type_ is int else each
    return body


def _from_json(type_: type, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of the type given
    return type_(*[kind(body.get(name, kind())) for name, kind in SHAPES[type_]])


# ---- what settlement tells

_SETTLEMENT: Final = "hefu.settlement.v1."


def commands_of(event: StoredEvent) -> Iterator[tuple[str, Command]]:
    """What settlement's fact means to payments: (payment id, command), in order."""
    told = _TOLD.get(event.type.removeprefix(_SETTLEMENT))
    if told is not None:
        yield from told(orjson.loads(event.data))


def _items_decided(body: Mapping[str, Any]) -> Iterator[tuple[str, Command]]:
    for item in body.get("outcomes", ()):
        # Only these two are final; the others are told as a doubt, or wait.
        match item.get("outcome"):
            case "OUTCOME_DONE":
                yield item["payment_id"], HearDone(item.get("bank_reference", ""))
            case "OUTCOME_REFUSED":
                yield item["payment_id"], HearRefused(item.get("reason", ""))


def _doubted(body: Mapping[str, Any]) -> Iterator[tuple[str, Command]]:
    for payment_id in body.get("payment_ids", ()):
        yield payment_id, Record(life.Doubted(body.get("cause", "")))


def _carried(body: Mapping[str, Any]) -> Iterator[tuple[str, Command]]:
    fact = life.Carried(
        body.get("from_window_id", ""), body.get("to_window_id", ""), body.get("cause", "")
    )
    for payment_id in body.get("payment_ids", ()):
        yield payment_id, Record(fact)


def _settled(body: Mapping[str, Any]) -> Iterator[tuple[str, Command]]:
    for payment_id in body.get("payment_ids", ()):
        yield payment_id, Record(life.Settled(body.get("settlement_id", "")))


_TOLD: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[tuple[str, Command]]]]] = {
    "BankTransferItemsDecided": _items_decided,
    "BankTransferDoubted": _doubted,
    "SettlementLegsCarried": _carried,
    "SettlementPaymentsSettled": _settled,
}


# ---- what the API is asked


def terms_from_wire(message: events_pb2.PaymentTerms) -> Terms:
    """Terms as asked for; the message has passed the rules in its proto."""
    name = message.WhichOneof("kind")
    if name is None:
        raise AssertionError("the proto requires a kind")
    type_, asked = _KINDS[name], getattr(message, name)
    kind: Kind = type_(*(getattr(asked, field) for field, _ in SHAPES[type_]))
    return Terms(money_from_wire(message.amount), kind, message.note)
