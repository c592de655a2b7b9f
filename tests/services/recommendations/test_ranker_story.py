"""A ranking's life on a running service: trained, read about, shadowed, valued, promoted, kept."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from typer.testing import CliRunner

from hefu.recommendations.v1 import recommendations_pb2 as pb
from libs.cli.advice import app
from services.recommendations.ranking import artifact
from services.recommendations.ranking.interactions import Interactions, collected
from services.recommendations.ranking.serving import Artifacts
from services.recommendations.ranking.training import train
from tests.services.recommendations.conftest import Served, serving
from tests.services.recommendations.test_api import listing, refusal
from tests.services.recommendations.worlds import NOW_US, World, proposal_id

TODAY = NOW_US // 86_400_000_000
MILLION = 1_000_000


def purchases() -> Interactions:
    """A crowd of class C3 that buys one bond fund most, and two others with it."""

    def each() -> Iterator[tuple[str, str, int, int]]:
        for n in range(40):
            for code in ("000008", "000003", "000004")[: 1 + n % 3]:
                yield f"p{n}", code, TODAY - 20 - n, 4

    return collected(each())


def trained(folder: Path, version: str) -> None:
    known = purchases()
    learnt = train(known, None, TODAY, 7)
    artifact.save(folder, version, learnt, {"version": version, "purchases": len(known)})


def ranker(version: str) -> pb.PromoteVersionRequest:
    return pb.PromoteVersionRequest(slot=pb.SLOT_RANKER, version=version, request_id=str(uuid4()))


async def test_a_ranking_is_trained_shadowed_valued_promoted_and_outlives_a_broken_successor(
    run_dir: Path, tmp_path: Path
) -> None:
    world = World(load=Artifacts(tmp_path))
    await world.catalogue(days=140)
    async with serving(world, run_dir) as served:
        name = await served.investor("anna")
        trained(tmp_path, "blend@1")
        await world.heard(served.parts)

        read = CliRunner().invoke(app, ["card", "blend@1", "--artifacts", str(tmp_path)])
        assert (read.exit_code, "purchases: 79" in read.output) == (0, True), read.output

        await _shadowed_and_valued(served, name)

        promoted = await served.operator.PromoteVersion(ranker("blend@1"))
        after = await served.wallet.ListRecommendations(listing(name, 2))
        assert promoted.release.artifact_hash
        assert after.proposal.issued.strategy_version == (
            f"blend@1:{promoted.release.artifact_hash}"
        )
        assert after.proposal.issued.items[0].fund_code == "000008"

        trained(tmp_path, "blend@2")
        (tmp_path / "blend@2" / artifact.ARRAYS).write_bytes(b"broken")
        await world.heard(served.parts)
        refused = await refusal(served.operator.PromoteVersion(ranker("blend@2")))
        still = await served.wallet.ListRecommendations(listing(name, 3))
        assert refused == ("VERSION_NOT_LOADED", ["version"])
        assert still.proposal.issued.strategy_version == after.proposal.issued.strategy_version


async def _shadowed_and_valued(served: Served, name: str) -> None:
    await served.operator.SetShadow(
        pb.SetShadowRequest(slot=pb.SLOT_RANKER, version="blend@1", request_id=str(uuid4()))
    )
    shown = await served.wallet.ListRecommendations(listing(name, 1))
    await served.world.until(f"proposal-{proposal_id(1)}", "ShadowAnswered")
    items = shown.proposal.issued.items
    await served.wallet.RecordItemOpened(
        pb.RecordItemOpenedRequest(
            proposal_id=proposal_id(1), request_id=str(uuid4()), fund_code=items[0].fund_code
        )
    )

    valued = await served.operator.ValueShadow(pb.ValueShadowRequest(version="blend@1"))
    nobody = await served.operator.ValueShadow(pb.ValueShadowRequest(version="blend@7"))

    assert shown.proposal.issued.strategy_version == "house@1"
    assert (valued.lists, valued.items, nobody.lists) == (1, len(items), 0)
    clicks = next(each for each in valued.values if each.reward == "OPENED")
    assert clicks.live_millionths == round(MILLION / len(items))
    assert 0 < clicks.effective_items_millionths <= len(items) * MILLION


async def test_an_artifact_that_is_another_than_was_promoted_serves_nobody(
    run_dir: Path, tmp_path: Path
) -> None:
    world = World(load=Artifacts(tmp_path))
    await world.catalogue(days=140)
    trained(tmp_path, "blend@1")
    async with serving(world, run_dir) as served:
        name = await served.investor("anna")
        await served.operator.PromoteVersion(ranker("blend@1"))
        rankers = served.parts.shelf.rankers
        swapped = replace(rankers["blend@1"], artifact_hash="another")  # type: ignore[type-var]
        served.parts.shelf.rankers = {**rankers, "blend@1": swapped}

        answer = await served.wallet.ListRecommendations(listing(name, 1))

        assert answer.proposal.issued.strategy_version == "house@1"
