"""Another service's facts, heard over the bus in order; what is missing is read from the store."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import cast
from uuid import UUID

import orjson
import structlog

from libs.bus import Bus, BusUnavailable, Delivered, Message
from libs.event_store import EventStore, StoredEvent, StoreUnavailable
from libs.feed import BATCH_BYTES_MAX, BATCH_EVENTS_MAX, Batch, between

# With nothing new for so long, the store is asked; where it has nothing either, half as often each
# time.
SILENCE_S = 1.0
SILENCE_MAX_S = 4.0
RETRY_S = 0.5
_PREVIOUS, _PREVIOUS_OF_NAME = "Hefu-Previous", "Hefu-Previous-Of-Name"
_JSON, _BINARY = "application/json", "application/protobuf"

logger = structlog.get_logger()


def to_message(source: str, event: StoredEvent, previous: int, previous_of_name: int) -> Message:
    """The event as it travels.

    `previous` is the position of the event the relay sent before it, `previous_of_name` that of the
    one of the same name before it: by these a listener to all, or to one name, sees a gap.
    """
    aggregate = event.stream.partition("-")[0]
    name = name_of(event)
    headers = {
        "Hefu-Revision": str(event.revision),
        "Hefu-Position": str(event.position),
        _PREVIOUS: str(previous),
        _PREVIOUS_OF_NAME: str(previous_of_name),
        "Hefu-Recorded-Us": str(event.recorded_us),
        "Hefu-Metadata": orjson.dumps(dict(event.metadata)).decode(),
        "ce-specversion": "1.0",
        "ce-id": str(event.id),
        "ce-source": f"/hefu/{source}",
        "ce-type": event.type,
        "ce-subject": event.stream,
        "ce-datacontenttype": _JSON if event.is_json else _BINARY,
    }
    if "traceparent" in event.metadata:
        headers["traceparent"] = event.metadata["traceparent"]
    return Message(str(event.id), f"hefu.{source}.{aggregate}.{name}", headers, event.data)


def to_event(message: Message) -> StoredEvent:
    """The event as it was stored."""
    headers = message.headers
    return StoredEvent(
        UUID(headers["ce-id"]),
        headers["ce-type"],
        message.data,
        orjson.loads(headers["Hefu-Metadata"]),
        headers["ce-subject"],
        int(headers["Hefu-Revision"]),
        position_of(message),
        int(headers["Hefu-Recorded-Us"]),
        headers["ce-datacontenttype"] == _JSON,
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
            "AsyncGenerator[Sequence[Delivered], None]", bus.consume(source, consumer, only=name)
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
        self._prefixes = tuple(prefixes)
        self._store = store
        self._only = only
        self._concerns = concerns
        self._previous = _PREVIOUS_OF_NAME if only else _PREVIOUS
        self._heard = after
        self._news_at_s = 0.0
        self._silence_s = SILENCE_S

    async def listen(self, delivered: Sequence[Delivered]) -> AsyncIterator[Batch]:
        """Give what is new of these messages, in the store's order, and what is missing between."""
        loop = asyncio.get_running_loop()
        heard: list[StoredEvent] = []
        reached = self._heard
        for each in sorted(delivered, key=lambda one: position_of(one.message)):
            position = position_of(each.message)
            if position <= reached:
                continue
            if int(each.message.headers[self._previous]) > reached:
                if heard:
                    yield self._batch(heard, reached)
                    heard = []
                async for batch in self._fill(position):
                    yield batch
                reached = self._heard
                continue
            reached = position
            if self._is_wanted(each.message.headers) and self._concerns(each.message):
                heard.append(to_event(each.message))
        if reached > self._heard:
            yield self._batch(heard, reached)
            self._news_at_s, self._silence_s = loop.time(), SILENCE_S
        elif loop.time() - self._news_at_s >= self._silence_s:
            async for batch in self.ask():
                yield batch

    async def ask(self) -> AsyncIterator[Batch]:
        """Give what the store has and the bus did not bring."""
        head = await self._store.head()
        self._silence_s = min(2 * self._silence_s, SILENCE_MAX_S)
        if head > self._heard:
            async for batch in self._fill(head):
                if batch.events:
                    self._silence_s = SILENCE_S
                yield batch
        else:
            yield Batch((), self._heard, is_caught_up=True)
        self._news_at_s = asyncio.get_running_loop().time()

    async def _fill(self, upto: int) -> AsyncIterator[Batch]:
        events: list[StoredEvent] = []
        size = 0
        missing = between(self._store, self._prefixes, self._heard, upto, only=self._only)
        async with aclosing(missing) as reading:
            async for event in reading:
                events.append(event)
                size += len(event.data)
                if len(events) >= BATCH_EVENTS_MAX or size >= BATCH_BYTES_MAX:
                    yield self._batch(events, event.position)
                    events, size = [], 0
        yield self._batch(events, upto)

    def _is_wanted(self, headers: Mapping[str, str]) -> bool:
        is_of_type = self._only in ("", headers["ce-type"])
        return is_of_type and headers["ce-subject"].startswith(self._prefixes)

    def _batch(self, events: Sequence[StoredEvent], position: int) -> Batch:
        self._heard = position
        return Batch(events, position, is_caught_up=True)
