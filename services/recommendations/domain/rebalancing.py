"""Whether a rebalance is worth its trades: drift and date, then fees against what it gains."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.recommendations.domain.catalogue import Catalogue, Fund
from services.recommendations.domain.constraints import WHOLE, Asset, Rule
from services.recommendations.domain.facts import DAY_US, Fact, Kind

MILLION = 1_000_000
YEAR_DAYS = 365
# What is mended whatever it costs: the risk level of the class, and its share of risky funds.
ALWAYS_MENDED = frozenset({"LEVEL", "CLASS:RISKY"})


@dataclass(frozen=True, slots=True)
class Lot:
    """Shares of one confirmation that are still held, and the day they count from."""

    day: int
    shares: int


def lots_of(facts: Iterable[Fact], code: str) -> Sequence[Lot]:
    """What is held of a fund, the oldest first; what was taken away came off the oldest."""
    held: list[Lot] = []
    gone = 0
    ours = (f for f in facts if f.kind == Kind.SHARES.value and f.fund_code == code)
    for fact in sorted(ours, key=lambda f: (f.business_us, f.recorded_us, f.event_id)):
        if fact.amount > 0:
            held.append(Lot(fact.business_us // DAY_US, fact.amount))
        else:
            gone -= fact.amount
    left: list[Lot] = []
    for lot in held:
        taken = min(gone, lot.shares)
        gone -= taken
        if lot.shares > taken:
            left.append(Lot(lot.day, lot.shares - taken))
    return left


def redemption_fee(
    fund: Fund, lots: Sequence[Lot], amount_minor: int, price: int, today: int
) -> int:
    """Minor units it costs to sell for so much, the oldest lots first; rounded up.

    `price`: minor units of ten thousand shares.
    """
    left, fee = amount_minor, 0
    for lot in lots:
        worth = min(lot.shares * price // 10_000, left)
        left -= worth
        fee += worth * _rate(fund, today - lot.day)
    # What no lot is known of costs what a new one would.
    fee += left * _rate(fund, 0)
    return -(-fee // MILLION)


def _rate(fund: Fund, days: int) -> int:
    steps = reversed(fund.redemption)
    return next((step.rate_millionths for step in steps if days >= step.from_days), 0)


def fees_minor(
    catalogue: Catalogue,
    facts: Sequence[Fact],
    trades: Mapping[str, int],
    prices: Mapping[str, int],
) -> int:
    """Front-end and redemption fees of trades (minor units by fund; sales below zero)."""
    total = 0
    for code, amount in sorted(trades.items()):
        fund = catalogue.funds[catalogue.index[code]]
        if amount > 0:
            total += -(-amount * fund.front_fee_millionths // MILLION)
        elif amount < 0:
            lots = lots_of(facts, code)
            total += redemption_fee(fund, lots, -amount, prices.get(code, 0), catalogue.today)
    return total


def gain_minor(yearly_gain_millionths: int, held_minor: int, horizon_days: int) -> int:
    """What a better portfolio is worth over the horizon, with the same measure that fees have."""
    return yearly_gain_millionths * held_minor * horizon_days // (MILLION * YEAR_DAYS)


def drift(assets: Sequence[Asset], weights: Mapping[str, int]) -> int:
    """The largest difference of a weight from its target, in ten-thousandths."""
    return max(abs(asset.previous - weights.get(asset.code, 0)) for asset in assets)


def must_mend(assets: Sequence[Asset], rules: Iterable[Rule]) -> bool:
    """Whether what is held breaks a rule that no fee is weighed against."""
    held = [asset.previous for asset in assets]
    total = sum(held)
    if not total:
        return False
    whole = [weight * WHOLE // total for weight in held]
    return any(rule.name in ALWAYS_MENDED and rule.excess(whole) > 0 for rule in rules)
