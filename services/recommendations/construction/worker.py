"""The optimisers in a process of their own: the service stays light, and never waits for them."""

import asyncio
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from services.recommendations.construction.problem import Problem, Quotes, Solution, Unsolved

SOLVE_WITHIN_S: Final = 20.0
ENDS_WITHIN_S: Final = 5.0
# One thread: another order of additions would move the last digits.
_THREADS: Final = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"),
)

logger = structlog.get_logger()


class SolverAway(Exception):
    """The solver's process died or did not answer in time; the floor is what is left."""


@dataclass(frozen=True, slots=True)
class Constructed:
    """What came of a problem, and the days it rests on."""

    solution: Solution | Unsolved
    days: int = 0
    filled: tuple[str, ...] = ()
    short: tuple[tuple[str, int], ...] = ()


class Solver(Protocol):
    """Whoever constructs portfolios."""

    async def solve(self, problem: Problem, quotes: Sequence[Quotes]) -> Constructed:
        """Raises `SolverAway`."""
        ...

    async def warm(self) -> None:
        """Be ready before the first question comes."""
        ...


@dataclass
class Worker(Solver):
    """Problems go in, solutions come out; a process that died is replaced at the next problem."""

    within_s: float = SOLVE_WITHIN_S
    _pool: ProcessPoolExecutor | None = field(default=None, repr=False)

    async def solve(self, problem: Problem, quotes: Sequence[Quotes]) -> Constructed:
        """Raises `SolverAway`."""
        pool = self._running()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.within_s):
                return await loop.run_in_executor(pool, solve, problem, tuple(quotes))
        except (BrokenProcessPool, TimeoutError) as error:
            self._drop(pool)
            logger.exception("solver_away", error=type(error).__name__)
            raise SolverAway(type(error).__name__) from error

    async def warm(self) -> None:
        """Import what is heavy before the first question comes."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._running(), _import)
        except BrokenProcessPool as error:
            logger.exception("solver_away", error=type(error).__name__)

    def pids(self) -> Sequence[int]:
        """Of the processes there are now."""
        processes = getattr(self._pool, "_processes", None) or {}
        return sorted(processes)

    def close(self) -> None:
        """End the process, and wait until it has ended."""
        if self._pool is None:
            return
        processes = list((getattr(self._pool, "_processes", None) or {}).values())
        self._drop(self._pool)
        for process in processes:
            process.join(ENDS_WITHIN_S)

    def _running(self) -> ProcessPoolExecutor:
        if self._pool is None:
            for name in _THREADS:
                os.environ.setdefault(name, "1")
            # A fresh interpreter: a fork would copy threads and sockets it must not use.
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        return self._pool

    def _drop(self, pool: ProcessPoolExecutor) -> None:
        if self._pool is pool:
            self._pool = None
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)


def _import() -> None:
    from services.recommendations.construction import construct  # noqa: PLC0415 - late: it is heavy

    del construct


def solve(problem: Problem, quotes: tuple[Quotes, ...]) -> Constructed:
    """In the worker's process."""
    from services.recommendations.construction.construct import (  # noqa: PLC0415 - late: it is heavy
        construct,
    )
    from services.recommendations.construction.quotes import (  # noqa: PLC0415 - as above
        Prepared,
        prepare,
    )

    prepared = prepare(problem, quotes)
    if not isinstance(prepared, Prepared):
        return Constructed(prepared)
    return Constructed(
        construct(prepared.problem), prepared.problem.days, prepared.filled, prepared.short
    )
