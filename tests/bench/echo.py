"""The ceiling: the same messages to a plain gRPC server that only parses and answers.

`python -m tests.bench.echo IDENTITY_DIR` serves on a free port and prints it.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import uvloop

from hefu.accounts.v1 import accounts_pb2 as pb
from tests.bench.load import Post, Wallets, poster, request_of
from tests.bench.measuring import Shape
from tests.bench.shapes.bulk import BULK, IN_FLIGHT

METHOD = "/hefu.bench.Echo/Post"
_MESSAGE_BYTES_MAX = 16 << 20


async def _echo(request: pb.PostTransfersRequest, _context: Any) -> pb.PostTransfersResponse:  # noqa: ANN401 - grpc's contexts are typed by message
    results = [pb.CommandResult(command_id=each.transfer_id) for each in request.transfers]
    return pb.PostTransfersResponse(results=results)


class _Echo(grpc.GenericRpcHandler):
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ANN401 - as above
        if handler_call_details.method != METHOD:
            return None
        return grpc.unary_unary_rpc_method_handler(
            _echo,
            pb.PostTransfersRequest.FromString,
            pb.PostTransfersResponse.SerializeToString,
        )


async def _serve(identity_dir: Path) -> None:
    key, chain = ((identity_dir / name).read_bytes() for name in ("key.pem", "cert.pem"))
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX)])
    server.add_generic_rpc_handlers((_Echo(),))
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(key, chain)]))
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


@asynccontextmanager
async def echoing(identity_dir: Path) -> AsyncIterator[tuple[grpc.aio.Channel, int]]:
    """A channel to a server of its own, and the server's process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.echo", str(identity_dir), stdout=asyncio.subprocess.PIPE
    )
    if process.stdout is None:
        raise AssertionError("its output was asked for")
    try:
        port = int(await process.stdout.readline())
        credentials = grpc.ssl_channel_credentials((identity_dir / "ca.pem").read_bytes())
        async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
            yield channel, process.pid
    finally:
        process.terminate()
        await process.wait()


def shapes(channel: grpc.aio.Channel, wallets: Wallets) -> list[Shape]:
    """As (a), as (b) without joining, and as (c)."""
    post = poster(channel, METHOD)

    def of(key: str, name: str, callers: int, size: int) -> Shape:
        return Shape(key, name, callers, _call(post, wallets, size))

    return [
        of("echo-a", "plain gRPC echo, one caller, one transfer", 1, 1),
        of("echo-b", "plain gRPC echo, 64 callers, one transfer each", 64, 1),
        of("echo-c", f"plain gRPC echo, {BULK} transfers, {IN_FLIGHT} in flight", IN_FLIGHT, BULK),
    ]


def _call(post: Post, wallets: Wallets, size: int) -> Any:  # noqa: ANN401 - a Call
    async def call() -> int:
        return len((await post(request_of(wallets, size))).results)

    return call


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1])))
