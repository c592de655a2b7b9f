"""The event store at work: network first, then the proven files, and both ended in order."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from grpc_health.v1 import health_pb2

from libs.telemetry import get_logger
from services.eventstore import server, users
from services.eventstore.api_appends import Appends
from services.eventstore.api_read import StreamsRead
from services.eventstore.api_streams import StreamsWrites
from services.eventstore.api_v2 import StreamsV2
from services.eventstore.gossip import Gossip
from services.eventstore.settings import Settings
from services.eventstore.store import Store, open_store
from services.eventstore.verify import Bounds

_DRAIN_S: Final = 5.0

_log = get_logger()


@dataclass(frozen=True, slots=True)
class Running:
    """A store that serves: the port it got, and its files."""

    port: int
    store: Store


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """Serve until left; then subscriptions end, calls drain and the files are left whole."""
    async with contextlib.AsyncExitStack() as files, contextlib.AsyncExitStack() as network:
        known = users.load(settings.users_file)
        files.callback(known.close)
        certificate = server.read_file(settings.tls_cert)
        key = server.read_file(settings.tls_key)
        # Listening comes first: callers are told to wait while the files are being proven.
        health = server.make_health()
        await health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        gate = server.Gate(known)
        gate.open(server.health_calls(health))
        grpc_server, port = server.make_server(gate, certificate, key, settings.host, settings.port)
        await grpc_server.start()
        network.push_async_callback(grpc_server.stop, _DRAIN_S)
        bounds = Bounds(bytes_=settings.proven_first_bytes)
        store = await open_store(settings.data_dir, settings.reserve_bytes, bounds)
        files.push_async_callback(store.close)
        network.callback(store.tail.close)
        writes = StreamsWrites(store.writer, settings.append_limit_bytes)
        network.callback(writes.close)
        appends = Appends(store.writer, settings.append_limit_bytes)
        network.callback(appends.close)
        network.push_async_callback(health.enter_graceful_shutdown)
        gate.open(
            server.store_calls(
                StreamsRead(store.reader, store.tail),
                writes,
                StreamsV2(store.writer, settings.append_limit_bytes),
                appends,
                Gossip(store.store_id, settings.advertised_host, port),
            )
        )
        await health.set("", health_pb2.HealthCheckResponse.SERVING)
        _log.info("serving", port=port, head=store.tail.head)
        yield Running(port, store)
        _log.info("stopping")
