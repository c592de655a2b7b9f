"""Why each item is there, with numbers that were used, and nothing else."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import orjson

from libs.suitability import InvestorClass, RiskLevel
from services.recommendations.construction.problem import Problem, Solution
from services.recommendations.domain import reasons
from services.recommendations.domain.catalogue import Catalogue, Fund
from services.recommendations.domain.constraints import WHOLE, Asset
from services.recommendations.domain.lots import fee_minor, kept, taken
from services.recommendations.domain.proposal import Item, Reasoned
from services.recommendations.domain.ranking import (
    CO_PURCHASE,
    FEE_GAIN_LEAST,
    LADDER,
    LESS_ALIKE,
    PLAN,
    POPULARITY,
    THEME,
    Question,
    Ranked,
    Ranker,
)
from services.recommendations.queries import date_of

MILLION = 1_000_000
# Told to two decimals: less than this would read as nothing, and nobody bought it lately.
LEAST_POPULAR = 0.005


def fits(fund: Fund, found: InvestorClass) -> Reasoned:
    return _fits(fund.level, found)


@cache
def _fits(level: RiskLevel, found: InvestorClass) -> Reasoned:
    return Reasoned(reasons.FITS_RISK_BAND, (("class", found.name), ("level", level.name)))


def of_listed(
    catalogue: Catalogue, ranker: Ranker, question: Question, each: Ranked
) -> tuple[Reasoned, ...]:
    """Reasons of one fund on a list."""
    fund = catalogue.funds[catalogue.index[each.code]]
    return (fits(fund, InvestorClass(question.band)), *_listed(catalogue, ranker, question, each))


def _listed(
    catalogue: Catalogue, ranker: Ranker, question: Question, each: Ranked
) -> Iterator[Reasoned]:
    fund = catalogue.funds[catalogue.index[each.code]]
    told = ranker.evidence(question, each.code)
    if each.sources.get(CO_PURCHASE) and "investors" in told:
        evidence = (("investors", told["investors"]), ("similarity", told["similarity"]))
        yield Reasoned(reasons.HELD_PEERS_BOUGHT, evidence)
    if (popular := each.sources.get(POPULARITY, 0.0)) >= LEAST_POPULAR:
        yield Reasoned(reasons.POPULAR_IN_BAND, (("popularity", f"{popular:.2f}"),))
    if fund.theme and fund.theme in question.wanted_themes:
        yield Reasoned(reasons.WANTED_THEME, (("theme", fund.theme),))
    if "theme_share" in told and (added := each.parts.get(THEME, 0.0)) > 0:
        themed = (
            ("theme", told["theme"]),
            ("theme_share", told["theme_share"]),
            ("added", f"{added:.2f}"),
            ("model", ranker.version),
        )
        yield Reasoned(reasons.THEME_BOUGHT, themed)
    if LADDER in each.sources:
        months = str(question.horizon_days // 30)
        yield Reasoned(reasons.FITS_HORIZON, (("months", months),))
    yield from _cheaper(catalogue, question, fund)
    if LESS_ALIKE in each.sources:
        beside = question.less_alike[each.code]
        alike = (
            ("correlation", str(beside.correlation)),
            ("days", str(beside.days)),
            ("volatility_before", str(beside.volatility)),
            ("volatility_after", str(beside.volatility_after)),
        )
        yield Reasoned(reasons.LOWER_CORRELATION, alike)
    if PLAN in each.sources and question.goal_gap_minor:
        gap = (("plan", fund.code), ("gap", str(question.goal_gap_minor)))
        yield Reasoned(reasons.PLAN_TOP_UP, gap)
    for name, value in sorted(told.items()):
        if name.startswith("contribution:"):
            feature = name.removeprefix("contribution:")
            parts = (("model", ranker.version), ("feature", feature), ("contribution", value))
            yield Reasoned(reasons.MODEL_SAYS, parts)


def _cheaper(catalogue: Catalogue, question: Question, fund: Fund) -> Iterator[Reasoned]:
    """The same fund is held in a share class that costs more over this horizon."""
    if not fund.family:
        return
    days = question.horizon_days
    own = fund.fee_millionths(days)
    for code in question.held:
        other = catalogue.find(code)
        if other is None or other.code == fund.code or other.family != fund.family:
            continue
        theirs = other.fee_millionths(days)
        if theirs - own >= FEE_GAIN_LEAST:
            evidence = (("fee_this", str(own)), ("fee_other", str(theirs)), ("other", code))
            yield Reasoned(reasons.LOWER_FEE_ALTERNATIVE, evidence)


def of_held(
    problem: Problem, solution: Solution, fund: Fund, asset: Asset, trade_minor: int
) -> tuple[Reasoned, ...]:
    """Reasons of one holding of a portfolio."""
    return (
        fits(fund, problem.investor_class),
        *_held(problem, solution, fund, asset.previous),
        *_of_sale(problem, solution, asset, -trade_minor),
    )


def _held(problem: Problem, solution: Solution, fund: Fund, previous: int) -> Iterator[Reasoned]:
    code, drift = fund.code, problem.limits.drift
    weight = solution.weights.get(code, 0)
    share = solution.contributions.get(code, 0)
    yield Reasoned(
        reasons.RISK_SHARE,
        (("weight", str(weight * MILLION // WHOLE)), ("risk_share", str(share))),
    )
    figures = solution.figures
    if figures.volatility_before and figures.volatility < figures.volatility_before:
        evidence = (
            ("volatility_before", str(figures.volatility_before)),
            ("volatility_after", str(figures.volatility)),
            ("contribution", str(share)),
        )
        yield Reasoned(reasons.LOWERS_PORTFOLIO_RISK, evidence)
    names = {f"FUND:{code}", f"MANAGER:{fund.manager}", f"THEME:{fund.theme}"}
    for bound in solution.binding:
        if bound.name in names:
            yield Reasoned(
                reasons.AT_LIMIT, (("name", bound.name), ("limit", str(bound.limit_millionths)))
            )
    for view in problem.views:
        if any(leg == code for leg, _ in view.legs):
            held = (
                ("view_return", str(round(view.yearly_return * MILLION))),
                ("confidence", str(round(view.confidence * MILLION))),
            )
            yield Reasoned(reasons.VIEW_HELD, held)
    target = weight if solution.target is None else solution.target.get(code, 0)
    if problem.is_rebalance and abs(target - previous) > drift:
        evidence = (
            ("weight_now", str(previous * MILLION // WHOLE)),
            ("target", str(target * MILLION // WHOLE)),
            ("threshold", str(drift * MILLION // WHOLE)),
        )
        yield Reasoned(reasons.REBALANCE_DRIFT, evidence)


def _of_sale(
    problem: Problem, solution: Solution, asset: Asset, sold_minor: int
) -> Iterator[Reasoned]:
    """What selling costs, why it is sold before others, and when the rest of it is cheaper."""
    weight = solution.weights.get(asset.code, 0)
    if sold_minor > 0:
        past = sum(p.worth_minor for p in taken(asset.parts, sold_minor) if not p.cheaper_day)
        costs = (
            ("sold", _share(sold_minor, problem)),
            ("fee", str(fee_minor(asset.parts, sold_minor))),
            ("past", str(past * MILLION // sold_minor)),
        )
        yield Reasoned(reasons.SELLING_COSTS, costs)
    if solution.plain is not None and weight < (alike := solution.plain.get(asset.code, 0)):
        before = asset.previous + asset.raised - alike
        told = (("sold_alike", str(max(before, 0) * MILLION // WHOLE)),)
        yield Reasoned(reasons.SOLD_FIRST, told)
    left = 0 if solution.target is None else weight - solution.target.get(asset.code, 0)
    following = next(kept(asset.parts, max(sold_minor, 0)), None)
    if min(left, asset.previous) > 0 and following is not None and following.cheaper_day:
        cheaper = (
            ("left", str(left * MILLION // WHOLE)),
            ("date", date_of(following.cheaper_day)),
            ("rate_now", str(following.rate_millionths)),
            ("rate_then", str(following.cheaper_millionths)),
        )
        yield Reasoned(reasons.CHEAPER_FROM, cheaper)


def _share(amount_minor: int, problem: Problem) -> str:
    """Of what there is now and new money."""
    held = sum(part.worth_minor for asset in problem.assets for part in asset.parts)
    return str(amount_minor * MILLION // max(problem.amount_minor, held))


def item_hash(items: Sequence[Item]) -> str:
    """SHA-256 of what was advised, in its order: codes, weights, amounts, scores, chances."""
    rows = [
        [
            item.fund_code,
            item.weight,
            item.amount_minor,
            item.score_millionths,
            item.propensity_millionths,
        ]
        for item in items
    ]
    return hashlib.sha256(orjson.dumps(rows)).hexdigest()


def digest_of(terms: Mapping[str, object]) -> str:
    """SHA-256 of what was asked, so that an id is used for one question only."""
    return hashlib.sha256(orjson.dumps(terms, option=orjson.OPT_SORT_KEYS)).hexdigest()
