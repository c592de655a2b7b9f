"""Rankings are put in front, and run in the shadow, without a restart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

import pytest

from hefu.recommendations.v1 import recommendations_pb2 as pb
from services.recommendations.domain.catalogue import Catalogue, FundSet
from services.recommendations.domain.ranking import Crowd, Question, Ranker, Sources
from tests.services.recommendations.conftest import Served, serving
from tests.services.recommendations.test_api import listing, refusal
from tests.services.recommendations.worlds import World, proposal_id


@dataclass(frozen=True)
class Backwards:
    """Likes the last fund best."""

    catalogue: Catalogue
    version: str = "backwards@1"
    artifact_hash: str = "ab12"

    def sources(self, question: Question, eligible: FundSet) -> Sources:
        del question, eligible
        return {"model": {code: float(n) for n, code in enumerate(self.catalogue.codes)}}

    def weights(self) -> Mapping[str, float]:
        return {"model": 1.0}

    def evidence(self, question: Question, code: str) -> Mapping[str, str]:
        del question
        return {"contribution:place": str(int(code, 36))}


def load(catalogue: Catalogue, _crowd: Crowd) -> Sequence[Ranker]:
    return (Backwards(catalogue),)


@pytest.fixture
async def released(run_dir: object) -> object:
    world = World(load=load)
    await world.catalogue(days=140)
    async with serving(world, run_dir) as served:  # type: ignore[arg-type]
        yield served


async def test_a_promoted_version_answers_the_next_question(released: Served) -> None:
    name = await released.investor("anna")
    before = await released.wallet.ListRecommendations(listing(name, 1))
    request = pb.PromoteVersionRequest(
        slot=pb.SLOT_RANKER, version="backwards@1", request_id=str(uuid4())
    )

    answer = await released.operator.PromoteVersion(request)
    after = await released.wallet.ListRecommendations(listing(name, 2))

    assert (answer.release.version, answer.release.artifact_hash) == ("backwards@1", "ab12")
    assert before.proposal.issued.strategy_version == "house@1"
    assert after.proposal.issued.strategy_version == "backwards@1:ab12"
    assert {r.code for r in after.proposal.issued.items[0].reasons} >= {"MODEL_SAYS"}


async def test_a_version_in_the_shadow_answers_and_nobody_sees_it(released: Served) -> None:
    name = await released.investor("anna")
    await released.operator.SetShadow(
        pb.SetShadowRequest(slot=pb.SLOT_RANKER, version="backwards@1", request_id=str(uuid4()))
    )

    shown = await released.wallet.ListRecommendations(listing(name, 1))
    await released.world.until(f"proposal-{proposal_id(1)}", "ShadowAnswered")
    await released.world.heard(released.parts)
    listed = await released.operator.ListReleases(pb.ListReleasesRequest())

    assert shown.proposal.issued.strategy_version == "house@1"
    ranker = next(each for each in listed.releases if each.slot == pb.SLOT_RANKER)
    assert ranker.shadowed == 1
    assert 0 < ranker.overlap_millionths <= 1_000_000


async def test_what_is_not_loaded_is_not_released(released: Served) -> None:
    request = pb.PromoteVersionRequest(
        slot=pb.SLOT_RANKER, version="broken@9", request_id=str(uuid4())
    )

    assert await refusal(released.operator.PromoteVersion(request)) == (
        "VERSION_NOT_LOADED",
        ["version"],
    )
