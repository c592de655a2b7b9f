"""The event store over the wire: EventStoreDB, KurrentDB, or our embedded one."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar, cast
from uuid import UUID

import grpc
import kurrentdbclient as kurrent
import orjson
import structlog
from kurrentdbclient import exceptions as errors
from kurrentdbclient.asyncio_client import autoreconnect, retrygrpc
from kurrentdbclient.common import handle_rpc_error
from kurrentdbclient.events import ContentType
from kurrentdbclient.protos.v2.streams import streams_pb2 as v2

from libs.append_call import AppendCall
from libs.appends_call import AppendsCall
from libs.asking import asked, pause, unless_ours
from libs.cancelling import heed_cancellation
from libs.event_store import (
    LOT_BYTES_MAX,
    NO_STREAM,
    Appended,
    AppendFailed,
    Busy,
    CaughtUp,
    Checkpoint,
    Denied,
    EventStore,
    Followed,
    NewEvent,
    OutcomeUnknown,
    StoredEvent,
    StoreUnavailable,
    StreamGone,
    TooLarge,
)
from libs.joined_appends import Append, CannotJoin, Conflicts, JoinedAppends
from libs.long_call import CallBroken
from libs.lots import ASKED, parted
from libs.tail import LOT_MAX, Missed, Tail
from libs.watched import Silent, watched

T = TypeVar("T")

CALL_TIMEOUT_S = 5.0
# The client may call twice, with a new connection between.
ASKED_TIMEOUT_S = 12.0
# Between two events of one read.
STALL_TIMEOUT_S = 10.0
READ_ATTEMPTS_MAX = 4
# Silence of a subscription after which the store is asked whether there is something to say.
SILENCE_S = 5.0
# Considered events from one word of progress to the next, as windows: each is a message of its own.
CHECKPOINT_WINDOW = 100
CHECKPOINT_WINDOWS = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# The store tells time in tenths of microseconds.
_TICKS_PER_S = 10_000_000.0
_JSON = "application/json"
# The second version of appends writes these into the metadata of every event.
_SCHEMA_KEYS = "$schema."
_KEEP_ALIVE = {"KeepAliveInterval": "10000", "KeepAliveTimeout": "10000"}

logger = structlog.get_logger()


class KurrentStore(EventStore):
    """One client for commands and reads, and another for each subscription."""

    def __init__(self, uri: str, attempts_max: int = READ_ATTEMPTS_MAX) -> None:
        self._uri = _with_keep_alive(uri)
        self._attempts_max = attempts_max
        self._client = _client(self._uri)
        self._many = AppendsCall(self._client)
        self._call = AppendCall(self._client)
        self._joins = True
        self._joined = JoinedAppends(self._send)
        self._tails: list[Tail] = []

    @classmethod
    @asynccontextmanager
    async def open(
        cls, uri: str, attempts_max: int = READ_ATTEMPTS_MAX
    ) -> AsyncIterator["KurrentStore"]:
        """Open `kdb://user:password@host:port?TlsCaFile=...`; it dials on first use.

        A read is tried `attempts_max` times, about a second apart from the sixth on.
        """
        store = cls(uri, attempts_max)
        try:
            yield store
        finally:
            await store._joined.close()
            await store._many.close()
            await store._call.close()
            await _close(store._client)

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        """Append, in one call with what others append now. Raises `AppendFailed`."""
        return await self._joined.append(stream, events, expected)

    async def append_each(
        self, appends: Sequence[tuple[str, Sequence[NewEvent], int]]
    ) -> Sequence[Appended | AppendFailed]:
        """What `append` would answer or raise of each; they travel together."""
        return await self._joined.append_each(appends)

    async def read(self, stream: str, from_revision: int = 0) -> AsyncIterator[StoredEvent]:
        """The stream's events onward. Raises `StoreUnavailable`."""

        async def begin(last: StoredEvent | None) -> AsyncIterator[Any]:
            first = from_revision if last is None else last.revision + 1
            return await self._client.read_stream(stream, stream_position=first)

        async with aclosing(self._reading(begin)) as reading:
            async for event in reading:
                yield event

    async def read_one(self, stream: str, revision: int) -> StoredEvent | None:
        """The event of the stream at a revision. Raises `StoreUnavailable`."""

        async def ask() -> StoredEvent | None:
            try:
                found = await self._client.get_stream(
                    stream, stream_position=revision, limit=1, timeout=CALL_TIMEOUT_S
                )
            except (errors.NotFoundError, errors.StreamIsDeletedError):
                return None
            event = _stored(found[0]) if found else None
            return event if event is not None and event.revision == revision else None

        return await asked(ask, self._attempts_max, ASKED_TIMEOUT_S)

    async def read_last(self, stream: str) -> StoredEvent | None:
        """The newest event of the stream. Raises `StoreUnavailable`."""

        async def ask() -> StoredEvent | None:
            try:
                found = await self._client.get_stream(
                    stream, backwards=True, limit=1, timeout=CALL_TIMEOUT_S
                )
            except (errors.NotFoundError, errors.StreamIsDeletedError):
                return None
            return _stored(found[0]) if found else None

        return await asked(ask, self._attempts_max, ASKED_TIMEOUT_S)

    async def read_all(
        self, prefixes: Sequence[str], after: int | None = None, *, only: str = ""
    ) -> AsyncIterator[StoredEvent]:
        """Matching events after a position, up to the present end. Raises `StoreUnavailable`."""
        wanted = _of_type(only) if only else _filter(prefixes)

        async def begin(last: StoredEvent | None) -> AsyncIterator[Any]:
            start = after if last is None else last.position
            return await self._client.read_all(commit_position=start, **wanted)

        async with aclosing(self._reading(begin)) as reading:
            async for event in reading:
                # The start is a place, not an exclusion; and a type's name may begin another's.
                if after is not None and event.position <= after:
                    continue
                if not only or (event.type == only and _begins(event, prefixes)):
                    yield event

    async def follow(
        self, prefixes: Sequence[str], after: int | None = None
    ) -> AsyncIterator[Followed]:
        """Matching events after a position, then live, for ever; resumes from the last it gave.

        All who follow in this process share one subscription where its prefixes cover theirs.
        """
        async with aclosing(self.follow_lots(prefixes, after)) as lots:
            async for lot in lots:
                for item in lot:
                    yield item

    async def follow_lots(
        self, prefixes: Sequence[str], after: int | None = None
    ) -> AsyncGenerator[Sequence[Followed], None]:
        """The same, as many at a time as are there."""
        position = after or 0
        tail = self._tail(prefixes, after)
        begins = tuple(prefixes)
        is_all = begins == tail.prefixes
        tail.followers += 1
        try:
            while True:
                try:
                    async with aclosing(tail.since(position)) as lots:
                        async for lot in lots:
                            position = _last_position(lot, position)
                            wanted = lot if is_all else [i for i in lot if _is_of(i, begins)]
                            if wanted:
                                yield wanted
                except Missed:
                    async with aclosing(self._missed(prefixes, position)) as missed:
                        async for lot in missed:
                            position = _last_position(lot, position)
                            yield lot
        finally:
            tail.followers -= 1
            if not tail.followers:
                self._tails.remove(tail)
                await tail.close()

    def _tail(self, prefixes: Sequence[str], after: int | None) -> Tail:
        for tail in self._tails:
            if tail.covers(prefixes):
                return tail
        tail = Tail(prefixes, after, self._follow_alone)
        self._tails.append(tail)
        return tail

    async def _missed(
        self, prefixes: Sequence[str], after: int
    ) -> AsyncGenerator[Sequence[Followed], None]:
        """All that matches up to the present end, and that it was all."""
        failures = 0
        lot: list[Followed] = []
        size = 0
        while True:
            heed_cancellation()
            try:
                head = await self.head()
                async with aclosing(_generator(self.read_all(prefixes, after or None))) as reading:
                    async for event in reading:
                        after = event.position
                        lot.append(event)
                        size += len(event.data)
                        if len(lot) >= LOT_MAX or size >= LOT_BYTES_MAX:
                            yield lot
                            lot, size = [], 0
            except StoreUnavailable as error:
                logger.info("follow_again", position=after, reason=str(error), attempt=failures)
                await pause(failures)
                failures += 1
            else:
                yield [*lot, Checkpoint(max(head, after))]
                return

    async def _follow_alone(
        self, prefixes: Sequence[str], after: int | None = None
    ) -> AsyncGenerator[Sequence[Followed], None]:
        """One subscription after another, for ever, from the last item it gave."""
        position = after
        failures = 0
        while True:
            heed_cancellation()
            client = _client(self._uri, ASKED)
            try:
                async with aclosing(_subscribed(client, prefixes, position)) as lots:
                    async for lot in lots:
                        failures = 0
                        position = _last_position(lot, position)
                        yield lot
                reason = "the subscription ended"
            except Silent as error:
                reason = str(error)
            except asyncio.CancelledError as error:
                reason = unless_ours(error)
            except Exception as error:  # noqa: BLE001 - whatever ended it, it goes on from there
                reason = f"{type(error).__name__}: {error}"
            finally:
                await _close(client)
            logger.info("follow_again", position=position, reason=reason, attempt=failures)
            await pause(failures)
            failures += 1

    async def head(self) -> int:
        """Position of the newest event. Raises `StoreUnavailable`."""
        return await asked(
            lambda: self._client.get_commit_position(timeout=CALL_TIMEOUT_S),
            self._attempts_max,
            ASKED_TIMEOUT_S,
        )

    async def keep_last(self, stream: str, count: int) -> None:
        """Keep only the newest events of a stream. Raises `StoreUnavailable`."""

        async def ask() -> None:
            metadata, version = await self._client.get_stream_metadata(
                stream, timeout=CALL_TIMEOUT_S
            )
            if metadata.get("$maxCount") != count:
                await self._client.set_stream_metadata(
                    stream,
                    metadata={**metadata, "$maxCount": count},
                    current_version=version,
                    timeout=CALL_TIMEOUT_S,
                )

        await asked(ask, self._attempts_max, ASKED_TIMEOUT_S)

    async def _send(self, group: Sequence[Append]) -> Sequence[Appended]:
        """One call, all or nothing, its failures in our terms."""
        try:
            async with asyncio.timeout(ASKED_TIMEOUT_S):
                if self._many.is_known:
                    with suppress(CallBroken):
                        return await self._many.append(group)
                if len(group) == 1:
                    with suppress(CallBroken):
                        return [await self._call.append(group[0])]
                    if not self._joins:
                        return [await self._append_alone(group[0])]
                return await self._append_joined(group)
        except (AppendFailed, Conflicts):
            raise
        except asyncio.CancelledError as error:
            # Closing its channel, the client cancels the calls on it: not our cancellation.
            raise OutcomeUnknown(unless_ours(error)) from error
        except Exception as error:
            raise self._judged(error, group) from error

    async def _append_joined(self, group: Sequence[Append]) -> Sequence[Appended]:
        done = await self._client.append_request(_request(group))
        revisions = {each.stream: each.revision for each in done.revisions}
        return [Appended(done.position, revisions[append.stream]) for append in group]

    async def _append_alone(self, append: Append) -> Appended:
        position = await self._client.append_to_stream(
            append.stream,
            # A tuple: of a generator a hidden retry would append nothing, and say it is done.
            events=tuple(
                kurrent.NewEvent(
                    type=event.type,
                    data=event.data,
                    metadata=_metadata(event),
                    content_type=_content_type(event),
                    id=event.id,
                )
                for event in append.events
            ),
            current_version=_expected(append.expected),
            timeout=CALL_TIMEOUT_S,
        )
        return Appended(position, append.expected + len(append.events))

    def _judged(self, error: Exception, group: Sequence[Append]) -> Exception:
        match error:
            case errors.ConsistencyChecksFailedError():
                found = [each.stream_state_failure for each in error.failures]
                return Conflicts({one.stream_name: one.actual_state for one in found if one})
            case errors.WrongCurrentVersionError():
                actual = error.actual_version
                return Conflicts(
                    {
                        error.stream_name or group[0].stream: actual
                        if isinstance(actual, int)
                        else NO_STREAM
                    }
                )
            case errors.StreamIsDeletedError() | errors.StreamTombstonedError():
                return StreamGone(str(error))
            case errors.AccessDeniedError() | errors.UnauthenticatedError():
                return Denied(str(error))
            case (
                errors.MaximumAppendSizeExceededError()
                | errors.RecordMaxSizeExceededError()
                | errors.TransactionMaxSizeExceededError()
            ):
                return TooLarge(str(error))
        code = _code(error)
        if code == "UNIMPLEMENTED" and self._joins:
            self._joins = False
            return CannotJoin(str(error))
        if code == "RESOURCE_EXHAUSTED":
            return Busy(str(error))
        return OutcomeUnknown(f"{type(error).__name__}: {error}")

    async def _reading(
        self, begin: Callable[[StoredEvent | None], Awaitable[AsyncIterator[Any]]]
    ) -> AsyncGenerator[StoredEvent, None]:
        """Events of a read that is begun again after the last one where it breaks."""
        last: StoredEvent | None = None
        failures = 0
        while True:
            response: Any = None
            try:
                async with asyncio.timeout(STALL_TIMEOUT_S):
                    response = await begin(last)
                while True:
                    async with asyncio.timeout(STALL_TIMEOUT_S):
                        recorded = await anext(response, None)
                    if recorded is None:
                        return
                    event = _stored(recorded)
                    # Begun again at a position, the last one comes once more.
                    if last is None or event.position > last.position:
                        last, failures = event, 0
                        yield event
            except (errors.NotFoundError, errors.StreamIsDeletedError):
                return
            except asyncio.CancelledError as error:
                reason = unless_ours(error)
            except Exception as error:  # noqa: BLE001 - judged by the next try
                reason = f"{type(error).__name__}: {error}"
            finally:
                if response is not None:
                    with suppress(Exception):
                        async with asyncio.timeout(STALL_TIMEOUT_S):
                            await response.stop()
                    # The client waits there for a task that it has cancelled, and drops ours.
                    heed_cancellation()
            failures += 1
            if failures >= self._attempts_max:
                raise StoreUnavailable(reason)
            await pause(failures)


