"""Appends of many, a message each on a call that lasts: our own clients' way to write."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from hefu.eventstore.v1 import appends_pb2 as pb
from services.eventstore import errors, requests
from services.eventstore.errors import Refusal
from services.eventstore.model import (
    EXISTS,
    IS_JSON,
    NO_STREAM,
    Append,
    NewEvent,
    Outcome,
    Refused,
    Stored,
)
from services.eventstore.writer import Closing, Overloaded, Writer

if TYPE_CHECKING:
    import grpc

read_request: Final = pb.AppendContinuouslyRequest.FromString
METHOD: Final = "/hefu.eventstore.v1.AppendsService/AppendContinuously"
# Read and not answered yet; what comes further waits with its sender.
_UNDER_WAY_MAX: Final = 64
_ID_BYTES: Final = 16
_MILLIS: Final = 1_000

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Answers: TypeAlias = "asyncio.Queue[pb.AppendContinuouslyResponse | None]"


class Appends:
    """The service that is ours alone: whatever it refuses is said by the others in their terms."""

    def __init__(self, writer: Writer, append_limit: int) -> None:
        self._writer = writer
        self._append_limit = append_limit
        self._reading: set[asyncio.Task[None]] = set()
        self._is_closing = False

    def close(self) -> None:
        """End calls that last for ever; what they have asked for by now is still answered."""
        self._is_closing = True
        for reading in self._reading:
            reading.cancel()

    async def append_continuously(
        self, incoming: AsyncIterator[pb.AppendContinuouslyRequest], context: Context
    ) -> None:
        """Queued in the order in which they come, answered as they are done."""
        answers: Answers = asyncio.Queue()
        room = asyncio.Semaphore(_UNDER_WAY_MAX)
        taken = answered = 0

        async def read() -> None:
            nonlocal taken
            async for request in incoming:
                await room.acquire()
                taken += 1
                self._take(request, answers)

        reading = asyncio.create_task(read())
        self._reading.add(reading)
        reading.add_done_callback(lambda _: answers.put_nowait(None))
        try:
            while not (reading.done() and answered == taken):
                answer = await answers.get()
                if answer is not None:
                    await context.write(answer)
                    answered += 1
                    room.release()
        finally:
            self._reading.discard(reading)
            reading.cancel()
        if self._is_closing:
            raise errors.stopping()
        reading.result()

    def _take(self, request: pb.AppendContinuouslyRequest, answers: Answers) -> None:
        number = request.number
        try:
            operation = self._operation(request)
            outcome = self._writer.submit(operation)
        except Refusal as refusal:
            answers.put_nowait(_refused(number, refusal.text))
        except (Overloaded, Closing) as error:
            answers.put_nowait(_refused(number, type(error).__name__))
        else:
            outcome.add_done_callback(partial(_tell, answers, number, tuple(operation.expected)))

    def _operation(self, request: pb.AppendContinuouslyRequest) -> Append:
        streams = [requests.written_name(name, "streams") for name in request.streams]
        expected = dict(zip(streams, request.expected, strict=False))
        counts = request.event_counts
        if not len(streams) == len(expected) == len(request.expected) == len(counts):
            raise errors.invalid("streams", "are not each told once, with all that is told of them")
        if any(version < EXISTS or version == EXISTS + 1 for version in request.expected):
            raise errors.invalid("expected", "is no version")
        names = [name for name, count in zip(streams, counts, strict=True) for _ in range(count)]
        events = tuple(map(NewEvent._make, zip(names, *_columns(request, counts), strict=True)))
        size = sum(event.size for event in events)
        if size > self._append_limit:
            raise errors.too_large(self._append_limit)
        deadline = requests.deadline_after(request.timeout_ms / _MILLIS)
        return Append(events, expected, size, deadline)


def _columns(
    request: pb.AppendContinuouslyRequest, counts: Sequence[int]
) -> tuple[Sequence[Any], ...]:
    """Of the events: ids, types, flags, data, metadata; each as long as the others."""
    ids, types = request.event_ids, request.event_types
    flags = [IS_JSON if is_json else 0 for is_json in request.are_json]
    columns = (ids, types, flags, request.data, request.metadata)
    length = len(ids)
    told = list(accumulate(counts))
    if any(count <= 0 for count in counts) or any(len(each) != length for each in columns):
        raise errors.invalid("event_counts", "do not say how many events there are")
    if not told or told[-1] != length:
        raise errors.invalid("event_counts", "do not add up to the events")
    if any(len(id_) != _ID_BYTES or not any(id_) for id_ in ids):
        raise errors.invalid("event_ids", "is not an identifier, or all zero")
    if not all(types) or any("\x00" in type_ for type_ in types):
        raise errors.missing_property("type")
    return columns


def _tell(
    answers: Answers, number: int, streams: Sequence[str], outcome: "asyncio.Future[Outcome]"
) -> None:
    answers.put_nowait(_answer(number, streams, outcome.result()))


def _answer(number: int, streams: Sequence[str], outcome: Outcome) -> pb.AppendContinuouslyResponse:
    match outcome:
        case Stored(position, revisions):
            stored = pb.AppendsStored(
                position=position or 0, revisions=[revisions[stream] for stream in streams]
            )
            return pb.AppendContinuouslyResponse(number=number, stored=stored)
        case Refused(failures) if all(each.actual >= NO_STREAM for each in failures):
            conflict = pb.AppendsConflict(
                streams=[each.stream for each in failures],
                actual=[each.actual for each in failures],
            )
            return pb.AppendContinuouslyResponse(number=number, conflict=conflict)
        case Refused():
            return _refused(number, "a stream is gone")
        case unserved:
            return _refused(number, unserved.name)


def _refused(number: int, text: str) -> pb.AppendContinuouslyResponse:
    return pb.AppendContinuouslyResponse(number=number, refused=text)
