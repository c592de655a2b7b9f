"""`python -m libs.health_probe`: exit 0 where this pod's own server serves; for exec probes."""

import asyncio
import os
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2

TIMEOUT_S = 4.0


async def is_serving(address: str, authority: bytes) -> bool:
    """Whether the server at `host:port` answers SERVING over TLS in time."""
    credentials = grpc.ssl_channel_credentials(authority)
    async with grpc.aio.secure_channel(address, credentials) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = await check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def main() -> None:
    """Ask the server on HEFU_PORT, trusting the authority in HEFU_IDENTITY_DIR."""
    authority = Path(os.environ["HEFU_IDENTITY_DIR"], "ca.pem").read_bytes()
    sys.exit(0 if asyncio.run(is_serving(f"localhost:{os.environ['HEFU_PORT']}", authority)) else 1)


if __name__ == "__main__":
    main()