async def _subscribed(
    client: kurrent.AsyncKurrentDBClient, prefixes: Sequence[str], after: int | None
) -> AsyncGenerator[Sequence[Followed], None]:
    async with asyncio.timeout(STALL_TIMEOUT_S):
        subscription: Any = await client.subscribe_to_all(
            commit_position=after,
            include_checkpoints=True,
            include_caught_up=True,
            window_size=CHECKPOINT_WINDOW,
            checkpoint_interval_multiplier=CHECKPOINT_WINDOWS,
            **_filter(prefixes),
        )
    seen = after

    async def is_missing() -> bool:
        """Whether the store has what the subscription should have brought by now."""
        reading = await client.read_all(
            commit_position=seen, limit=2, timeout=CALL_TIMEOUT_S, **_filter(prefixes)
        )
        positions = [each.commit_position async for each in reading]
        return any(seen is None or each > seen for each in positions)

    # Not `async with subscription`: inside it a broken stream ends as if all were said.
    try:
        arriving = _arriving(subscription)
        async with aclosing(watched(arriving, SILENCE_S, is_missing)) as lots:
            async for responses in lots:
                told = [one for each in responses for one in parted(each)]
                found = [_followed(subscription, each) for each in told]
                lot = [item for item in found if item is not None]
                seen = _last_position(lot, seen)
                yield lot
    finally:
        with suppress(Exception):
            await subscription.stop()
        heed_cancellation()  # as in `_reading`


