"""Stored events as people read them: JSON as it is, binary pages decoded by their type."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf import symbol_database
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from hefu.accounts.v1 import events_pb2 as accounts_events
from hefu.payments.v1 import events_pb2 as payments_events
from hefu.settlement.v1 import events_pb2 as settlement_events
from libs.event_store import StoredEvent

_LONG = 120
_SHOWN_MAX = 6
# Importing a contract makes its messages known by name.
CONTRACTS = (accounts_events, payments_events, settlement_events)


def decoded(event: StoredEvent) -> Mapping[str, Any]:
    """The event's content; an unknown binary type is told as such, never guessed."""
    if event.is_json:
        found = json.loads(event.data)
        return found if isinstance(found, dict) else {"value": found}
    return message_of(event) or {"type_unknown_here": event.type, "bytes": len(event.data)}


def message_of(event: StoredEvent) -> Mapping[str, Any] | None:
    """A binary event as a dictionary; None where its type or bytes are not ours."""
    try:
        kind = symbol_database.Default().GetSymbol(event.type)
        return MessageToDict(kind.FromString(event.data), preserving_proto_field_name=True)
    except (KeyError, DecodeError):
        return None


def name_of(event_type: str) -> str:
    """`hefu.payments.v1.PaymentRequested` -> `PaymentRequested`."""
    return event_type.rsplit(".", 1)[-1]


def when(at_us: int) -> str:
    """UTC time to the millisecond."""
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def one_line(content: Mapping[str, Any]) -> str:
    """The content on one line, long parts cut."""
    return "  ".join(f"{key}={_short(value)}" for key, value in content.items())


def _short(value: object) -> str:
    if isinstance(value, Mapping) and set(value) == {"currency_code", "minor_units"}:
        return f"{value['minor_units']} {value['currency_code']}"
    if isinstance(value, Mapping):
        return "{" + " ".join(f"{k}:{_short(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = ", ".join(_short(item) for item in value[:_SHOWN_MAX])
        more = f", … {len(value)} in all" if len(value) > _SHOWN_MAX else ""
        return f"[{shown}{more}]"
    text = str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}… ({len(text)} characters)"
