"""Events of limits and their stored bytes: protobuf JSON, written by hand as those of payments."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import orjson

from services.payments.domain import limits as d

_PACKAGE: Final = "hefu.payments.v1."
# The stored names of events, and of the values of each enum: contract.
_NAMES: Final[dict[type, str]] = {
    d.LimitsSet: "LimitsSet",
    d.Reserved: "LimitReserved",
    d.Denied: "LimitDenied",
    d.Confirmed: "LimitConfirmed",
    d.Released: "LimitReleased",
    d.Restored: "LimitRestored",
}
_CLASSES: Final = {_PACKAGE + name: type_ for type_, name in _NAMES.items()}


class UnknownEvent(Exception):
    """An event of a limit that this version does not know."""


class LimitsCodec:
    """Events of limits and their stored bytes."""

    def encode(self, event: d.Event) -> tuple[str, bytes]:
        body = _set_to_json(event) if isinstance(event, d.LimitsSet) else event_to_json(event)
        return _PACKAGE + _NAMES[type(event)], orjson.dumps(body)

    def decode(self, event_type: str, data: bytes) -> d.Event:
        return self.decode_body(event_type, orjson.loads(data))

    def decode_body(self, event_type: str, body: Mapping[str, Any]) -> d.Event:
        match _CLASSES.get(event_type):
            case d.LimitsSet:
                limits = tuple(limit_from_json(each) for each in body.get("limits", ()))
                return d.LimitsSet(limits, tuple(body.get("accounts", ())))
            case d.Reserved:
                return d.Reserved(
                    body["payment_id"],
                    body["kind"],
                    body["currency"],
                    int(body["minor"]),
                    body["business_date"],
                    int(body.get("at_ms", 0)),
                    tuple(body.get("exceeded", ())),
                )
            case d.Denied:
                left = int(body.get("left_minor", 0)), int(body.get("left_count", 0))
                at_ms = int(body.get("at_ms", 0))
                return d.Denied(body["payment_id"], body["limit"], *left, at_ms)
            case d.Confirmed:
                return d.Confirmed(body["payment_id"], int(body.get("minor", 0)))
            case d.Released:
                return d.Released(body["payment_id"], body.get("cause", ""))
            case d.Restored:
                return d.Restored(body["payment_id"], body["refund_id"], int(body["minor"]))
            case _:
                raise UnknownEvent(event_type)


codec = LimitsCodec()


def event_to_json(event: d.Event) -> dict[str, Any]:
    """What is at its default is left out, and 64-bit integers are text."""
    body: dict[str, Any] = {}
    for name in event.__dataclass_fields__:
        value = getattr(event, name)
        if value:
            body[name] = str(value) if isinstance(value, int) else value
    return body


def _set_to_json(event: d.LimitsSet) -> dict[str, Any]:
    body = {
        "limits": [limit_to_json(limit) for limit in event.limits],
        "accounts": list(event.accounts),
    }
    return {name: value for name, value in body.items() if value}


def limit_to_json(limit: d.Limit) -> dict[str, Any]:
    """A limit as `hefu.payments.v1.Limit` in protobuf JSON."""
    body: dict[str, Any] = {
        "name": limit.name,
        "kind": limit.kind,
        "currency_code": limit.currency,
        "span": f"LIMIT_SPAN_{limit.span.name}",
        "amount_max_minor": None if limit.amount_max is None else str(limit.amount_max),
        "count_max": None if limit.count_max is None else str(limit.count_max),
        "mode": f"LIMIT_MODE_{limit.mode.name}",
        "posture": f"LIMIT_POSTURE_{limit.posture.name}",
        "restore_on_refund": limit.restore_on_refund or None,
    }
    return {name: value for name, value in body.items() if value not in (None, "")}


def limit_from_json(body: Mapping[str, Any]) -> d.Limit:
    """A limit of stored JSON."""
    return d.Limit(
        body["name"],
        body.get("kind", ""),
        body["currency_code"],
        _named(d.Span, "LIMIT_SPAN_", body["span"]),
        int(body["amount_max_minor"]) if "amount_max_minor" in body else None,
        int(body["count_max"]) if "count_max" in body else None,
        _named(d.Mode, "LIMIT_MODE_", body["mode"]),
        _named(d.Posture, "LIMIT_POSTURE_", body["posture"]),
        body.get("restore_on_refund", False),
    )


def _named(of: type[Enum], prefix: str, name: str) -> Any:  # noqa: ANN401 - of the enum given
    return of[name.removeprefix(prefix)]
