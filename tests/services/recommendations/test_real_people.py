"""A bank's real customers before its real funds: nobody is shown what the class may not buy.

FAR-Trans (Sanz-Cruzado, Droukas, McCreadie, 2024; CC BY 4.0). Its trades and daily prices are not
published with it, so rankings cannot be evaluated on it: profiles and funds are used, no outcomes.
Its questionnaire dates are often later than the row they stand in, so the row's own date counts.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from itertools import islice
from pathlib import Path

import pytest

from libs.suitability import InvestorClass, RiskLevel, Suitability, suitability
from services.recommendations.domain import investor_lifecycle as life
from services.recommendations.domain.catalogue import Catalogue, Fund
from services.recommendations.domain.eligibility import Asked, Holdings, judge
from services.recommendations.domain.preferences import Preferences
from services.recommendations.domain.ranking import Crowd, CrowdRanker, ListRules, Question, rank
from services.recommendations.ranking.population import CUSTOMERS
from tests.services.recommendations.domain.sheets import DAY_US, NOW_US, known

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "far-trans"
TODAY = NOW_US // DAY_US
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="FAR-Trans is not at hand (../shared)")

# By kind; the data names no level. What is not told is taken for risky.
LEVELS = {
    "Money Market": (RiskLevel.R1, "MONEY_MARKET"),
    "Bond": (RiskLevel.R2, "BOND"),
    "Bonds": (RiskLevel.R2, "BOND"),
    "Structured": (RiskLevel.R3, "MIXED"),
    "Balanced": (RiskLevel.R3, "MIXED"),
    "Equity": (RiskLevel.R4, "EQUITY"),
    "Other": (RiskLevel.R5, "EQUITY"),
}
CLASSES = {
    "Conservative": InvestorClass.C1,
    "Income": InvestorClass.C2,
    "Balanced": InvestorClass.C3,
    "Aggressive": InvestorClass.C4,
}


def rows(name: str) -> Iterable[Mapping[str, str]]:
    return csv.DictReader((FOLDER / name).read_text().splitlines())


def funds() -> Catalogue:
    """Each ISIN once, as it was told last."""
    found: dict[str, Fund] = {}
    for row in rows("asset_information.csv"):
        if row["assetCategory"] == "MTF":
            level, kind = LEVELS[row["assetSubCategory"]]
            code, name = row["ISIN"], row["assetName"]
            begun = (date.fromisoformat(row["timestamp"]) - date(1970, 1, 1)).days
            found[code] = Fund(
                code,
                name,
                level,
                "CNY",
                kind,
                manager=row["marketID"],
                inception_day=begun,
                nav_day=TODAY,
            )
    return Catalogue(tuple(found.values()), TODAY)


def profiles() -> Mapping[str, str]:
    """Each customer's risk class, as of the newest row."""
    newest: dict[str, tuple[str, str]] = {}
    for row in rows("customer_information.csv"):
        told = row["timestamp"], row["riskLevel"]
        newest[row["customerID"]] = max(newest.get(row["customerID"], told), told)
    return {customer: level for customer, (_, level) in newest.items()}


def test_wealth_of_the_simulated_population_is_that_of_the_real_customers() -> None:
    newest: dict[str, tuple[str, str, str]] = {}
    for row in rows("customer_information.csv"):
        told = row["timestamp"], row["riskLevel"], row["investmentCapacity"]
        newest[row["customerID"]] = max(newest.get(row["customerID"], told), told)
    bands = ("CAP_LT30K", "CAP_30K_80K", "CAP_80K_300K", "CAP_GT300K")
    counts = Counter((level, capacity) for _, level, capacity in newest.values())

    assert {level: tuple(counts[level, band] for band in bands) for level in CUSTOMERS} == CUSTOMERS


def investor(level: str) -> life.Investor:
    """A predicted class, or none, opens nothing: it stands for no answered questionnaire."""
    found = CLASSES.get(level)
    if found is None:
        return known(InvestorClass.C1, is_expired=True)
    return known(found, preferences=Preferences(horizon_months=36))


def test_real_customers_are_shown_what_their_class_may_buy_and_nothing_else() -> None:
    catalogue, customers = funds(), profiles()
    ranker = CrowdRanker(catalogue, Crowd())
    rules = ListRules(per_manager=10**6, exploration=0.5)
    shown: dict[str, int] = dict.fromkeys((*CLASSES, "none"), 0)

    for number, (customer, level) in enumerate(islice(customers.items(), None, None, 20)):
        state = investor(level)
        found = life.class_at(state, NOW_US)
        judged = judge(catalogue, state, Holdings(), Asked(), NOW_US)
        if found is None:
            assert judged.eligible == 0
            shown["none"] += 1
            continue
        question = Question(customer, int(found), (), 1_080)
        ranked, _ = rank(catalogue, ranker, question, judged.eligible, rules, seed=number)
        assert len(ranked) == rules.size
        for each in ranked:
            fund = catalogue.find(each.code)
            assert fund is not None
            assert suitability(found, fund.level) is Suitability.BUY
        shown[level] += 1

    assert len(catalogue.funds) == 315
    assert len(customers) == 29_090
    assert all(shown.values()), shown
