"""Whoever asks, whatever any score says: nothing unsuitable is on a list or in a proposal."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from libs.decider import Rejected
from libs.suitability import InvestorClass, RiskLevel, Suitability, suitability
from services.recommendations.domain import investor_lifecycle as life
from services.recommendations.domain import proposal as what
from services.recommendations.domain.acceptance import refused_now
from services.recommendations.domain.catalogue import Catalogue, FeeStep, Fund, FundSet
from services.recommendations.domain.constraints import CONSTRAINTS, Asset, rules_of
from services.recommendations.domain.eligibility import LIMITS, Asked, Holdings, Judged, judge
from services.recommendations.domain.floor import equal_floor
from services.recommendations.domain.preferences import Preferences
from services.recommendations.domain.ranking import ListRules, Question, Sources, rank
from tests.services.recommendations.domain.proposals import ISSUED
from tests.services.recommendations.domain.sheets import DAY_US, NOW_US, known

TODAY = NOW_US // DAY_US
KINDS = ("EQUITY", "MIXED", "INDEX", "BOND", "MONEY_MARKET")


@dataclass(frozen=True)
class Tempter:
    """A ranking that likes the riskiest best, and names funds that nobody may show."""

    catalogue: Catalogue
    version: str = "tempter@1"
    artifact_hash: str = ""

    def sources(self, question: Question, eligible: FundSet) -> Sources:
        del question, eligible
        return {"popularity": {f.code: 10.0 * f.level for f in self.catalogue.funds}}

    def weights(self) -> Mapping[str, float]:
        return {"popularity": 100.0}

    def evidence(self, question: Question, code: str) -> Mapping[str, str]:
        del question, code
        return {}


def random_catalogue(rng: random.Random) -> Catalogue:
    funds = [
        Fund(
            f"{n:06d}",
            f"Fund {n}",
            RiskLevel(rng.randint(1, 5)),
            rng.choice(("CNY", "CNY", "CNY", "USD")),
            rng.choice(KINDS),
            f"M{rng.randint(0, 6)}",
            theme=rng.choice(("", "tech", "health", "green")),
            family=rng.choice(("", f"F{n // 2}")),
            is_open=rng.random() < 0.9,
            has_calendar=rng.random() < 0.97,
            is_liquidating=rng.random() < 0.03,
            is_gated=rng.random() < 0.03,
            first_minor=rng.choice((100, 1_000, 100_000)),
            top_up_minor=100,
            daily_minor=rng.choice((0, 0, 50_000)),
            least_days=rng.choice((0, 0, 180, 720)),
            redemption=(FeeStep(0, 15_000), FeeStep(7, 5_000)),
            inception_day=TODAY - rng.choice((10, 400, 2_000)),
            nav_day=TODAY - 1,
            sessions_behind=rng.choice((0, 0, 0, 2, 5)),
        )
        for n in range(rng.randint(1, 40))
    ]
    return Catalogue(funds, TODAY)


def random_investor(rng: random.Random) -> life.Investor:
    return known(
        InvestorClass(rng.randint(1, 7)),
        has_consent=rng.random() < 0.95,
        blocked_cause="x" if rng.random() < 0.03 else "",
        is_expired=rng.random() < 0.03,
        preferences=Preferences(
            horizon_months=rng.choice((1, 12, 36, 120)),
            excluded_themes=("tech",) if rng.random() < 0.2 else (),
            excluded_managers=("M1",) if rng.random() < 0.2 else (),
            excluded_funds=("000003",) if rng.random() < 0.2 else (),
        ),
    )


def random_holdings(rng: random.Random, catalogue: Catalogue) -> Holdings:
    held = {c: rng.randint(1, 10**7) for c in catalogue.codes if rng.random() < 0.1}
    today = {c: rng.randint(1, 60_000) for c in catalogue.codes if rng.random() < 0.05}
    return Holdings(held, today)


def one_by_one(  # noqa: C901, PLR0912 - every check by itself, as the reference lists them
    fund: Fund, state: life.Investor, catalogue: Catalogue, holdings: Holdings, asked: Asked
) -> set[str]:
    """The same checks fund by fund, without sets: what the fast way is held against."""
    wanted, found = state.preferences, life.class_at(state, NOW_US)
    codes: set[str] = set()
    if found is None:
        codes.add("PROFILE_EXPIRED")
    if not state.has_consent:
        codes.add("NO_CONSENT")
    if state.blocked_cause:
        codes.add("ACCOUNT_BLOCKED")
    if found is None:
        return codes
    if suitability(found, fund.level) is not Suitability.BUY:
        codes.add("ABOVE_CLASS")
    if not fund.is_open:
        codes.add("FUND_NOT_OPEN")
    if not fund.has_calendar:
        codes.add("CALENDAR_UNKNOWN")
    amount = asked.amount_minor
    if amount is not None and fund.first_minor > amount:
        codes.add("BELOW_MINIMUM")
    whole = 0 if asked.is_split else amount or 0
    bought = holdings.bought_today_minor.get(fund.code, 0)
    if fund.daily_minor and (
        fund.daily_minor < whole
        or (bought and fund.daily_minor - bought < max(fund.top_up_minor, whole))
    ):
        codes.add("PURCHASE_CAP")
    if fund.currency != (asked.currency or wanted.currency):
        codes.add("CURRENCY")
    if fund.least_days > wanted.horizon_months * 30:
        codes.add("HORIZON")
    codes |= _crowded(fund, catalogue, holdings, whole, asked.currency or wanted.currency)
    age = TODAY - (fund.inception_day or TODAY)
    if fund.is_liquidating or fund.is_gated or age < LIMITS.least_age_days:
        codes.add("PRODUCT_EXCLUDED")
    if fund.sessions_behind > LIMITS.stale_sessions:
        codes.add("DATA_STALE")
    if (
        fund.code in wanted.excluded_funds
        or fund.manager in wanted.excluded_managers
        or fund.theme in wanted.excluded_themes
    ):
        codes.add("INVESTOR_EXCLUDED")
    return codes


def _crowded(
    fund: Fund, catalogue: Catalogue, holdings: Holdings, added: int, currency: str
) -> set[str]:
    pairs = [(catalogue.find(c), v) for c, v in holdings.value_minor.items()]
    alike = [(f, v) for f, v in pairs if f is not None and f.currency == currency]
    total = sum(v for _, v in alike) + added
    if fund.is_money or not alike or not total:
        return set()
    held = [(f, v) for f, v in alike if not f.is_money]
    for limit, values in (
        (LIMITS.per_fund, [v for f, v in held if f.code == fund.code]),
        (LIMITS.per_manager, [v for f, v in held if f.manager == fund.manager]),
        (LIMITS.per_theme, [v for f, v in held if fund.theme and f.theme == fund.theme]),
    ):
        if values and (sum(values) + added) * 1_000_000 > limit * total:
            return {"CONCENTRATION"}
    return set()


def walk(seeds: range) -> int:
    """Lists and floors for so many investors; answers how many items were shown."""
    shown = 0
    for seed in seeds:
        rng = random.Random(seed)  # noqa: S311 - a test's own chance
        catalogue, state = random_catalogue(rng), random_investor(rng)
        holdings = random_holdings(rng, catalogue)
        asked = Asked(rng.choice((None, 500, 60_000, 10**6)), is_split=rng.random() < 0.3)
        judged = judge(catalogue, state, holdings, asked, NOW_US)
        allowed = set(catalogue.codes_of(judged.eligible))
        for fund in catalogue.funds:
            codes = one_by_one(fund, state, catalogue, holdings, asked)
            assert set(judged.codes_of(catalogue, fund.code)) == codes, (seed, fund)
            assert (fund.code in allowed) == (not codes)
        listed = _listed(catalogue, state, judged, seed)
        floored = _floored(catalogue, state, judged)
        _ordered_after_a_change(catalogue, [*listed, *floored], rng)
        shown += len(listed)
    return shown


def _ordered_after_a_change(catalogue: Catalogue, codes: Sequence[str], rng: random.Random) -> None:
    """Between advice and order the investor is judged lower, and some levels rise."""
    later = random_investor(rng)
    risen = [
        replace(fund, level=RiskLevel(rng.randint(fund.level, 5))) if rng.random() < 0.3 else fund
        for fund in catalogue.funds
    ]
    now = Catalogue(risen, TODAY)
    found = life.class_at(later, NOW_US)
    for code in codes:
        fund = now.find(code)
        assert fund is not None
        asked = Asked(rng.choice((None, 1_000_000)))
        if refused_now(now, later, code, asked, NOW_US, is_held=False):
            continue
        assert found is not None
        assert later.has_consent
        assert not later.blocked_cause
        assert suitability(found, fund.level) is Suitability.BUY
        assert fund.is_open


def _listed(catalogue: Catalogue, state: life.Investor, judged: Judged, seed: int) -> Sequence[str]:
    found = life.class_at(state, NOW_US)
    if found is None:
        assert judged.eligible == 0
        return []
    question = Question("anna", int(found), (), 360)
    rules = ListRules(size=5, exploration=0.5)
    ranked, candidates = rank(catalogue, Tempter(catalogue), question, judged.eligible, rules, seed)
    for each in (*ranked, *candidates):
        fund = catalogue.find(each.code)
        assert fund is not None
        assert suitability(found, fund.level) is Suitability.BUY
        assert catalogue.has(judged.eligible, each.code)
        assert 0 < each.propensity <= 1
    return [each.code for each in ranked]


def _floored(catalogue: Catalogue, state: life.Investor, judged: Judged) -> Sequence[str]:
    found = life.class_at(state, NOW_US)
    funds = [f for f in catalogue.funds if catalogue.has(judged.eligible, f.code)]
    if found is None or not funds:
        return []
    assets = [Asset(f.code, int(f.level), f.manager, f.theme, f.asset_class) for f in funds]
    rules = rules_of(assets, found, CONSTRAINTS, ("THEME", "MONEY"))
    weights = equal_floor(assets, rules, CONSTRAINTS.funds_max)
    if weights is None:
        return []
    assert sum(weights) == 10_000
    for fund, weight in zip(funds, weights, strict=True):
        assert not weight or suitability(found, fund.level) is Suitability.BUY
    return [fund.code for fund, weight in zip(funds, weights, strict=True) if weight]


def test_random_investors_are_shown_nothing_unsuitable() -> None:
    assert walk(range(600)) > 500


@pytest.mark.full
@pytest.mark.timeout(900)
def test_ten_thousand_random_investors_are_shown_nothing_unsuitable() -> None:
    assert walk(range(10_000)) > 10_000


def test_the_last_gate_records_nothing_above_the_class() -> None:
    item = what.Item("000006", "n", RiskLevel.R4, 10_000, 100)
    snapshot = what.Snapshot(InvestorClass.C3, RiskLevel.R3, "2026-1", NOW_US, 0)
    issued = _issued(snapshot, item)

    with pytest.raises(Rejected) as caught:
        what.proposal.decide(what.Issue(issued), what.Absent())
    what.proposal.decide(
        what.Issue(replace(issued, items=(replace(item, level=RiskLevel.R3),))), what.Absent()
    )

    assert caught.value.reason is what.Reason.PROPOSAL_UNSUITABLE


def test_the_last_gate_records_nothing_that_a_check_refused() -> None:
    snapshot = what.Snapshot(InvestorClass.C5, RiskLevel.R5, "2026-1", NOW_US, 0)
    issued = replace(
        _issued(snapshot, what.Item("000006", "n", RiskLevel.R4, 10_000, 100)),
        refused=(("FUND_NOT_OPEN", ("000006",)),),
    )

    with pytest.raises(Rejected) as caught:
        what.proposal.decide(what.Issue(issued), what.Absent())

    assert caught.value.reason is what.Reason.PROPOSAL_UNSUITABLE


def _issued(snapshot: what.Snapshot, item: what.Item) -> what.Issued:
    return replace(ISSUED, suitability=snapshot, items=(item,), refused=())
