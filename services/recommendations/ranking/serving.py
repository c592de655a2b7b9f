"""A trained ranking at work: its sources for one question, and where its numbers came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import structlog

from services.recommendations.domain.catalogue import Catalogue, FundSet
from services.recommendations.domain.ranking import Crowd, Question, Ranker, Sources
from services.recommendations.domain.themes import Themed
from services.recommendations.ranking import tastes
from services.recommendations.ranking.artifact import ArtifactRefused, load
from services.recommendations.ranking.market import FEATURES
from services.recommendations.ranking.parts import (
    CO_PURCHASE,
    MATRIX,
    POPULARITY,
    PRICE_MODEL,
    THEME,
    Trained,
)

Array = npt.NDArray[np.float64]

SHORTLIST: Final = 200
# A price model's word about a fund is not repeated after so many days.
PRICE_DAYS_MAX: Final = 45
MILLION: Final = 1_000_000
_GREATEST: Final = 3

logger = structlog.get_logger()


@dataclass(frozen=True)
class TrainedRanker:
    """One artifact over one catalogue. Funds it never saw get no score from it."""

    catalogue: Catalogue
    trained: Trained
    version: str
    artifact_hash: str
    _place: Mapping[str, int] = field(init=False, repr=False)
    _gram: Array = field(init=False, repr=False)
    # Of each fund of the catalogue its place in the artifact; -1: it never saw it.
    _places: npt.NDArray[np.int64] = field(init=False, repr=False)
    # Of each fund of the catalogue its currency and its theme; its kind where no feed told one.
    _themes: Mapping[str, Themed] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        places = {code: n for n, code in enumerate(self.trained.codes)}
        object.__setattr__(self, "_place", places)
        known = [places.get(code, -1) for code in self.catalogue.codes]
        object.__setattr__(self, "_places", np.array(known, dtype=np.int64))
        object.__setattr__(self, "_gram", tastes.gram(self.trained.factors))
        funds = self.catalogue.funds if THEME in self.trained.weights else ()
        themes = {fund.code: (fund.currency, fund.theme or fund.asset_class) for fund in funds}
        object.__setattr__(self, "_themes", themes)

    def weights(self) -> Mapping[str, float]:
        return self.trained.weights

    def sources(self, question: Question, eligible: FundSet) -> Sources:
        chosen = self._chosen(eligible)
        held = [self._place[code] for code in question.held if code in self._place]
        found = {POPULARITY: self._best(self.trained.popularity[question.band], chosen, least=0.0)}
        if held:
            near = np.zeros(len(self.trained.codes))
            for place in held:
                shared = self.trained.neighbours.places[place]
                is_there = shared >= 0
                near[shared[is_there]] += self.trained.neighbours.similarity[place][is_there]
            found[CO_PURCHASE] = self._best(near, chosen, least=0.0)
            liked = tastes.scores(self.trained.factors, self._gram, held)
            found[MATRIX] = self._best(liked, chosen)
        if self.catalogue.today - self.trained.as_of_day <= PRICE_DAYS_MAX:
            found[PRICE_MODEL] = self._best(self.trained.price_score, chosen)
        if THEME in self.trained.weights and question.bought_themes:
            found[THEME] = self._themed(question, found)
        return found

    def _themed(self, question: Question, found: Sources) -> Mapping[str, float]:
        """Shares of themes, of what other sources name: a theme alone is no reason for a fund."""
        named = set[str]().union(*found.values())
        shares = question.bought_themes
        told = {code: shares.get(self._themes[code], 0) / MILLION for code in sorted(named)}
        return told if any(told.values()) else {}

    def evidence(self, question: Question, code: str) -> Mapping[str, str]:
        place = self._place.get(code)
        if place is None:
            return {}
        found: dict[str, str] = {}
        best = 0.0
        for held in question.held:
            of = self._place.get(held)
            if of is None:
                continue
            for at in np.flatnonzero(self.trained.neighbours.places[of] == place):
                similarity = float(self.trained.neighbours.similarity[of][at])
                if similarity > best:
                    best = similarity
                    found["investors"] = str(int(self.trained.neighbours.joint[of][at]))
                    found["similarity"] = str(round(similarity * MILLION))
        if self.trained.weights.get(THEME, 0.0) > 0 and code in self._themes:
            themed = self._themes[code]
            if share := question.bought_themes.get(themed):
                found |= {"theme": themed[1], "theme_share": str(share)}
        parts = self.trained.price_parts[place]
        if self.trained.weights.get(PRICE_MODEL, 0.0) > 0 and np.isfinite(parts).all():
            for feature in np.argsort(-np.abs(parts), kind="stable")[:_GREATEST]:
                found[f"contribution:{FEATURES[feature]}"] = str(round(parts[feature] * MILLION))
        return found

    def _chosen(self, eligible: FundSet) -> npt.NDArray[np.int64]:
        """Places, in the artifact, of the eligible funds it knows; in the order of codes."""
        flags = np.frombuffer(self.catalogue.flags(eligible), dtype=np.bool_)
        places = self._places[flags]
        return places[places >= 0]

    def _best(
        self, scores: Array, chosen: npt.NDArray[np.int64], least: float | None = None
    ) -> Mapping[str, float]:
        """The best of the chosen; equal scores in the order of codes."""
        values = scores[chosen]
        usable = np.isfinite(values) if least is None else values > least
        places, values = chosen[usable], values[usable]
        order = np.argsort(-values, kind="stable")[:SHORTLIST]
        return {self.trained.codes[places[n]]: float(values[n]) for n in order}


@dataclass
class Artifacts:
    """The folder of artifacts: what is new is read once, what is broken is told once.

    Called for each new catalogue; a version that was put there since then is found.
    """

    folder: Path
    _read: dict[str, tuple[str, Trained]] = field(default_factory=dict, repr=False)
    _refused: set[str] = field(default_factory=set, repr=False)

    def __call__(self, catalogue: Catalogue, _: Crowd) -> Sequence[Ranker]:
        self.look()
        return [
            TrainedRanker(catalogue, trained, version, digest)
            for version, (digest, trained) in sorted(self._read.items())
        ]

    def look(self) -> bool:
        """Read what is there and was not read; whether there was anything."""
        if not self.folder.is_dir():
            return False
        found = False
        for each in sorted(self.folder.iterdir()):
            known = each.name in self._read or each.name in self._refused
            if known or each.name.startswith(".") or not each.is_dir():
                continue
            found = True
            try:
                version, digest, trained = load(each)
            except ArtifactRefused as why:
                self._refused.add(each.name)
                logger.warning("artifact_refused", reason=str(why))
            else:
                self._read[version] = (digest, trained)
        return found
