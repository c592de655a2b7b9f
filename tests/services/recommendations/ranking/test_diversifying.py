"""Funds that move otherwise: the same numbers as one by one, and eligible funds alone."""

import random
from dataclasses import replace

from libs.suitability import InvestorClass, RiskLevel
from services.recommendations.domain import reasons
from services.recommendations.domain.catalogue import Catalogue, Fund
from services.recommendations.domain.ranking import (
    LESS_ALIKE,
    Crowd,
    CrowdRanker,
    ListRules,
    Question,
    rank,
)
from services.recommendations.domain.reasons import in_words
from services.recommendations.domain.together import Moves, together
from services.recommendations.explaining import of_listed
from services.recommendations.ranking.diversifying import NAMED, Diversifiers, widely_bought

DAYS = tuple(range(1_000, 1_250))


def drawn(seed: int, spread: int = 9_000) -> Moves:
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    return Moves(DAYS, tuple(rng.randint(-spread, spread) for _ in DAYS))


HELD = drawn(0)
FOUND = {
    "000001": HELD,
    # As the first, and a little of its own.
    "000002": Moves(DAYS, tuple(a + b // 8 for a, b in zip(HELD.of, drawn(1).of, strict=True))),
    "000003": Moves(DAYS, tuple(-a // 2 for a in HELD.of)),
    "000004": drawn(2),
    "000005": drawn(3),
    # Little alike, and so wild that a fifth of it makes everything wilder.
    "000006": drawn(4, 900_000),
    "000007": Moves(DAYS[100:], drawn(5).of[100:]),
    "000008": Moves(DAYS, (0,) * len(DAYS)),
    "000009": Moves(DAYS[:20], drawn(6).of[:20]),
}
CATALOGUE = Catalogue(
    tuple(Fund(code, code, RiskLevel.R3, "CNY", "EQUITY", code, nav_position=1) for code in FOUND)
)


def test_the_least_alike_come_first_with_the_very_numbers_of_each_pair() -> None:
    found = Diversifiers.of(FOUND).beside(HELD, CATALOGUE, CATALOGUE.everything)

    assert next(iter(found)) == "000003"
    assert set(found) == {"000003", "000004", "000005", "000007"}
    assert found == {code: together(HELD, FOUND[code]) for code in found}
    alike = [each.correlation or 0 for each in found.values()]
    assert alike == sorted(alike)


def test_what_is_not_eligible_is_not_named_and_no_more_than_a_few_are() -> None:
    many = {f"{n:06d}": drawn(n) for n in range(100, 160)}
    catalogue = Catalogue(
        tuple(Fund(code, code, RiskLevel.R3, "CNY", "BOND", code) for code in many)
    )
    diversifiers = Diversifiers.of(many)
    first = diversifiers.beside(HELD, catalogue, catalogue.everything)
    allowed = catalogue.everything & ~catalogue.only(first)

    second = diversifiers.beside(HELD, catalogue, allowed)

    assert len(first) == NAMED
    assert second
    assert not set(first) & set(second)
    assert diversifiers.beside(Moves(), catalogue, catalogue.everything) == {}
    assert Diversifiers().beside(HELD, catalogue, catalogue.everything) == {}


def test_funds_are_looked_for_among_the_most_bought_of_each_kind() -> None:
    kinds = ("BOND", "EQUITY", "MONEY_MARKET")
    funds = [
        Fund(f"{n:06d}", str(n), RiskLevel.R2, "CNY", kinds[n % 3], "M", nav_position=1)
        for n in range(12)
    ]
    twin = replace(funds[3], code="000100", family="F")
    funds[3] = replace(funds[3], family="F")
    crowd = Crowd({3: {"000009": 5.0, "000100": 3.0}, 4: {"000009": 1.0, "000010": 2.0}})

    found = widely_bought(Catalogue((*funds, twin)), crowd, 4)

    assert found == ["000001", "000009", "000010", "000100"]


def test_a_fund_that_moves_otherwise_is_on_the_list_and_says_what_it_does() -> None:
    less_alike = Diversifiers.of(FOUND).beside(HELD, CATALOGUE, CATALOGUE.everything)
    asked = Question("anna", int(InvestorClass.C3), ("000001",), 365, less_alike=less_alike)
    ranker = CrowdRanker(CATALOGUE, Crowd())

    ranked, _ = rank(CATALOGUE, ranker, asked, CATALOGUE.everything, ListRules(exploration=0.0), 1)
    best = next(each for each in ranked if each.code == "000003")
    told = of_listed(CATALOGUE, ranker, asked, best)

    assert best.sources[LESS_ALIKE] > 1.0
    reason = next(each for each in told if each.code == reasons.LOWER_CORRELATION)
    evidence = dict(reason.evidence)
    assert int(evidence["correlation"]) < -990_000
    assert int(evidence["volatility_after"]) < int(evidence["volatility_before"])
    assert "correlation -1.00 over 250 sessions" in in_words(told)[1]
    assert not any(LESS_ALIKE in each.sources for each in ranked if each.code == "000002")
