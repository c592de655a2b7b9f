"""Each port on each of its implementations: in memory, and the real thing."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from libs.bus import Bus
from libs.event_store import EventStore
from libs.kurrent_store import KurrentStore
from libs.memory_bus import MemoryBus
from libs.memory_store import MemoryStore
from libs.nats_bus import NatsBus
from libs.read_model import Database
from tests.servers import EventStoreServer, NatsServer, identities, new_database


@pytest.fixture(scope="session")
def identity_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return identities(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def event_store_server(
    identity_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    _no_process_is_left_behind: None,
) -> Iterator[EventStoreServer]:
    server = EventStoreServer(tmp_path_factory.mktemp("store"), identity_folder / "eventstore")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nats_server(
    identity_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    _no_process_is_left_behind: None,
) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("nats"), identity_folder / "nats")
    server.start()
    yield server
    server.stop()


@pytest_asyncio.fixture(params=["memory", "embedded", "embedded as a cluster"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[EventStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    server: EventStoreServer = request.getfixturevalue("event_store_server")
    async with KurrentStore.open(server.uri) as opened:
        if request.param != "embedded":
            # What a server does that knows nothing but the protocol.
            opened._many._call.is_known = False  # noqa: SLF001 - as if it had said so
        yield opened


@pytest_asyncio.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    if request.param == "memory":
        yield MemoryBus(idle_s=0.2)
        return
    server: NatsServer = request.getfixturevalue("nats_server")
    folder: Path = request.getfixturevalue("identity_folder")
    async with NatsBus.open(server.address, folder / "payments", "payments") as opened:
        yield opened


@pytest.fixture(params=["sqlite", "sqlite-memory", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    match request.param:
        case "sqlite":
            url = f"sqlite:///{tmp_path / 'rows.sqlite'}"
        case "sqlite-memory":
            url = "sqlite://"
        case _:
            url = new_database(request.getfixturevalue("postgresql"))
    opened = Database.open(url)
    yield opened
    opened.close()


@pytest.fixture
def category() -> str:
    """A name of this test's own: no store has to be empty."""
    return f"c{uuid.uuid4().hex}"
