"""Real funds and real customers as a catalogue."""

from collections import Counter
from pathlib import Path

import pytest

from libs.fund_arithmetic import InvestorKind
from libs.fund_catalogue import CatalogueInvalid, far_trans_funds, far_trans_investors
from libs.suitability import InvestorClass

FAR_TRANS = Path(__file__).parents[2].parent / "shared" / "data" / "far-trans"
needs_far_trans = pytest.mark.skipif(not FAR_TRANS.is_dir(), reason="FAR-Trans is not here")


@needs_far_trans
def test_the_real_funds_have_a_level_each() -> None:
    funds = far_trans_funds(FAR_TRANS)

    # 318 rows; three funds have two.
    assert len(funds) == 315
    assert len({fund.code for fund in funds}) == len({fund.isin for fund in funds}) == 315
    assert Counter(fund.risk_level.name for fund in funds) == {
        "R1": 19,
        "R2": 106,
        "R3": 8,
        "R4": 109,
        "R5": 73,
    }


@needs_far_trans
def test_the_real_customers_have_the_class_of_their_newest_row() -> None:
    investors = far_trans_investors(FAR_TRANS)
    classes = Counter(each.investor_class for each in investors)

    assert len({each.customer_id for each in investors}) == len(investors)
    assert classes[InvestorClass.C2] > classes[InvestorClass.C3] > classes[InvestorClass.C5] > 0
    assert any(each.is_predicted for each in investors)
    assert any(each.kind is InvestorKind.INSTITUTION for each in investors)


def test_a_customer_counts_as_the_newest_row_says(tmp_path: Path) -> None:
    (tmp_path / "customer_information.csv").write_text(
        "customerID,customerType,riskLevel,investmentCapacity,lastQuestionnaireDate,timestamp\n"
        "A,Mass,Aggressive,CAP,2021-01-01,2021-01-02\n"
        "A,Mass,Predicted_Income,CAP,,2020-01-02\n"
        "B,Mass,Conservative,CAP,2020-01-01,2020-01-02\n"
        "B,Mass,Not_Available,CAP,,2021-01-02\n"
    )

    (found,) = far_trans_investors(tmp_path)

    assert (found.customer_id, found.investor_class) == ("A", InvestorClass.C5)
    assert not found.is_predicted


def test_a_row_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "asset_information.csv").write_text(
        "ISIN,assetName,assetCategory,assetSubCategory,timestamp\n"
        "X,One,MTF,Bond,2020-01-01\n"
        "Y,Two,MTF,Balloons,2020-01-01\n"
    )

    with pytest.raises(CatalogueInvalid, match=r"row 3: assetSubCategory 'Balloons'"):
        far_trans_funds(tmp_path)
