"""Whether a rebalance is worth its trades: drift and date, then fees against what it gains."""

from collections.abc import Iterable, Mapping, Sequence

from services.recommendations.domain.catalogue import Catalogue
from services.recommendations.domain.constraints import WHOLE, Asset, Rule
from services.recommendations.domain.lots import Part, fee_minor

MILLION = 1_000_000
YEAR_DAYS = 365
# What is mended whatever it costs: the risk level of the class, and its share of risky funds.
ALWAYS_MENDED = frozenset({"LEVEL", "CLASS:RISKY"})


def fees_minor(
    catalogue: Catalogue, trades: Mapping[str, int], parts: Mapping[str, Sequence[Part]]
) -> int:
    """Front-end and redemption fees of trades (minor units by fund; sales below zero).

    `parts`: of each holding, in the order they are sold.
    """
    total = 0
    for code, amount in trades.items():
        if amount > 0:
            fund = catalogue.funds[catalogue.index[code]]
            total += -(-amount * fund.front_fee_millionths // MILLION)
        elif amount < 0:
            total += fee_minor(parts[code], -amount)
    return total


def settled(
    trades: Mapping[str, int],
    amount_minor: int,
    parts: Mapping[str, Sequence[Part]],
    least: Mapping[str, int],
) -> Mapping[str, int]:
    """Trades whose purchases are paid by what sales bring after their fees, and the new money.

    The largest purchases give way, each down to its least. Without any, the fees come off what is
    paid out.
    """
    found = dict(trades)
    fees = sum(fee_minor(parts[code], -amount) for code, amount in trades.items() if amount < 0)
    missing = sum(trades.values()) + fees - amount_minor
    for code in sorted(trades, key=lambda each: (-trades[each], each)):
        given = min(missing, trades[code] - max(least[code], 1))
        if given > 0:
            found[code] -= given
            missing -= given
    return found


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
