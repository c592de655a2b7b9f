"""Who may call what: every call has a rule, and a server with one that has none does not start."""

from collections.abc import Iterable, Mapping
from typing import Final

from services.eventstore.model import StoreError
from services.eventstore.users import Role

_STREAMS = "/event_store.client.streams.Streams"
_STREAMS_V2 = "/kurrentdb.protocol.v2.streams.StreamsService"

# None: anyone, even without credentials.
POLICY: Final[Mapping[str, Role | None]] = {
    f"{_STREAMS}/Read": Role.READER,
    f"{_STREAMS}/Append": Role.WRITER,
    f"{_STREAMS}/BatchAppend": Role.WRITER,
    f"{_STREAMS}/Delete": Role.WRITER,
    f"{_STREAMS}/Tombstone": Role.OPERATOR,
    f"{_STREAMS_V2}/AppendSession": Role.WRITER,
    f"{_STREAMS_V2}/AppendRecords": Role.WRITER,
    "/hefu.eventstore.v1.AppendsService/AppendContinuously": Role.WRITER,
    "/event_store.client.gossip.Gossip/Read": Role.READER,
    "/event_store.client.server_features.ServerFeatures/GetSupportedMethods": Role.READER,
    "/grpc.health.v1.Health/Check": None,
    "/grpc.health.v1.Health/Watch": None,
}


def require_complete(served: Iterable[str], policy: Mapping[str, Role | None] = POLICY) -> None:
    """Refuse to start when a served call has no rule."""
    missing = sorted(set(served) - set(policy))
    if missing:
        message = f"no policy for {', '.join(missing)}"
        raise StoreError(message)
