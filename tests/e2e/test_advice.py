"""Advice on real processes: prices heard, advice ordered and drawn, a ranking learnt and served."""

import asyncio
import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from hefu.funds.v1 import funds_pb2 as funds
from hefu.recommendations.v1 import events_pb2
from hefu.recommendations.v1 import recommendations_pb2 as pb
from libs.cli.advice_feeding import fed
from libs.cli.fund_investors import Investor
from libs.client.recommendations import RecommendationsClient
from libs.fund_samples import SAMPLE_FILE
from libs.grpc_client import open_channel
from libs.ids import new_id
from libs.money import Money
from libs.suitability import InvestorClass
from tests.e2e.conftest import World
from tests.e2e.fund_world import CURRENCY, FIRST, FundWorld, open_fund_world, started
from tests.services.recommendations.worlds import answers_for

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]
DAYS = 300
SHEET = SAMPLE_FILE.parent / "answers.json"
WAIT_S = 60.0


async def until_known(client: RecommendationsClient, owner: str) -> pb.Proposal:
    """Ask until the catalogue was heard: another process tells it."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return await client.recommendations(owner, new_id())
            except Exception as error:
                if getattr(error, "reason", "") not in ("CATALOGUE_EMPTY", "NOTHING_ELIGIBLE"):
                    raise
                await asyncio.sleep(0.2)  # another process works; there is no event to wait for


async def test_a_portfolio_on_real_prices_becomes_fund_orders_that_carry_its_id(
    tmp_path: Path,
) -> None:
    system = await started(tmp_path)
    try:
        async with open_fund_world(system) as world:
            await world.day()
            await _advised(world, tmp_path)
    finally:
        await system.stop()


async def _advised(world: FundWorld, folder: Path) -> None:
    run_dir = world.system.run_dir
    address = world.system.running.addresses["recommendations"]
    identities = run_dir / "identities"
    async with (
        open_channel(address, identities / "operator") as as_operator,
        open_channel(address, identities / "wallet") as as_wallet,
    ):
        client = RecommendationsClient(as_wallet)
        feeds = RecommendationsClient(as_operator).feeds
        taken, apart = await fed(feeds, FIRST, DAYS)
        assert taken
        assert not apart
        investor = world.investors[0]
        await _answered(client, investor)
        listed = await until_known(client, investor.owner)
        assert listed.issued.items

        proposed = await client.portfolio(investor.owner, Money(CURRENCY, 5_000_000), new_id())

        issued = proposed.issued
        assert sum(item.weight for item in issued.items) == 10_000
        assert issued.history_days >= 250
        await client.accept(issued.proposal_id, investor.wallet(CURRENCY))
        orders = await _ordered(client, issued.proposal_id)
        assert {order.refusal_reason for order in orders} == {""}, orders
        for order in orders:
            found = await world.link.orders.GetOrder(funds.GetOrderRequest(order_id=order.order_id))
            assert found.order.terms.recommendation_id == issued.proposal_id

        picture = folder / "proposal.png"
        told = await World(world.system, folder).hefu(
            "advice", "show", issued.proposal_id, "--png", str(picture)
        )
        assert told.code == 0, told.output
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert issued.items[0].fund_code in told.output
        await _asked(World(world.system, folder), world.investors[1])

        await _ranked(World(world.system, folder), client, investor.owner)


async def _asked(hefu: World, investor: Investor) -> None:
    """The same by the command line: a class from a sheet, a list, a portfolio that is ordered."""
    sheet = ("--answers", str(SHEET))
    listed = await hefu.hefu("advice", "ask", investor.owner, *sheet, "--currency", CURRENCY)
    assert listed.code == 0, listed.output
    assert f"{investor.owner} is of class C4" in listed.output
    assert "ranked by house@1" in listed.output
    ordered = await hefu.hefu("advice", "ask", investor.owner, "--amount", "40000.00", "--accept")
    assert ordered.code == 0, ordered.output
    assert "risk parity, class C4" in ordered.output
    assert "ordered, order" in ordered.output
    wrong = await hefu.hefu("advice", "ask", investor.owner, "--amount", "4 000")
    assert wrong.code != 0
    assert "--amount" in wrong.output


async def _ranked(hefu: World, client: RecommendationsClient, owner: str) -> None:
    """A ranking learnt from what was just bought: read, shadowed, valued, promoted, kept."""
    trained = await hefu.hefu("advice", "train", "blend@1")
    assert trained.code == 0, trained.output
    read = await hefu.hefu("advice", "card", "blend@1")
    assert "trained_on: what the running service heard" in read.output, read.output

    shadowed = await hefu.hefu("advice", "promote", "blend@1", "--shadow")
    assert "in its shadow blend@1" in shadowed.output, shadowed.output
    shown = await client.recommendations(owner, new_id())
    assert shown.issued.strategy_version == "house@1"
    await _valued(hefu)

    promoted = await hefu.hefu("advice", "promote", "blend@1")
    assert "serves blend@1" in promoted.output, promoted.output
    answer = await client.recommendations(owner, new_id())
    assert answer.issued.strategy_version.startswith("blend@1:")

    artifacts = hefu.system.run_dir / "data" / "recommendations" / "artifacts"
    shutil.copytree(artifacts / "blend@1", artifacts / "blend@2")
    refused = await hefu.hefu("advice", "promote", "blend@2")
    assert refused.code != 0, refused.output
    assert "VERSION_NOT_LOADED" in refused.output
    still = await client.recommendations(owner, new_id())
    assert still.issued.strategy_version == answer.issued.strategy_version


async def _valued(hefu: World) -> None:
    """Until the answer in the shadow is stored: it comes after the one that is seen."""
    async with asyncio.timeout(WAIT_S):
        while True:
            valued = await hefu.hefu("advice", "evaluate", "--logged", "blend@1")
            if valued.code == 0:
                assert "SNIPS" in valued.output
                return
            assert "has answered no list" in valued.output, valued.output
            await asyncio.sleep(0.2)  # as above


async def _answered(client: RecommendationsClient, investor: Investor) -> None:
    await client.register(investor.owner, [investor.wallet(CURRENCY)])
    asked = await client.questionnaire()
    answers = answers_for(InvestorClass.C5)
    await client.submit(investor.owner, asked.version, answers, uuid4())
    await client.consent(investor.owner)
    wanted = events_pb2.InvestorPreferences(
        horizon_months=60, currency=CURRENCY, goal="GOAL_GROWTH"
    )
    await client.prefer(investor.owner, wanted)


async def _ordered(
    client: RecommendationsClient, proposal_id: str
) -> list[events_pb2.ProposalOrderLinked]:
    async with asyncio.timeout(WAIT_S):
        while True:
            found = (await client.get(proposal_id)).proposal
            if len(found.orders) == len(found.accepted):
                return list(found.orders)
            await asyncio.sleep(0.2)  # as above
