"""The client of the bus, with what is as ours is read and written in a fraction of the time."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import nats.errors
from nats.aio.client import DEFAULT_BUFFER_SIZE, Client
from nats.aio.subscription import Subscription
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

from libs.bus import HeaderLines, Message, lines_of

_VERSION = b"NATS/1.0"
_LINE_END = b"\r\n"
_FIRST_LINE = _VERSION + _LINE_END
# Where the server says something instead of a message, its number follows on the first line.
_STATUS_AT = len(_VERSION) + 1
_STATUS_LENGTH = 3
# A message with headers and a place to answer to: subject, subscription, answer's subject, sizes.
_DELIVERED = re.compile(rb"HMSG ([^\s]+) (\d+) ([^\s]+) (\d+) (\d+)\r\n")


class Taken(NamedTuple):
    """A message as it arrived; most of what the client makes of one would not be looked at."""

    subject: bytes
    reply: bytes
    headers: bytes
    data: bytes

    @property
    def status(self) -> str:
        """What the server says instead of a message; empty for a message."""
        if self.data or self.headers[_STATUS_AT - 1 : _STATUS_AT] != b" ":
            return ""
        return self.headers[_STATUS_AT : _STATUS_AT + _STATUS_LENGTH].decode("ascii", "replace")

    @property
    def lines(self) -> HeaderLines:
        """The headers without the first line, which is the version's."""
        if self.headers.startswith(_FIRST_LINE):
            return HeaderLines(self.headers[len(_FIRST_LINE) :])
        return HeaderLines(self.headers.partition(_LINE_END)[2])

    @property
    def reason(self) -> str:
        """What the server says beside the number."""
        line = self.headers.partition(_LINE_END)[0].decode("utf-8", "replace")
        return line[_STATUS_AT + _STATUS_LENGTH :].strip()


class TakingClient(Client):
    """Reads and writes what is as ours is by itself; all else as the client does."""

    def __init__(self) -> None:
        super().__init__()
        self._takers: dict[int, Callable[[Taken], None]] = {}
        self._ps = _TakingParser(self, self._takers)

    async def listen(self, subject: str, take: Callable[[Taken], None]) -> Subscription:
        """Subscribe; what comes is handed over as it is, at once."""
        subscription = await self.subscribe(subject)
        self._takers[subscription._id] = take  # noqa: SLF001 - its number is told nowhere else
        return subscription

    async def listen_no_more(self, subscription: Subscription) -> None:
        """Unsubscribe; what is still on its way is nobody's."""
        self._takers.pop(subscription._id, None)  # noqa: SLF001 - as above
        await subscription.unsubscribe()

    async def publish_together(self, messages: Sequence[tuple[Message, str]]) -> None:
        """Publish messages, each with lines of headers behind its own, in one write."""
        if self.is_closed:
            raise nats.errors.ConnectionClosedError
        commands = b"".join([_command(message, more) for message, more in messages])
        await self._send_command(commands)
        if self._flush_queue is not None and self._flush_queue.empty():
            await self._flush_pending()

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        take = self._takers.get(sid)
        if take is None:
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            take(Taken(subject, reply, headers or b"", data))


class _TakingParser(Parser):
    """Takes messages that somebody listens for out of what was read, one after the other."""

    def __init__(self, client: Client, takers: Mapping[int, Callable[[Taken], None]]) -> None:
        super().__init__(client)
        self._takers = takers

    async def parse(self, data: bytes = b"") -> None:
        """Hand over what is whole; what is of another kind, or large, is left to the client."""
        if self.state == AWAITING_CONTROL_LINE:
            read = bytes(self.buf) + data if self.buf else data
            at, is_waiting = self._taken(read)
            self.buf = bytearray(read[at:])
            if is_waiting:
                return
            data = b""
        await super().parse(data)

    def _taken(self, read: bytes) -> tuple[int, bool]:
        """How far it came, and whether what is left there is the beginning of one of ours."""
        at, size = 0, len(read)
        while at < size:
            found = _DELIVERED.match(read, at)
            if found is None:
                return at, False
            subject, sid, reply, header_size, whole_size = found.groups()
            take = self._takers.get(int(sid))
            if take is None:
                return at, False
            start = found.end()
            end = start + int(whole_size)
            if end + len(_LINE_END) > size:
                return at, end - size < DEFAULT_BUFFER_SIZE
            middle = start + int(header_size)
            take(Taken(subject, reply, read[start:middle], read[middle:end]))
            at = end + len(_LINE_END)
        return at, True


def headers_with(message: Message, more: str) -> dict[str, str]:
    """Its own headers, and lines of others."""
    return {**message.headers, **HeaderLines(more.encode())}


def _command(message: Message, more: str) -> bytes:
    """The message with more headers, as the client would send it."""
    own = message.headers
    lines = own if isinstance(own, HeaderLines) else lines_of(own)
    block = b"%b%b%b\r\n" % (_FIRST_LINE, lines.raw, more.encode())
    data = message.data
    size = len(block) + len(data)
    return b"HPUB %b  %d %d\r\n%b%b\r\n" % (message.subject.encode(), len(block), size, block, data)
