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
from dataclasses import replace
from typing import Final

from services.recommendations.domain.facts import (
    DAY_US,
    MILLION,
    Fact,
    Features,
    Kind,
    by_currency,
    known,
    series,
    shares_of,
    whole_series,
)
from services.recommendations.domain.lived import fall_lived, money_features
from services.recommendations.domain.measures import faded
from services.recommendations.domain.themes import HALF_LIFE_DAYS, amounts_by_theme
from services.recommendations.domain.together import Moves

WINDOWS_DAYS: Final = (7, 30, 90)
# Windows of a fund's net flows, in days up to its newest price.
FLOWS_DAYS: Final = (5, 20, 60)
# Deferred redemptions count for so many days.
DEFERRALS_DAYS: Final = 365
_SESSIONS: Final = {"1m": 21, "3m": 63, "6m": 126, "12m": 252}
_VOLATILITIES: Final = (60, 250)
_YEAR: Final = 252


def investor_features(
    facts: Iterable[Fact],
    at_us: int,
    navs: Mapping[str, int],
    levels: Mapping[str, int],
    moves: Mapping[str, Moves],
    currencies: Mapping[str, str],
) -> Features:
    """Of one investor. `navs` (price times units of money a share), `levels`: those at the time.

    `navs` are minor units of ten thousand shares, so that values are whole numbers; `moves` are
    those of all funds that are or were held. What is made of money is told by `currencies`, those
    of the funds, and bears their names: `cash_share:CNY`.
    """
    mine = known(facts, at_us)
    shares = shares_of(mine)
    features = {
        "views_faded": _faded((f for f in mine if f.kind == Kind.OPENED.value), at_us),
        "orders_faded": _faded((f for f in mine if f.kind in _ORDERS), at_us),
        "funds_held": sum(_worth(each, navs.get(code, 0)) > 0 for code, each in shares.items())
        * MILLION,
        "plans": max(sum(f.amount for f in mine if f.kind == Kind.PLAN.value), 0) * MILLION,
        "dismissals": sum(f.kind == Kind.DISMISSED.value for f in mine) * MILLION,
        "warnings": sum(f.kind == Kind.WARNED.value for f in mine) * MILLION,
    }
    ordered = [f.business_us for f in mine if f.kind in _ORDERS]
    if ordered:
        features["order_age_days"] = (at_us - max(ordered)) * MILLION // DAY_US
    features |= _interests(mine, at_us, levels)
    for currency, part in by_currency(mine, currencies).items():
        exposure, holdings = _exposure(part, navs, levels)
        fall = fall_lived(part, navs, moves)
        told = {
            **_amounts(part, at_us, levels),
            **exposure,
            **money_features(part, at_us, exposure["held_minor"] // MILLION),
            **({} if fall is None else {"fall_lived": fall}),
        }
        features |= holdings
        features |= {f"{n}:{currency}": v for n, v in told.items()} if currency else told
    return features


_ORDERS: Final = frozenset({Kind.BOUGHT.value, Kind.SOLD.value})


def _amounts(part: Sequence[Fact], at_us: int, levels: Mapping[str, int]) -> Features:
    """Of one currency: what was bought, in all, by level and by theme; cash in and out."""
    bought = [f for f in part if f.kind == Kind.BOUGHT.value]
    features = {"amounts_faded": _faded(bought, at_us, by_amount=True)}
    for level in range(1, 6):
        of_level = (f for f in bought if levels.get(f.fund_code) == level)
        features[f"amounts_faded_r{level}"] = _faded(of_level, at_us, by_amount=True)
    for theme, amount in amounts_by_theme(bought, at_us).items():
        if theme:
            features[f"amounts_faded_theme:{theme}"] = amount
    for kind in (Kind.CASH_IN.value, Kind.CASH_OUT.value):
        moved = [f for f in part if f.kind == kind]
        for days in WINDOWS_DAYS:
            since = at_us - days * DAY_US
            total = sum(f.amount for f in moved if f.business_us > since) if moved else 0
            features[f"{kind.lower()}_{days}d"] = total * MILLION
    return features


def _interests(mine: Sequence[Fact], at_us: int, levels: Mapping[str, int]) -> Features:
    """Views and orders by level and by theme; those alone that there are."""
    parts: dict[str, list[Fact]] = {}
    for fact in mine:
        of = (f"r{levels[fact.fund_code]}",) if fact.fund_code in levels else ()
        themes = (f"theme:{fact.theme}",) if fact.theme else ()
        name = {Kind.OPENED.value: "views"}.get(fact.kind, "orders")
        if fact.kind == Kind.OPENED.value or fact.kind in _ORDERS:
            for each in (*of, *themes):
                parts.setdefault(f"{name}_faded_{each}", []).append(fact)
    return {name: _faded(facts, at_us) for name, facts in parts.items()}


def _faded(facts: Iterable[Fact], at_us: int, *, by_amount: bool = False) -> int:
    seen = [(f.business_us, float(f.amount if by_amount else 1)) for f in facts]
    return round(faded(seen, at_us, HALF_LIFE_DAYS) * MILLION) if seen else 0


def _worth(shares: int, price: int) -> int:
    """Minor units, from those of ten thousand shares."""
    return shares * price // 10_000


def _exposure(
    part: Sequence[Fact], navs: Mapping[str, int], levels: Mapping[str, int]
) -> tuple[Features, Features]:
    """Of one currency: what is held, and how risky that is on average; the share of each fund."""
    values = {code: _worth(each, navs.get(code, 0)) for code, each in shares_of(part).items()}
    total = sum(values.values())
    if total <= 0:
        return {"held_minor": 0, "mean_level": 0}, {}
    mean = sum(value * levels.get(code, 5) for code, value in values.items()) * MILLION // total
    shares = {f"holding:{code}": value * MILLION // total for code, value in values.items()}
    return (
        {"held_minor": total * MILLION, "mean_level": mean},
        {name: share for name, share in shares.items() if share},
    )


def pair_features(
    facts: Iterable[Fact], at_us: int, code: str, correlation: int | None = None
) -> Features:
    """Of one investor and one fund. `correlation`: of its moves with what is held, millionths."""
    ours = known((f for f in facts if f.fund_code == code), at_us)
    held = shares_of(ours)
    was = any(f.kind == Kind.SHARES.value for f in ours)
    alike = {} if correlation is None else {"correlation": correlation}
    return {
        **alike,
        "held_now": int(code in held) * MILLION,
        "held_before": int(was and code not in held) * MILLION,
        "viewed": sum(f.kind == Kind.OPENED.value for f in ours) * MILLION,
        "warned": sum(f.kind == Kind.WARNED.value for f in ours) * MILLION,
        "dismissed": sum(f.kind == Kind.TURNED_DOWN.value for f in ours) * MILLION,
    }


def fund_features(facts: Sequence[Fact], at_us: int) -> Features:
    """Of one fund, as of its newest price known at a time; windows of prices count prices.

    Its age is that of its own prices; those of feeds before them are its history all the same.
    """
    priced = series(facts, at_us)
    prices = [price for _, price in whole_series(facts, at_us)]
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
    priced = sorted({f.business_us for f in mine if f.kind == Kind.NAV.value})
    return {**features, **_gates(mine), **_deferrals(mine, priced)}


def _deferrals(mine: Sequence[Fact], priced_us: Sequence[int]) -> Features:
    """Trade days of a year whose large redemptions were deferred, and whether one still is."""
    since = priced_us[-1] - DEFERRALS_DAYS * DAY_US
    days = [f.business_us for f in mine if f.kind == Kind.DEFERRED.value and f.business_us > since]
    is_deferring = bool(days) and max(days) >= priced_us[-2:][0]
    return {"deferrals": len(days) * MILLION, "deferring": int(is_deferring) * MILLION}


def _gates(mine: Sequence[Fact]) -> Features:
    """Whether holders may not sell, and how often that began."""
    shut = [f.amount for f in mine if f.kind == Kind.GATE.value]
    began = sum(new > old for old, new in itertools.pairwise([0, *shut]))
    return {"gated": shut[-1] * MILLION if shut else 0, "gates": began * MILLION}


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
FEATURE_SET: Final = "5"
_SINCE_SECOND: Final = (
    *("views_faded_", "orders_faded_", "amounts_faded_theme:", "holding:"),
    *("level", "correlation"),
)
_SINCE_THIRD: Final = (
    *("cash_share", "fees_paid_", "realised_fee", "fall_lived"),
    *("gated", "gates", "dismissed"),
)
_SINCE_FOURTH: Final = ("deferrals", "deferring")
# By set, the beginnings of names that came after it.
_LATER: Final = {
    "": (*_SINCE_SECOND, *_SINCE_THIRD, *_SINCE_FOURTH),
    "2": (*_SINCE_THIRD, *_SINCE_FOURTH),
    "3": _SINCE_FOURTH,
    "4": (),
}
# Up to the fourth set amounts were added whatever their currency.
_ONE_HEAP: Final = frozenset(_LATER)


def has_currencies(feature_set: str) -> bool:
    """Whether what is made of money is told by currency in a set."""
    return feature_set not in _ONE_HEAP


def in_one_heap(facts: Iterable[Fact]) -> Sequence[Fact]:
    """Facts as older sets took them; they knew no currencies of funds either."""
    return [replace(fact, currency="") if fact.currency else fact for fact in facts]


def of_set(features: Features, feature_set: str) -> Features:
    """Those that a proposal of a set was made with: names that came later are left out."""
    later = _LATER.get(feature_set)
    if not later:
        return features
    return {name: value for name, value in features.items() if not name.startswith(later)}


def canonical(features: Mapping[str, Features]) -> bytes:
    """Features by subject as bytes: the same features, the same bytes."""
    return _joined({subject: in_form(each) for subject, each in features.items()})


def in_form(features: Features) -> str:
    """Those of one subject in the canonical form, for who keeps them."""
    return _CANONICAL.encode(features)


_CANONICAL: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True)


def _joined(forms: Mapping[str, str]) -> bytes:
    told = [f"{_CANONICAL.encode(subject)}:{forms[subject]}" for subject in sorted(forms)]
    return f"{{{','.join(told)}}}".encode()


def digest(features: Mapping[str, Features]) -> str:
    """SHA-256 of the canonical form."""
    return hashlib.sha256(canonical(features)).hexdigest()


def digest_of_forms(forms: Mapping[str, str]) -> str:
    """The same, of subjects that are in their form already."""
    return hashlib.sha256(_joined(forms)).hexdigest()
