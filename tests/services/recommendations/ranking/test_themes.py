"""Themes in learnt rankings: one function, the past alone, and a weight only where it helps."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from libs.suitability import InvestorClass
from services.recommendations.domain import reasons
from services.recommendations.domain.catalogue import Catalogue
from services.recommendations.domain.facts import DAY_US, MILLION, Fact, Kind
from services.recommendations.domain.features import investor_features
from services.recommendations.domain.ranking import ListRules, Question, rank
from services.recommendations.domain.reasons import in_words
from services.recommendations.domain.themes import theme_shares
from services.recommendations.explaining import of_listed
from services.recommendations.ranking.evaluation import asked_at, catalogue_of
from services.recommendations.ranking.interactions import Label
from services.recommendations.ranking.parts import THEME, WEIGHTS
from services.recommendations.ranking.population import SECTORS, World, world_of
from services.recommendations.ranking.serving import TrainedRanker
from services.recommendations.ranking.training import train
from services.recommendations.ranking.tuning import theme_weight
from tests.services.recommendations.ranking.small import SEED, last_day, small_world

DAY = last_day() - 300
CURRENCIES = {"a": "CNY", "b": "CNY", "c": "USD"}


def bought(day: int, code: str, amount: int, theme: str, recorded: int | None = None) -> Fact:
    recorded_us = (day if recorded is None else recorded) * DAY_US
    name = f"{code}/{day}"
    return Fact(
        recorded_us, name, Kind.BOUGHT.value, day * DAY_US, "anna", code, amount, theme=theme
    )


def test_a_share_is_of_what_was_bought_in_a_currency_and_fades_by_half_in_thirty_days() -> None:
    facts = [
        bought(70, "a", 400, "green"),
        bought(100, "b", 200, "health"),
        bought(100, "a", 100, ""),
        bought(100, "c", 7, "green"),
    ]

    found = theme_shares(facts, 100 * DAY_US, CURRENCIES)

    # 400 of thirty days ago is 200 now, of 500.
    assert found == {
        ("CNY", "green"): 400_000,
        ("CNY", "health"): 400_000,
        ("USD", "green"): MILLION,
    }
    features = investor_features(facts, 100 * DAY_US, {}, {}, {}, CURRENCIES)
    total = features["amounts_faded:CNY"]
    of_green = features["amounts_faded_theme:green:CNY"]
    assert of_green * MILLION // total == found["CNY", "green"], "the very same amounts"


def test_what_is_to_come_or_not_yet_recorded_is_no_part_of_a_share() -> None:
    known = [bought(90, "a", 400, "green")]
    later = [bought(101, "b", 200, "health"), bought(95, "b", 200, "health", recorded=101)]

    assert theme_shares([*known, *later], 100 * DAY_US, CURRENCIES) == {("CNY", "green"): MILLION}
    assert theme_shares([], 100 * DAY_US, CURRENCIES) == {}


def test_planted_future_purchases_and_themes_change_no_question_of_an_earlier_day() -> None:
    rows = small_world().interactions
    late = rows.day >= DAY
    tests = asked_at(rows, DAY, 40, SEED)
    planted = replace(rows, amount=np.where(late, 10**12, rows.amount))
    told = {
        code: replace(label, themes=(*label.themes, (DAY, "planted")))
        for code, label in rows.labels.items()
    }

    assert sum(bool(test.question.bought_themes) for test in tests) > 20
    assert asked_at(replace(planted, labels=told), DAY, 40, SEED) == tests
    # A day earlier it is known, and seen.
    earlier = {
        code: replace(label, themes=(*label.themes, (DAY - 1, "planted")))
        for code, label in rows.labels.items()
    }
    seen = asked_at(replace(rows, labels=earlier), DAY, 40, SEED)
    assert {theme for test in seen for _, theme in test.question.bought_themes} == {"planted"}


def test_a_fund_has_the_theme_that_was_told_before_the_day() -> None:
    label = Label("CNY", ((10, "green"), (20, "red")))

    assert [label.theme(day) for day in (10, 11, 20, 21)] == ["", "green", "green", "red"]


@cache
def themed_world() -> World:
    return world_of(2_000, 20_000, 80, SEED, themed=6.0)


def test_themes_weigh_something_where_people_buy_by_them_and_nothing_where_they_do_not() -> None:
    themed, plain = themed_world(), small_world()
    told: list[str] = []
    last = int(themed.interactions.day[-1]) + 1

    found = theme_weight(themed.interactions, last, SEED, told.append)
    none = theme_weight(plain.interactions, last_day(), SEED, told.append)

    assert found > 0
    assert none == 0
    assert "the weight is 0.0" in told[-1]


def test_the_weight_is_learnt_from_what_was_before_the_day() -> None:
    rows = world_of(700, 9_000, 20, SEED).interactions
    day = int(rows.day[-1]) - 120
    late = rows.day >= day
    first, second = list[str](), list[str]()
    planted = replace(rows, fund=np.where(late, 0, rows.fund).astype(np.int32))

    theme_weight(rows, day, SEED, first.append)
    theme_weight(planted, day, SEED, second.append)

    assert late.sum() > 100
    assert "changes nDCG by" in first[0]
    assert first == second


def test_with_too_few_to_learn_from_themes_weigh_nothing() -> None:
    rows = small_world().interactions
    told: list[str] = []

    assert theme_weight(replace(rows, amount=rows.amount * 0), DAY, SEED, told.append) == 0
    assert "0 investors to learn from" in told[0]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    world = small_world()
    return catalogue_of(world.interactions, world.levels, last_day())


def ranker(catalogue: Catalogue, weights: dict[str, float]) -> TrainedRanker:
    trained = train(small_world().interactions, None, last_day(), SEED, weights)
    return TrainedRanker(catalogue, trained, "blend@1", "hash")


def test_a_theme_orders_what_other_sources_name_and_says_what_it_added(
    catalogue: Catalogue,
) -> None:
    theme = catalogue.funds[0].theme
    asked = Question(
        *("anna", int(InvestorClass.C5), (catalogue.codes[3],), 1_000),
        bought_themes={("CNY", theme): 600_000, ("USD", SECTORS["GE"]): MILLION},
    )
    with_themes = ranker(catalogue, {**WEIGHTS, THEME: 0.5})
    everything = catalogue.everything

    found = with_themes.sources(asked, everything)
    ranked, _ = rank(catalogue, with_themes, asked, everything, ListRules(exploration=0.0), 1)

    others = set[str]().union(*(found[name] for name in found if name != THEME))
    assert set(found[THEME]) == others
    assert set(found[THEME].values()) == {0.0, 0.6}
    assert all((found[THEME][c] > 0) == (catalogue.find(c).theme == theme) for c in others)  # type: ignore[union-attr]
    told = {each.code: of_listed(catalogue, with_themes, asked, each) for each in ranked}
    for each in ranked:
        reason = [r for r in told[each.code] if r.code == reasons.THEME_BOUGHT]
        assert bool(reason) == (each.sources[THEME] > 0)
        assert each.parts[THEME] == (0.5 if reason else 0.0)
    (code,) = [c for c, each in told.items() if any("THEME" in r.code for r in each)][:1]
    zh, en = in_words([r for r in told[code] if r.code == reasons.THEME_BOUGHT])
    assert en == (f"60.00% of what you bought lately went into {theme}: it adds 0.50 to the score.")
    assert "60.00%" in zh
    assert "0.50" in zh


def test_a_version_from_before_themes_ranks_as_it_did_and_one_with_weight_nothing_says_so(
    catalogue: Catalogue,
) -> None:
    older, later = ranker(catalogue, dict(WEIGHTS)), ranker(catalogue, {**WEIGHTS, THEME: 0.0})
    theme = catalogue.funds[0].theme
    plain = Question("anna", int(InvestorClass.C5), (catalogue.codes[3],), 1_000)
    asked = replace(plain, bought_themes={("CNY", theme): MILLION})
    everything, rules = catalogue.everything, ListRules()

    before = rank(catalogue, older, plain, everything, rules, 1)

    assert rank(catalogue, older, asked, everything, rules, 1) == before
    shown, _ = rank(catalogue, later, asked, everything, rules, 1)
    assert [each.code for each in shown] == [each.code for each in before[0]]
    assert all(THEME in each.sources for each in shown), "shown, and not blended"
    assert "theme" not in later.evidence(asked, shown[0].code)