async def _arriving(subscription: Any) -> AsyncGenerator[Sequence[Any], None]:  # noqa: ANN401 - see `_followed`
    """What the server sends, as much at a time as is there. Raises what ends it."""
    arrived: asyncio.Queue[Any] = subscription._read_resp_queue  # noqa: SLF001 - as `_followed`
    while True:
        responses = [await arrived.get()]
        while not arrived.empty():
            responses.append(arrived.get_nowait())
        is_over = responses[-1] is None
        if is_over:
            responses.pop()
        yield responses
        if is_over:
            await subscription.stop()
            return


def _followed(subscription: Any, response: Any) -> Followed | None:  # noqa: ANN401 - it has no stubs
    """An event made from its message at once: the client's way to it takes as long again."""
    read = response.event
    if response.WhichOneof("content") != "event" or read.HasField("link"):
        recorded = subscription._filter_recorded_event(  # noqa: SLF001 - what its iterator does
            subscription._convert_read_resp(response)  # noqa: SLF001 - as above
        )
        if recorded is None:
            return None
        if recorded.is_caught_up:
            return CaughtUp()
        position = recorded.commit_position
        return Checkpoint(position) if recorded.is_checkpoint else _stored(recorded)
    event = read.event
    told = event.metadata
    return StoredEvent(
        UUID(event.id.string),
        told["type"],
        event.data,
        _read_metadata(event.custom_metadata),
        event.stream_identifier.stream_name.decode(),
        event.stream_revision,
        event.commit_position,
        _micros(datetime.fromtimestamp(int(told["created"]) / _TICKS_PER_S, UTC)),
        told["content-type"] == _JSON,
    )


