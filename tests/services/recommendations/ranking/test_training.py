"""What is learnt before a day knows nothing of that day or later."""

from dataclasses import replace

import numpy as np
import pytest

from services.recommendations.ranking.interactions import Interactions, collected, iso_of
from services.recommendations.ranking.market import Market, features_at
from services.recommendations.ranking.parts import Trained
from services.recommendations.ranking.price_model import TooLittleHistory, greatest, trained
from services.recommendations.ranking.training import train
from tests.services.recommendations.ranking.small import SEED, last_day, small_world

AS_OF = last_day() - 400


def learnt(interactions: Interactions, market: Market) -> Trained:
    return train(interactions, market, AS_OF, SEED)


def same(one: Trained, other: Trained) -> bool:
    arrays = (
        (one.popularity, other.popularity),
        (one.neighbours.similarity, other.neighbours.similarity),
        (one.factors, other.factors),
        (one.price_score, other.price_score),
        (one.price_parts, other.price_parts),
    )
    return one.price_text == other.price_text and all(
        np.array_equal(first, second, equal_nan=True) for first, second in arrays
    )


def test_the_same_facts_teach_the_same() -> None:
    world = small_world()

    assert same(learnt(world.interactions, world.market), learnt(world.interactions, world.market))


def test_a_planted_future_price_leaves_no_trace() -> None:
    world = small_world()
    first = world.market.session_at(AS_OF - 1) + 1
    prices = world.market.prices.copy()
    prices[first:] *= 1_000.0

    assert same(
        learnt(world.interactions, world.market),
        learnt(world.interactions, replace(world.market, prices=prices)),
    )


def test_a_planted_past_price_is_seen() -> None:
    world = small_world()
    prices = world.market.prices.copy()
    prices[world.market.session_before(AS_OF), 0] *= 2.0
    changed = learnt(world.interactions, replace(world.market, prices=prices))

    assert not same(learnt(world.interactions, world.market), changed)


def test_planted_future_purchases_leave_no_trace() -> None:
    world = small_world()
    rows = world.interactions
    late = rows.day >= AS_OF
    planted = replace(rows, fund=np.where(late, 0, rows.fund).astype(np.int32))

    assert late.sum() > 100
    assert same(learnt(rows, world.market), learnt(planted, world.market))


def test_a_young_fund_has_no_features_and_nothing_else_is_touched() -> None:
    market = small_world().market
    prices = market.prices.copy()
    session = 400
    prices[: session - 10, 3] = np.nan
    found = features_at(replace(market, prices=prices), session)

    assert np.isnan(found[3]).any()
    assert np.array_equal(np.delete(found, 3, 0), np.delete(features_at(market, session), 3, 0))


def test_without_two_years_of_prices_there_is_no_price_model() -> None:
    market = small_world().market

    with pytest.raises(TooLittleHistory):
        trained(market, int(market.days[300]), SEED)
    found = train(small_world().interactions, market, int(market.days[300]), SEED)
    assert found.price_text == ""
    assert np.isnan(found.price_score).all()


def test_contributions_add_up_to_the_score_and_the_greatest_come_first() -> None:
    found = learnt(small_world().interactions, small_world().market)
    parts = greatest(found.price_parts[0])

    assert [abs(part) for _, part in parts] == sorted((abs(p) for _, p in parts), reverse=True)
    # The score is the model's base and the sum of the parts, so funds differ as their parts do.
    one, other = found.price_parts[0].sum(), found.price_parts[1].sum()
    difference = found.price_score[0] - found.price_score[1]
    assert difference == pytest.approx(one - other)


def test_one_purchase_is_enough_to_learn_from() -> None:
    found = train(collected([("a", "000001", 10, 3), ("b", "000002", 11, 3)]), None, 12, SEED)

    assert found.factors.shape[0] == 2
    assert iso_of(found.as_of_day) == "1970-01-13"
