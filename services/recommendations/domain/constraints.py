"""What a portfolio must keep to, as whole-number rules on weights in ten-thousandths."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from libs.suitability import InvestorClass
from services.recommendations.domain.lots import Part

WHOLE: Final = 10_000
RISKY: Final = frozenset({"EQUITY", "INDEX", "ETF", "MIXED", "OTHER"})
MONEY_MARKET: Final = "MONEY_MARKET"
THEME: Final = "THEME"
TURNOVER: Final = "TURNOVER"
MONEY: Final = "MONEY"


@dataclass(frozen=True, slots=True)
class ConstraintSet:
    """A version of the limits. Weights in ten-thousandths, mean levels in tenths."""

    version: str
    per_fund: int = 3_000
    per_manager: int = 4_000
    per_theme: int = 4_000
    # Of what is held before, sold in one rebalance.
    turnover: int = 2_000
    funds_min: int = 3
    funds_max: int = 8
    # A difference from the target above this is a reason to rebalance, and so is a quarter.
    drift: int = 500
    rebalance_days: int = 91
    # Daily returns a fund must have, and those used at most.
    history_min: int = 250
    history_max: int = 756
    # Among funds to be sold, those first that cost least and would not soon cost less.
    sells_cheapest_first: bool = True
    # Where the rules cannot be kept within `turnover`, no more is sold than they need.
    sells_as_needed: bool = True
    mean_level_tenths: Mapping[InvestorClass, int] = field(
        default_factory=lambda: {
            InvestorClass.C1_MINIMUM: 10,
            InvestorClass.C1: 10,
            InvestorClass.C2: 17,
            InvestorClass.C3: 25,
            InvestorClass.C4: 33,
            InvestorClass.C5: 50,
            InvestorClass.PROFESSIONAL: 50,
        }
    )
    # Shares and what moves like them, together.
    risky_max: Mapping[InvestorClass, int] = field(
        default_factory=lambda: {
            InvestorClass.C1_MINIMUM: 0,
            InvestorClass.C1: 0,
            InvestorClass.C2: 2_000,
            InvestorClass.C3: 5_000,
            InvestorClass.C4: 8_000,
            InvestorClass.C5: WHOLE,
            InvestorClass.PROFESSIONAL: WHOLE,
        }
    )
    # Money funds are exempt from the limits of one fund; this keeps the least risk from being all
    # there is. Given up before a portfolio fails.
    money_max: Mapping[InvestorClass, int] = field(
        default_factory=lambda: {
            InvestorClass.C1_MINIMUM: WHOLE,
            InvestorClass.C1: WHOLE,
            InvestorClass.C2: 7_000,
            InvestorClass.C3: 5_000,
            InvestorClass.C4: 3_000,
            InvestorClass.C5: 2_000,
            InvestorClass.PROFESSIONAL: WHOLE,
        }
    )


CONSTRAINTS: Final = ConstraintSet("2026-2")
# All that proposals were ever made with, so that each stays provable.
CONSTRAINT_SETS: Final[Mapping[str, ConstraintSet]] = {
    each.version: each
    for each in (
        ConstraintSet("2026-1", sells_cheapest_first=False, sells_as_needed=False),
        CONSTRAINTS,
    )
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A candidate of a portfolio. Weights in ten-thousandths, money in minor units."""

    code: str
    level: int
    manager: str
    theme: str
    asset_class: str
    # What its daily cap leaves room for.
    upper: int = WHOLE
    # The least purchase.
    least_minor: int = 0
    # Front-end and redemption fee over the horizon, as a yearly rate (millionths).
    yearly_cost_millionths: int = 0
    # Share of holdings and new money together that it is now.
    previous: int = 0
    # Where cash is to be raised: what more of it there is now, beside the whole that will be left.
    raised: int = 0
    # What is held of it, in the order it is sold.
    parts: tuple[Part, ...] = ()

    @property
    def is_money(self) -> bool:
        return self.asset_class == MONEY_MARKET


@dataclass(frozen=True, slots=True)
class Rule:
    """Sum of coefficient times weight, at most the limit; all whole numbers."""

    name: str
    coefficients: tuple[int, ...]
    limit: int
    # What has to be relaxed for it to go; empty: it never goes.
    relaxed_by: str = ""

    def excess(self, weights: Sequence[int]) -> int:
        """How far above the limit these weights are; at most 0: kept."""
        return sum(c * w for c, w in zip(self.coefficients, weights, strict=True)) - self.limit


def rules_of(
    assets: Sequence[Asset],
    investor_class: InvestorClass,
    limits: ConstraintSet,
    relaxed: Iterable[str] = (),
) -> Sequence[Rule]:
    """All rules but turnover, which compares with what is held. Levels are never relaxed."""
    gone = frozenset(relaxed)
    rules = _rules(assets, investor_class, limits)
    return [rule for rule in rules if not rule.relaxed_by or rule.relaxed_by not in gone]


def _rules(
    assets: Sequence[Asset], investor_class: InvestorClass, limits: ConstraintSet
) -> Iterator[Rule]:
    for place, asset in enumerate(assets):
        upper = asset.upper if asset.is_money else min(limits.per_fund, asset.upper)
        if upper < WHOLE:
            only = tuple(int(n == place) for n in range(len(assets)))
            yield Rule(f"FUND:{asset.code}", only, upper)
    for manager in sorted({a.manager for a in assets if a.manager and not a.is_money}):
        members = tuple(int(a.manager == manager and not a.is_money) for a in assets)
        yield Rule(f"MANAGER:{manager}", members, limits.per_manager)
    for theme in sorted({a.theme for a in assets if a.theme and not a.is_money}):
        members = tuple(int(a.theme == theme and not a.is_money) for a in assets)
        yield Rule(f"THEME:{theme}", members, limits.per_theme, THEME)
    risky = tuple(int(a.asset_class in RISKY) for a in assets)
    if any(risky) and limits.risky_max[investor_class] < WHOLE:
        yield Rule("CLASS:RISKY", risky, limits.risky_max[investor_class])
    money = tuple(int(a.is_money) for a in assets)
    if any(money) and limits.money_max[investor_class] < WHOLE:
        yield Rule("CLASS:MONEY", money, limits.money_max[investor_class], MONEY)
    levels = tuple(a.level for a in assets)
    yield Rule("LEVEL", levels, limits.mean_level_tenths[investor_class] * WHOLE // 10)


def broken(rules: Iterable[Rule], weights: Sequence[int]) -> Sequence[Rule]:
    """The rules that these weights do not keep."""
    return [rule for rule in rules if rule.excess(weights) > 0]


def sold(assets: Sequence[Asset], weights: Sequence[int]) -> int:
    """What a move to these weights sells: the turnover of a rebalance."""
    return sum(max(0, a.previous + a.raised - w) for a, w in zip(assets, weights, strict=True))


def raised(assets: Sequence[Asset]) -> int:
    """What has to be sold for cash, whatever the weights are."""
    return sum(asset.raised for asset in assets)
