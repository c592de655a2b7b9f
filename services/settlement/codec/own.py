"""Events as they are stored: protobuf JSON with proto field names, planned once from the contract.

The messages of `hefu.settlement.v1` are the law for names, defaults and kinds; a test reads every
event back through the generated classes. A plan costs a fraction of what messages cost.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from types import UnionType
from typing import (
    Any,
    Generic,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import orjson
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from hefu.settlement.v1 import events_pb2
from libs.money import Money
from services.settlement.domain import (
    bank_transfer,
    breaks,
    cut_off,
    evidence,
    partner,
    settlement,
    statement,
)

E = TypeVar("E")

PACKAGE = "hefu.settlement.v1"
_INT64 = frozenset({FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64})

# These names are storage: the events of each aggregate and the messages they are stored as.
PARTNER: Mapping[str, type] = {
    "PartnerRegistered": partner.Registered,
    "PartnerOpened": partner.Opened,
}
BANK_TRANSFER: Mapping[str, type] = {
    "BankTransferIntended": bank_transfer.Intended,
    "BankTransferSendStarted": bank_transfer.SendStarted,
    "BankTransferNotSent": bank_transfer.NotSent,
    "BankTransferDoubted": bank_transfer.Doubted,
    "BankTransferInquirySent": bank_transfer.InquirySent,
    "BankTransferItemsDecided": bank_transfer.ItemsDecided,
    "BankTransferItemsBooked": bank_transfer.ItemsBooked,
    "BankTransferContradicted": bank_transfer.Contradicted,
}
CUT_OFF: Mapping[str, type] = {
    "CutOffRequested": cut_off.Requested,
    "CutOffCompleted": cut_off.Completed,
}
SETTLEMENT: Mapping[str, type] = {
    "SettlementDrafted": settlement.Drafted,
    "SettlementProposed": settlement.Proposed,
    "SettlementDiffered": settlement.Differed,
    "SettlementLegsCarried": settlement.LegsCarried,
    "SettlementAgreed": settlement.Agreed,
    "SettlementAborted": settlement.Aborted,
    "SettlementInstructed": settlement.Instructed,
    "SettlementConfirmed": settlement.Confirmed,
    "SettlementTiedOut": settlement.TiedOut,
    "SettlementFinalised": settlement.Finalised,
    "SettlementPaymentsSettled": settlement.PaymentsSettled,
}
BANK_MESSAGE: Mapping[str, type] = {
    "BankMessageSent": evidence.Sent,
    "BankMessageReceived": evidence.Received,
}
STATEMENT: Mapping[str, type] = {
    "StatementAccepted": statement.Accepted,
    "StatementLinesMatched": statement.LinesMatched,
    "StatementQuarantined": statement.Quarantined,
}
BREAK: Mapping[str, type] = {"BreakOpened": breaks.Opened, "BreakCleared": breaks.Cleared}

Write: TypeAlias = Callable[[Any], Any]
Read: TypeAlias = Callable[[Any], Any]


class EventUnknown(ValueError):
    """A stored event of a type this version does not know: a newer version wrote it."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    default: Any
    write: Write | None
    read: Read | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a message is written and read. A field without a function travels as it is."""

    cls: type
    fields: tuple[_Field, ...]

    def write(self, value: object) -> dict[str, Any]:
        document = {}
        for field in self.fields:
            held = getattr(value, field.name)
            if held == field.default:
                continue
            document[field.name] = held if field.write is None else field.write(held)
        return document

    def read(self, document: Mapping[str, Any]) -> object:
        values = []
        for field in self.fields:
            held = document.get(field.name)
            if held is None:
                values.append(field.default)
            else:
                values.append(held if field.read is None else field.read(held))
        return self.cls(*values)


class _MoneyPlan(_Plan):
    def __init__(self) -> None:
        super().__init__(Money, ())

    def write(self, value: object) -> dict[str, Any]:
        money = cast("Money", value)
        minor = {"minor_units": str(money.minor)} if money.minor else {}
        return {"currency_code": money.currency} | minor

    def read(self, document: Mapping[str, Any]) -> object:
        return Money(document.get("currency_code", ""), int(document.get("minor_units", 0)))


def _plan(descriptor: Descriptor, cls: type) -> _Plan:
    if cls is Money:
        return _MoneyPlan()
    hints = get_type_hints(cls)
    ours = [field.name for field in fields(cls)]
    unknown = set(ours) - set(descriptor.fields_by_name)
    if unknown:
        raise TypeError(f"{descriptor.full_name} has no field {sorted(unknown)}")
    return _Plan(cls, tuple(_field(descriptor.fields_by_name[name], hints[name]) for name in ours))


def _field(descriptor: FieldDescriptor, hint: Any) -> _Field:  # noqa: ANN401 - annotations are values
    hint = _without_none(hint)
    is_many = get_origin(hint) is tuple
    write, read = _kind(descriptor, get_args(hint)[0] if is_many else hint)
    if is_many:
        return _Field(descriptor.name, (), _each(write, list), _each(read, tuple))
    default = {str: "", bytes: b"", int: 0, bool: False}.get(hint)
    return _Field(descriptor.name, default, write, read)


def _without_none(hint: Any) -> Any:  # noqa: ANN401 - as above
    if get_origin(hint) in (Union, UnionType):
        return next(arg for arg in get_args(hint) if arg is not type(None))
    return hint


def _each(one: Callable[[Any], Any] | None, kind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    if one is None:
        return kind
    return lambda held: kind(one(each) for each in held)


def _kind(descriptor: FieldDescriptor, hint: Any) -> tuple[Write | None, Read | None]:  # noqa: ANN401
    if descriptor.message_type is not None:
        nested = _plan(descriptor.message_type, hint)
        return nested.write, nested.read
    if descriptor.enum_type is not None and isinstance(hint, type) and issubclass(hint, Enum):
        return _enum(descriptor.enum_type, hint)
    if descriptor.type == FieldDescriptor.TYPE_BYTES:
        return _base64, base64.b64decode
    if descriptor.type in _INT64:
        return str, int
    return None, None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _enum(descriptor: EnumDescriptor, cls: type[Enum]) -> tuple[Write, Read]:
    zero = descriptor.values_by_number[0].name
    prefix = zero.removesuffix("UNSPECIFIED")
    names = {member: prefix + member.name for member in cls}
    missing = set(names.values()) - set(descriptor.values_by_name)
    if missing:
        raise TypeError(f"{descriptor.full_name} has no value {sorted(missing)}")
    members = {name: member for member, name in names.items()}
    return names.__getitem__, members.__getitem__


class EventCodec(Generic[E]):
    """The events of one aggregate."""

    def __init__(self, messages: Mapping[str, type]) -> None:
        by_name = events_pb2.DESCRIPTOR.message_types_by_name
        self._plans = {
            f"{PACKAGE}.{name}": _plan(by_name[name], cls) for name, cls in messages.items()
        }
        self._types = {plan.cls: (name, plan) for name, plan in self._plans.items()}

    def encode(self, event: E) -> tuple[str, bytes]:
        """Stored type and bytes."""
        name, plan = self._types[type(event)]
        return name, orjson.dumps(plan.write(event))

    def decode(self, event_type: str, data: bytes) -> E:
        """The event. Raises `EventUnknown`."""
        plan = self._plans.get(event_type)
        if plan is None:
            raise EventUnknown(event_type)
        return cast("E", plan.read(orjson.loads(data)))


partners: EventCodec[partner.Event] = EventCodec(PARTNER)
bank_transfers: EventCodec[bank_transfer.Event] = EventCodec(BANK_TRANSFER)
cut_offs: EventCodec[cut_off.Event] = EventCodec(CUT_OFF)
settlements: EventCodec[settlement.Event] = EventCodec(SETTLEMENT)
bank_messages: EventCodec[evidence.Event] = EventCodec(BANK_MESSAGE)
statements: EventCodec[statement.Event] = EventCodec(STATEMENT)
break_events: EventCodec[breaks.Event] = EventCodec(BREAK)
# All of them, for those who read every stream.
everything: EventCodec[object] = EventCodec(
    {**PARTNER, **BANK_TRANSFER, **CUT_OFF, **SETTLEMENT, **BANK_MESSAGE, **STATEMENT, **BREAK}
)
