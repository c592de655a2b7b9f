"""The walk over real prices: no decision knows what came after; fees are those of real lots."""

import numpy as np
import pytest

from services.recommendations.construction.problem import Strategy
from services.recommendations.evaluation.portfolios import EQUAL, INDEX, verdicts, walks
from services.recommendations.evaluation.walk_forward import (
    Fees,
    Rules,
    beside,
    by_strategy,
    equally,
    measures,
    walk,
)
from services.recommendations.history import History, index, stocks

RULES = Rules(fit=300, hold=21)


def short(days: int) -> History:
    history = stocks()
    return History(history.dates[:days], history.names, history.prices[:days])


@pytest.mark.parametrize(
    "strategy",
    [Strategy.MINIMUM_VARIANCE, Strategy.MAXIMUM_SHARPE, Strategy.BLACK_LITTERMAN],
    ids=lambda each: each.value,
)
def test_a_price_planted_in_the_future_leaves_no_trace_in_any_earlier_decision(
    strategy: Strategy,
) -> None:
    history = short(480)
    planted_at = 400
    planted = history.prices.copy()
    planted[planted_at:, 3] *= 50.0
    decide = by_strategy(strategy, RULES, history.names)

    clean = walk("clean", history.prices, decide, RULES)
    touched = walk("touched", planted, decide, RULES)

    # A price of day n first moves the return of session n - 1, which later decisions may know.
    earlier = [d for d in clean.decisions if d.session < planted_at]
    assert len(earlier) >= 4
    assert list(touched.decisions[: len(earlier)]) == earlier
    assert touched.decisions != clean.decisions
    first = RULES.fit + RULES.purge
    until = planted_at - 1 - first
    assert np.array_equal(clean.daily[:until], touched.daily[:until])


def test_the_session_before_a_decision_is_left_out() -> None:
    history = short(400)
    seen: list[tuple[int, float]] = []

    def look(known: np.ndarray, number: int) -> tuple[np.ndarray, str]:
        seen.append((number, float(known[-1, 0])))
        return np.full(known.shape[1], 1 / known.shape[1]), ""

    walked = walk("look", history.prices, look, RULES)

    returns = history.returns
    for (number, last), decision in zip(seen, walked.decisions, strict=True):
        assert decision.session == 301 + number * 21
        assert last == returns[decision.session - 2, 0]


def test_without_moves_only_the_fees_of_real_lots_are_lost() -> None:
    prices = np.ones((400, 2))
    turn = iter([(1.0, 0.0), (0.0, 1.0)] * 10)

    def swap(_known: np.ndarray, _number: int) -> tuple[np.ndarray, str]:
        return np.array(next(turn)), ""

    rules = Rules(fit=300, hold=50, fees=Fees(0.01, ((0, 0.02), (60, 0.0))))

    walked = walk("swap", prices, swap, rules)

    # Bought at 1 %, sold young at 2 % and bought again at 1 %: what is left is known exactly.
    left = 1 / 1.01 * 0.98 / 1.01
    assert np.prod(1.0 + walked.daily) == pytest.approx(left, rel=1e-12)
    assert walked.turnover == pytest.approx(1.0)


def test_weights_drift_between_decisions_and_are_not_put_back_every_day() -> None:
    prices = np.column_stack([np.linspace(1, 2, 340), np.ones(340)])
    rules = Rules(fit=300, hold=100, fees=Fees(0.0, ((0, 0.0),)))

    walked = walk("hold", prices, equally, rules)

    bought = prices[301]
    assert np.prod(1.0 + walked.daily) == pytest.approx(
        0.5 * prices[-1, 0] / bought[0] + 0.5, rel=1e-12
    )


def test_the_index_is_bought_once_and_the_verdicts_say_where_a_baseline_wins() -> None:
    history = short(500)
    found = walks(history, index(), RULES)

    assert len(found[INDEX].decisions) == 1
    assert found[INDEX].turnover == 0.0
    months = [day[:7] for day in history.dates[1:][301:]]
    rows = {}
    for each in found.values():
        difference, low, high = beside(each, found[EQUAL])
        assert low <= difference <= high
        told = {"beside_equal_weight": difference, "interval_low": low, "interval_high": high}
        rows[each.name] = {**measures(each, months), **told}
    for verdict in verdicts(rows):
        assert " beats " in verdict or "equal weight" in verdict
    worse = [
        name
        for name, row in rows.items()
        if name in {s.value for s in Strategy} - {EQUAL} and row["mean"] < rows[EQUAL]["mean"]
    ]
    for name in worse:
        assert any(v.startswith(f"{EQUAL} beats {name} in return") for v in verdicts(rows))
