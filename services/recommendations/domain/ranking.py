"""A list of funds for one investor: sources scored, made comparable, blended, spread, explored.

Whoever made the scores, only eligible funds are ranked. Preference and price are told apart.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, islice
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from services.recommendations.domain.catalogue import Catalogue, FundSet
from services.recommendations.domain.measures import JOINT_BUYERS_MIN, co_purchase
from services.recommendations.domain.themes import Themed
from services.recommendations.domain.together import Together

MILLION: Final = 1_000_000
POPULARITY: Final = "popularity"
CO_PURCHASE: Final = "co_purchase"
LADDER: Final = "goal_ladder"
CHEAPER: Final = "cheaper_share_class"
PLAN: Final = "running_plan"
PRICE_MODEL: Final = "price_model"
LESS_ALIKE: Final = "lower_correlation"
THEME: Final = "theme_affinity"
# What a theme that was asked for adds to a blended score.
WANTED_GAIN: Final = 0.1
# Scores that are further apart differ in the ninth decimal, too.
_NEARLY: Final = 1e-8


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks, as far as a ranking may know: the class band, what is held, the horizon."""

    investor_id: str
    band: int
    held: tuple[str, ...]
    horizon_days: int
    wanted_themes: tuple[str, ...] = ()
    # Funds of running plans, and what is missing to the goal (minor units; 0: nothing, or no goal).
    planned: tuple[str, ...] = ()
    goal_gap_minor: int = 0
    # Funds that move little with what is held, and would lower its risk.
    less_alike: Mapping[str, Together] = field(default_factory=dict)
    # Of what was bought lately in a currency, the share (millionths) of each theme.
    bought_themes: Mapping[Themed, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A fund that is bought together with another, by how many investors."""

    code: str
    similarity: float
    joint: int


Sources = Mapping[str, Mapping[str, float]]

# What every ranking adds of an investor's own holdings and plans, whatever it learnt itself.
OWN_WEIGHTS: Final = {CHEAPER: 1.0, PLAN: 0.5, LESS_ALIKE: 0.5}
# Of the yearly fee (millionths): less is no reason to change a share class.
FEE_GAIN_LEAST: Final = 500


def own_sources(catalogue: Catalogue, question: Question, eligible: FundSet) -> Sources:
    """Cheaper share classes of what is held, funds of running plans, and what moves otherwise.

    By the yearly fee saved; all alike; by how little they move with what is held.
    """
    found: dict[str, dict[str, float]] = {}
    flags, days = catalogue.flags(eligible), question.horizon_days
    for held in question.held:
        place = catalogue.index.get(held)
        family = "" if place is None else catalogue.funds[place].family
        if place is None or not family:
            continue
        for other in catalogue.families[family]:
            saved = catalogue.fee_millionths(place, days) - catalogue.fee_millionths(other, days)
            if flags[other] and saved >= FEE_GAIN_LEAST:
                scores = found.setdefault(CHEAPER, {})
                code = catalogue.codes[other]
                scores[code] = max(scores.get(code, 0.0), float(saved))
    for code in question.planned:
        place = catalogue.index.get(code)
        if place is not None and flags[place]:
            found.setdefault(PLAN, {})[code] = 1.0
    for code, each in question.less_alike.items():
        place, alike = catalogue.index.get(code), each.correlation
        if place is not None and flags[place] and alike is not None and code not in question.held:
            found.setdefault(LESS_ALIKE, {})[code] = (MILLION - alike) / MILLION
    return found


class Ranker(Protocol):
    """A version of a ranking: scores by source and fund for one question.

    It may leave funds out; it may name funds that are not eligible, which changes nothing.
    """

    @property
    def version(self) -> str:
        """`blend@3`: unique for what it answers."""
        ...

    @property
    def artifact_hash(self) -> str:
        """SHA-256 of the artifact; empty for what is code and live counts alone."""
        ...

    def sources(self, question: Question, eligible: FundSet) -> Sources:
        """Scores by source, then by fund; higher is better."""
        ...

    def weights(self) -> Mapping[str, float]:
        """How the sources are blended. A source without a weight is shown and not blended."""
        ...

    def evidence(self, question: Question, code: str) -> Mapping[str, str]:
        """Numbers this ranking used for one fund, by name: peers, similarity, contributions."""
        ...


@dataclass(frozen=True, slots=True)
class Crowd:
    """What investors bought, counted: popularity by class band, and joint purchases."""

    # Band of classes -> fund -> sum over distinct buyers of 0.5^(age / 90 d).
    popularity: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    neighbours: Mapping[str, Sequence[Neighbour]] = field(default_factory=dict)


def neighbours_of(
    buyers: Mapping[str, int], joint: Mapping[tuple[str, str], int], most: int = 50
) -> Mapping[str, Sequence[Neighbour]]:
    """For each fund those bought together with it, the most similar first."""
    found: dict[str, list[Neighbour]] = {}
    for (one, other), count in joint.items():
        if count < JOINT_BUYERS_MIN:
            continue
        similarity = co_purchase(buyers[one], buyers[other], count)
        found.setdefault(one, []).append(Neighbour(other, similarity, count))
        found.setdefault(other, []).append(Neighbour(one, similarity, count))
    return {
        code: sorted(each, key=lambda n: (-n.similarity, n.code))[:most]
        for code, each in found.items()
    }


@dataclass(frozen=True, slots=True)
class CrowdRanker:
    """What the house starts with: popular in the band, bought together, else the goal ladder."""

    catalogue: Catalogue
    crowd: Crowd
    version: str = "house@1"
    artifact_hash: str = ""
    shortlist: int = 100
    # Places of all funds in the order of a band's popularity, or of a horizon's ladder (below 0).
    orders: dict[int, Sequence[int]] = field(default_factory=dict)

    def weights(self) -> Mapping[str, float]:
        return {POPULARITY: 1.0, CO_PURCHASE: 1.5, LADDER: 0.2}

    def sources(self, question: Question, eligible: FundSet) -> Sources:
        joint: dict[str, float] = {}
        index, flags = self.catalogue.index, self.catalogue.flags(eligible)
        for held in question.held:
            for each in self.crowd.neighbours.get(held, ()):
                place = index.get(each.code)
                if place is not None and flags[place]:
                    joint[each.code] = joint.get(each.code, 0.0) + each.similarity
        popular = self._popular(question.band, eligible)
        found = {POPULARITY: popular, CO_PURCHASE: joint}
        if len(popular) < self.shortlist:
            found[LADDER] = self._ladder(question, eligible)
        return found

    def evidence(self, question: Question, code: str) -> Mapping[str, str]:
        peers = [
            each
            for held in question.held
            for each in self.crowd.neighbours.get(held, ())
            if each.code == code
        ]
        if not peers:
            return {}
        best = max(peers, key=lambda each: (each.similarity, each.joint))
        return {"investors": str(best.joint), "similarity": str(round(best.similarity * MILLION))}

    def prepare(self) -> None:
        """Put all funds in order, before anybody asks."""
        for band in self.crowd.popularity:
            self._by_popularity(band)
        for years in range(len(_LADDERS)):
            self._by_ladder(years)

    def _popular(self, band: int, eligible: FundSet) -> Mapping[str, float]:
        counted = self.crowd.popularity.get(band, {})
        return {code: counted[code] for code in self._first(self._by_popularity(band), eligible)}

    def _by_popularity(self, band: int) -> Sequence[int]:
        if band not in self.orders:
            counted, index = self.crowd.popularity.get(band, {}), self.catalogue.index
            ranked = sorted(
                (code for code in counted if code in index), key=lambda code: (-counted[code], code)
            )
            self.orders[band] = [index[code] for code in ranked]
        return self.orders[band]

    def _ladder(self, question: Question, eligible: FundSet) -> Mapping[str, float]:
        """Without anybody's purchases: money first for short horizons, else the class's own."""
        years = min(question.horizon_days // 365, len(_LADDERS) - 1)
        found = self._first(self._by_ladder(years), eligible)
        return {code: float(len(found) - n) for n, code in enumerate(found)}

    def _by_ladder(self, years: int) -> Sequence[int]:
        key = -1 - years
        if key not in self.orders:
            order = {kind: place for place, kind in enumerate(_LADDERS[years])}
            days = max(years * 365, 180)
            ranked = sorted(
                self.catalogue.funds,
                key=lambda f: (
                    order.get(f.asset_class, len(order)),
                    f.fee_millionths(days),
                    f.code,
                ),
            )
            self.orders[key] = [self.catalogue.index[fund.code] for fund in ranked]
        return self.orders[key]

    def _first(self, order: Sequence[int], eligible: FundSet) -> Sequence[str]:
        """The best of an order that is the same for all, as far as they are eligible."""
        allowed = compress(order, map(self.catalogue.flags(eligible).__getitem__, order))
        return [self.catalogue.codes[place] for place in islice(allowed, self.shortlist)]


_LADDERS: Final = (
    ("MONEY_MARKET", "NCD", "BOND", "MIXED", "INDEX", "ETF", "EQUITY"),
    ("BOND", "MONEY_MARKET", "NCD", "MIXED", "INDEX", "ETF", "EQUITY"),
    ("MIXED", "BOND", "INDEX", "ETF", "EQUITY", "NCD", "MONEY_MARKET"),
    ("INDEX", "ETF", "MIXED", "EQUITY", "BOND", "NCD", "MONEY_MARKET"),
)


class Ranked(NamedTuple):
    """A fund on the list: the blended score, each source's own, and its chance of being shown."""

    code: str
    score: float
    sources: Mapping[str, float]
    propensity: float = 1.0
    # What each source added to the blended score.
    parts: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ListRules:
    """How a list is made of scores."""

    size: int = 10
    per_manager: int = 2
    per_theme: int = 2
    # Of the blended score, for each percent of yearly fee.
    fee_penalty: float = 0.05
    exploration: float = 0.05
    # Candidates kept with their scores.
    kept: int = 20


def rank(
    catalogue: Catalogue,
    ranker: Ranker,
    question: Question,
    eligible: FundSet,
    rules: ListRules,
    seed: int,
) -> tuple[Sequence[Ranked], Sequence[Ranked]]:
    """The list, and the candidates it was taken from. The same arguments, the same list."""
    own = own_sources(catalogue, question, eligible)
    sources = {**ranker.sources(question, eligible), **own}
    weights = {**OWN_WEIGHTS, **ranker.weights()}
    blended, worth = _blend(catalogue, sources, weights, question, eligible, rules)

    made: dict[str, Ranked] = {}

    def ranked(each: tuple[str, float]) -> Ranked:
        code, score = each
        if code not in made:
            own = {name: scores[code] for name, scores in sources.items() if code in scores}
            parts = {name: worth[name][value] for name, value in own.items()}
            made[code] = Ranked(code, score, own, parts=parts)
        return made[code]

    spread = [ranked(each) for each in _spread(catalogue, blended, rules)]
    candidates = [ranked(each) for each in blended[: rules.kept]]
    return _explored(spread, rules, seed), candidates


def _blend(
    catalogue: Catalogue,
    sources: Sources,
    weights: Mapping[str, float],
    question: Question,
    eligible: FundSet,
    rules: ListRules,
) -> tuple[Sequence[tuple[str, float]], Mapping[str, Mapping[float, float]]]:
    """Codes and scores of the eligible funds, the best first; equal scores by code.

    And by source what each of its scores adds.
    """
    total: dict[int, float] = {}
    adds: dict[str, Mapping[float, float]] = {}
    index, flags = catalogue.index, catalogue.flags(eligible)
    for name, scores in sorted(sources.items()):
        weight = weights.get(name, 0.0)
        known = [(index[code], score) for code, score in scores.items() if code in index]
        allowed = [each for each in known if flags[each[0]]]
        values = sorted({score for _, score in allowed})
        # 1 for the best, falling evenly to 0; equal scores get the same.
        last = len(values) - 1
        worth = {value: weight * (n / last if last else 1.0) for n, value in enumerate(values)}
        for place, score in allowed:
            total[place] = total.get(place, 0.0) + worth[score]
        adds[name] = worth
    penalty, codes = rules.fee_penalty, catalogue.codes
    fees = catalogue.fees_millionths(total, question.horizon_days)
    blended = [
        (score - penalty * (fee / 10_000), codes[place])
        for (place, score), fee in zip(total.items(), fees, strict=True)
    ]
    if mine := frozenset(question.wanted_themes):
        wanted = (catalogue.funds[place].theme in mine for place in total)
        blended = [
            (score + WANTED_GAIN if is_wanted else score, code)
            for (score, code), is_wanted in zip(blended, wanted, strict=True)
        ]
    return _in_order(blended), adds


def _in_order(scored: Sequence[tuple[float, str]]) -> Sequence[tuple[str, float]]:
    """The best first; those that are equal to nine decimals by code.

    Rounding takes longer than all else, so that only what is nearly equal is rounded.
    """
    ranked = sorted([(-score, code) for score, code in scored])
    near = [n for n in range(1, len(ranked)) if ranked[n][0] - ranked[n - 1][0] < _NEARLY]
    if near:
        start = 0
        for n in range(1, len(ranked) + 1):
            if n == len(ranked) or ranked[n][0] - ranked[n - 1][0] >= _NEARLY:
                ranked[start:n] = sorted(
                    ranked[start:n], key=lambda each: (round(each[0], 9), each[1])
                )
                start = n
    return [(code, -score) for score, code in ranked]


def _spread(
    catalogue: Catalogue, ranked: Sequence[tuple[str, float]], rules: ListRules
) -> Sequence[tuple[str, float]]:
    """At most two of a manager and of a theme, one share class of a fund; twice the size."""
    managers: Counter[str] = Counter()
    themes: Counter[str] = Counter()
    families: set[str] = set()
    found: list[tuple[str, float]] = []
    for each in ranked:
        fund = catalogue.funds[catalogue.index[each[0]]]
        family = fund.family or fund.code
        is_crowded = managers[fund.manager] >= rules.per_manager or (
            bool(fund.theme) and themes[fund.theme] >= rules.per_theme
        )
        if is_crowded or family in families:
            continue
        managers[fund.manager] += 1
        themes[fund.theme] += bool(fund.theme)
        families.add(family)
        found.append(each)
        if len(found) == rules.size + 1:
            break
    return found


def _explored(spread: Sequence[Ranked], rules: ListRules, seed: int) -> Sequence[Ranked]:
    """With a small chance the next fund takes one place, so that it can be learnt about at all.

    The chance of each shown fund is kept; a swap can only bring in what is eligible.
    """
    shown = list(spread[: rules.size])
    if len(spread) <= rules.size or not shown:
        return shown
    chance = rules.exploration
    drawn = _drawn(seed)
    stays = 1.0 - chance / len(shown)
    found = [e._replace(propensity=stays) for e in shown]
    if drawn % MILLION < chance * MILLION:
        place = drawn // MILLION % len(shown)
        found[place] = spread[rules.size]._replace(propensity=chance)
    return found


def _drawn(seed: int) -> int:
    return int.from_bytes(hashlib.sha256(seed.to_bytes(16, "big")).digest()[:12], "big")
