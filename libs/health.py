"""Whether a process of ours serves: `grpc.health.v1` over TLS, or `/healthz` on its page."""

import asyncio
import contextlib
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2

from libs.launching import Launch

_CHECK = "/grpc.health.v1.Health/Check"
_TIMEOUT_S = 5.0
_CONNECT_S = 1.0
_LOOPBACK = "127.0.0.1"
_OPTIONS = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]


class HealthChecks:
    """Asks as the operator, whose certificate mutual servers want; one channel for each process."""

    def __init__(self, identity_dir: Path) -> None:
        self._credentials = grpc.ssl_channel_credentials(
            *((identity_dir / name).read_bytes() for name in ("ca.pem", "key.pem", "cert.pem"))
        )
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def ask(self, launch: Launch) -> bool:
        """Whether it says that it serves."""
        if launch.health == "http":
            return await _answers_ok(launch.metrics_port)
        # A port that nobody listens on costs less to find out than a handshake that fails.
        return await _connects(launch.port) and await self._serves(launch)

    async def close(self) -> None:
        """Give the channels back."""
        for channel in self._channels.values():
            await channel.close()

    async def _serves(self, launch: Launch) -> bool:
        channel = self._channels.get(launch.name)
        if channel is None:
            channel = grpc.aio.secure_channel(
                f"localhost:{launch.port}", self._credentials, _OPTIONS
            )
            self._channels[launch.name] = channel
        try:
            check = channel.unary_unary(
                _CHECK,
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            reply = await check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


async def _connects(port: int) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_connection(_LOOPBACK, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _answers_ok(port: int) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await asyncio.open_connection(_LOOPBACK, port)
            writer.write(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            status = await reader.readline()
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return b" 200 " in status
