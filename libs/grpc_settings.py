"""What gRPC is told by a process's environment: it reads that once, when it is loaded."""

import os
from typing import Final

_EXPERIMENTS: Final = "GRPC_EXPERIMENTS"
# How gRPC waited for the network in Python before 1.80: who waits is who reads. The newer way hands
# each message through three threads; there and back between two processes takes 370 µs instead of
# 235, and half as much CPU again (docs/performance.md). A gRPC that knows these names no more is as
# right, and slower.
OLDER_POLLER: Final = "-event_engine_client,-event_engine_listener"


def grpc_settings() -> dict[str, str]:
    """For the environment of a process that serves or calls. What is set already goes on."""
    return {
        # What gRPC itself prints is no JSON line, and of no use to who reads the log.
        "GRPC_VERBOSITY": "NONE",
        # Nothing here forks a copy of itself.
        "GRPC_ENABLE_FORK_SUPPORT": "0",
        _EXPERIMENTS: os.environ.get(_EXPERIMENTS, OLDER_POLLER),
    }
