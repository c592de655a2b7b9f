"""A trained ranking ranks the eligible, says where its numbers come from, and learns at once."""

import random
from dataclasses import replace

import pytest

from services.recommendations.domain.ranking import ListRules, Question, rank
from services.recommendations.ranking.evaluation import catalogue_of
from services.recommendations.ranking.parts import (
    CO_PURCHASE,
    MATRIX,
    POPULARITY,
    PRICE_MODEL,
    WEIGHTS,
)
from services.recommendations.ranking.serving import PRICE_DAYS_MAX, TrainedRanker
from services.recommendations.ranking.training import train
from tests.services.recommendations.ranking.small import SEED, last_day, small_world


@pytest.fixture(scope="module")
def ranker() -> TrainedRanker:
    world = small_world()
    trained = train(
        world.interactions, world.market, last_day(), SEED, {**WEIGHTS, PRICE_MODEL: 0.5}
    )
    catalogue = catalogue_of(world.interactions, world.levels, last_day())
    return TrainedRanker(catalogue, trained, "blend@1", "hash")


def asks(*held: str) -> Question:
    return Question("investor:1", 4, held, horizon_days=1_000)


def test_only_the_eligible_are_named_whatever_the_scores_say(ranker: TrainedRanker) -> None:
    draw = random.Random(SEED)  # noqa: S311 - repeatable, not secret
    codes = ranker.catalogue.codes
    for _ in range(200):
        allowed = draw.sample(codes, draw.randint(0, len(codes)))
        held = draw.sample(codes, draw.randint(0, 5))
        eligible = ranker.catalogue.only(allowed)
        shown, candidates = rank(
            ranker.catalogue, ranker, asks(*held), eligible, ListRules(), draw.getrandbits(60)
        )
        assert {each.code for each in (*shown, *candidates)} <= set(allowed)


def test_who_holds_nothing_gets_what_is_popular_and_what_prices_say(ranker: TrainedRanker) -> None:
    found = ranker.sources(asks(), ranker.catalogue.everything)

    assert set(found) == {POPULARITY, PRICE_MODEL}


def test_a_purchase_counts_at_once(ranker: TrainedRanker) -> None:
    one, other = ranker.catalogue.codes[:2]
    everything = ranker.catalogue.everything
    before = ranker.sources(asks(one), everything)
    after = ranker.sources(asks(one, other), everything)

    assert before[MATRIX] != after[MATRIX]
    assert before[CO_PURCHASE] != after[CO_PURCHASE]
    assert before[POPULARITY] == after[POPULARITY]


def test_what_peers_bought_is_told_with_their_number(ranker: TrainedRanker) -> None:
    held = ranker.catalogue.codes[0]
    near = int(ranker.trained.neighbours.places[0][0])
    found = ranker.evidence(asks(held), ranker.trained.codes[near])

    assert int(found["investors"]) == int(ranker.trained.neighbours.joint[0][0]) >= 5
    assert sum(name.startswith("contribution:") for name in found) == 3


def test_an_unknown_fund_has_no_score_and_no_evidence(ranker: TrainedRanker) -> None:
    assert ranker.evidence(asks("999999"), "999999") == {}
    found = ranker.sources(asks("999999"), ranker.catalogue.everything)
    assert MATRIX not in found


def test_an_old_word_about_prices_is_not_repeated(ranker: TrainedRanker) -> None:
    world = small_world()
    later = catalogue_of(world.interactions, world.levels, last_day() + PRICE_DAYS_MAX + 1)
    found = replace(ranker, catalogue=later).sources(asks(), later.everything)

    assert PRICE_MODEL not in found
