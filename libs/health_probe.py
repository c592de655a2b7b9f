"""`python -m libs.health_probe`: exit 0 where this pod's own server says it serves; for exec probes."""

import asyncio
import os
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_S = 4.0


async def is_serving(address: str, authority: bytes) -> bool:
    """Whether the server at `host:port` answers SERVING over TLS in time."""
    credentials = grpc.ssl_channel_credentials(authority)
    async with grpc.aio.secure_channel(address, credentials) as channel:
        stub: "health_pb2_grpc.HealthAsyncStub" = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def main() -> None:
    """Ask the server on HEFU_PORT, trusting the authority in HEFU_IDENTITY_DIR."""
    authority = Path(os.environ["HEFU_IDENTITY_DIR"], "ca.pem").read_bytes()
    sys.exit(0 if asyncio.run(is_serving(f"localhost:{os.environ['HEFU_PORT']}", authority)) else 1)


if __name__ == "__main__":
    main()
