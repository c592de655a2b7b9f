"""The bus over NATS JetStream: one stream a source, made again when it is lost."""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import nats.errors
import structlog
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext, api
from nats.js.errors import APIError

from libs.bus import Bus, BusRefuses, BusUnavailable, Delivered, Fenced, HeaderLines, Message
from libs.cancelling import heed_cancellation
from libs.ids import new_id
from libs.nats_client import Taken, TakingClient, headers_with

# Atomic batches hold no more; the stream keeps so many and then drops the oldest: it is no archive,
# what is missing is read from the store.
BATCH_MAX = 1_000
KEPT_MAX = 20_000_000
TAKEN_MAX = 500
PULLED_MAX = 1_000
IDLE_S = 1.0
HEARTBEAT_S = 1.0
PULL_EXPIRES_S = 30.0
# Neither message nor heartbeat for so long: the pull is lost, or the consumer is.
DEAF_S = 3.5
CALL_TIMEOUT_S = 5.0
PUBLISH_TIMEOUT_S = 3.0
CONNECT_TIMEOUT_S = 30.0
PENDING_BYTES_MAX = 32 << 20
ACK_WAIT_S = 60.0
# What was taken is acknowledged so often, or once it is so many: what comes again is known by its
# position.
ACK_EVERY_S = 1.0
UNACKED_MAX = 1_000

_ID = "Nats-Msg-Id"
_EXPECTED = "Nats-Expected-Last-Sequence"
_WRONG_LAST_SEQUENCE = 10071
_DUPLICATE_IN_BATCH = 10201
_NO_MESSAGE = 10037
_NO_STREAM = 10059
_HEARTBEAT = "100"
_ID_LINE = f"\r\n{_ID}: ".encode()
# Of a reply subject without a domain.
_REPLY_WORDS = 9

logger = structlog.get_logger()


