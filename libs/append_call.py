"""One long call for appends to single streams: a message each, where a call each costs thrice."""

from typing import Any, Final
from uuid import UUID

import kurrentdbclient as kurrent
import orjson
from google.protobuf.duration_pb2 import Duration
from kurrentdbclient.protos.v1 import shared_pb2 as shared
from kurrentdbclient.protos.v1 import streams_pb2 as streams

from libs.event_store import NO_STREAM, Appended, NewEvent
from libs.joined_appends import Append, Conflicts
from libs.long_call import ANSWER_S, CallBroken, LongCall

_DEADLINE: Final = Duration(seconds=int(ANSWER_S))


class AppendCall:
    """`BatchAppend`, which every server knows."""

    def __init__(self, client: kurrent.AsyncKurrentDBClient) -> None:
        self._call = LongCall(client, _begin, _number_of)

    async def append(self, append: Append) -> Appended:
        """Append to one stream. Raises `Conflicts`; `CallBroken` for everything else."""
        return _appended(append, await self._call.ask(lambda number: _request(append, number)))

    async def close(self) -> None:
        """End the call; what was not answered is not known."""
        await self._call.close()


def _begin(connection: Any, metadata: Any, credentials: Any) -> Any:  # noqa: ANN401 - grpc's own
    return connection.streams._stub.BatchAppend(metadata=metadata, credentials=credentials)  # noqa: SLF001 - there is no other way


def _number_of(response: streams.BatchAppendResp) -> int:
    return UUID(response.correlation_id.string).int


def _request(append: Append, number: int) -> streams.BatchAppendReq:
    request = streams.BatchAppendReq(
        correlation_id=shared.UUID(string=str(UUID(int=number))),
        proposed_messages=[_proposed(event) for event in append.events],
        is_final=True,
    )
    options = request.options
    options.stream_identifier.stream_name = append.stream.encode()
    options.deadline.CopyFrom(_DEADLINE)
    if append.expected == NO_STREAM:
        options.no_stream.SetInParent()
    else:
        options.stream_position = append.expected
    return request


def _proposed(event: NewEvent) -> streams.BatchAppendReq.ProposedMessage:
    content_type = "application/json" if event.is_json else "application/octet-stream"
    return streams.BatchAppendReq.ProposedMessage(
        id=shared.UUID(string=str(event.id)),
        metadata={"type": event.type, "content-type": content_type},
        custom_metadata=orjson.dumps(dict(event.metadata)),
        data=event.data,
    )


def _appended(append: Append, response: streams.BatchAppendResp) -> Appended:
    success = response.success
    if response.HasField("success") and success.HasField("position"):
        return Appended(success.position.commit_position, success.current_revision)
    conflict = shared.WrongExpectedVersion()
    if response.HasField("error") and response.error.details.Unpack(conflict):
        is_there = conflict.HasField("current_stream_revision")
        raise Conflicts(
            {append.stream: conflict.current_stream_revision if is_there else NO_STREAM}
        )
    # Rare and of many kinds: a call of its own says which, in its status.
    raise CallBroken(response.error.message or "no position in the answer")
