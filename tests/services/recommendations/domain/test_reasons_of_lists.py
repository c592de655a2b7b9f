"""What a list says of a fund is what was found, and nothing is said of nothing."""

import pytest

from libs.suitability import InvestorClass, RiskLevel
from services.recommendations.domain import reasons
from services.recommendations.domain.catalogue import Catalogue, Fund
from services.recommendations.domain.ranking import (
    POPULARITY,
    Crowd,
    CrowdRanker,
    Question,
    Ranked,
)
from services.recommendations.explaining import of_listed

FUND = Fund("000001", "Bonds", RiskLevel.R2, "CNY", "BOND", "M1")
CATALOGUE = Catalogue((FUND,))
ASKED = Question("anna", int(InvestorClass.C3), (), 365)


@pytest.mark.parametrize(
    ("popularity", "told"), [(0.0, []), (0.004, []), (0.005, ["0.01"]), (3.0, ["3.00"])]
)
def test_popularity_is_a_reason_where_it_is_one(popularity: float, told: list[str]) -> None:
    ranked = Ranked(FUND.code, 1.0, {POPULARITY: popularity})

    found = of_listed(CATALOGUE, CrowdRanker(CATALOGUE, Crowd()), ASKED, ranked)

    said = [each for each in found if each.code == reasons.POPULAR_IN_BAND]
    assert [dict(each.evidence)["popularity"] for each in said] == told
