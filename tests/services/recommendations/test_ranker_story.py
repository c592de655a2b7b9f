"""A ranking's life on a running service: trained, read about, shadowed, valued, promoted, kept."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from typer.testing import CliRunner

from hefu.recommendations.v1 import events_pb2
from hefu.recommendations.v1 import recommendations_pb2 as pb
from libs.cli.advice import app
from libs.read_model import Database
from services.recommendations.domain.reasons import THEME_BOUGHT
from services.recommendations.ranking import artifact
from services.recommendations.ranking.heard import from_database
from services.recommendations.ranking.interactions import Interactions, collected
from services.recommendations.ranking.parts import THEME, WEIGHTS
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


async def test_a_theme_bought_lately_is_a_reason_of_a_learnt_ranking_that_weighs_themes(
    run_dir: Path, tmp_path: Path
) -> None:
    world = World(load=Artifacts(tmp_path))
    await world.catalogue(days=140)
    known = purchases()
    for version, weights in (("blend@1", WEIGHTS), ("blend@2", {**WEIGHTS, THEME: 1.0})):
        artifact.save(tmp_path, version, train(known, None, TODAY, 7, weights), {})
    async with serving(world, run_dir) as served:
        name = await served.investor("anna")
        facts = [events_pb2.FundFact(instrument="000003", theme="green")]
        batch = pb.PublishFundFactsRequest(batch_id=proposal_id(40), source="vendor", facts=facts)
        await served.feeds.PublishFundFacts(batch)
        await world.told.order(name, "000003", 300_000, "C3")
        await world.told.order(name, "000004", 100_000, "C3")
        await world.heard(served.parts)
        found = []
        for number, version in ((1, "blend@1"), (2, "blend@2")):
            await served.operator.PromoteVersion(ranker(version))
            answer = await served.wallet.ListRecommendations(listing(name, number))
            found.append({item.fund_code: item for item in answer.proposal.issued.items})
        scores = {
            each.fund_code: {s.source: s.score_millionths for s in each.sources}
            for each in answer.proposal.issued.candidates
        }

    before, after = found
    assert not any(r.code == THEME_BOUGHT for item in before.values() for r in item.reasons)
    (reason,) = [r for r in after["000003"].reasons if r.code == THEME_BOUGHT]
    evidence = {each.name: each.value for each in reason.evidence}
    assert evidence == {
        "theme": "green", "theme_share": "750000", "added": "1.00", "model": "blend@2"
    }  # fmt: skip
    assert scores["000003"][THEME] == 750_000
    # Its theme is the kind of fund that it is, where no feed told one.
    assert scores["000004"][THEME] in (249_999, 250_000)
    assert scores["000008"][THEME] == 0
    gained = {code: after[code].score_millionths - before[code].score_millionths for code in after}
    assert (gained["000003"], gained["000004"], gained["000008"]) == (MILLION, MILLION // 2, 0)


async def test_what_was_heard_is_learnt_from_with_amounts_and_themes_as_they_were_told(
    tmp_path: Path,
) -> None:
    address = f"sqlite:///{tmp_path}/rows.sqlite"
    world = World()
    await world.catalogue(days=20)
    async with world.service(Database.open(address)) as parts:
        for name, told in (("b", "green"), ("c", ""), ("d", "red")):
            taken = {"batch_id": name, "facts": [{"instrument": "000003", "theme": told}]}
            batch = [("FeedFundFactsTaken", taken)]
            await world.told.tell(f"feed_batch-{name}", "recommendations", batch)
        await world.told.order("anna", "000003", 300_000, "C3")
        await world.heard(parts)
        known, _ = await asyncio.to_thread(from_database, address)

    label = known.label("000003")
    assert (known.codes, known.amount.tolist()) == (("000003",), [300_000])
    assert (label.currency, label.theme(TODAY + 2), label.theme(TODAY - 400)) == (
        "CNY",
        "red",
        "",
    )
    # The kind of the fund, where no feed tells a theme.
    assert [theme for _, theme in label.themes] == ["BOND", "green", "BOND", "red"]
    assert known.label("000004").theme(TODAY + 2) == "MIXED"


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
