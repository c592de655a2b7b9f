"""What is asked of advice, and what is refused before anything is computed."""

from dataclasses import dataclass
from enum import Enum, auto

from libs.money import Money
from services.recommendations.construction.problem import Strategy


class Reason(Enum):
    """Why there is no advice. Nothing is recorded then."""

    INVESTOR_NOT_FOUND = auto()
    PROFILE_MISSING = auto()
    PROFILE_EXPIRED = auto()
    NO_CONSENT = auto()
    ACCOUNT_BLOCKED = auto()
    NOTHING_ELIGIBLE = auto()
    HISTORY_TOO_SHORT = auto()
    CONSTRAINTS_CONFLICT = auto()
    AMOUNT_BELOW_MINIMUM = auto()
    AMOUNT_NOT_POSITIVE = auto()
    REBALANCE_NOT_NEEDED = auto()
    REBALANCE_FEE_ABOVE_GAIN = auto()
    ORDERS_UNDER_WAY = auto()
    CATALOGUE_EMPTY = auto()


@dataclass(frozen=True, slots=True)
class AskedList:
    proposal_id: str
    investor_id: str
    caller: str
    size: int = 10
    amount: Money | None = None

    @property
    def terms(self) -> dict[str, object]:
        amount = None if self.amount is None else [self.amount.currency, self.amount.minor]
        return {"investor": self.investor_id, "size": self.size, "amount": amount}


@dataclass(frozen=True, slots=True)
class AskedPortfolio:
    proposal_id: str
    investor_id: str
    caller: str
    amount: Money
    # None: the one released, else the one of the class.
    strategy: Strategy | None = None
    is_rebalance: bool = False
    fund_codes: tuple[str, ...] = ()

    @property
    def terms(self) -> dict[str, object]:
        return {
            "investor": self.investor_id,
            "amount": [self.amount.currency, self.amount.minor],
            "strategy": "" if self.strategy is None else self.strategy.value,
            "is_rebalance": self.is_rebalance,
            "funds": sorted(self.fund_codes),
        }
