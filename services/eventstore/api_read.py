"""Streams.Read with a count: pages from the reader threads, written out as they come."""

from typing import Final

import grpc

from services.eventstore import errors, pages, read_request
from services.eventstore.pages import Page, Scan, StreamAbsent, StreamClosed
from services.eventstore.protocol import streams
from services.eventstore.read_request import Read
from services.eventstore.reader import Reader
from services.eventstore.subscriptions import Subscriptions
from services.eventstore.tail import Tail
from services.eventstore.wire import stream_not_found_message

_BEYOND_ALL: Final = 2**63 - 1
_SCAN_LEAST: Final = 64
_SCAN_MOST: Final = 4_000


class StreamsRead:
    """The reading half of the version 1 service; messages leave as bytes already encoded."""

    def __init__(self, reader: Reader, tail: Tail) -> None:
        self._reader = reader
        self._tail = tail
        self._subscriptions = Subscriptions(reader, tail)

    async def read(
        self,
        request: streams.ReadReq,
        context: "grpc.aio.ServicerContext[streams.ReadReq, bytes]",
    ) -> None:
        """Answer a read or a subscription."""
        read = read_request.parse(request)
        if read.stream is None:
            await self._require_position(read)
        if read.count is None:
            await self._subscriptions.serve(read, context)
        elif read.stream is not None:
            await self._read_stream(read, read.stream, read.count, context)
        elif read.wanted is not None:
            await self._read_filtered(read, read.count, context)
        else:
            await self._read_all(read, read.count, context)

    async def _require_position(self, read: Read) -> None:
        if read.start is None or read.start == self._tail.head:
            return
        if not await self._reader.run(pages.is_readable_position, read.start):
            raise errors.invalid_position(read.start)

    async def _read_stream(
        self,
        read: Read,
        stream: str,
        count: int,
        context: "grpc.aio.ServicerContext[streams.ReadReq, bytes]",
    ) -> None:
        sight = await self._reader.run(pages.look_at_stream, stream)
        if isinstance(sight, StreamClosed):
            raise errors.stream_deleted(stream)
        if isinstance(sight, StreamAbsent):
            await context.write(stream_not_found_message(stream))
            return
        cursor = read.start
        if cursor is None:
            cursor = sight.last if read.is_from_end else 0
        if read.is_from_end and not read.is_backwards:
            cursor = sight.last + 1
        while count > 0:
            page = await self._reader.run(
                pages.stream_page,
                sight,
                cursor,
                count,
                read.presentation,
                is_backwards=read.is_backwards,
            )
            await _write(page, context)
            cursor, count = page.cursor, count - page.delivered
            if page.is_end:
                return

    async def _read_all(
        self,
        read: Read,
        count: int,
        context: "grpc.aio.ServicerContext[streams.ReadReq, bytes]",
    ) -> None:
        cursor = _first_cursor(read)
        while count > 0:
            page = await self._reader.run(
                pages.all_page, cursor, count, read.presentation, is_backwards=read.is_backwards
            )
            await _write(page, context)
            cursor, count = page.cursor, count - page.delivered
            if page.is_end:
                return

    async def _read_filtered(
        self,
        read: Read,
        count: int,
        context: "grpc.aio.ServicerContext[streams.ReadReq, bytes]",
    ) -> None:
        if read.wanted is None:
            return
        cursor = _first_cursor(read)
        # A small read looks at little first, then at more and more while it finds nothing.
        look = min(_SCAN_MOST, max(_SCAN_LEAST, 2 * count))
        while count > 0:
            page = await self._reader.run(
                pages.filtered_page,
                cursor,
                count,
                read.presentation,
                Scan(read.wanted, look),
                is_backwards=read.is_backwards,
            )
            await _write(page, context)
            cursor, count = page.cursor, count - page.delivered
            look = min(_SCAN_MOST, 2 * look)
            if page.is_end:
                return


def _first_cursor(read: Read) -> int:
    """Forwards a position is inclusive, backwards it is exclusive; a cursor is always exclusive."""
    if read.is_backwards:
        if read.start is not None:
            return read.start
        return _BEYOND_ALL if read.is_from_end else -1
    if read.start is not None:
        return read.start - 1
    return _BEYOND_ALL if read.is_from_end else -1


async def _write(page: Page, context: "grpc.aio.ServicerContext[streams.ReadReq, bytes]") -> None:
    for message in page.messages:
        await context.write(message)
