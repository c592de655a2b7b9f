"""Version 1 writes: Append, BatchAppend, Delete and Tombstone as operations of the writer."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import grpc
from google.protobuf import message

from services.eventstore import errors, requests
from services.eventstore.errors import Refusal
from services.eventstore.model import (
    ANY,
    EXISTS,
    NO_STREAM,
    Append,
    Delete,
    Failure,
    Outcome,
    Refused,
    Stored,
    Unserved,
)
from services.eventstore.protocol import shared, streams
from services.eventstore.writer import Closing, Overloaded, Writer

# What one append in a batch may wait in the queue, whatever its caller allows.
_BATCH_WAIT_S: Final = 2.0
_BATCHES_OPEN_MAX: Final = 64

_UNKNOWN, _INVALID, _TIMEOUT, _NOT_FOUND, _EXISTS = 2, 3, 4, 5, 6


@dataclass(slots=True)
class _Batch:
    options: streams.BatchAppendReq.Options
    messages: list[streams.BatchAppendReq.ProposedMessage] = field(default_factory=list)
    size: int = 0


class StreamsWrites:
    """The writing half of the version 1 service."""

    def __init__(self, writer: Writer, append_limit: int) -> None:
        self._writer = writer
        self._append_limit = append_limit
        self._taking: set[asyncio.Task[None]] = set()
        self._is_closing = False

    def close(self) -> None:
        """End calls that last for ever; what they have asked for by now is still answered."""
        self._is_closing = True
        for taking in self._taking:
            taking.cancel()

    async def append(
        self,
        incoming: AsyncIterator[streams.AppendReq],
        context: "grpc.aio.ServicerContext[streams.AppendReq, streams.AppendResp]",
    ) -> streams.AppendResp:
        """Options first, then one message an event."""
        stream, expected, events, size = "", ANY, [], 0
        async for request in incoming:
            if request.HasField("options"):
                options = request.options
                stream = requests.written_name(
                    requests.stream_name(options.stream_identifier), "stream_identifier"
                )
                expected = requests.expected_version(
                    options, options.WhichOneof("expected_stream_revision")
                )
            elif not stream:
                raise errors.invalid("options", "must come first")
            else:
                events.append(requests.event(stream, request.proposed_message))
                size += events[-1].size
                if size > self._append_limit:
                    raise errors.too_large(self._append_limit)
        if not stream:
            raise errors.invalid("options", "is missing")
        deadline = requests.deadline_after(context.time_remaining())
        outcome = errors.require_served(
            await self._submit(Append(tuple(events), {stream: expected}, size, deadline))
        )
        if isinstance(outcome, Stored):
            return _append_success(outcome, stream)
        failure = outcome.failures[0]
        if failure.actual in errors.GONE:
            raise errors.stream_deleted(stream)
        return streams.AppendResp(wrong_expected_version=_append_conflict(failure))

    async def batch_append(
        self,
        incoming: AsyncIterator[streams.BatchAppendReq],
        context: "grpc.aio.ServicerContext[streams.BatchAppendReq, streams.BatchAppendResp]",
    ) -> None:
        """Requests of one correlation id add up until the final one; answers as they come."""
        turn = asyncio.Lock()

        async def answer(key: shared.UUID, batch: _Batch, submission: _Submission) -> None:
            reply = await submission.reply(key, batch.options)
            async with turn:
                await context.write(reply)

        async def take(answers: asyncio.TaskGroup) -> None:
            open_batches: dict[bytes, _Batch] = {}
            async for request in incoming:
                batch = self._gather(open_batches, request)
                if request.is_final:
                    # Submitted here, so that operations are queued in order of arrival.
                    submission = self._start(batch)
                    answers.create_task(answer(request.correlation_id, batch, submission))

        try:
            async with asyncio.TaskGroup() as answers:
                taking = answers.create_task(take(answers))
                self._taking.add(taking)
                taking.add_done_callback(self._taking.discard)
        except ExceptionGroup as group:
            refusals = group.subgroup(Refusal)
            if refusals is None:
                raise
            raise _first(refusals) from None
        if self._is_closing:
            raise errors.stopping()

    async def delete(
        self,
        request: streams.DeleteReq,
        context: "grpc.aio.ServicerContext[streams.DeleteReq, streams.DeleteResp]",
    ) -> streams.DeleteResp:
        """Hide what there is."""
        position = await self._delete(request.options, context.time_remaining(), is_final=False)
        return streams.DeleteResp(
            position=streams.DeleteResp.Position(
                commit_position=position, prepare_position=position
            )
        )

    async def tombstone(
        self,
        request: streams.TombstoneReq,
        context: "grpc.aio.ServicerContext[streams.TombstoneReq, streams.TombstoneResp]",
    ) -> streams.TombstoneResp:
        """Close it for ever."""
        position = await self._delete(request.options, context.time_remaining(), is_final=True)
        return streams.TombstoneResp(
            position=streams.TombstoneResp.Position(
                commit_position=position, prepare_position=position
            )
        )

    async def _delete(
        self,
        options: streams.DeleteReq.Options | streams.TombstoneReq.Options,
        remaining_s: float | None,
        *,
        is_final: bool,
    ) -> int:
        stream = requests.written_name(
            requests.stream_name(options.stream_identifier), "stream_identifier"
        )
        expected = requests.expected_version(
            options, options.WhichOneof("expected_stream_revision")
        )
        deadline = requests.deadline_after(remaining_s)
        outcome = errors.require_served(
            await self._submit(Delete(stream, expected, is_final, deadline))
        )
        if isinstance(outcome, Refused):
            failure = outcome.failures[0]
            if failure.actual in errors.GONE:
                raise errors.stream_deleted(stream)
            raise errors.delete_refused(failure)
        return outcome.position or 0

    async def _submit(self, operation: Append | Delete) -> Outcome:
        try:
            return await self._writer.submit(operation)
        except (Overloaded, Closing) as error:
            errors.raise_closed(error)

    def _gather(self, open_batches: dict[bytes, _Batch], request: streams.BatchAppendReq) -> _Batch:
        key = request.correlation_id.SerializeToString()
        batch = open_batches.pop(key, None)
        if batch is None:
            if len(open_batches) >= _BATCHES_OPEN_MAX:
                raise Refusal(
                    grpc.StatusCode.RESOURCE_EXHAUSTED, "too many unfinished appends on one call"
                )
            batch = _Batch(request.options)
        if not request.is_final:
            open_batches[key] = batch
        for proposed in request.proposed_messages:
            batch.size += len(proposed.data) + len(proposed.custom_metadata)
            # Beyond the limit only the size matters: it is refused when it is complete.
            if batch.size <= self._append_limit:
                batch.messages.append(proposed)
        return batch

    def _start(self, batch: _Batch) -> "_Submission":
        try:
            operation = self._operation(batch)
        except _InBand as refusal:
            return _Submission(None, refusal)
        try:
            return _Submission(self._writer.submit(operation), None)
        except (Overloaded, Closing) as error:
            errors.raise_closed(error)

    def _operation(self, batch: _Batch) -> Append:
        options = batch.options
        try:
            stream = requests.written_name(
                requests.stream_name(options.stream_identifier), "stream_identifier"
            )
            expected = requests.expected_version(
                options, options.WhichOneof("expected_stream_position")
            )
            events = tuple(requests.event(stream, proposed) for proposed in batch.messages)
        except Refusal as refusal:
            raise _InBand(_INVALID, shared.BadRequest(message=refusal.text)) from None
        size = sum(event.size for event in events)
        if max(size, batch.size) > self._append_limit:
            raise _InBand(
                _INVALID, shared.MaximumAppendSizeExceeded(maxAppendSize=self._append_limit)
            )
        wait_s = min(_BATCH_WAIT_S, _allowed_s(options))
        if wait_s <= 0:
            raise _InBand(_TIMEOUT, shared.Timeout())
        return Append(events, {stream: expected}, size, requests.deadline_after(wait_s))


class _InBand(Exception):
    def __init__(self, code: int, details: message.Message) -> None:
        super().__init__(type(details).__name__)
        self.code = code
        self.details = details


@dataclass(frozen=True, slots=True)
class _Submission:
    outcome: "asyncio.Future[Outcome] | None"
    refusal: _InBand | None

    async def reply(
        self, key: shared.UUID, options: streams.BatchAppendReq.Options
    ) -> streams.BatchAppendResp:
        """The answer in band; only a full queue or a full disk end the call."""
        reply = streams.BatchAppendResp(
            correlation_id=key, stream_identifier=options.stream_identifier
        )
        _echo_expected(reply, options)
        try:
            _fill(reply, await self._decided(), options)
        except _InBand as refusal:
            reply.error.code = refusal.code  # type: ignore[assignment]
            reply.error.message = type(refusal.details).__name__
            reply.error.details.Pack(refusal.details)
        return reply

    async def _decided(self) -> Outcome:
        if self.outcome is None:
            raise self.refusal or _InBand(_UNKNOWN, shared.Unknown())
        return await self.outcome


def _first(group: ExceptionGroup[Refusal]) -> Refusal:
    first = group.exceptions[0]
    return first if isinstance(first, Refusal) else _first(first)


def _fill(
    reply: streams.BatchAppendResp, outcome: Outcome, options: streams.BatchAppendReq.Options
) -> None:
    if outcome is Unserved.EXPIRED:
        raise _InBand(_TIMEOUT, shared.Timeout())
    decided = errors.require_served(outcome)
    if isinstance(decided, Refused):
        failure = decided.failures[0]
        if failure.actual in errors.GONE:
            raise _InBand(
                _NOT_FOUND, shared.StreamDeleted(stream_identifier=options.stream_identifier)
            )
        raise _InBand(_EXISTS, _batch_conflict(failure))
    revision = next(iter(decided.revisions.values()))
    if revision < 0:
        reply.success.no_stream.SetInParent()
    else:
        reply.success.current_revision = revision
    if decided.position is None:
        reply.success.no_position.SetInParent()
    else:
        reply.success.position.commit_position = decided.position
        reply.success.position.prepare_position = decided.position


def _echo_expected(reply: streams.BatchAppendResp, options: streams.BatchAppendReq.Options) -> None:
    match options.WhichOneof("expected_stream_position"):
        case "stream_position":
            reply.stream_position = options.stream_position
        case "no_stream":
            reply.no_stream.SetInParent()
        case "any":
            reply.any.SetInParent()
        case "stream_exists":
            reply.stream_exists.SetInParent()


def _allowed_s(options: streams.BatchAppendReq.Options) -> float:
    match options.WhichOneof("deadline_option"):
        case "deadline":
            return options.deadline.seconds + options.deadline.nanos / 1e9
        case "deadline_21_10_0":
            moment = options.deadline_21_10_0
            return moment.seconds + moment.nanos / 1e9 - time.time()
        case _:
            return _BATCH_WAIT_S


def _append_success(stored: Stored, stream: str) -> streams.AppendResp:
    success = streams.AppendResp.Success()
    revision = stored.revisions[stream]
    if revision < 0:
        success.no_stream.SetInParent()
    else:
        success.current_revision = revision
    if stored.position is None:
        success.no_position.SetInParent()
    else:
        success.position.commit_position = stored.position
        success.position.prepare_position = stored.position
    return streams.AppendResp(success=success)


def _append_conflict(failure: Failure) -> streams.AppendResp.WrongExpectedVersion:
    conflict = streams.AppendResp.WrongExpectedVersion()
    if failure.actual < 0:
        conflict.current_no_stream.SetInParent()
        conflict.no_stream_20_6_0.SetInParent()
    else:
        conflict.current_revision = failure.actual
        conflict.current_revision_20_6_0 = failure.actual
    match failure.expected:
        case int(version) if version == ANY:
            conflict.expected_any.SetInParent()
            conflict.any_20_6_0.SetInParent()
        case int(version) if version == EXISTS:
            conflict.expected_stream_exists.SetInParent()
            conflict.stream_exists_20_6_0.SetInParent()
        case int(version) if version == NO_STREAM:
            conflict.expected_no_stream.SetInParent()
        case revision:
            conflict.expected_revision = revision
            conflict.expected_revision_20_6_0 = revision
    return conflict


def _batch_conflict(failure: Failure) -> shared.WrongExpectedVersion:
    conflict = shared.WrongExpectedVersion()
    if failure.actual < 0:
        conflict.current_no_stream.SetInParent()
    else:
        conflict.current_stream_revision = failure.actual
    match failure.expected:
        case int(version) if version == ANY:
            conflict.expected_any.SetInParent()
        case int(version) if version == EXISTS:
            conflict.expected_stream_exists.SetInParent()
        case int(version) if version == NO_STREAM:
            conflict.expected_no_stream.SetInParent()
        case revision:
            conflict.expected_stream_position = revision
    return conflict