class NatsBus(Bus):
    """A connection that comes back by itself. Publishing while it is away fails at once."""

    def __init__(self, client: TakingClient) -> None:
        self._client = client
        self._stream_api: JetStreamContext = client.jetstream(timeout=CALL_TIMEOUT_S)
        self._made: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str, identity_dir: Path, name: str) -> AsyncIterator["NatsBus"]:
        """Connect with the identity's certificate. Raises `BusUnavailable` where nobody answers."""
        client = TakingClient()
        connecting = client.connect(
            address,
            name=name,
            tls=_tls(identity_dir) if address.startswith("tls://") else None,
            error_cb=_log_error,
            disconnected_cb=_log_disconnected,
            reconnected_cb=_log_reconnected,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            connect_timeout=5,
            ping_interval=5,
            max_outstanding_pings=2,
            pending_size=PENDING_BYTES_MAX,
        )
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connecting
        except (TimeoutError, OSError, nats.errors.Error) as error:
            raise BusUnavailable(f"{address}: {type(error).__name__}: {error}") from error
        try:
            heed_cancellation()
            yield cls(client)
        finally:
            with suppress(nats.errors.Error, TimeoutError):
                await client.close()

    async def last(self, source: str) -> Delivered | None:
        """The newest message of a source's stream. Raises `BusUnavailable`."""
        stream = await self._ensure(source)
        try:
            with self._judged(source):
                found = await self._stream_api.get_last_msg(stream, f"hefu.{source}.>")
        except _NoMessage:
            return None
        headers = dict(found.headers or {})
        return Delivered(
            Message(headers.get(_ID, ""), found.subject or "", headers, found.data or b""),
            found.seq or 0,
        )

    async def publish(self, source: str, messages: Sequence[Message], expected_last: int) -> int:
        """Publish all or nothing as one atomic batch. Raises `Fenced` and `BusUnavailable`."""
        if len(messages) > BATCH_MAX:
            raise ValueError(f"{len(messages)} messages; a batch holds {BATCH_MAX}")
        if not self._client.is_connected:
            # The client would keep them and send them whenever: the store is the buffer, not it.
            raise BusUnavailable("not connected")
        await self._ensure(source)
        with self._judged(source):
            if len(messages) == 1:
                return await self._publish_one(messages[0], expected_last)
            try:
                return await self._publish_batch(messages, expected_last)
            except _NotTaken as error:
                if error.code != _DUPLICATE_IN_BATCH:
                    raise
            return await self._publish_singly(messages, expected_last)

    @contextmanager
    def _judged(self, source: str) -> Iterator[None]:
        """Errors of client and server, in our terms. What the client forgets, we do not: an end."""
        connection = self._client.stats["reconnects"]
        try:
            yield
            heed_cancellation()
        except _NotTaken as error:
            if error.code == _WRONG_LAST_SEQUENCE:
                raise Fenced(str(error)) from error
            self._made.discard(source)
            raise BusRefuses(f"{source}: {error}") from error
        except APIError as error:
            if error.err_code == _NO_MESSAGE:
                raise _NoMessage from error
            self._made.discard(source)
            raise BusRefuses(f"{source}: {error}") from error
        except (nats.errors.Error, TimeoutError) as error:
            self._made.discard(source)
            is_there = self._client.is_connected and self._client.stats["reconnects"] == connection
            kind = BusRefuses if is_there else BusUnavailable
            raise kind(f"{source}: {type(error).__name__}: {error}") from error

    async def _publish_singly(self, messages: Sequence[Message], expected_last: int) -> int:
        """Some of a batch are there already: one by one the server says which."""
        last = expected_last
        for message in messages:
            last = max(last, await self._publish_one(message, last))
        return last

    async def _publish_one(self, message: Message, expected_last: int) -> int:
        more = f"{_ID}: {message.id}\r\n{_EXPECTED}: {expected_last}\r\n"
        return await self._acknowledged(message, more)

    async def _publish_batch(self, messages: Sequence[Message], expected_last: int) -> int:
        in_batch = f"Nats-Batch-Id: {new_id().hex}\r\nNats-Batch-Sequence: "
        told = [
            f"{_ID}: {message.id}\r\n{in_batch}{number}\r\n"
            for number, message in enumerate(messages, 1)
        ]
        told[0] += f"{_EXPECTED}: {expected_last}\r\n"
        told[-1] += "Nats-Batch-Commit: 1\r\n"
        pairs = list(zip(messages, told, strict=True))
        await self._client.publish_together(pairs[:-1])
        return await self._acknowledged(*pairs[-1])

    async def _acknowledged(self, message: Message, more: str) -> int:
        answer = await self._client.request(
            message.subject,
            message.data,
            timeout=PUBLISH_TIMEOUT_S,
            headers=headers_with(message, more),
        )
        found = json.loads(answer.data)
        if "error" in found:
            raise _NotTaken(found["error"])
        return int(found["seq"])

    async def renew(self, source: str) -> None:
        """Drop a source's stream: under a running server whose disk is gone it only times out."""
        with self._judged(source):
            try:
                await self._stream_api.delete_stream(_stream(source))
            except APIError as error:
                if error.err_code != _NO_STREAM:
                    raise
        self._made.discard(source)

    async def consume(
        self, source: str, consumer: str, *, only: str = ""
    ) -> AsyncIterator[Sequence[Delivered]]:
        """Batches in order; an empty one each second of silence, also while the bus is away."""
        while True:
            pull: _Pull | None = None
            try:
                pull = await self._pull(source, consumer, only)
                async for batch in pull.batches():
                    yield batch
            except (nats.errors.Error, BusUnavailable, TimeoutError) as error:
                logger.info("bus_waits", source=source, consumer=consumer, reason=str(error))
            finally:
                if pull is not None:
                    await pull.close()
            self._made.discard(source)
            heed_cancellation()
            yield ()
            await asyncio.sleep(IDLE_S)

    async def _pull(self, source: str, consumer: str, only: str) -> "_Pull":
        stream = await self._ensure(source)
        durable = "".join(each if each.isalnum() else "_" for each in consumer)
        await self._stream_api.add_consumer(
            stream,
            api.ConsumerConfig(
                durable_name=durable,
                deliver_policy=api.DeliverPolicy.ALL,
                ack_policy=api.AckPolicy.ALL,
                ack_wait=ACK_WAIT_S,
                max_deliver=-1,
                max_ack_pending=4 * PULLED_MAX,
                filter_subject=f"hefu.{source}.*.{only}" if only else None,
            ),
        )
        pull = _Pull(self._client, f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}")
        await pull.start()
        return pull

    async def _ensure(self, source: str) -> str:
        """Name of a source's stream, made if it is not there. Raises `BusUnavailable`."""
        stream = _stream(source)
        if source in self._made:
            return stream
        config = api.StreamConfig(
            name=stream,
            subjects=[f"hefu.{source}.>"],
            retention=api.RetentionPolicy.LIMITS,
            discard=api.DiscardPolicy.OLD,
            max_msgs=KEPT_MAX,
            storage=api.StorageType.FILE,
            duplicate_window=120,
            allow_atomic=True,
            allow_direct=False,
            deny_delete=True,
            deny_purge=True,
        )
        with self._judged(source):
            # The same configuration again is answered as success.
            await self._stream_api.add_stream(config)
        self._made.add(source)
        return stream


def _stream(source: str) -> str:
    return f"HEFU_{source.upper()}"


class _NoMessage(Exception):
    """The stream is there and empty."""


class _NotTaken(Exception):
    """The server's answer to a publish that it did not take."""

    def __init__(self, error: Mapping[str, object]) -> None:
        super().__init__(str(error.get("description", "")))
        self.code = error.get("err_code")


class _Pull:
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
        self._subscription = await self._client.listen(self._inbox, self._take)
        self._heard_at_s = asyncio.get_running_loop().time()
        await self._ask()

    async def close(self) -> None:
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
                yield [_delivered(message) for message in taken]
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


def _delivered(taken: Taken) -> Delivered:
    lines = taken.lines
    message = Message(_id(lines), taken.subject.decode(), lines, taken.data)
    return Delivered(message, _sequence(taken.reply))


def _id(lines: HeaderLines) -> str:
    """From the end, where the relay's publishing puts it."""
    _, name, rest = lines.raw.rpartition(_ID_LINE)
    return rest[: rest.find(b"\r\n")].decode() if name else lines.get(_ID, "")


def _sequence(reply: bytes) -> int:
    """Place of a message in its stream, from its reply subject, in either of its two forms."""
    words = reply.split(b".")
    return int(words[5 if len(words) == _REPLY_WORDS else 7])


def _tls(identity_dir: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=identity_dir / "ca.pem")
    context.load_cert_chain(identity_dir / "cert.pem", identity_dir / "key.pem")
    return context


async def _log_error(error: Exception) -> None:
    logger.warning("bus_error", error=type(error).__name__, reason=str(error))


async def _log_disconnected() -> None:
    logger.warning("bus_disconnected")


async def _log_reconnected() -> None:
    logger.info("bus_reconnected")
