"""What an investor lived through: money left as cash, fees that were paid, the deepest fall."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import add, mul
from typing import Final

from services.recommendations.domain.facts import DAY_US, MILLION, Fact, Features, Kind
from services.recommendations.domain.together import Moves

# Fees count for so many days, and a fall within the newest days of prices.
FEES_DAYS: Final = 365
FALL_DAYS: Final = 250
# Values are kept so much finer than money, and growth so fine: roundings stay below a millionth.
_FINER: Final = 1_000_000
_WHOLE: Final = 10**12


def money_features(mine: Sequence[Fact], at_us: int, held_minor: int) -> Features:
    """Cash beside what is held, and the fees of a year. Says nothing where no money was heard of.

    All is of one currency. Cash is what came in less what went out, of all that payments and
    orders of funds moved.
    """
    features: dict[str, int] = {}
    moved = [f.amount * _SIGNS[f.kind] for f in mine if f.kind in _SIGNS]
    cash = max(sum(moved), 0)
    if moved and cash + held_minor > 0:
        features["cash_share"] = cash * MILLION // (cash + held_minor)
    since = at_us - FEES_DAYS * DAY_US
    recent = [f for f in mine if f.business_us > since]
    fees = sum(f.amount for f in recent if f.kind == Kind.FEE_PAID.value)
    confirmed = sum(f.amount for f in recent if f.kind == Kind.CONFIRMED.value)
    if confirmed > 0:
        features |= {
            f"fees_paid_{FEES_DAYS}d": fees * MILLION,
            "realised_fee": fees * MILLION // confirmed,
        }
    return features


_SIGNS: Final = {
    Kind.CASH_IN.value: 1,
    Kind.CASH_OUT.value: -1,
    Kind.WALLET.value: 1,
}


def fall_lived(
    mine: Sequence[Fact], prices: Mapping[str, int], found: Mapping[str, Moves]
) -> int | None:
    """The deepest fall from a peak (millionths) of what was held, each day as it was held then.

    Shares of a day are those of the evening before, so that money put in or taken out is no gain
    and no loss. Funds without moves are left out; None where nothing is left.
    """
    held = {
        code: changes
        for code, changes in sorted(_changes(mine).items())
        if prices.get(code, 0) > 0 and code in found and found[code].days
    }
    days = sorted(set[int]().union(*(found[code].days for code in held)))[-FALL_DAYS:]
    before, after = [0] * len(days), [0] * len(days)
    for code, changes in held.items():
        levels = _levels(found[code], days, prices[code])
        shares = _shares_on(changes, days)
        before = list(map(add, before, map(mul, shares, levels)))
        after = list(map(add, after, map(mul, shares, levels[1:])))
    steps = [(old, new) for old, new in zip(before, after, strict=True) if old > 0]
    if not steps:
        return None
    grown = list(accumulate(steps, lambda at, step: at * step[1] // step[0], initial=_WHOLE))
    peaks = accumulate(grown, max)
    return max((peak - at) * MILLION // peak for peak, at in zip(peaks, grown, strict=True))


def _changes(mine: Sequence[Fact]) -> Mapping[str, Sequence[tuple[int, int]]]:
    """Day and shares added or taken away, by fund, in the order of days."""
    changes: dict[str, list[tuple[int, int]]] = {}
    for fact in mine:
        if fact.kind == Kind.SHARES.value:
            changes.setdefault(fact.fund_code, []).append((fact.business_us // DAY_US, fact.amount))
    return {code: sorted(each) for code, each in changes.items()}


def _levels(each: Moves, days: Sequence[int], price: int) -> Sequence[int]:
    """What ten thousand shares were worth before the first day, and at the end of each.

    Counted back from the newest price; a day without a move leaves it as it was.
    """
    move = dict(zip(each.days, each.of, strict=True))
    level, found = price * _FINER, [price * _FINER]
    for day in reversed(days):
        level = level * MILLION // max(MILLION + move.get(day, 0), 1)
        found.append(level)
    return found[::-1]


def _shares_on(changes: Sequence[tuple[int, int]], days: Sequence[int]) -> Sequence[int]:
    """Shares held since before each day."""
    shares, place, found = 0, 0, []
    for day in days:
        while place < len(changes) and changes[place][0] < day:
            shares += changes[place][1]
            place += 1
        found.append(max(shares, 0))
    return found
