"""Events folded into features: one function for live answers, for training and for proof.

A fact counts at a time only if it had happened and was recorded by then. Sums are rounded once
(`fsum`) and facts are put in one order first, so how they arrived changes nothing. Features are
whole millionths.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from services.recommendations.domain.measures import faded

DAY_US: Final = 86_400_000_000
MILLION: Final = 1_000_000
HALF_LIFE_DAYS: Final = 30.0
WINDOWS_DAYS: Final = (7, 30, 90)
# Windows of a fund's net flows, in days up to its newest price.
FLOWS_DAYS: Final = (5, 20, 60)
_SESSIONS: Final = {"1m": 21, "3m": 63, "6m": 126, "12m": 252}
_VOLATILITIES: Final = (60, 250)
_YEAR: Final = 252


class Kind(Enum):
    """What a fact says; the names are storage."""

    BOUGHT = "BOUGHT"  # amount: minor units ordered
    SOLD = "SOLD"  # amount: shares ordered
    SHARES = "SHARES"  # amount: shares added or taken away
    CASH_IN = "CASH_IN"  # amount: minor units
    CASH_OUT = "CASH_OUT"
    OPENED = "OPENED"
    DISMISSED = "DISMISSED"
    WARNED = "WARNED"
    PLAN = "PLAN"  # amount: +1 begun or resumed, -1 stopped
    LEVEL = "LEVEL"  # amount: the level that was published
    NAV = "NAV"  # amount: price at the fund's scale
    FEE = "FEE"  # amount: of a year's holding, millionths
    SIZE = "SIZE"  # amount: minor units held here


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """One event, as features see it. Microseconds since 1970; the order is that of recording."""

    recorded_us: int
    event_id: str
    kind: str
    business_us: int
    investor_id: str = ""
    fund_code: str = ""
    amount: int = 0
    # Of the fund, as it was known at the time that is asked about; its kind where no feed told it.
    theme: str = ""


Features = Mapping[str, int]


def known(facts: Iterable[Fact], at_us: int) -> Sequence[Fact]:
    """Those that count at a time, in one order whatever the order they came in."""
    return sorted(f for f in facts if f.recorded_us <= at_us and f.business_us <= at_us)


def investor_features(
    facts: Iterable[Fact], at_us: int, navs: Mapping[str, int], levels: Mapping[str, int]
) -> Features:
    """Of one investor. `navs` (price times units of money a share) and `levels`: those at the time.

    `navs` are minor units of ten thousand shares, so that values are whole numbers.
    """
    mine = known(facts, at_us)
    features = {
        "views_faded": _faded((f for f in mine if f.kind == Kind.OPENED.value), at_us),
        "orders_faded": _faded((f for f in mine if f.kind in _ORDERS), at_us),
        "amounts_faded": _faded(
            (f for f in mine if f.kind == Kind.BOUGHT.value), at_us, by_amount=True
        ),
        "plans": max(sum(f.amount for f in mine if f.kind == Kind.PLAN.value), 0) * MILLION,
        "dismissals": sum(f.kind == Kind.DISMISSED.value for f in mine) * MILLION,
        "warnings": sum(f.kind == Kind.WARNED.value for f in mine) * MILLION,
    }
    ordered = [f.business_us for f in mine if f.kind in _ORDERS]
    if ordered:
        features["order_age_days"] = (at_us - max(ordered)) * MILLION // DAY_US
    for level in range(1, 6):
        part = (f for f in mine if f.kind == Kind.BOUGHT.value and levels.get(f.fund_code) == level)
        features[f"amounts_faded_r{level}"] = _faded(part, at_us, by_amount=True)
    features |= _interests(mine, at_us, levels)
    for days in WINDOWS_DAYS:
        since = at_us - days * DAY_US
        for kind in (Kind.CASH_IN, Kind.CASH_OUT):
            total = sum(f.amount for f in mine if f.kind == kind.value and f.business_us > since)
            features[f"{kind.value.lower()}_{days}d"] = total * MILLION
    return {**features, **_exposure(mine, navs, levels)}


_ORDERS: Final = frozenset({Kind.BOUGHT.value, Kind.SOLD.value})


def _interests(mine: Sequence[Fact], at_us: int, levels: Mapping[str, int]) -> Features:
    """Views and orders by level, and both and amounts by theme; those alone that there are."""
    parts: dict[str, list[Fact]] = {}
    for fact in mine:
        of = (f"r{levels[fact.fund_code]}",) if fact.fund_code in levels else ()
        themes = (f"theme:{fact.theme}",) if fact.theme else ()
        name = {Kind.OPENED.value: "views"}.get(fact.kind, "orders")
        if fact.kind == Kind.OPENED.value or fact.kind in _ORDERS:
            for each in (*of, *themes):
                parts.setdefault(f"{name}_faded_{each}", []).append(fact)
        if fact.kind == Kind.BOUGHT.value:
            for each in themes:
                parts.setdefault(f"amounts_faded_{each}", []).append(fact)
    return {
        name: _faded(facts, at_us, by_amount=name.startswith("amounts"))
        for name, facts in parts.items()
    }


def _faded(facts: Iterable[Fact], at_us: int, *, by_amount: bool = False) -> int:
    seen = [(f.business_us, float(f.amount if by_amount else 1)) for f in facts]
    return round(faded(seen, at_us, HALF_LIFE_DAYS) * MILLION)


def _exposure(mine: Sequence[Fact], navs: Mapping[str, int], levels: Mapping[str, int]) -> Features:
    """What is held, and how risky that is on average."""
    values = {
        code: shares * navs.get(code, 0) // 10_000 for code, shares in shares_of(mine).items()
    }
    total = sum(values.values())
    if total <= 0:
        return {"held_minor": 0, "funds_held": 0, "mean_level": 0}
    mean = sum(value * levels.get(code, 5) for code, value in values.items()) * MILLION // total
    count = sum(value > 0 for value in values.values())
    shares = {f"holding:{code}": value * MILLION // total for code, value in values.items()}
    return {
        "held_minor": total * MILLION,
        "funds_held": count * MILLION,
        "mean_level": mean,
        **{name: share for name, share in shares.items() if share},
    }


def shares_of(facts: Iterable[Fact]) -> Mapping[str, int]:
    """Shares held by fund, none left out but those that came to nothing."""
    held: dict[str, int] = {}
    for fact in facts:
        if fact.kind == Kind.SHARES.value:
            held[fact.fund_code] = held.get(fact.fund_code, 0) + fact.amount
    return {code: shares for code, shares in held.items() if shares > 0}


def planned(facts: Iterable[Fact]) -> tuple[str, ...]:
    """Funds of plans that run, in the order of codes."""
    running: dict[str, int] = {}
    for fact in facts:
        if fact.kind == Kind.PLAN.value:
            running[fact.fund_code] = running.get(fact.fund_code, 0) + fact.amount
    return tuple(sorted(code for code, count in running.items() if count > 0))


def bought_since(facts: Iterable[Fact], since_us: int) -> Mapping[str, int]:
    """Minor units ordered by fund since a time."""
    bought: dict[str, int] = {}
    for fact in facts:
        if fact.kind == Kind.BOUGHT.value and fact.business_us >= since_us:
            bought[fact.fund_code] = bought.get(fact.fund_code, 0) + fact.amount
    return bought


def pair_features(
    facts: Iterable[Fact], at_us: int, code: str, correlation: int | None = None
) -> Features:
    """Of one investor and one fund. `correlation`: of its moves with what is held, millionths."""
    ours = [f for f in known(facts, at_us) if f.fund_code == code]
    held = shares_of(ours)
    was = any(f.kind == Kind.SHARES.value for f in ours)
    alike = {} if correlation is None else {"correlation": correlation}
    return {
        **alike,
        "held_now": int(code in held) * MILLION,
        "held_before": int(was and code not in held) * MILLION,
        "viewed": sum(f.kind == Kind.OPENED.value for f in ours) * MILLION,
        "warned": sum(f.kind == Kind.WARNED.value for f in ours) * MILLION,
    }


def series(facts: Iterable[Fact], at_us: int) -> Sequence[tuple[int, int]]:
    """(business time, price) by day, each as last recorded by then."""
    prices: dict[int, int] = {}
    for fact in known(facts, at_us):
        if fact.kind == Kind.NAV.value:
            prices[fact.business_us] = fact.amount
    return sorted(prices.items())


def fund_features(facts: Sequence[Fact], at_us: int) -> Features:
    """Of one fund, as of its newest price known at a time; windows of prices count prices."""
    priced = series(facts, at_us)
    prices = [price for _, price in priced if price > 0]
    features = {"prices": len(prices) * MILLION}
    if priced:
        features |= _demand(facts, at_us, priced[-1][0])
        features["age_days"] = (priced[-1][0] - priced[0][0]) * MILLION // DAY_US
    for name, sessions in _SESSIONS.items():
        if len(prices) > sessions:
            features[f"return_{name}"] = _ratio(prices[-1], prices[-1 - sessions])
    returns = [new / old - 1.0 for old, new in itertools.pairwise(prices)]
    for days in _VOLATILITIES:
        if len(returns) >= days:
            features[f"volatility_{days}d"] = _volatility(returns[-days:])
    if prices:
        features["drawdown_12m"] = _drawdown(prices[-_YEAR - 1 :])
    return features


def _demand(facts: Sequence[Fact], at_us: int, newest_us: int) -> Features:
    """What was bought less what was sold, what is held here, and what it costs."""
    mine = known(facts, at_us)
    features: dict[str, int] = {}
    for days in FLOWS_DAYS:
        since = newest_us - days * DAY_US
        recent = [f for f in mine if f.business_us > since]
        bought = sum(f.amount for f in recent if f.kind == Kind.BOUGHT.value)
        sold = sum(f.amount for f in recent if f.kind == Kind.SOLD.value)
        features[f"net_flow_{days}d"] = (bought - sold) * MILLION
    features["size_minor"] = sum(f.amount for f in mine if f.kind == Kind.SIZE.value) * MILLION
    fees = [f.amount for f in mine if f.kind == Kind.FEE.value]
    if fees:
        features["fee"] = fees[-1]
    levels = [f.amount for f in mine if f.kind == Kind.LEVEL.value]
    if levels:
        features["level"] = levels[-1] * MILLION
        changes = sum(old != new for old, new in itertools.pairwise(levels))
        features["level_changes"] = changes * MILLION
    return features


def _ratio(new: int, old: int) -> int:
    return (new - old) * MILLION // old


def _volatility(returns: Sequence[float]) -> int:
    mean = math.fsum(returns) / len(returns)
    variance = math.fsum((each - mean) ** 2 for each in returns) / (len(returns) - 1)
    return round(math.sqrt(variance * _YEAR) * MILLION)


def _drawdown(prices: Sequence[int]) -> int:
    peak, worst = prices[0], 0
    for price in prices:
        peak = max(peak, price)
        worst = max(worst, (peak - price) * MILLION // peak)
    return worst


# The set that proposals are made with; those that were stored before sets were kept have the first.
FEATURE_SET: Final = "2"
_SINCE_SECOND: Final = (
    *("views_faded_", "orders_faded_", "amounts_faded_theme:", "holding:"),
    *("level", "correlation"),
)


def of_set(features: Features, feature_set: str) -> Features:
    """Those that a proposal of a set was made with: names that came later are left out."""
    if feature_set == FEATURE_SET:
        return features
    return {name: value for name, value in features.items() if not name.startswith(_SINCE_SECOND)}


def canonical(features: Mapping[str, Features]) -> bytes:
    """Features by subject as bytes: the same features, the same bytes."""
    return _CANONICAL.encode(features).encode()


_CANONICAL: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True)


def digest(features: Mapping[str, Features]) -> str:
    """SHA-256 of the canonical form."""
    return hashlib.sha256(canonical(features)).hexdigest()
