"""Portfolios: candidates chosen, constructed by the worker, explained, and logged."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from libs.decider import FieldViolation, Rejected
from libs.suitability import InvestorClass
from services.recommendations import queries
from services.recommendations.advising import Advice, Issuing, Known, refuse_nothing, seed_of
from services.recommendations.asking import AskedPortfolio, Reason
from services.recommendations.construction.problem import (
    Figures,
    Problem,
    Quotes,
    Solution,
    Strategy,
    Unsolved,
    View,
)
from services.recommendations.construction.worker import Constructed, Solver, SolverAway
from services.recommendations.domain.catalogue import Catalogue, Fund
from services.recommendations.domain.constraints import (
    CONSTRAINTS,
    MONEY,
    THEME,
    TURNOVER,
    WHOLE,
    Asset,
    raised,
    rules_of,
    sold,
)
from services.recommendations.domain.eligibility import Asked, Judged, judge
from services.recommendations.domain.facts import known, shares_of
from services.recommendations.domain.floor import equal_floor
from services.recommendations.domain.lots import lots_of, parts_of
from services.recommendations.domain.proposal import (
    Bound,
    Candidate,
    Expected,
    Item,
    Purpose,
    Reasoned,
)
from services.recommendations.domain.rebalancing import (
    drift,
    fees_minor,
    gain_minor,
    must_mend,
    settled,
)
from services.recommendations.domain.release import Slot
from services.recommendations.domain.rounding import amounts_of, by_largest_remainder
from services.recommendations.explaining import digest_of, item_hash, of_held
from services.recommendations.under_way import UnderWay

MILLION: Final = 1_000_000
# More candidates change little and cost time.
CANDIDATES_MAX: Final = 50
DEFAULTS: Final[Mapping[InvestorClass, Strategy]] = {
    InvestorClass.C1_MINIMUM: Strategy.MINIMUM_VARIANCE,
    InvestorClass.C1: Strategy.MINIMUM_VARIANCE,
    InvestorClass.C2: Strategy.MINIMUM_VARIANCE,
    InvestorClass.C3: Strategy.RISK_PARITY,
    InvestorClass.C4: Strategy.RISK_PARITY,
    InvestorClass.C5: Strategy.RISK_PARITY,
    InvestorClass.PROFESSIONAL: Strategy.RISK_PARITY,
}
_UNSOLVED: Final = {
    "CONSTRAINTS_CONFLICT": (Reason.CONSTRAINTS_CONFLICT, "cannot hold with the others named"),
    "AMOUNT_BELOW_LOTS": (Reason.AMOUNT_BELOW_MINIMUM, "takes no purchase as small as this"),
    "HISTORY_TOO_SHORT": (Reason.HISTORY_TOO_SHORT, "days of prices are missing"),
}


@dataclass
class Portfolios:
    """`propose` answers target weights and the trades that lead there."""

    advice: Advice
    worker: Solver
    under_way: UnderWay

    async def propose(self, asked: AskedPortfolio) -> Issuing:
        """Raises `Rejected`: then nothing is recorded."""
        with self.advice.at_work():
            return await self._propose(asked)

    async def _propose(self, asked: AskedPortfolio) -> Issuing:
        replayed = await self.advice.replayed(asked)
        if replayed is not None:
            return replayed
        if asked.amount.minor <= 0 and not asked.is_rebalance:
            raise Rejected(
                Reason.AMOUNT_NOT_POSITIVE, "", [FieldViolation("amount", "must be above zero")]
            )
        if asked.is_rebalance:
            await self.under_way.refuse_any(asked.investor_id)
        about = await self.advice.known(asked.investor_id)
        problem, judged = self._problem(asked, about, await self._strategy(asked, about))
        codes = [asset.code for asset in problem.assets]
        quotes = await self._quotes(about.catalogue, codes)
        problem = replace(problem, views=tuple(await self._views(about)))
        constructed = await self._constructed(problem, quotes)
        solution = constructed.solution
        if isinstance(solution, Unsolved):
            raise _refusal(solution)
        return await self._issue(asked, about, judged, problem, constructed, solution)

    async def _strategy(self, asked: AskedPortfolio, about: Known) -> Strategy:
        if asked.strategy is not None:
            return asked.strategy
        released = await self.advice.releases.of(Slot.STRATEGY)
        if released.version:
            return Strategy(released.version)
        return DEFAULTS[about.investor_class]

    def _problem(
        self, asked: AskedPortfolio, about: Known, strategy: Strategy
    ) -> tuple[Problem, Judged]:
        catalogue, currency = about.catalogue, asked.amount.currency
        currency = currency or about.investor.preferences.currency
        held_in = about.holdings.in_currency(catalogue, currency).value_minor
        values = dict(held_in) if asked.is_rebalance else {}
        total = _to_place(asked, values)
        held = about.holdings
        if asked.is_rebalance:
            # Too much of one fund is what a rebalance mends: the rules of weights see to it.
            held = replace(held, value_minor={})
        judged = judge(
            catalogue, about.investor, held, Asked(total, currency, is_split=True), about.now_us
        )
        if asked.is_rebalance:
            # What is held and may be bought is what is rebalanced; the rest is left as it is.
            values = {c: v for c, v in values.items() if catalogue.has(judged.eligible, c)}
            total = _to_place(asked, values)
        refuse_nothing(catalogue, judged)
        chosen = _candidates(catalogue, judged, asked.fund_codes, values, about, self._popularity)
        if not chosen:
            told = [
                FieldViolation(
                    f"fund_codes.{code}", judged.first_code(catalogue, code) or "unknown"
                )
                for code in asked.fund_codes
            ]
            raise Rejected(Reason.NOTHING_ELIGIBLE, "none of the funds named", told)
        parts, raised = _shares(chosen, values, total)
        wanted = about.investor.preferences
        problem = Problem(
            strategy,
            tuple(
                _asset(fund, about, total, (part, more), values.get(fund.code, 0))
                for fund, part, more in zip(chosen, parts, raised, strict=True)
            ),
            b"",
            0,
            about.investor_class,
            total,
            is_rebalance=asked.is_rebalance and any(values.values()),
            needed=(wanted.needed_within_year, wanted.needed_within_three_years),
            horizon_days=about.horizon_days,
        )
        return problem, judged

    def _popularity(self, band: int, code: str) -> float:
        return self.advice.shelf.crowd.popularity.get(band, {}).get(code, 0.0)

    async def _quotes(self, catalogue: Catalogue, codes: Sequence[str]) -> Sequence[Quotes]:
        """As the prices stand; kept until a newer one comes."""
        return await self.advice.shelf.quotes_of(codes, catalogue)

    async def _views(self, about: Known) -> Sequence[View]:
        today = queries.date_of(about.catalogue.today)
        held = await self.advice.database.read(lambda c: queries.held_views(c, today))
        return [_view(each) for each in held]

    async def _constructed(self, problem: Problem, quotes: Sequence[Quotes]) -> Constructed:
        try:
            return await self.worker.solve(problem, quotes)
        except SolverAway:
            found = _floor(problem)
            if found is None:
                return Constructed(Unsolved("CONSTRAINTS_CONFLICT", ("SOLVER_AWAY",)))
            return Constructed(found)

    async def _issue(
        self,
        asked: AskedPortfolio,
        about: Known,
        judged: Judged,
        problem: Problem,
        constructed: Constructed,
        solution: Solution,
    ) -> Issuing:
        items = tuple(_items(about, problem, solution, asked.amount.minor))
        if asked.is_rebalance:
            _refuse_idle(about, problem, solution, items)
        draft = await self.advice.draft(about, judged, [item.fund_code for item in items])
        figures = solution.figures
        runner_up = solution.runner_up
        refused = [*draft.refused]
        if constructed.short:
            refused.append(("HISTORY_TOO_SHORT", tuple(code for code, _ in constructed.short)))
        return await self.advice.issue(
            replace(
                draft,
                proposal_id=asked.proposal_id,
                purpose=Purpose.REBALANCE if asked.is_rebalance else Purpose.PORTFOLIO,
                candidates=tuple(
                    Candidate(code, score) for code, score in sorted(solution.scores.items())
                ),
                refused=tuple(refused),
                items=items,
                strategy=problem.strategy.value,
                strategy_version=problem.strategy.value,
                fallbacks=solution.fallbacks,
                seed=seed_of(asked.proposal_id),
                amount=asked.amount,
                binding=tuple(
                    Bound(each.name, each.limit_millionths, each.dual_millionths)
                    for each in solution.binding
                ),
                expected=Expected(
                    figures.expected_return,
                    figures.volatility,
                    figures.volatility_before,
                    figures.cost,
                    figures.turnover,
                    figures.drawdown,
                    figures.mean_level,
                ),
                runner_up=None
                if runner_up is None
                else (
                    runner_up.code,
                    Reasoned(
                        runner_up.cause,
                        tuple((name, str(value)) for name, value in runner_up.evidence),
                    ),
                ),
                item_hash=item_hash(items),
                terms_digest=digest_of(asked.terms),
                caller=asked.caller,
                history_days=constructed.days,
                filled_funds=constructed.filled,
            )
        )


def _to_place(asked: AskedPortfolio, values: Mapping[str, int]) -> int:
    """What there will be. Raises `Rejected` where that is nothing."""
    held = sum(values.values())
    if asked.amount.minor + held <= 0:
        told = f"leaves nothing to place: what can be moved is worth {held}"
        raise Rejected(Reason.AMOUNT_NOT_POSITIVE, "", [FieldViolation("amount", told)])
    return asked.amount.minor + held


def _candidates(
    catalogue: Catalogue,
    judged: Judged,
    named: Sequence[str],
    held: Mapping[str, int],
    about: Known,
    popularity: Callable[[int, str], float],
) -> Sequence[Fund]:
    """The funds named, or of each kind in turn the most popular and cheapest; one share class."""
    eligible = [catalogue.funds[catalogue.index[c]] for c in catalogue.codes_of(judged.eligible)]
    if named:
        wanted = set(named) | {code for code, value in held.items() if value}
        return [fund for fund in eligible if fund.code in wanted]
    band = int(about.investor_class)
    kinds: dict[str, list[Fund]] = {}
    ranked = sorted(
        eligible,
        key=lambda f: (
            f.code not in held,
            -popularity(band, f.code),
            f.fee_millionths(about.horizon_days),
            f.code,
        ),
    )
    families: set[str] = set()
    for fund in ranked:
        family = fund.family or fund.code
        if family not in families:
            families.add(family)
            kinds.setdefault(fund.asset_class, []).append(fund)
    chosen: list[Fund] = []
    queues = [iter(kinds[kind]) for kind in sorted(kinds)]
    while queues and len(chosen) < CANDIDATES_MAX:
        for queue in list(queues):
            following = next(queue, None)
            if following is None:
                queues.remove(queue)
            elif len(chosen) < CANDIDATES_MAX:
                chosen.append(following)
    return sorted(chosen, key=lambda fund: fund.code)


def _shares(
    chosen: Sequence[Fund], values: Mapping[str, int], total: int
) -> tuple[Sequence[int], Sequence[int]]:
    """What is held of each, as ten-thousandths of all that there will be; and what is above that.

    Above it is only what cash is raised from: there will be less than there is.
    """
    held = [float(values.get(fund.code, 0)) for fund in chosen]
    nothing = [0] * len(chosen)
    if not any(held):
        return nothing, nothing
    whole = int(sum(held)) * WHOLE // total
    parts = by_largest_remainder(held, min(WHOLE, whole))
    if whole <= WHOLE:
        return parts, nothing
    all_of_it = by_largest_remainder(held, whole)
    return parts, [now - part for now, part in zip(all_of_it, parts, strict=True)]


def _asset(fund: Fund, about: Known, total: int, held: tuple[int, int], worth_minor: int) -> Asset:
    """`held`: see `_shares`."""
    previous, raised = held
    upper = WHOLE
    if fund.daily_minor:
        room = fund.daily_minor - about.holdings.bought_today_minor.get(fund.code, 0)
        upper = min(WHOLE, previous + max(room, 0) * WHOLE // total)
    parts = parts_of(
        fund,
        lots_of(about.facts, fund.code) if worth_minor else (),
        worth_minor,
        about.prices.get(fund.code, 0),
        about.catalogue.today,
        CONSTRAINTS.rebalance_days,
    )
    return Asset(
        fund.code,
        int(fund.level),
        fund.manager,
        fund.theme,
        fund.asset_class,
        upper,
        fund.first_minor,
        fund.fee_millionths(about.horizon_days),
        previous,
        raised,
        parts,
    )


def _view(body: Mapping[str, Any]) -> View:
    legs = tuple((code, float(weight)) for code, weight in body["legs"])
    return View(legs, float(body["yearly_return"]), float(body["confidence"]))


def _refusal(unsolved: Unsolved) -> Rejected:
    reason, text = _UNSOLVED[unsolved.reason]
    return Rejected(reason, "", [FieldViolation(name, text) for name in unsolved.names])


def _items(about: Known, problem: Problem, solution: Solution, amount_minor: int) -> Iterator[Item]:
    """Holdings of the target, and those that are sold; trades beside what is held now."""
    trades = _trades(about, problem, solution, amount_minor)
    held = shares_of(known(about.facts, about.now_us))
    for asset in problem.assets:
        weight = solution.weights.get(asset.code, 0)
        if not weight and not asset.previous:
            continue
        fund = about.catalogue.funds[about.catalogue.index[asset.code]]
        trade = trades[asset.code]
        yield Item(
            asset.code,
            fund.name,
            fund.level,
            weight,
            trade,
            solution.scores.get(asset.code, 0),
            MILLION,
            solution.contributions.get(asset.code, 0),
            asset.yearly_cost_millionths,
            of_held(problem, solution, fund, asset, trade),
            asset.previous,
            _shares_of_sale(trade, held.get(fund.code, 0), about.prices.get(fund.code, 0), weight),
        )


def _trades(
    about: Known, problem: Problem, solution: Solution, amount_minor: int
) -> Mapping[str, int]:
    """Minor units by fund, sales below zero; what is too small to be ordered is none."""
    found: dict[str, int] = {}
    least: dict[str, int] = {}
    for asset in problem.assets:
        fund = about.catalogue.funds[about.catalogue.index[asset.code]]
        held = about.holdings.value_minor.get(asset.code, 0) if problem.is_rebalance else 0
        trade = solution.amounts.get(asset.code, 0) - held
        least[asset.code] = fund.top_up_minor if held else fund.first_minor
        # A purchase too small to be taken is not proposed, and rounded weights are no trades.
        is_kept = held and asset.code in solution.weights
        is_rounding = is_kept and abs(trade) * WHOLE <= problem.amount_minor
        found[asset.code] = 0 if 0 < trade < least[asset.code] or is_rounding else trade
    if not problem.is_rebalance:
        return found
    parts = {asset.code: asset.parts for asset in problem.assets}
    return settled(found, amount_minor, parts, least)


def _shares_of_sale(trade_minor: int, held: int, price: int, weight: int) -> int:
    """Shares that come to so much at the newest price; where nothing is to stay, all."""
    if trade_minor >= 0:
        return 0
    return min(max(-trade_minor * 10_000 // price, 1), held) if weight else held


def _refuse_idle(about: Known, problem: Problem, solution: Solution, items: Sequence[Item]) -> None:
    """Nothing has drifted, nothing is due, or trading costs more than it brings."""
    if not problem.is_rebalance or problem.raises_cash:
        return
    # Where only a part of the way is gone, how far it is to its end counts.
    drifted = drift(problem.assets, solution.target or solution.weights)
    age = about.features.get("order_age_days", 0) // MILLION
    if drifted <= problem.limits.drift and age < problem.limits.rebalance_days:
        raise Rejected(
            Reason.REBALANCE_NOT_NEEDED,
            f"the largest drift is {drifted / 100:.2f} points, the last order {age} days ago",
        )
    rules = rules_of(problem.assets, problem.investor_class, problem.limits)
    trades = {item.fund_code: item.amount_minor for item in items}
    # With new money the purchases come anyway; without a figure there is nothing to weigh.
    if sum(trades.values()) > 0 or solution.gain is None or must_mend(problem.assets, rules):
        return
    parts = {asset.code: asset.parts for asset in problem.assets}
    fees = fees_minor(about.catalogue, trades, parts)
    held = sum(about.holdings.value_minor.get(asset.code, 0) for asset in problem.assets)
    gain = gain_minor(solution.gain, held, about.horizon_days)
    if fees > gain:
        raise Rejected(
            Reason.REBALANCE_FEE_ABOVE_GAIN,
            f"its trades cost {fees} minor units, and over {about.horizon_days} days it is "
            f"estimated to gain {gain}",
        )


def _floor(problem: Problem) -> Solution | None:
    """Without the optimisers: equal weights as far as the rules allow, and no figures."""
    rules = rules_of(problem.assets, problem.investor_class, problem.limits, (THEME, MONEY))
    weights = equal_floor(problem.assets, rules, problem.limits.funds_max)
    if weights is None:
        return None
    amounts = amounts_of(problem.assets, weights, problem.amount_minor)
    if any(0 < amount < a.least_minor for a, amount in zip(problem.assets, amounts, strict=True)):
        return None
    level = sum(w * a.level for w, a in zip(weights, problem.assets, strict=True))
    sells = sold(problem.assets, weights)
    is_much = problem.is_rebalance and sells > problem.limits.turnover + raised(problem.assets)
    given_up = (*([TURNOVER] if is_much else ()), THEME, MONEY, "SOLVER_AWAY", "EQUAL_WEIGHT")
    used = [(a, w, m) for a, w, m in zip(problem.assets, weights, amounts, strict=True) if w]
    return Solution(
        {a.code: w for a, w, _ in used},
        {a.code: m for a, _, m in used},
        {a.code: w * MILLION // WHOLE for a, w, _ in used},
        {},
        given_up,
        (),
        Figures(0, 0, 0, 0, sells * MILLION // WHOLE, 0, level * MILLION // WHOLE),
    )
