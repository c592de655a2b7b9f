"""Another service's facts, heard over the bus in order; what is missing is read from the store."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from operator import itemgetter
from typing import NamedTuple, cast
from uuid import UUID

import orjson
import structlog

from libs.bus import Bus, BusUnavailable, Delivered, HeaderLines, Message, one_line
from libs.event_store import LOT_BYTES_MAX, EventStore, StoredEvent, StoreUnavailable
from libs.feed import BATCH_EVENTS_MAX, Batch, between

# With nothing new for so long, the store is asked; where it has nothing either, half as often each
# time.
SILENCE_S = 1.0
SILENCE_MAX_S = 4.0
RETRY_S = 0.5
_PREVIOUS, _PREVIOUS_OF_NAME = "Hefu-Previous", "Hefu-Previous-Of-Name"
_JSON, _BINARY = "application/json", "application/protobuf"
_NAMES = (
    "Hefu-Revision",
    "Hefu-Position",
    _PREVIOUS,
    _PREVIOUS_OF_NAME,
    "Hefu-Recorded-Us",
    "Hefu-Metadata",
    "ce-id",
    "ce-type",
    "ce-subject",
    "ce-datacontenttype",
)
_WRITTEN = re.compile(
    rb"Hefu-Revision: (\d+)\r\nHefu-Position: (\d+)\r\n"
    rb"Hefu-Previous: (\d+)\r\nHefu-Previous-Of-Name: (\d+)\r\n"
    rb"Hefu-Recorded-Us: (\d+)\r\nHefu-Metadata: (.*)\r\n"
    rb"ce-specversion: .*\r\nce-id: (.*)\r\nce-source: .*\r\n"
    rb"ce-type: (.*)\r\nce-subject: (.*)\r\nce-datacontenttype: (.*)\r\n"
)

logger = structlog.get_logger()


def to_message(source: str, event: StoredEvent, previous: int, previous_of_name: int) -> Message:
    """The event as it travels.

    `previous` is the position of the event the relay sent before it, `previous_of_name` that of the
    one of the same name before it: by these a listener to all, or to one name, sees a gap.
    """
    id_ = str(event.id)
    metadata = event.metadata
    lines = (
        f"Hefu-Revision: {event.revision}\r\nHefu-Position: {event.position}\r\n"
        f"{_PREVIOUS}: {previous}\r\n{_PREVIOUS_OF_NAME}: {previous_of_name}\r\n"
        f"Hefu-Recorded-Us: {event.recorded_us}\r\n"
        f"Hefu-Metadata: {orjson.dumps(dict(metadata)).decode()}\r\n"
        f"ce-specversion: 1.0\r\nce-id: {id_}\r\nce-source: /hefu/{source}\r\n"
        f"ce-type: {one_line(event.type)}\r\nce-subject: {one_line(event.stream)}\r\n"
        f"ce-datacontenttype: {_JSON if event.is_json else _BINARY}\r\n"
    )
    if "traceparent" in metadata:
        lines += f"traceparent: {one_line(metadata['traceparent'])}\r\n"
    aggregate = event.stream.partition("-")[0]
    subject = f"hefu.{source}.{aggregate}.{name_of(event)}"
    return Message(id_, subject, HeaderLines(lines.encode()), event.data)


def to_event(message: Message) -> StoredEvent:
    """The event as it was stored."""
    return _event(headings_of(message), message.data)


class Headings(NamedTuple):
    """What a message's headers say of its event, in the order in which they are written."""

    revision: bytes
    position: bytes
    previous: bytes
    previous_of_name: bytes
    recorded_us: bytes
    metadata: bytes
    id: bytes
    type: bytes
    stream: bytes
    content_type: bytes


def headings_of(message: Message) -> Headings:
    """By one pattern from the bytes where they are as `to_message` has them, or one by one."""
    headers = message.headers
    if isinstance(headers, HeaderLines):
        found = _WRITTEN.match(headers.raw)
        if found is not None:
            return Headings._make(found.groups())
    return Headings(*(headers[name].encode() for name in _NAMES))


def _event(headings: Headings, data: bytes) -> StoredEvent:
    return StoredEvent(
        UUID(headings.id.decode()),
        headings.type.decode(),
        data,
        orjson.loads(headings.metadata),
        headings.stream.decode(),
        int(headings.revision),
        int(headings.position),
        int(headings.recorded_us),
        headings.content_type == _JSON.encode(),
    )


def every(_: Message) -> bool:
    """Nothing is passed over."""
    return True


def name_of(event: StoredEvent) -> str:
    """The last word of the event's type, and of its subject."""
    return event.type.rpartition(".")[2]