def _last_position(lot: Sequence[Followed], before: T) -> int | T:
    """Position of the last item that has one."""
    for item in reversed(lot):
        if not isinstance(item, CaughtUp):
            return item.position
    return before


class _Client(kurrent.AsyncKurrentDBClient):
    """Sends a joined append as the message that it is: made of records it costs four times."""

    @retrygrpc
    @autoreconnect
    async def append_request(self, request: v2.AppendRecordsRequest) -> v2.AppendRecordsResponse:
        """What its own `append_records` does, but for the making of the message."""
        service: Any = self.connection.v2streams  # its stub is its own affair, and the only way
        metadata = service._metadata(self._call_metadata, requires_leader=True)  # noqa: SLF001
        try:
            done: v2.AppendRecordsResponse = await service._stub.AppendRecords(  # noqa: SLF001
                request,
                timeout=CALL_TIMEOUT_S,
                metadata=metadata,
                credentials=self._call_credentials,
            )
        except grpc.RpcError as error:
            raise handle_rpc_error(error) from error
        return done


def _request(group: Sequence[Append]) -> v2.AppendRecordsRequest:
    """Each field put where it belongs: a message made and copied costs more than what it says."""
    request = v2.AppendRecordsRequest()
    for append in group:
        check = request.checks.add().stream_state
        check.stream = append.stream
        check.expected_state = append.expected
        for event in append.events:
            record = request.records.add(
                record_id=str(event.id),
                schema=_schema(event.type, is_json=event.is_json),
                data=event.data,
                stream=append.stream,
            )
            for key, value in event.metadata.items():
                record.properties[key].string_value = value
    return request


