"""Rankings on history: split by time alone, beside random and popularity, both columns told.

At each date: train on what was known before it, test on the half year after it; what an investor
held before is not asked for again; nothing unsuitable may be shown, and one such item fails all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from libs.suitability import InvestorClass, RiskLevel, highest_level
from services.recommendations.domain.catalogue import Catalogue, Fund
from services.recommendations.domain.facts import DAY_US, Fact, Kind
from services.recommendations.domain.measures import average_precision, ndcg, recall
from services.recommendations.domain.ranking import ListRules, Question, rank
from services.recommendations.domain.themes import theme_shares
from services.recommendations.ranking.besides import (
    CLASS,
    TEST_DAYS,
    Asked,
    Beside,
    K,
    by_group,
    calibrated,
)
from services.recommendations.ranking.interactions import Interactions, iso_of
from services.recommendations.ranking.market import Market, monthly
from services.recommendations.ranking.parts import (
    CO_PURCHASE,
    MATRIX,
    POPULARITY,
    PRICE_MODEL,
    THEME,
    WEIGHTS,
    Trained,
)
from services.recommendations.ranking.serving import TrainedRanker
from services.recommendations.ranking.training import train

LEARNT: Final = (CO_PURCHASE, MATRIX, PRICE_MODEL, "blend", "blend_with_themes")
# A difference of nDCG between groups that is said in words.
GAP_TOLD: Final = 0.05
# Lists of so many funds without spreading, fees or chance: the ranking alone is measured.
RULES: Final = ListRules(
    size=K, per_manager=10**6, per_theme=10**6, fee_penalty=0.0, exploration=0.0
)
ALONE: Final[Mapping[str, Mapping[str, float]]] = {
    POPULARITY: {POPULARITY: 1.0},
    CO_PURCHASE: {CO_PURCHASE: 1.0, POPULARITY: 0.001},
    MATRIX: {MATRIX: 1.0, POPULARITY: 0.001},
    PRICE_MODEL: {PRICE_MODEL: 1.0},
    THEME: {THEME: 1.0, POPULARITY: 0.001},
}
# What themes may weigh beside the blend that was tuned without them.
THEMES: Final = (0.25, 0.5, 1.0)
WITH_THEMES: Final[str] = "blend_with_themes"
BLENDS: Final[Sequence[Mapping[str, float]]] = (
    WEIGHTS,
    {**WEIGHTS, CO_PURCHASE: 2.0},
    {**WEIGHTS, MATRIX: 2.0},
    {**WEIGHTS, POPULARITY: 2.0},
    {**WEIGHTS, PRICE_MODEL: 0.5},
)
# FAR-Trans (advice.md, section 9): another population and other funds; context, not a yardstick.
PUBLISHED: Final = {
    "random": (0.0106, 0.0071),
    "popularity": (0.2710, 0.0006),
    "association_rules": (0.2556, 0.0007),
    "matrix_factorisation": (0.1780, 0.0038),
    "lightgbm_prices": (0.0221, 0.0225),
    "random_forest_prices": (0.0237, 0.0259),
    "lightgcn": (0.3404, 0.0004),
}


def asked_at(
    interactions: Interactions,
    day: int,
    most: int,
    seed: int,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> Sequence[Asked]:
    """Investors with a purchase before the day and a new one after it, at most so many."""
    before = interactions.between(-(10**6), day)
    after = interactions.between(day, day + TEST_DAYS)
    held = before.bought()
    at_us = day * DAY_US
    bands = dict(zip(before.investor.tolist(), before.band.tolist(), strict=True))
    currencies = {code: interactions.label(code).currency for code in interactions.codes}
    candidates = sorted(after.bought().items())
    np.random.default_rng((seed, day)).shuffle(candidates)
    found = []
    for investor, bought in candidates:
        new = bought - held.get(investor, set())
        if investor not in held or not new:
            continue
        codes = interactions.codes
        question = Question(
            interactions.investors[investor],
            bands[investor],
            tuple(sorted(codes[place] for place in held[investor])),
            horizon_days=365 * 3,
            bought_themes=theme_shares(facts_of(before, investor, day), at_us, currencies),
        )
        named = {name: each[investor] for name, each in (groups or {}).items()}
        named[CLASS] = InvestorClass(bands[investor]).name
        found.append(Asked(question, frozenset(codes[place] for place in new), named))
        if len(found) == most:
            break
    return found


def facts_of(interactions: Interactions, investor: int, day: int) -> Sequence[Fact]:
    """Purchases of one, as the running service would have heard them; themes as told before a day.

    Rows without an amount tell nothing of themes.
    """
    found = []
    for row in np.flatnonzero(interactions.investor == investor).tolist():
        code, at_us = (
            interactions.codes[interactions.fund[row]],
            int(interactions.day[row]) * DAY_US,
        )
        theme, amount = interactions.label(code).theme(day), int(interactions.amount[row])
        name, who = f"{row:09d}", interactions.investors[investor]
        if amount:
            told = (at_us, name, Kind.BOUGHT.value, at_us, who, code, amount, theme)
            found.append(Fact(*told))
    return found


def catalogue_of(interactions: Interactions, levels: Sequence[RiskLevel], today: int) -> Catalogue:
    """Funds that differ in level, currency and theme alone, so that nothing else decides."""
    funds = []
    for code, level in zip(interactions.codes, levels, strict=True):
        label = interactions.label(code)
        theme = label.theme(today)
        funds.append(Fund(code, code, level, label.currency, "MIXED", code, theme))
    return Catalogue(tuple(funds), today)


def evaluate(  # noqa: PLR0913 - the protocol has as many parts
    interactions: Interactions,
    market: Market,
    levels: Sequence[RiskLevel],
    dates: Sequence[int],
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    askers: int = 400,
    seed: int = 2026,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The table. The first third of the dates tunes the blend; the rest is reported."""
    rows: dict[str, list[Mapping[str, float]]] = {}
    tuning = max(1, len(dates) // 3)
    tried: list[list[float]] = []
    themed: list[list[list[float]]] = []
    blend: Mapping[str, float] = WEIGHTS
    with_themes: Mapping[str, float] = WEIGHTS
    violations = 0
    quality: dict[str, dict[tuple[str, str], list[float]]] = {}
    for number, day in enumerate(dates):
        told(f"date {number + 1} of {len(dates)}: {iso_of(day)}")
        trained = train(interactions, market, day, seed)
        catalogue = catalogue_of(interactions, levels, day)
        tests = asked_at(interactions, day, askers, seed, groups)
        ahead = _ahead(market, day)
        beside = Beside.at(interactions, market, day)
        if number < tuning:
            tried.append([_ndcg(catalogue, trained, tests, weights) for weights in BLENDS])
            themed.append(
                [[_ndcg(catalogue, trained, tests, w) for w in _themed(b)] for b in BLENDS]
            )
            continue
        if number == tuning:
            best = int(np.argmax(np.mean(tried, axis=0)))
            blend = BLENDS[best]
            with_themes = _themed(blend)[int(np.argmax(np.mean(themed, axis=0)[best]))]
        lists = {name: _lists(catalogue, trained, tests, w) for name, w in ALONE.items()}
        lists["blend"] = _lists(catalogue, trained, tests, blend)
        lists[WITH_THEMES] = _lists(catalogue, trained, tests, with_themes)
        lists["random"] = _random(catalogue, tests, (seed, day))
        for name, shown in lists.items():
            violations += _violations(catalogue, tests, shown)
            measured = _measured(interactions, tests, shown, ahead)
            rows.setdefault(name, []).append({**measured, **beside.measured(tests, shown)})
            for group, good in by_group(tests, shown).items():
                quality.setdefault(name, {}).setdefault(group, []).extend(good)
    return {
        "dates": [iso_of(day) for day in dates[tuning:]],
        "tuned_on": [iso_of(day) for day in dates[:tuning]],
        "blend": dict(blend),
        WITH_THEMES: dict(with_themes),
        "askers": askers,
        "violations": violations,
        "market_roi": _mean([_mean([*_ahead(market, day).values()]) for day in dates[tuning:]]),
        "rows": {name: _summed(each) for name, each in rows.items()},
        "groups": {name: calibrated(each) for name, each in quality.items()},
        "published": PUBLISHED,
    }


def _themed(blend: Mapping[str, float]) -> Sequence[Mapping[str, float]]:
    return [{**blend, THEME: weight} for weight in THEMES]


def _ahead(market: Market, day: int) -> Mapping[str, float]:
    """Monthly return of each fund over the half year after a day."""
    start, end = market.session_before(day), market.session_at(day + TEST_DAYS)
    days = int(market.days[end] - market.days[start])
    earned = monthly(market.prices[end] / market.prices[start] - 1.0, days)
    return dict(zip(market.codes, earned.tolist(), strict=True))


def _lists(
    catalogue: Catalogue, trained: Trained, tests: Sequence[Asked], weights: Mapping[str, float]
) -> Sequence[Sequence[str]]:
    return lists_of(catalogue, replace(trained, weights=weights), tests)


def lists_of(
    catalogue: Catalogue, trained: Trained, tests: Sequence[Asked]
) -> Sequence[Sequence[str]]:
    """What each would be shown: eligible funds alone, without those held."""
    ranker = TrainedRanker(catalogue, trained, "evaluated@1", "")
    shown = []
    for test in tests:
        question = test.question
        allowed = catalogue.everything & ~catalogue.above(_highest(question.band))
        ranked, _ = rank(
            catalogue, ranker, question, allowed & ~catalogue.only(question.held), RULES, seed=0
        )
        shown.append([each.code for each in ranked])
    return shown


def _random(
    catalogue: Catalogue, tests: Sequence[Asked], seed: tuple[int, int]
) -> Sequence[Sequence[str]]:
    rng = np.random.default_rng(seed)
    shown = []
    for test in tests:
        allowed = catalogue.everything & ~catalogue.above(_highest(test.question.band))
        codes = catalogue.codes_of(allowed & ~catalogue.only(test.question.held))
        shown.append([codes[n] for n in rng.permutation(len(codes))[:K]])
    return shown


def _highest(band: int) -> RiskLevel:
    return highest_level(InvestorClass(band))


def _ndcg(
    catalogue: Catalogue, trained: Trained, tests: Sequence[Asked], weights: Mapping[str, float]
) -> float:
    shown = _lists(catalogue, trained, tests, weights)
    return _mean([ndcg(each, test.bought, K) for each, test in zip(shown, tests, strict=True)])


def _violations(
    catalogue: Catalogue, tests: Sequence[Asked], lists: Sequence[Sequence[str]]
) -> int:
    """Shown items above the investor's class."""
    return sum(
        catalogue.funds[catalogue.index[code]].level > _highest(test.question.band)
        for test, shown in zip(tests, lists, strict=True)
        for code in shown
    )


def _measured(
    interactions: Interactions,
    tests: Sequence[Asked],
    lists: Sequence[Sequence[str]],
    ahead: Mapping[str, float],
) -> Mapping[str, float]:
    pairs = list(zip(lists, tests, strict=True))
    return {
        "ndcg": _mean([ndcg(shown, test.bought, K) for shown, test in pairs]),
        "recall": _mean([recall(shown, test.bought, K) for shown, test in pairs]),
        "map": _mean([average_precision(shown, test.bought, K) for shown, test in pairs]),
        "coverage": len({code for shown in lists for code in shown}) / len(interactions.codes),
        "roi": _mean([_mean([ahead[code] for code in shown]) for shown in lists if shown]),
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _summed(dates: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """Mean over the dates, and the spread of the two that matter."""
    found = {name: _mean([each[name] for each in dates]) for name in dates[0]}
    for name in ("ndcg", "roi"):
        found[f"{name}_deviation"] = float(np.std([each[name] for each in dates]))
    return found


def verdicts(found: Mapping[str, Any]) -> Sequence[str]:
    """Where a simple baseline wins, said plainly."""
    rows = found["rows"]
    told = []
    for name in LEARNT:
        for baseline in (POPULARITY, "random"):
            for measure, word in (("ndcg", "preference"), ("roi", "return")):
                if rows[baseline][measure] > rows[name][measure]:
                    told.append(
                        f"{baseline} beats {name} in {word}: "
                        f"{rows[baseline][measure]:.4f} against {rows[name][measure]:.4f}"
                    )
        if rows[name]["roi"] < found["market_roi"]:
            told.append(f"what {name} shows earned less than the funds on average")
    rise = rows[WITH_THEMES]["ndcg"] - rows["blend"]["ndcg"]
    told.append(
        f"themes with a weight of {found[WITH_THEMES][THEME]} change the blend's preference by "
        f"{rise:+.4f}; it differs by {rows['blend']['ndcg_deviation']:.4f} from date to date"
    )
    for name in LEARNT:
        told += _unlike(name, found["groups"][name], found["groups"]["random"])
    return told


def _unlike(
    name: str, groups: Mapping[str, Mapping[str, Any]], by_chance: Mapping[str, Mapping[str, Any]]
) -> Sequence[str]:
    """For whom a ranking is far worse, grouping by grouping."""
    told = []
    for grouping, each in groups.items():
        # Of fewer funds a list is more easily right: the gap of chance is no fault of a ranking.
        chance = by_chance[grouping]["gap"]
        if each["gap"] - chance > GAP_TOLD:
            told.append(
                f"by {grouping} lists of {name} are better for {each['best']} than for "
                f"{each['worst']}: nDCG differs by {each['gap']:.3f}, by {chance:.3f} where chance "
                f"ranks"
            )
    return told
