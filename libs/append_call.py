"""One long call for appends to single streams: a message each, where a call each costs thrice."""

import asyncio
from contextlib import suppress
from itertools import count
from typing import Any, Final
from uuid import UUID

import kurrentdbclient as kurrent
import orjson
from google.protobuf.duration_pb2 import Duration
from kurrentdbclient.protos.v1 import shared_pb2 as shared
from kurrentdbclient.protos.v1 import streams_pb2 as streams

from libs.asking import unless_ours
from libs.cancelling import end
from libs.event_store import NO_STREAM, Appended, NewEvent
from libs.joined_appends import Append, Conflicts

ANSWER_S: Final = 5.0
# So long after the call broke, appends go by calls of their own.
BEGIN_AGAIN_S: Final = 1.0
_DEADLINE: Final = Duration(seconds=int(ANSWER_S))


class CallBroken(Exception):
    """Whether this append is stored is not known: send the same by a call of its own."""


class AppendCall:
    """Begun with the first append, and again some time after it broke."""

    def __init__(self, client: kurrent.AsyncKurrentDBClient) -> None:
        self._client = client
        self._call: Any = None  # grpc's calls are typed by message
        self._hearing: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[streams.BatchAppendResp]] = {}
        self._numbers = count(1)
        self._turn = asyncio.Lock()
        self._not_before_s = 0.0

    async def append(self, append: Append) -> Appended:
        """Append to one stream. Raises `Conflicts`; `CallBroken` for everything else."""
        id_ = str(UUID(int=next(self._numbers)))
        answer: asyncio.Future[streams.BatchAppendResp]
        answer = self._waiting[id_] = asyncio.get_running_loop().create_future()
        request = _request(append, id_)
        try:
            async with asyncio.timeout(ANSWER_S):
                async with self._turn:
                    await self._send(request)
                return _appended(append, await answer)
        except TimeoutError:
            await self._end()
            raise CallBroken(f"no answer within {ANSWER_S} s") from None
        finally:
            del self._waiting[id_]

    async def close(self) -> None:
        """End the call; what was not answered is not known."""
        await self._end()

    async def _send(self, request: streams.BatchAppendReq) -> None:
        if self._call is None:
            await self._begin()
        try:
            await self._call.write(request)
        except asyncio.CancelledError as error:
            # Where the call was ended meanwhile, gRPC says so of its messages, too.
            raise CallBroken(unless_ours(error)) from error
        except Exception as error:
            await self._end()
            raise CallBroken(f"{type(error).__name__}: {error}") from error

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._not_before_s:
            raise CallBroken("it broke a moment ago")
        self._not_before_s = loop.time() + BEGIN_AGAIN_S
        client: Any = self._client
        try:
            await client.connect()
            service = client.connection.streams
            # The client has this call for one append at a time only, made anew for each.
            self._call = service._stub.BatchAppend(  # noqa: SLF001 - as above
                metadata=service._metadata(client._call_metadata, requires_leader=True),  # noqa: SLF001
                credentials=client._call_credentials,  # noqa: SLF001
            )
        except Exception as error:
            raise CallBroken(f"{type(error).__name__}: {error}") from error
        self._hearing = asyncio.create_task(self._hear(self._call))

    async def _hear(self, call: Any) -> None:  # noqa: ANN401 - grpc's calls are typed by message
        reason = "the store ended it"
        try:
            async for response in call:
                answer = self._waiting.get(response.correlation_id.string)
                if answer is not None and not answer.done():
                    answer.set_result(response)
        except Exception as error:  # noqa: BLE001 - whatever ended it, the appends are sent again
            reason = f"{type(error).__name__}: {error}"
        finally:
            if self._call is call:
                self._call = None
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(CallBroken(reason))
                    answer.exception()  # its append may be given up already

    async def _end(self) -> None:
        call, hearing = self._call, self._hearing
        self._call = self._hearing = None
        if call is not None:
            with suppress(Exception):
                call.cancel()
        if hearing is not None:
            await end([hearing])


def _request(append: Append, id_: str) -> streams.BatchAppendReq:
    request = streams.BatchAppendReq(
        correlation_id=shared.UUID(string=id_),
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
