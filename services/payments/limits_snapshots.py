"""Snapshots of limits' scopes: what a scope has come to, so that years of it need not be read."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
import structlog

from libs.decider import Origin
from libs.event_store import NO_STREAM, AppendFailed, EventStore, NewEvent, StoreUnavailable
from libs.ids import named_id
from services.payments.domain import limits as d
from services.payments.limits_codec import codec, event_to_json, limit_from_json, limit_to_json

TYPE: Final = "hefu.payments.v1.LimitsSnapshotTaken"
EVERY: Final = 500
_PACKAGE: Final = "hefu.payments.v1."
_KEPT: Final = 2

logger = structlog.get_logger()


class LimitsSnapshots:
    """One stream for each scope; a snapshot that cannot be used is as if there were none."""

    def __init__(self, store: EventStore, every: int = EVERY) -> None:
        self._store = store
        self._every = every

    async def origin_of(self, scope: str) -> Origin[d.Scope] | None:
        """The newest. Raises `StoreUnavailable`."""
        stored = await self._store.read_last(_stream(scope))
        if stored is None:
            return None
        try:
            return decode(orjson.loads(stored.data))
        except (KeyError, TypeError, ValueError) as error:
            logger.warning("limits_snapshot_unreadable", stream=_stream(scope), reason=repr(error))
            return None

    async def offer(self, scope: str, state: d.Scope, revision: int, recorded: int) -> None:
        """Take one, if so many events have come; whoever waits is not told that it failed."""
        before = revision - recorded
        if recorded == 0 or before // self._every == revision // self._every:
            return
        try:
            await self._take(scope, state, revision)
        except (AppendFailed, StoreUnavailable) as error:
            logger.warning("limits_snapshot_failed", stream=_stream(scope), reason=str(error))

    async def _take(self, scope: str, state: d.Scope, revision: int) -> None:
        at = await self._store.read_one(f"limit-{scope}", revision)
        if at is None:
            return
        last = await self._store.read_last(_stream(scope))
        data = encode(Origin(state, revision, str(at.id)))
        id_ = named_id(TYPE, scope, str(at.id))
        event = NewEvent(id_, TYPE, data, {"actor": "payments"})
        expected = NO_STREAM if last is None else last.revision
        await self._store.append(_stream(scope), [event], expected)
        if last is None:
            await self._store.keep_last(_stream(scope), _KEPT)


def _stream(scope: str) -> str:
    return f"limit_snapshot-{scope}"


def encode(origin: Origin[d.Scope]) -> bytes:
    """As `LimitsSnapshotTaken` in protobuf JSON."""
    state = origin.state
    body = {
        "revision": str(origin.revision),
        "event_id": origin.event_id,
        "limits": [limit_to_json(limit) for limit in state.limits],
        "accounts": list(state.accounts),
        "reservations": [_reservation(each) for each in state.reservations.values()],
        "denied": [event_to_json(each) for each in state.denied.values()],
        "totals": [
            {
                "business_date": key.business_date,
                "kind": key.kind,
                "currency": key.currency,
                "minor": str(total.minor),
                "count": str(total.count),
            }
            for key, total in state.totals.items()
        ],
    }
    return orjson.dumps(body)


def decode(body: Mapping[str, Any]) -> Origin[d.Scope]:
    """Raises `KeyError`, `TypeError`, `ValueError` where it is none of ours."""
    reservations = [_reservation_from(each) for each in body["reservations"]]
    denied = [codec.decode_body(f"{_PACKAGE}LimitDenied", each) for each in body["denied"]]
    totals = {
        d.DayKind(each["business_date"], each["kind"], each["currency"]): d.Total(
            int(each["minor"]), int(each["count"])
        )
        for each in body["totals"]
    }
    state = d.Scope(
        tuple(limit_from_json(each) for each in body["limits"]),
        tuple(body["accounts"]),
        {each.made.payment_id: each for each in reservations},
        {each.payment_id: each for each in denied if isinstance(each, d.Denied)},
        totals,
    )
    return Origin(state, int(body["revision"]), body["event_id"])


def _reservation(each: d.Reservation) -> dict[str, Any]:
    return {
        "made": event_to_json(each.made),
        "minor": str(each.minor),
        "stage": each.stage.name,
        "cause": each.cause,
        "restored": [
            {"refund_id": refund_id, "minor": str(minor)} for refund_id, minor in each.restored
        ],
    }


def _reservation_from(body: Mapping[str, Any]) -> d.Reservation:
    made = codec.decode_body(f"{_PACKAGE}LimitReserved", body["made"])
    if not isinstance(made, d.Reserved):
        raise TypeError("a reservation that was not made")
    return d.Reservation(
        made,
        int(body["minor"]),
        d.Stage[body["stage"]],
        body["cause"],
        tuple((each["refund_id"], int(each["minor"])) for each in body["restored"]),
    )
