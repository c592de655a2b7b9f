"""A portfolio to be constructed and what came of it, as plain data that crosses processes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from libs.suitability import InvestorClass
from services.recommendations.domain.constraints import CONSTRAINTS, Asset, ConstraintSet


class Strategy(Enum):
    """The names are storage."""

    MINIMUM_VARIANCE = "minimum_variance"
    MAXIMUM_SHARPE = "maximum_sharpe"
    RISK_PARITY = "risk_parity"
    HIERARCHICAL_RISK_PARITY = "hierarchical_risk_parity"
    INVERSE_VOLATILITY = "inverse_volatility"
    EQUAL_WEIGHT = "equal_weight"
    BLACK_LITTERMAN = "black_litterman"
    GOAL_LADDER = "goal_ladder"


@dataclass(frozen=True, slots=True)
class View:
    """A combination of funds earns so much a year; confidence from 0 to 1."""

    legs: tuple[tuple[str, float], ...]
    yearly_return: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Problem:
    """`returns`: daily, float64, row by row (a day after another), in the order of assets."""

    strategy: Strategy
    assets: tuple[Asset, ...]
    returns: bytes
    days: int
    investor_class: InvestorClass
    amount_minor: int
    limits: ConstraintSet = CONSTRAINTS
    # What the market holds of each, any unit; empty: equal.
    market: tuple[float, ...] = ()
    views: tuple[View, ...] = ()
    is_rebalance: bool = False
    # Needed within one year, and within one to three (ten-thousandths): the goal ladder.
    needed: tuple[int, int] = (0, 0)
    # Over which a fee that is paid once counts.
    horizon_days: int = 365

    @property
    def raises_cash(self) -> bool:
        """Whether less will be held than now."""
        return any(asset.raised for asset in self.assets)


@dataclass(frozen=True, slots=True)
class Binding:
    """A rule that the answer touches, and what the objective would gain by one unit more of it."""

    name: str
    limit_millionths: int
    dual_millionths: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Yearly, in millionths."""

    expected_return: int
    volatility: int
    volatility_before: int
    cost: int
    turnover: int
    drawdown: int
    mean_level: int


@dataclass(frozen=True, slots=True)
class RunnerUp:
    code: str
    # FUNDS_MAX, LEAST_LOT, RISKIER_AT_THE_MARGIN.
    cause: str
    evidence: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Solution:
    """Weights in ten-thousandths of the funds that are in; everything else in millionths."""

    weights: Mapping[str, int]
    amounts: Mapping[str, int]
    scores: Mapping[str, int]
    contributions: Mapping[str, int]
    fallbacks: tuple[str, ...]
    binding: tuple[Binding, ...]
    figures: Figures
    runner_up: RunnerUp | None = None
    # What the move from what is held is worth a year (millionths): the difference of certainty
    # equivalents. None: nothing is held, or the strategy's aim is none of them.
    gain: int | None = None
    # Of a limited rebalance: where it leads in the end, and the step without an order of selling.
    target: Mapping[str, int] | None = None
    plain: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Unsolved:
    """No portfolio: why, and the rules that are in conflict or the funds it is about."""

    # CONSTRAINTS_CONFLICT, AMOUNT_BELOW_LOTS.
    reason: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quotes:
    """What one unit of a fund was worth by day, with what was paid out."""

    code: str
    # Days since 1970, rising (32-bit integers), and the value at each (64-bit floats).
    days: bytes
    values: bytes
