"""A funds service on real servers, and who may call it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from hefu.funds.v1 import funds_pb2_grpc
from hefu.registrar.v1 import registrar_pb2_grpc
from libs.auth import Caller, Verifier, mint
from libs.authority import Identity, establish
from libs.client.funds import FundsClient
from libs.grpc_client import open_channel
from libs.grpc_server import serve
from services.funds.parts import Parts
from services.funds.policy import LINK_POLICY, POLICY
from tests.services.funds.worlds import TA, World

if TYPE_CHECKING:
    from hefu.funds.v1.funds_pb2_grpc import FundDayServiceAsyncStub, FundsServiceAsyncStub
    from hefu.registrar.v1.registrar_pb2_grpc import RegistrarLinkServiceAsyncStub

NAMES = ("funds", "wallet", "operator", "payments", "recommendations")


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    registrars = (f"registrar-{TA}", "registrar-OTHER")
    establish(folder, [Identity(name) for name in (*NAMES, *registrars)])
    # A second operator and a second wallet back end.
    for name, role in (("checker", "operator"), ("market", "wallet")):
        (folder / "identities" / name).mkdir(exist_ok=True)
        for file in ("cert.pem", "key.pem", "ca.pem"):
            source = folder / "identities" / "operator" / file
            (folder / "identities" / name / file).write_bytes(source.read_bytes())
        token = mint(folder / "authority" / "token.key", Caller(name, role), lifetime_s=3_600)
        (folder / "identities" / name / "token.jwt").write_text(token)
    return folder


@dataclass
class Served:
    """A world with its funds service behind gRPC."""

    world: World
    parts: Parts
    wallet: FundsClient
    market: "FundsServiceAsyncStub"
    advice: "FundsServiceAsyncStub"
    payments: "FundsServiceAsyncStub"
    operator: "FundDayServiceAsyncStub"
    checker: "FundDayServiceAsyncStub"
    registrar: "RegistrarLinkServiceAsyncStub"
    stranger: "RegistrarLinkServiceAsyncStub"
    port: int


@asynccontextmanager
async def serving(world: World, run_dir: Path) -> AsyncIterator[Served]:
    identities = run_dir / "identities"
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(world.funds(is_simulated=True))
        server = await stack.enter_async_context(
            serve(
                0,
                [parts.api.binding(), parts.desk_api.binding()],
                POLICY,
                identities / "funds",
                verifier=Verifier(run_dir / "authority" / "token.pub"),
            )
        )
        link = await stack.enter_async_context(
            serve(0, [parts.link_api.binding()], LINK_POLICY, identities / "funds", mutual=True)
        )

        async def channel(name: str, port: int, *, mutual: bool = False) -> grpc.aio.Channel:
            opened = open_channel(f"localhost:{port}", identities / name, mutual=mutual)
            return await stack.enter_async_context(opened)

        async def stub(name: str) -> "FundsServiceAsyncStub":
            return funds_pb2_grpc.FundsServiceStub(await channel(name, server.bound_port))

        async def desk(name: str) -> "FundDayServiceAsyncStub":
            return funds_pb2_grpc.FundDayServiceStub(await channel(name, server.bound_port))

        async def ta(name: str) -> "RegistrarLinkServiceAsyncStub":
            opened = await channel(name, link.bound_port, mutual=True)
            return registrar_pb2_grpc.RegistrarLinkServiceStub(opened)

        wallet = FundsClient(await channel("wallet", server.bound_port), patience_s=5)
        stack.push_async_callback(wallet.close)
        yield Served(
            world,
            parts,
            wallet,
            await stub("market"),
            await stub("recommendations"),
            await stub("payments"),
            await desk("operator"),
            await desk("checker"),
            await ta(f"registrar-{TA}"),
            await ta("registrar-OTHER"),
            server.bound_port,
        )


@pytest.fixture
async def served(run_dir: Path) -> AsyncIterator[Served]:
    async with serving(World(), run_dir) as served:
        yield served
