"""A recommendations service on a real server, and who may call it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from hefu.recommendations.v1 import recommendations_pb2 as pb
from hefu.recommendations.v1 import recommendations_pb2_grpc as grpc_pb
from libs.auth import Caller, Verifier, mint
from libs.authority import Identity, establish
from libs.grpc_client import open_channel
from libs.grpc_server import serve
from libs.suitability import InvestorClass
from services.recommendations.__main__ import Recommendations
from services.recommendations.api.policy import POLICY
from tests.services.recommendations.worlds import WALLET_ACCOUNT, World, answers_for


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    establish(folder, [Identity(n) for n in ("recommendations", "wallet", "operator", "market")])
    key = folder / "authority" / "token.key"
    token = mint(key, Caller("market", "wallet"), lifetime_s=3_600)
    (folder / "identities" / "market" / "token.jwt").write_text(token)
    return folder


@dataclass
class Served:
    """A world with its service behind gRPC."""

    world: World
    parts: Recommendations
    wallet: "grpc_pb.RecommendationsServiceAsyncStub"
    operator: "grpc_pb.RecommendationsServiceAsyncStub"
    market: "grpc_pb.RecommendationsServiceAsyncStub"
    feeds: "grpc_pb.FeedServiceAsyncStub"

    async def investor(self, name: str, found: InvestorClass = InvestorClass.C3) -> str:
        """An investor of a class, with consent."""
        await self.wallet.RegisterInvestor(
            pb.RegisterInvestorRequest(investor_id=name, account_ids=[WALLET_ACCOUNT])
        )
        await self.answer(name, found)
        await self.wallet.GiveConsent(
            pb.GiveConsentRequest(investor_id=name, request_id=str(uuid4()))
        )
        return name

    async def answer(self, name: str, found: InvestorClass) -> pb.SubmitQuestionnaireResponse:
        answers = [pb.Answer(item=i, option=o) for i, o in answers_for(found).items()]
        return await self.wallet.SubmitQuestionnaire(
            pb.SubmitQuestionnaireRequest(
                investor_id=name, request_id=str(uuid4()), version="2026-1", answers=answers
            )
        )


@asynccontextmanager
async def serving(world: World, run_dir: Path) -> AsyncIterator[Served]:
    identities = run_dir / "identities"
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(world.service())
        serving = serve(
            0,
            [parts.api.binding(), parts.feeds.binding()],
            POLICY,
            identities / "recommendations",
            verifier=Verifier(run_dir / "authority" / "token.pub"),
        )
        server = await stack.enter_async_context(serving)
        address = f"localhost:{server.bound_port}"
        channels = {
            name: await stack.enter_async_context(open_channel(address, identities / name))
            for name in ("wallet", "operator", "market")
        }
        wallet, operator, market = [
            grpc_pb.RecommendationsServiceStub(channels[n])
            for n in ("wallet", "operator", "market")
        ]
        feeds = grpc_pb.FeedServiceStub(channels["operator"])
        yield Served(world, parts, wallet, operator, market, feeds)


@pytest.fixture
async def served(run_dir: Path) -> AsyncIterator[Served]:
    world = World()
    await world.catalogue()
    async with serving(world, run_dir) as served:
        yield served
