"""One server for the tests that only need one, and the means to start more."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from kurrentdbclient import AsyncKurrentDBClient

from tests.services.eventstore.server_process import Identity, ServerProcess


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Identity(tmp_path_factory.mktemp("identity"))


@pytest.fixture(scope="session")
def server(
    identity: Identity, tmp_path_factory: pytest.TempPathFactory, _no_process_is_left_behind: None
) -> Iterator[ServerProcess]:
    process = ServerProcess(identity, tmp_path_factory.mktemp("store")).serve()
    yield process
    assert process.stop() == 0


@pytest_asyncio.fixture
async def client(server: ServerProcess) -> AsyncIterator[AsyncKurrentDBClient]:
    opened = server.client()
    yield opened
    await opened.close()


@pytest.fixture
def stream() -> str:
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"
