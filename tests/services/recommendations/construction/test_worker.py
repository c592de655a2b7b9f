"""The optimisers' own process: it answers as they do, dies alone, and is replaced."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import closing

import pytest

from services.recommendations.construction.problem import Problem, Quotes, Solution, Unsolved
from services.recommendations.construction.quoting import packed
from services.recommendations.construction.worker import SolverAway, Worker, solve
from tests.services.recommendations.construction.problems import random_problem
from tests.services.recommendations.worlds import TODAY, weekdays


@pytest.fixture
def worker() -> Iterator[Worker]:
    with closing(Worker(60.0)) as worker:
        yield worker


def quoted(problem: Problem, days: int = 300, last: int = 300) -> list[Quotes]:
    found = []
    for n, asset in enumerate(problem.assets):
        rows = [
            (day, 10_000 + (d * (n + 3)) % 97, 0, 5_000)
            for d, day in enumerate(weekdays(days, TODAY))
        ]
        found.append(packed(asset.code, rows[-last:], pays_income=asset.is_money))
    return found


async def test_another_process_gives_the_same_answer(worker: Worker) -> None:
    problem = random_problem(5)
    quotes = quoted(problem)

    assert await worker.solve(problem, quotes) == solve(problem, tuple(quotes))


async def test_a_killed_process_is_told_of_and_replaced(worker: Worker) -> None:
    problem = random_problem(5)
    await worker.warm()
    (pid,) = worker.pids()
    asking = asyncio.create_task(worker.solve(problem, quoted(problem)))
    os.kill(pid, signal.SIGKILL)

    with pytest.raises(SolverAway):
        await asking
    again = await worker.solve(problem, quoted(problem))

    assert isinstance(again.solution, Solution)
    assert worker.pids() != [pid]


def test_a_young_fund_takes_its_kinds_series_and_a_stranger_is_left_out_by_name() -> None:
    problem = random_problem(5)
    quotes = quoted(problem)
    kinds = [asset.asset_class for asset in problem.assets]
    common = max(set(kinds), key=kinds.count)
    young = kinds.index(common)
    quotes[young] = quoted(problem, last=20)[young]

    found = solve(problem, tuple(quotes))

    assert found.filled == (problem.assets[young].code,)
    assert found.days == 299


def test_without_any_history_there_is_no_advice() -> None:
    problem = random_problem(5)
    quotes = quoted(problem, last=100)

    found = solve(problem, tuple(quotes))

    assert isinstance(found.solution, Unsolved)
    assert found.solution.reason == "HISTORY_TOO_SHORT"
    assert found.solution.names[0] == f"{problem.assets[0].code}:151"
