"""A standing request for a consumer's messages of the bus, which are taken as they come."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import nats.errors
from nats.aio.subscription import Subscription
from nats.js import api

from libs.bus import BusUnavailable, Delivered, HeaderLines, Message
from libs.cancelling import heed_cancellation
from libs.nats_client import Taken, TakingClient

TAKEN_MAX = 500
PULLED_MAX = 1_000
IDLE_S = 1.0
HEARTBEAT_S = 1.0
PULL_EXPIRES_S = 30.0
# Neither message nor heartbeat for so long: the pull is lost, or the consumer is.
DEAF_S = 3.5
# What was taken is acknowledged so often, or once it is so many: what comes again is known by its
# position.
ACK_EVERY_S = 1.0
UNACKED_MAX = 1_000

ID = "Nats-Msg-Id"
_ID_LINE = f"\r\n{ID}: ".encode()
_HEARTBEAT = "100"
# Of a reply subject without a domain.
_REPLY_WORDS = 9


class Pull:
    """A standing request for messages, renewed before it is used up."""

    def __init__(self, client: TakingClient, subject: str) -> None:
        self._client = client
        self._subject = subject
        self._ready: deque[Taken] = deque()
        self._changed = asyncio.Event()
        self._wanted = 0
        self._connection = client.stats["reconnects"]
        self._heard_at_s = 0.0
        self._ended: str | None = None
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._done: Taken | None = None
        self._unacked = 0
        self._acked_at_s = 0.0

    async def start(self) -> None:
        """Ask for the first messages."""
        self._subscription = await self._client.listen(self._inbox, self._take)
        self._heard_at_s = asyncio.get_running_loop().time()
        await self._ask()

    async def close(self) -> None:
        """Acknowledge what was taken, and ask for no more."""
        if self._subscription is not None:
            with suppress(nats.errors.Error):
                await self._acknowledge()
                await self._client.listen_no_more(self._subscription)

    async def _acknowledge(self) -> None:
        """All up to the last are done with."""
        self._acked_at_s = asyncio.get_running_loop().time()
        done, self._done, self._unacked = self._done, None, 0
        if done is not None:
            await self._client.publish(done.reply.decode(), b"+ACK")

    async def batches(self) -> AsyncIterator[Sequence[Delivered]]:
        """Give what came; ends where the pull is of no use any more."""
        loop = asyncio.get_running_loop()
        idle_since_s = loop.time()
        while True:
            taken = [self._ready.popleft() for _ in range(min(len(self._ready), TAKEN_MAX))]
            if taken:
                yield [delivered(message) for message in taken]
                self._done, self._unacked = taken[-1], self._unacked + len(taken)
                idle_since_s = loop.time()
            elif loop.time() - idle_since_s >= IDLE_S:
                yield ()
                idle_since_s = loop.time()
            if self._unacked >= UNACKED_MAX or loop.time() - self._acked_at_s >= ACK_EVERY_S:
                await self._acknowledge()
            if self._wanted <= PULLED_MAX // 2 and self._ended is None:
                await self._ask()
            if self._ready:
                continue
            if self._client.stats["reconnects"] != self._connection:
                self._ended = "the connection was lost, and the request with it"
            if self._ended is not None or loop.time() - self._heard_at_s > DEAF_S:
                raise BusUnavailable(self._ended or f"silent for {DEAF_S} s")
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S):
                    await self._changed.wait()
            heed_cancellation()

    async def _ask(self) -> None:
        request = {
            "batch": PULLED_MAX,
            "expires": int(PULL_EXPIRES_S * 1e9),
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
        }
        self._wanted += PULLED_MAX
        await self._client.publish(self._subject, json.dumps(request).encode(), self._inbox)

    def _take(self, message: Taken) -> None:
        self._heard_at_s = asyncio.get_running_loop().time()
        status = message.status
        if not status:
            self._wanted -= 1
            self._ready.append(message)
        elif status == api.StatusCode.REQUEST_TIMEOUT:
            left = int(message.lines.get("Nats-Pending-Messages", PULLED_MAX))
            self._wanted = max(0, self._wanted - left)
        elif status != _HEARTBEAT:
            # The consumer or its stream is gone, or the server is leaving.
            self._ended = message.reason or f"status {status}"
        self._changed.set()


def delivered(taken: Taken) -> Delivered:
    """The message, of which nothing is read but what it is called."""
    lines = taken.lines
    message = Message(_id(lines), taken.subject.decode(), lines, taken.data)
    return Delivered(message, sequence_of(taken.reply))


def _id(lines: HeaderLines) -> str:
    """From the end, where the relay's publishing puts it."""
    _, name, rest = lines.raw.rpartition(_ID_LINE)
    return rest[: rest.find(b"\r\n")].decode() if name else lines.get(ID, "")


def sequence_of(reply: bytes) -> int:
    """Place of a message in its stream, from its reply subject, in either of its two forms."""
    words = reply.split(b".")
    return int(words[5 if len(words) == _REPLY_WORDS else 7])
