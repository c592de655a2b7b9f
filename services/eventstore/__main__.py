"""Start the event store, serve until told to stop, leave the files whole."""

import asyncio
import contextlib
import signal
import sys

import structlog
from grpc_health.v1 import health_pb2
from pydantic import ValidationError

from services.eventstore import server, users
from services.eventstore.api_read import StreamsRead
from services.eventstore.api_streams import StreamsWrites
from services.eventstore.api_v2 import StreamsV2
from services.eventstore.gossip import Gossip
from services.eventstore.model import StoreError
from services.eventstore.settings import Settings
from services.eventstore.store import open_store

_DRAIN_S = 5.0
_EXIT_SETTINGS = 78

_log = structlog.get_logger("eventstore")


async def serve(settings: Settings) -> None:
    """Run from the first check to the last flush."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    known = users.load(settings.users_file)
    certificate = server.read_file(settings.tls_cert)
    key = server.read_file(settings.tls_key)
    store = await open_store(settings.data_dir, settings.reserve_bytes)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        stack.callback(known.close)
        health = server.make_health()
        gate = server.Gate(
            server.calls(
                StreamsRead(store.reader, store.tail),
                StreamsWrites(store.writer, settings.append_limit_bytes),
                StreamsV2(store.writer, settings.append_limit_bytes),
                Gossip(store.store_id, settings.advertised_host, settings.port),
                health,
            ),
            known,
        )
        running, port = server.make_server(gate, certificate, key, settings.port)
        await running.start()
        gate.is_ready = True
        await health.set("", health_pb2.HealthCheckResponse.SERVING)
        _log.info("serving", port=port, data_dir=str(settings.data_dir))
        await stop.wait()
        _log.info("stopping")
        await health.enter_graceful_shutdown()
        store.tail.close()
        await running.stop(_DRAIN_S)
    _log.info("stopped")


def main() -> int:
    """Exit status 0 after a clean stop, otherwise one line that says what is wrong."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        settings = Settings()  # type: ignore[call-arg]  # from the environment
        asyncio.run(serve(settings))
    except ValidationError as error:
        wrong = "; ".join(
            f"HEFU_{str(part['loc'][0]).upper()}: {part['msg']}" for part in error.errors()
        )
        _log.error("cannot_start", reason=wrong)
        return _EXIT_SETTINGS
    except StoreError as error:
        _log.error("cannot_start", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
