"""The bus over NATS JetStream: one stream a source, made again when it is lost."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import nats.errors
import structlog
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from libs.bus import (
    POSITION,
    Bus,
    BusRefuses,
    BusUnavailable,
    Delivered,
    Fenced,
    Message,
    nowhere,
)
from libs.cancelling import heed_cancellation
from libs.ids import new_id
from libs.nats_client import TakingClient, headers_with
from libs.nats_pull import ID, IDLE_S, PULLED_MAX, Pull

# Atomic batches hold no more; the stream keeps so many and then drops the oldest: it is no archive,
# what is missing is read from the store.
BATCH_MAX = 1_000
KEPT_MAX = 20_000_000
CALL_TIMEOUT_S = 5.0
PUBLISH_TIMEOUT_S = 3.0
CONNECT_TIMEOUT_S = 30.0
PENDING_BYTES_MAX = 32 << 20
ACK_WAIT_S = 60.0

_EXPECTED = "Nats-Expected-Last-Sequence"
_WRONG_LAST_SEQUENCE = 10071
_DUPLICATE_IN_BATCH = 10201
_NO_MESSAGE = 10037
_NO_STREAM = 10059

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
            Message(headers.get(ID, ""), found.subject or "", headers, found.data or b""),
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
        more = f"{ID}: {message.id}\r\n{_EXPECTED}: {expected_last}\r\n"
        return await self._acknowledged(message, more)

    async def _publish_batch(self, messages: Sequence[Message], expected_last: int) -> int:
        in_batch = f"Nats-Batch-Id: {new_id().hex}\r\nNats-Batch-Sequence: "
        told = [
            f"{ID}: {message.id}\r\n{in_batch}{number}\r\n"
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
        self,
        source: str,
        consumer: str,
        *,
        only: str = "",
        reached: Callable[[], int] = nowhere,
    ) -> AsyncIterator[Sequence[Delivered]]:
        """Batches in order; an empty one each second of silence, also while the bus is away."""
        while True:
            pull: Pull | None = None
            try:
                pull = await self._pull(source, consumer, only, reached)
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

    async def _pull(
        self, source: str, consumer: str, only: str, reached: Callable[[], int]
    ) -> Pull:
        stream = await self._ensure(source)
        durable = "".join(each if each.isalnum() else "_" for each in consumer)
        subjects = f"hefu.{source}.*.{only}" if only else None
        if not await self._is_there(stream, durable, subjects):
            await self._stream_api.add_consumer(
                stream,
                api.ConsumerConfig(
                    durable_name=durable,
                    deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
                    opt_start_seq=await self._behind(stream, reached()),
                    ack_policy=api.AckPolicy.ALL,
                    ack_wait=ACK_WAIT_S,
                    max_deliver=-1,
                    max_ack_pending=4 * PULLED_MAX,
                    filter_subject=subjects,
                    # Its place would be on disk after each batch, which costs what all else costs.
                    mem_storage=True,
                ),
            )
        pull = Pull(self._client, f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}")
        await pull.start()
        return pull

    async def _is_there(self, stream: str, durable: str, subjects: str | None) -> bool:
        """Whether the server has the consumer; one that is set up otherwise is dropped."""
        try:
            found = (await self._stream_api.consumer_info(stream, durable)).config
        except NotFoundError:
            return False
        if found.mem_storage and (found.filter_subject or None) == subjects:
            return True
        await self._stream_api.delete_consumer(stream, durable)
        return False

    async def _behind(self, stream: str, position: int) -> int:
        """Sequence of the first message of a stream that lies behind the position."""
        state = (await self._stream_api.stream_info(stream)).state
        low, end = max(state.first_seq, 1), state.last_seq + 1
        while low < end:
            middle = (low + end) // 2
            heed_cancellation()
            if await self._position_at(stream, middle) > position:
                end = middle
            else:
                low = middle + 1
        return low

    async def _position_at(self, stream: str, sequence: int) -> int:
        """Of a message; -1 where there is none: what is dropped is the oldest."""
        try:
            found = await self._stream_api.get_msg(stream, sequence)
        except NotFoundError:
            return -1
        return int((found.headers or {}).get(POSITION, -1))

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
