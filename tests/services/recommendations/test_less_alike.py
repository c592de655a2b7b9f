"""Over gRPC: who holds a fund is shown what moves otherwise, and what that would do."""

from hefu.recommendations.v1 import recommendations_pb2 as pb
from libs.suitability import InvestorClass
from services.recommendations.domain.features import FEATURE_SET
from tests.services.recommendations.conftest import Served
from tests.services.recommendations.test_api import listing

SOURCE, REASON = "lower_correlation", "LOWER_CORRELATION"


def less_alike(proposal: pb.Proposal) -> dict[str, dict[str, str]]:
    """Evidence by fund, of those that are listed because they move otherwise."""
    return {
        item.fund_code: {each.name: each.value for each in reason.evidence}
        for item in proposal.issued.items
        for reason in item.reasons
        if reason.code == REASON
    }


async def test_who_holds_a_fund_is_shown_what_moves_otherwise_and_who_holds_none_is_not(
    served: Served,
) -> None:
    holder = await served.investor("anna", InvestorClass.C5)
    other = await served.investor("boris", InvestorClass.C5)
    await served.world.told.lot(holder, "000006", 480_000)
    await served.world.heard(served.parts)

    found = (await served.wallet.ListRecommendations(listing(holder, 1))).proposal
    without = (await served.wallet.ListRecommendations(listing(other, 2))).proposal

    told = less_alike(found)
    assert told
    assert "000006" not in told, "it is held"
    assert "000001" not in told, "money never moves"
    for evidence in told.values():
        assert int(evidence["correlation"]) <= 500_000
        assert int(evidence["volatility_after"]) < int(evidence["volatility_before"])
    scored = [c for c in found.issued.candidates if any(s.source == SOURCE for s in c.sources)]
    assert set(told) <= {each.fund_code for each in scored}
    assert found.issued.feature_set == FEATURE_SET
    assert less_alike(without) == {}