def position_of(message: Message) -> int:
    """Position of the event inside."""
    return int(message.headers["Hefu-Position"])


async def hear(  # noqa: PLR0913 - who hears what, from where
    source: str,
    consumer: str,
    prefixes: Sequence[str],
    after: int | None,
    *,
    store: EventStore,
    bus: Bus,
    only: str = "",
    concerns: Callable[[Message], bool] = every,
) -> AsyncGenerator[Batch, None]:
    """Hear for ever, each event once and in order, whatever the bus repeats, loses or reorders.

    With `only`, events of that one type. A message that does not concern the listener is passed
    over unread: its event may still come, where it is read from the store.
    """
    ear = _Ear(prefixes, after or 0, store, only, concerns)
    name = only.rpartition(".")[2]
    while True:
        consuming = cast(
            "AsyncGenerator[Sequence[Delivered], None]",
            bus.consume(source, consumer, only=name, reached=lambda: ear.heard),
        )
        try:
            async with aclosing(consuming):
                async for delivered in consuming:
                    async for batch in ear.listen(delivered):
                        yield batch
        except (BusUnavailable, StoreUnavailable) as error:
            logger.warning("hearing_waits", source=source, consumer=consumer, reason=str(error))
            await asyncio.sleep(RETRY_S)
        try:
            async for batch in ear.ask():
                yield batch
        except StoreUnavailable as error:
            logger.warning("store_waits", source=source, consumer=consumer, reason=str(error))


class _Ear:
    """Where a listener is: everything up to `heard` was given."""

    def __init__(
        self,
        prefixes: Sequence[str],
        after: int,
        store: EventStore,
        only: str,
        concerns: Callable[[Message], bool],
    ) -> None:
        self._store = store
        self._wanted = tuple(prefixes), only
        # As they are in a message.
        self._prefixes = tuple(prefix.encode() for prefix in prefixes)
        self._only = only.encode()
        self._concerns = concerns
        self.heard = after
        self._news_at_s = 0.0
        self._silence_s = SILENCE_S

    async def listen(self, delivered: Sequence[Delivered]) -> AsyncIterator[Batch]:
        """Give what is new of these messages, in the store's order, and what is missing between."""
        loop = asyncio.get_running_loop()
        heard: list[StoredEvent] = []
        reached = self.heard
        placed = [(*self._placed(message), message) for message, _ in delivered]
        for position, previous, headings, message in sorted(placed, key=itemgetter(0)):
            if position <= reached:
                continue
            if previous > reached:
                if heard:
                    yield self._batch(heard, reached)
                    heard = []
                async for batch in self._fill(position):
                    yield batch
                reached = self.heard
                continue
            reached = position
            if self._concerns(message) and self._is_wanted(headings):
                heard.append(_event(headings, message.data))
        if reached > self.heard:
            yield self._batch(heard, reached)
            self._news_at_s, self._silence_s = loop.time(), SILENCE_S
        elif loop.time() - self._news_at_s >= self._silence_s:
            async for batch in self.ask():
                yield batch

    async def ask(self) -> AsyncIterator[Batch]:
        """Give what the store has and the bus did not bring."""
        head = await self._store.head()
        self._silence_s = min(2 * self._silence_s, SILENCE_MAX_S)
        if head > self.heard:
            async for batch in self._fill(head):
                if batch.events:
                    self._silence_s = SILENCE_S
                yield batch
        else:
            yield Batch((), self.heard, is_caught_up=True)
        self._news_at_s = asyncio.get_running_loop().time()

    async def _fill(self, upto: int) -> AsyncIterator[Batch]:
        events: list[StoredEvent] = []
        size = 0
        prefixes, only = self._wanted
        missing = between(self._store, prefixes, self.heard, upto, only=only)
        async with aclosing(missing) as reading:
            async for event in reading:
                events.append(event)
                size += len(event.data)
                if len(events) >= BATCH_EVENTS_MAX or size >= LOT_BYTES_MAX:
                    yield self._batch(events, event.position)
                    events, size = [], 0
        yield self._batch(events, upto)

    def _placed(self, message: Message) -> tuple[int, int, Headings]:
        """Where its event is, and where the one is that comes before it for this listener."""
        headings = headings_of(message)
        previous = headings.previous_of_name if self._only else headings.previous
        return int(headings.position), int(previous), headings

    def _is_wanted(self, headings: Headings) -> bool:
        is_of_type = self._only in (b"", headings.type)
        return is_of_type and headings.stream.startswith(self._prefixes)

    def _batch(self, events: Sequence[StoredEvent], position: int) -> Batch:
        self.heard = position
        return Batch(events, position, is_caught_up=True)
