"""What gRPC is told by the environment is understood by the version that is pinned."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from libs.grpc_settings import OLDER_POLLER, grpc_settings

_ROUNDS: Final = 200

# Messages there and back within one process; prints how often a thread of gRPC's engine was woken.
_ECHO: Final = f"""
import asyncio, os
import grpc

def woken():
    times = 0
    for thread in os.listdir("/proc/self/task"):
        status = open(f"/proc/self/task/{{thread}}/status").read()
        if "Name:\\tevent_engine" in status:
            times += int(status.split("\\nvoluntary_ctxt_switches:")[1].split()[0])
    return times

async def echo(incoming, context):
    async for message in incoming:
        yield message

async def main():
    server = grpc.aio.server()
    methods = {{"echo": grpc.stream_stream_rpc_method_handler(echo)}}
    handler = grpc.method_handlers_generic_handler("echo", methods)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{{port}}") as channel:
        call = channel.stream_stream("/echo/echo")()
        before = None
        for _ in range({_ROUNDS}):
            await call.write(b"x")
            assert await call.read() == b"x"
            before = woken() if before is None else before
        print(woken() - before)
    await server.stop(0)

asyncio.run(main())
"""


def _echoed(experiments: str) -> tuple[int, str]:
    """How often the engine's threads were woken, and what gRPC complained about."""
    told = {"GRPC_VERBOSITY": "ERROR", "GRPC_EXPERIMENTS": experiments}
    done = subprocess.run(
        [sys.executable, "-c", _ECHO],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout), done.stderr


def test_a_message_wakes_no_thread_between() -> None:
    older, complaint = _echoed(OLDER_POLLER)
    newer, _ = _echoed("")

    assert "Unknown experiment" not in complaint
    assert older < _ROUNDS / 4
    assert newer > _ROUNDS


def test_a_name_that_grpc_does_not_know_would_be_seen() -> None:
    _, complaint = _echoed(f"{OLDER_POLLER},-no_such_experiment")

    assert "Unknown experiment: no_such_experiment" in complaint


def test_who_starts_the_system_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRPC_EXPERIMENTS", raising=False)
    assert grpc_settings()["GRPC_EXPERIMENTS"] == OLDER_POLLER

    monkeypatch.setenv("GRPC_EXPERIMENTS", "")
    assert grpc_settings()["GRPC_EXPERIMENTS"] == ""


def test_who_calls_is_told_the_same(root: Path) -> None:
    assert f"GRPC_EXPERIMENTS={OLDER_POLLER}" in (root / "docs" / "wallet.md").read_text()
