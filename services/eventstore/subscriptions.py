"""Catch-up subscriptions: history in pages, one word that it is read, then what happens."""

from collections.abc import Callable, Sequence
from typing import Final

import grpc

from libs.lots import ASKED, lots
from services.eventstore import errors, pages
from services.eventstore.filters import Filter
from services.eventstore.model import TOMBSTONE_REVISION, Record
from services.eventstore.pages import Page, Scan, StreamClosed, StreamView
from services.eventstore.protocol import streams
from services.eventstore.read_request import Read
from services.eventstore.reader import Reader
from services.eventstore.tail import Recent, Tail
from services.eventstore.wire import (
    caught_up_message,
    checkpoint_message,
    confirmation_message,
)

_ALL: Final = 2**63 - 1
_SCAN_EVENTS: Final = 4_000
_RECENT_MAX: Final = 1_000


class Subscriptions:
    """Serves each subscription by pulling: nothing is buffered for it, nobody is too slow."""

    def __init__(self, reader: Reader, tail: Tail) -> None:
        self._reader = reader
        self._tail = tail

    async def serve(
        self, read: Read, context: "grpc.aio.ServicerContext[streams.ReadReq, bytes]"
    ) -> None:
        """Serve one until its caller leaves or the store closes."""
        await context.write(confirmation_message())
        if read.stream is None:
            await _AllSubscription(self._reader, self._tail, read, context).run()
        else:
            subscription = _StreamSubscription(self._reader, self._tail, read, read.stream, context)
            await subscription.run()
        raise errors.stopping()


class _AllSubscription:
    def __init__(
        self,
        reader: Reader,
        tail: Tail,
        read: Read,
        context: "grpc.aio.ServicerContext[streams.ReadReq, bytes]",
    ) -> None:
        self._reader = reader
        self._tail = tail
        self._presentation = read.presentation
        self._wanted = read.wanted
        self._context = context
        told = context.invocation_metadata() or ()
        self._takes_lots = ASKED in {(key, value) for key, value in told}
        # Considered events since the last checkpoint.
        self._since = 0
        start = -1 if read.start is None else read.start
        self._cursor = tail.head if read.is_from_end else start
        # Regular expressions, resolved links and structured identifiers are work for a thread.
        self._takes_recent = not (
            read.presentation.is_structured
            or read.presentation.resolve_links
            or (read.wanted is not None and read.wanted.pattern is not None)
        )
        self._is_wanted = _judge_of(read.wanted)
        self._may_want = self._is_wanted if self._takes_recent else _any

    async def run(self) -> None:
        is_told, has_considered = False, False
        while not self._tail.is_closing:
            if self._cursor >= self._tail.head:
                if not is_told:
                    is_told = True
                    if has_considered and self._wanted is not None:
                        await self._checkpoint()
                    await self._context.write(caught_up_message(position=self._tail.head))
                await self._wait()
                continue
            has_considered = True
            recent = self._tail.after(self._cursor, _RECENT_MAX) if self._takes_recent else None
            if recent is not None:
                await self._tell(recent)
            else:
                await self._tell_page(await self._page())

    async def _wait(self) -> None:
        every = self._wanted.checkpoint_every if self._wanted is not None else 0
        most = every - self._since if every else _ALL
        self._cursor, passed = await self._tail.wait_beyond(self._cursor, self._may_want, most)
        self._since += passed

    async def _page(self) -> Page:
        if self._wanted is None:
            return await self._reader.run(
                pages.all_page, self._cursor, _ALL, self._presentation, is_backwards=False
            )
        scan = Scan(self._wanted, _SCAN_EVENTS, self._since)
        return await self._reader.run(
            pages.filtered_page, self._cursor, _ALL, self._presentation, scan, is_backwards=False
        )

    async def _tell_page(self, page: Page) -> None:
        await self._write(page.messages)
        self._cursor = page.cursor
        if self._wanted is not None and self._wanted.checkpoint_every:
            self._since = (self._since + page.considered) % self._wanted.checkpoint_every

    async def _tell(self, recent: list[Recent]) -> None:
        told: list[bytes] = []
        every = self._wanted.checkpoint_every if self._wanted is not None else 0
        for event in recent:
            record = event.record
            self._cursor = record.position
            if self._is_wanted(record):
                told.append(event.message)
            self._since += 1
            if every and self._since >= every:
                await self._write(told)
                told = []
                await self._checkpoint()
        await self._write(told)

    async def _write(self, messages: Sequence[bytes]) -> None:
        for message in lots(messages) if self._takes_lots else messages:
            await self._context.write(message)

    async def _checkpoint(self) -> None:
        self._since = 0
        await self._context.write(checkpoint_message(self._cursor))


def _any(_: Record) -> bool:
    return True


def _judge_of(wanted: Filter | None) -> Callable[[Record], bool]:
    """Whether a record is wanted; made once, as it is asked by each subscription of each record."""
    if wanted is None:
        return _any
    prefixes = wanted.prefixes
    if wanted.pattern is None and wanted.is_by_stream:
        return lambda record: record.stream.startswith(prefixes)
    return lambda record: wanted.wants(record.stream if wanted.is_by_stream else record.type)


class _StreamSubscription:
    def __init__(
        self,
        reader: Reader,
        tail: Tail,
        read: Read,
        stream: str,
        context: "grpc.aio.ServicerContext[streams.ReadReq, bytes]",
    ) -> None:
        self._reader = reader
        self._tail = tail
        self._read = read
        self._stream = stream
        self._context = context
        # The next revision to tell.
        self._next = 0 if read.start is None else read.start + 1
        self._takes_recent = not (
            read.presentation.is_structured or read.presentation.resolve_links
        )

    async def run(self) -> None:
        is_told = False
        if self._read.is_from_end:
            self._next = await self._end()
        # Everything up to here has been looked at, for this stream.
        seen = -1
        while not self._tail.is_closing:
            head = self._tail.head
            if seen < head:
                recent = self._tail.after(seen, _ALL) if self._takes_recent and is_told else None
                if recent is not None:
                    await self._tell(recent)
                else:
                    await self._tell_history()
                seen = head
                continue
            if not is_told:
                is_told = True
                revision = self._next - 1 if self._next > 0 else None
                await self._context.write(caught_up_message(revision=revision))
            seen, _ = await self._tail.wait_beyond(seen, self._is_wanted, _ALL)

    def _is_wanted(self, record: Record) -> bool:
        return record.stream == self._stream

    async def _end(self) -> int:
        sight = await self._reader.run(pages.look_at_stream, self._stream)
        return sight.last + 1 if isinstance(sight, StreamView) else 0

    async def _tell(self, recent: list[Recent]) -> None:
        for event in recent:
            record = event.record
            if record.stream != self._stream:
                continue
            if record.revision == TOMBSTONE_REVISION:
                raise errors.stream_deleted(self._stream)
            if record.revision >= self._next:
                self._next = record.revision + 1
                await self._context.write(event.message)

    async def _tell_history(self) -> None:
        while not self._tail.is_closing:
            sight = await self._reader.run(pages.look_at_stream, self._stream)
            if isinstance(sight, StreamClosed):
                raise errors.stream_deleted(self._stream)
            if not isinstance(sight, StreamView):
                return
            page = await self._reader.run(
                pages.stream_page,
                sight,
                self._next,
                _ALL,
                self._read.presentation,
                is_backwards=False,
            )
            for message in page.messages:
                await self._context.write(message)
            self._next = page.cursor
            if page.is_end:
                return