@cache
def _schema(type_: str, *, is_json: bool) -> v2.SchemaInfo:
    # Types are as many as the program has events.
    format_ = v2.SCHEMA_FORMAT_JSON if is_json else v2.SCHEMA_FORMAT_BYTES
    return v2.SchemaInfo(format=format_, name=type_)


def _client(uri: str, *told: tuple[str, str]) -> _Client:
    """A client that says who it is in the metadata of its calls, and what else is to be told.

    By itself it has gRPC ask for that on a thread, made anew for each call: it costs as much again.
    """
    client = _Client(uri)
    name, password = client.connection_spec.username, client.connection_spec.password
    named: Any = client  # what follows is its own affair, and there is no other way
    if client.connection_spec.options.tls and name and password:
        basic = b64encode(f"{name}:{password}".encode()).decode()
        named._call_metadata += (("authorization", f"Basic {basic}"),)  # noqa: SLF001
        named._call_credentials = None  # noqa: SLF001
    named._call_metadata += told  # noqa: SLF001
    return client


async def _close(client: kurrent.AsyncKurrentDBClient) -> None:
    with suppress(Exception):
        await client.close()


def _is_of(item: Followed, prefixes: tuple[str, ...]) -> bool:
    return not isinstance(item, StoredEvent) or item.stream.startswith(prefixes)


def _begins(event: StoredEvent, prefixes: Sequence[str]) -> bool:
    return event.stream.startswith(tuple(prefixes))


def _generator(items: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    return cast("AsyncGenerator[T, None]", items)


def _code(error: Exception) -> str:
    """Name of the status code, which a generic error keeps only in what it was raised from."""
    origin = error.__cause__ or error.__context__
    code = getattr(origin, "code", None)
    return str(getattr(code(), "name", "")) if callable(code) else ""


def _filter(prefixes: Sequence[str]) -> dict[str, Any]:
    if not any(prefixes):
        return {}  # everything but the store's own events
    return {
        "filter_include": tuple(prefixes),
        "filter_by_stream_name": True,
        "filter_by_prefix": True,
    }


def _of_type(type_: str) -> dict[str, Any]:
    return {"filter_include": (type_,), "filter_by_stream_name": False, "filter_by_prefix": True}


def _expected(expected: int) -> kurrent.StreamState | int:
    return kurrent.StreamState.NO_STREAM if expected == NO_STREAM else expected


def _content_type(event: NewEvent) -> ContentType:
    return "application/json" if event.is_json else "application/octet-stream"


def _metadata(event: NewEvent) -> bytes:
    return orjson.dumps(dict(event.metadata))


def _stored(event: kurrent.RecordedEvent) -> StoredEvent:
    recorded: datetime = event.recorded_at or _EPOCH
    return StoredEvent(
        event.id,
        event.type,
        event.data,
        _read_metadata(event.metadata),
        event.stream_name,
        event.stream_position,
        event.commit_position,
        _micros(recorded),
        event.content_type == _JSON,
    )


def _micros(recorded: datetime) -> int:
    return (recorded - _EPOCH) // _MICROSECOND


def _read_metadata(data: bytes) -> Mapping[str, str]:
    try:
        found = orjson.loads(data) if data else {}
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {k: str(v) for k, v in found.items() if not k.startswith(_SCHEMA_KEYS)}


def _with_keep_alive(uri: str) -> str:
    for name, value in _KEEP_ALIVE.items():
        if name.lower() not in uri.lower():
            uri += f"{'&' if '?' in uri else '?'}{name}={value}"
    return uri
