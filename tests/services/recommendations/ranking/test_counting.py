import numpy as np
import pytest

from services.recommendations.ranking.crowd import neighbours, popularity
from services.recommendations.ranking.interactions import collected


def test_co_purchase_is_the_reference_s_small_number() -> None:
    # 40 buyers of one, 30 of the other, 12 of both (advice.md, section 11).
    rows = [(f"i{n:02}", "one", 1, 3) for n in range(40)]
    rows += [(f"i{n:02}", "two", 1, 3) for n in range(28, 58)]
    near = neighbours(collected(rows))

    assert near.places[0].tolist() == [1]
    assert near.joint[0].tolist() == [12]
    assert near.similarity[0][0] == pytest.approx(0.219615, abs=1e-6)


def test_four_joint_buyers_tell_nothing() -> None:
    rows = [(f"i{n}", code, 1, 3) for n in range(4) for code in ("one", "two")]

    assert neighbours(collected(rows)).places.tolist() == [[-1], [-1]]


def test_a_buyer_counts_once_at_the_latest_purchase_in_the_class_of_then() -> None:
    rows = [("a", "one", 10, 2), ("a", "one", 100, 3), ("b", "one", 10, 3)]
    found = popularity(collected(rows), today=100)

    assert found[2, 0] == 0.0
    assert found[3, 0] == pytest.approx(1.0 + 0.5)
    assert np.count_nonzero(found) == 1
