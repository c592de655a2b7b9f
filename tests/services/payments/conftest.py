"""A payments service on a real server, and who may call it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from libs.auth import Caller, Verifier, mint
from libs.authority import Identity, establish
from libs.client.payments import PaymentsClient
from libs.grpc_client import open_channel
from libs.grpc_server import serve
from services.payments.__main__ import Payments
from services.payments.api import POLICY
from services.payments.api_limits import POLICY as LIMITS_POLICY
from tests.services.payments.worlds import World


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    names = ("payments", "settlement", "wallet", "operator", "market")
    establish(folder, [Identity(name) for name in names])
    # A second wallet back end: identities made at first start are one of each role.
    key = folder / "authority" / "token.key"
    token = mint(key, Caller("market", "wallet"), lifetime_s=3_600)
    (folder / "identities" / "market" / "token.jwt").write_text(token)
    return folder


@dataclass
class Served:
    """A world with its payments service behind gRPC."""

    world: World
    parts: Payments
    port: int
    wallet: PaymentsClient
    operator: PaymentsClient
    market: PaymentsClient


@asynccontextmanager
async def serving(world: World, run_dir: Path, port: int = 0) -> AsyncIterator[Served]:
    identities = run_dir / "identities"
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(world.payments())
        serving = serve(
            port,
            [parts.api.binding(), parts.limits_api.binding()],
            {**POLICY, **LIMITS_POLICY},
            identities / "payments",
            verifier=Verifier(run_dir / "authority" / "token.pub"),
        )
        server = await stack.enter_async_context(serving)
        clients = []
        for name in ("wallet", "operator", "market"):
            address = f"localhost:{server.bound_port}"
            channel = open_channel(address, identities / name)
            client = PaymentsClient(await stack.enter_async_context(channel), patience_s=5)
            stack.push_async_callback(client.close)
            clients.append(client)
        yield Served(world, parts, server.bound_port, *clients)


@pytest.fixture
async def served(run_dir: Path) -> AsyncIterator[Served]:
    async with serving(World(), run_dir) as served:
        yield served
