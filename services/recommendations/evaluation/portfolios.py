"""All strategies and baselines on one set of prices, as a table that says who wins."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from services.recommendations.construction.problem import Strategy
from services.recommendations.evaluation.walk_forward import (
    Decide,
    Rules,
    Walked,
    beside,
    by_strategy,
    equally,
    measures,
    randomly,
    walk,
)
from services.recommendations.history import History, factors, index, stocks

EQUAL: Final = "equal_weight"
INDEX: Final = "index_buy_and_hold"
RANDOM: Final = "random"
BASELINES: Final = (EQUAL, INDEX, RANDOM)
STRATEGIES: Final = (
    Strategy.MINIMUM_VARIANCE,
    Strategy.RISK_PARITY,
    Strategy.HIERARCHICAL_RISK_PARITY,
    Strategy.MAXIMUM_SHARPE,
    Strategy.BLACK_LITTERMAN,
    Strategy.INVERSE_VOLATILITY,
)
# Numbers of the reference: default settings, one fit on the first 67 %, no costs.
PUBLISHED: Final[Mapping[str, Mapping[str, float]]] = {
    "minimum_variance": {
        "mean": 0.136313,
        "deviation": 0.148976,
        "sharpe": 0.914994,
        "max_drawdown": 0.335783,
    },
    "risk_parity": {
        "mean": 0.164027,
        "deviation": 0.162189,
        "sharpe": 1.011328,
        "max_drawdown": 0.342997,
    },
    "inverse_volatility": {
        "mean": 0.160605,
        "deviation": 0.160014,
        "sharpe": 1.003698,
        "max_drawdown": 0.348336,
    },
}
SEED: Final = 2026


def evaluate(
    name: str,
    history: History,
    market: History,
    rules: Rules,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """One table: a row a strategy, the difference from equal weight with its interval."""
    walked = walks(history, market, rules, told)
    first = rules.fit + rules.purge
    dates = history.dates[1:][first:]
    months = [day[:7] for day in dates]
    equal = walked[EQUAL]
    rows = {}
    for each in walked.values():
        difference, low, high = beside(each, equal)
        rows[each.name] = {
            **measures(each, months),
            "beside_equal_weight": difference,
            "interval_low": low,
            "interval_high": high,
        }
    return {
        "name": name,
        "assets": len(history.names),
        "first_day": dates[0],
        "last_day": dates[-1],
        "decisions": len(equal.decisions),
        "rows": rows,
        "growth": {
            each.name: [round(float(v), 5) for v in np.cumprod(1.0 + each.daily)[::5]]
            for each in walked.values()
        },
        "growth_dates": list(dates[::5]),
        "verdicts": verdicts(rows),
    }


def walks(
    history: History,
    market: History,
    rules: Rules,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Walked]:
    """Every strategy and baseline on the same days."""
    deciders: list[tuple[str, Decide]] = [(EQUAL, equally), (RANDOM, randomly(SEED))]
    deciders += [(each.value, by_strategy(each, rules, history.names)) for each in STRATEGIES]
    found = {}
    for name, decide in deciders:
        told(name)
        found[name] = walk(name, history.prices, decide, rules)
    days = {day: n for n, day in enumerate(market.dates)}
    places = [days[day] for day in history.dates]
    held = market.prices[places]
    # Bought once, at the first decision, and never touched again.
    forever = Rules(rules.fit, len(held), rules.purge, 1.0, rules.fees)
    found[INDEX] = walk(INDEX, held, equally, forever)
    return found


def verdicts(rows: Mapping[str, Mapping[str, float]]) -> Sequence[str]:
    """Where a simple baseline wins, said plainly; net of fees."""
    found = []
    for name, row in rows.items():
        if name in BASELINES:
            continue
        for baseline in BASELINES:
            base = rows[baseline]
            won = [
                word
                for word, is_won in (
                    ("return", base["mean"] > row["mean"]),
                    ("Sharpe", base["sharpe"] > row["sharpe"]),
                    ("drawdown", base["max_drawdown"] < row["max_drawdown"]),
                )
                if is_won
            ]
            if won:
                found.append(f"{baseline} beats {name} in {', '.join(won)}")
        told = f"{row['beside_equal_weight']:+.2%} a year beside equal weight"
        if row["interval_high"] < 0:
            found.append(f"{name} is worse, beyond chance: {told}")
        elif row["interval_low"] <= 0:
            found.append(f"{name} is not offered as better: {told}, within chance")
    return found


def everything(rules: Rules, told: Callable[[str], None] = lambda _: None) -> list[dict[str, Any]]:
    """Twenty stocks 1990-2022, and five factor funds 2014-2022, beside the index."""
    return [
        evaluate("twenty stocks", stocks(), index(), rules, told),
        evaluate("five factor funds", factors(), index(), rules, told),
    ]
