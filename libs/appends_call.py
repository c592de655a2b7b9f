"""Appends of many as one message of a call that lasts, which the embedded store alone knows."""

from collections.abc import Sequence
from typing import Any, Final

import kurrentdbclient as kurrent
import orjson

from hefu.eventstore.v1 import appends_pb2 as pb
from libs.event_store import Appended
from libs.joined_appends import Append, Conflicts
from libs.long_call import ANSWER_S, CallBroken, LongCall

_METHOD: Final = "/hefu.eventstore.v1.AppendsService/AppendContinuously"
_TIMEOUT_MS: Final = int(ANSWER_S * 1_000)


class AppendsCall:
    """`AppendContinuously`: all of a message's streams are appended to, or none."""

    def __init__(self, client: kurrent.AsyncKurrentDBClient) -> None:
        self._call = LongCall(client, _begin, _number_of)

    @property
    def is_known(self) -> bool:
        """False once the server has said that it does not know this call."""
        return self._call.is_known

    async def append(self, group: Sequence[Append]) -> Sequence[Appended]:
        """Append to different streams. Raises `Conflicts`; `CallBroken` for everything else."""
        response: pb.AppendContinuouslyResponse = await self._call.ask(
            lambda number: _request(group, number)
        )
        outcome = response.WhichOneof("outcome")
        if outcome == "stored":
            stored = response.stored
            return [Appended(stored.position, revision) for revision in stored.revisions]
        if outcome == "conflict":
            conflict = response.conflict
            raise Conflicts(dict(zip(conflict.streams, conflict.actual, strict=True)))
        raise CallBroken(response.refused)

    async def close(self) -> None:
        """End the call; what was not answered is not known."""
        await self._call.close()


def _begin(connection: Any, metadata: Any, credentials: Any) -> Any:  # noqa: ANN401 - grpc's own
    opens = connection._grpc_channel.stream_stream(  # noqa: SLF001 - there is no other way
        _METHOD,
        request_serializer=pb.AppendContinuouslyRequest.SerializeToString,
        response_deserializer=pb.AppendContinuouslyResponse.FromString,
    )
    return opens(metadata=metadata, credentials=credentials)


def _number_of(response: pb.AppendContinuouslyResponse) -> int:
    return response.number


def _request(group: Sequence[Append], number: int) -> pb.AppendContinuouslyRequest:
    """Whole columns at once: a message for each event costs several times as much."""
    events = [event for append in group for event in append.events]
    return pb.AppendContinuouslyRequest(
        number=number,
        timeout_ms=_TIMEOUT_MS,
        streams=[append.stream for append in group],
        expected=[append.expected for append in group],
        event_counts=[len(append.events) for append in group],
        event_ids=[event.id.bytes for event in events],
        event_types=[event.type for event in events],
        are_json=[event.is_json for event in events],
        data=[event.data for event in events],
        metadata=[orjson.dumps(dict(event.metadata)) for event in events],
    )
