"""Prices of feeds before a fund's own first one: one history for features and for portfolios."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hefu.recommendations.v1 import events_pb2
from hefu.recommendations.v1 import recommendations_pb2 as pb
from services.recommendations.construction.quoting import packed
from services.recommendations.domain.facts import DAY_US, Fact, Kind, whole_series
from services.recommendations.domain.features import fund_features
from services.recommendations.domain.together import MOVES_LEAST, moves
from services.recommendations.queries import date_of
from tests.services.recommendations.conftest import Served
from tests.services.recommendations.test_api import listing
from tests.services.recommendations.test_point_in_time import issued, rebuilt
from tests.services.recommendations.worlds import TODAY, proposal_id, weekdays

YOUNG, OWN_DAYS = "00000Y", 20
# Of the feed: up to the fund's own first price.
EARLIER = weekdays(OWN_DAYS + 149, TODAY)[: -OWN_DAYS + 1]


def fact(kind: Kind, day: int, amount: int, recorded: int | None = None) -> Fact:
    at_us = day * DAY_US
    recorded_us = at_us if recorded is None else recorded * DAY_US
    return Fact(
        recorded_us, f"{kind.value}/{day}/{recorded_us}", kind.value, at_us, "", "f", amount
    )


def test_prices_of_a_feed_count_before_the_first_own_one_and_meet_it() -> None:
    own = [fact(Kind.NAV, 10, 300), fact(Kind.NAV, 11, 330)]
    fed = [fact(Kind.FED, day, price) for day, price in ((8, 50), (9, 100), (11, 7))]

    found = moves(whole_series([*own, *fed], 20 * DAY_US))
    met = moves(whole_series([*own, *fed, fact(Kind.FED, 10, 150)], 20 * DAY_US))

    # Without a price of the first own day the two are taken to meet there.
    assert (found.days, found.of) == ((9, 10, 11), (1_000_000, 0, 100_000))
    assert (met.days, met.of) == ((9, 10, 11), (1_000_000, 500_000, 100_000))
    assert whole_series([*own, fed[2]], 20 * DAY_US) == whole_series(own, 20 * DAY_US)
    assert whole_series(fed, 20 * DAY_US) == []


def test_a_price_of_a_feed_is_known_from_its_recording() -> None:
    known = [
        fact(Kind.NAV, 10, 300),
        fact(Kind.FED, 8, 50, recorded=12),
        fact(Kind.FED, 9, 100, recorded=12),
        fact(Kind.FED, 8, 80, recorded=30),
    ]

    assert moves(whole_series(known, 11 * DAY_US)).of == ()
    assert moves(whole_series(known, 12 * DAY_US)).of == (1_000_000, 0)
    assert moves(whole_series(known, 30 * DAY_US)).of == (250_000, 0)


@given(
    st.lists(st.integers(1_000, 10**7), min_size=1, max_size=30),
    st.dictionaries(st.integers(60, 105), st.integers(1_000, 10**7), max_size=30),
)
def test_features_and_portfolios_have_the_very_same_history(
    own: list[int], fed: dict[int, int]
) -> None:
    days = range(100, 100 + len(own))
    facts = [fact(Kind.NAV, day, price) for day, price in zip(days, own, strict=True)]
    facts += [fact(Kind.FED, day, price * 10**5) for day, price in fed.items()]
    rows = [(date_of(day), price, 0, 0) for day, price in zip(days, own, strict=True)]
    told = {date_of(day): f"{price / 10_000:.4f}" for day, price in fed.items()}

    ours = whole_series(facts, 1_000 * DAY_US)
    theirs = packed("f", rows, pays_income=False, fed=told)

    assert [us // DAY_US for us, _ in ours] == np.frombuffer(theirs.days, dtype=np.int32).tolist()
    values = np.frombuffer(theirs.values, dtype=np.float64)
    scale = ours[0][1] / values[0]
    assert [price for _, price in ours] == pytest.approx((values * scale).tolist(), rel=1e-9)


def test_risk_and_return_of_a_young_fund_are_those_of_its_whole_history_and_its_age_its_own() -> (
    None
):
    own = [fact(Kind.NAV, day, 10_000 + day % 3) for day in range(300, 320)]
    fed = [fact(Kind.FED, day, 10**9 + day % 7) for day in range(100, 300)]

    alone = fund_features(own, 400 * DAY_US)
    found = fund_features([*own, *fed], 400 * DAY_US)

    assert "return_3m" not in alone
    assert {"return_3m", "return_6m", "volatility_60d"} <= set(found)
    assert found["prices"] == 220_000_000
    assert found["age_days"] == alone["age_days"] == 19_000_000


async def feed(served: Served, batch: int, days: Sequence[str], waves: float) -> None:
    points = [
        events_pb2.PricePoint(
            instrument=YOUNG, date=day, price=f"{1.0 + 0.05 * math.sin(n / waves):.6f}"
        )
        for n, day in enumerate(days)
    ]
    request = pb.PublishPricesRequest(batch_id=proposal_id(batch), source="vendor", prices=points)
    assert (await served.feeds.PublishPrices(request)).taken == len(days)
    await served.world.heard(served.parts)


def pairs_alike(served: Served) -> bool:
    return YOUNG in served.parts.shelf.diversifiers.codes


async def test_what_a_young_fund_moves_with_is_told_once_a_feed_brings_its_history(
    served: Served,
) -> None:
    world, told = served.world, served.world.told
    name = await served.investor("anna")
    await told.fund(YOUNG, 2, "BOND")
    await told.navs(YOUNG, OWN_DAYS)
    await told.lot(name, YOUNG, 480_000)
    await world.heard(served.parts)

    await served.wallet.ListRecommendations(listing(name, 1))
    before = (await served.parts.advice.known(name)).moves
    was_among = pairs_alike(served)
    await feed(served, 70, EARLIER, 3.0)
    after = (await served.parts.advice.known(name)).moves
    await served.wallet.ListRecommendations(listing(name, 2))
    await feed(served, 71, EARLIER[-100:], 5.0)
    revised = (await served.parts.advice.known(name)).moves
    await served.wallet.ListRecommendations(listing(name, 3))

    assert before == {}, "twenty moves say nothing"
    assert not was_among
    assert len(after["CNY"].days) > MOVES_LEAST
    assert pairs_alike(served)
    assert revised["CNY"].of != after["CNY"].of
    stored = [await issued(served, number) for number in (1, 2, 3)]
    fed_at = [each.positions.feeds for each in stored]
    assert fed_at == sorted(set(fed_at))
    assert len({each.feature_hash for each in stored}) == len(stored)
    for each in stored:
        assert await rebuilt(world, each) == each.feature_hash
    catalogue = served.parts.shelf.catalogue
    assert catalogue.fed == {YOUNG: catalogue.fed_at}
