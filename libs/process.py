"""Drives processes: look at the state, do its next step, record the outcome, look again."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from libs.cancelling import heed_cancellation
from libs.decider import Asked, Cause, Contended, Rejected, Streams, Transacted
from libs.telemetry import span
from libs.transient import is_transient

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")
Step = TypeVar("Step")

# More steps in one go than any life cycle has: beyond it is a circle.
STEPS_MAX = 64
# Failures of our own making before a process is left alone.
ATTEMPTS_MAX = 8
BACKOFF_FIRST_S = 0.25
BACKOFF_MAX_S = 15.0
# Processes whose steps are done in one go, and goes under way at once.
TOGETHER_MAX = 256
GOES_MAX = 4

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Recorded(Generic[C]):
    """What to record of a step that was performed."""

    command: C
    cause: Cause


@dataclass(frozen=True, slots=True)
class Together(Generic[C, S, Step]):
    """Steps of which those of many processes are done in one go, and then recorded in one.

    `fits` tells them; `perform` answers of each what `perform` of it alone would answer or raise.
    """

    fits: Callable[[S, Step], bool]
    perform: Callable[
        [Sequence[tuple[str, S, Step]]], Awaitable[Sequence[Recorded[C] | Exception | None]]
    ]


@dataclass(slots=True)
class _Later:
    """A process to be looked at again, and not before."""

    tries: int
    failures: int
    timer: asyncio.TimerHandle | None


class ProcessDriver(Generic[C, S, E, Step]):
    """One loop for the normal run, recovery and the watchdog.

    `perform` does one step, idempotently, and tells what to record; None: not known yet, look again
    later. `open_ids` tells which processes are not at their end; it may name too many, or be late.
    """

    def __init__(  # noqa: PLR0913 - what is driven, how, and how many at once
        self,
        streams: Streams[C, S, E],
        next_step: Callable[[S], Step | None],
        perform: Callable[[str, S, Step], Awaitable[Recorded[C] | None]],
        open_ids: Callable[[], Awaitable[Sequence[str]]],
        *,
        together: Together[C, S, Step] | None = None,
        concurrency: int = 512,
        watch_every_s: float = 2.0,
    ) -> None:
        self._streams = streams
        self._next_step = next_step
        self._perform = perform
        self._open_ids = open_ids
        self._concurrency = concurrency
        self._span_name = f"step {streams.category}"
        self._watch_every_s = watch_every_s
        self._together = together
        self._goes = asyncio.Semaphore(GOES_MAX)
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._fitting: asyncio.Queue[str] = asyncio.Queue()
        # Those that go their own way.
        self._alone: asyncio.Queue[str] = self._waiting if together is None else asyncio.Queue()
        self._queued: set[str] = set()
        self._running: set[str] = set()
        self._again: set[str] = set()
        self._later: dict[str, _Later] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        # Processes that met a bug of ours: left alone until the next start, and counted.
        self.parked: dict[str, str] = {}

    def wake(self, id_: str) -> None:
        """Look at this process soon. Said twice before the look, it is one look."""
        if id_ in self._queued or id_ in self.parked:
            return
        if id_ in self._running:
            self._again.add(id_)
            return
        later = self._later.get(id_)
        if later is not None and later.timer is not None:
            later.timer.cancel()
            later.timer = None
        self._queued.add(id_)
        self._waiting.put_nowait(id_)
        self._idle.clear()

    async def run(self) -> None:
        """For ever: workers, and a watchdog that wakes what is open and due."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            if self._together is not None:
                group.create_task(self._sort(self._together))
                group.create_task(self._depart(self._together, group))
            for _ in range(self._concurrency):
                group.create_task(self._work())

    async def settle(self) -> None:
        """Wait until nobody is woken and nothing runs; processes left for later may remain."""
        await self._idle.wait()

    async def _watch(self) -> None:
        while True:
            heed_cancellation()
            try:
                open_ids = await self._open_ids()
            except Exception as error:
                if not is_transient(error):
                    raise
                logger.warning("process_watch_failed", reason=str(error))
                open_ids = ()
            for id_ in open_ids:
                if id_ not in self._later:  # what was put off has a timer of its own
                    self.wake(id_)
            await asyncio.sleep(self._watch_every_s)

    async def _work(self) -> None:
        while True:
            heed_cancellation()
            id_ = await self._alone.get()
            self._queued.discard(id_)
            self._running.add(id_)
            try:
                await self._look(id_)
            finally:
                self._ended([id_])

    def _ended(self, ids: Sequence[str]) -> None:
        self._running.difference_update(ids)
        for id_ in ids:
            if id_ in self._again:
                self._again.discard(id_)
                self.wake(id_)
        if not self._queued and not self._running:
            self._idle.set()

    async def _sort(self, together: Together[C, S, Step]) -> None:
        """Those whose next step fits go together, the others alone."""
        while True:
            heed_cancellation()
            id_ = await self._waiting.get()
            fits = self._fitting_step(id_, together) is not None
            (self._fitting if fits else self._alone).put_nowait(id_)

    def _fitting_step(self, id_: str, together: Together[C, S, Step]) -> tuple[str, S, Step] | None:
        state = self._streams.known(id_)
        step = None if state is None else self._next_step(state)
        if state is None or step is None or not together.fits(state, step):
            return None
        return id_, state, step

    async def _depart(self, together: Together[C, S, Step], group: asyncio.TaskGroup) -> None:
        """All who wait while others are under way go together next."""
        while True:
            heed_cancellation()
            await self._goes.acquire()
            ids = [await self._fitting.get()]
            while len(ids) < TOGETHER_MAX and not self._fitting.empty():
                ids.append(self._fitting.get_nowait())
            fitting = []
            for id_ in ids:
                found = self._fitting_step(id_, together)
                if found is None:  # it moved meanwhile
                    self._alone.put_nowait(id_)
                else:
                    fitting.append(found)
            taken = [id_ for id_, _, _ in fitting]
            self._queued.difference_update(taken)
            self._running.update(taken)
            going = group.create_task(self._go(together, fitting))
            going.add_done_callback(lambda _: self._goes.release())

    async def _go(
        self, together: Together[C, S, Step], fitting: Sequence[tuple[str, S, Step]]
    ) -> None:
        ids = [id_ for id_, _, _ in fitting]
        try:
            with span(self._span_name):
                performed = await together.perform(fitting)
            told = {
                id_: recorded
                for id_, recorded in zip(ids, performed, strict=True)
                if isinstance(recorded, Recorded)
            }
            answers = await self._streams.record_each(
                [Asked(id_, recorded.command, recorded.cause) for id_, recorded in told.items()]
            )
            done = dict(zip(told, answers, strict=True))
            for (id_, _, step), recorded in zip(fitting, performed, strict=True):
                await self._conclude(id_, step, done.get(id_, recorded))
        except Exception as error:  # noqa: BLE001 - judged, logged, and parked or put off
            for id_ in ids:
                self._failed(id_, error)
        finally:
            self._ended(ids)

    async def _conclude(
        self, id_: str, step: Step, done: Transacted[S, E] | Recorded[C] | Exception | None
    ) -> None:
        """What is to be done with a process after a step that was done together with others."""
        has_moved = (
            isinstance(done, Rejected)
            and self._next_step((await self._streams.load(id_)).state) != step
        )
        if has_moved:  # while the step was under way: there is another step
            self._again.add(id_)
        elif isinstance(done, Exception):
            with structlog.contextvars.bound_contextvars(stream=self._streams.stream(id_)):
                self._failed(id_, done)
        elif not isinstance(done, Transacted):
            self._put_off(id_, failures=0)
        else:
            following = self._next_step(done.state)
            if not done.events and following == step:
                self._put_off(id_, failures=0)
                return
            self._forget(id_)
            if following is not None:
                self._again.add(id_)

    async def _look(self, id_: str) -> None:
        with structlog.contextvars.bound_contextvars(stream=self._streams.stream(id_)):
            try:
                is_for_later = await self._drive(id_)
            except Exception as error:  # noqa: BLE001 - judged, logged, and parked or put off
                self._failed(id_, error)
                return
        if is_for_later:
            self._put_off(id_, failures=0)
        else:
            self._forget(id_)

    async def _drive(self, id_: str) -> bool:
        """Step by step; answers whether to look again later."""
        state = (await self._streams.load(id_)).state
        for _ in range(STEPS_MAX):
            step = self._next_step(state)
            if step is None:
                return False
            with span(self._span_name):
                recorded = await self._perform(id_, state, step)
            if recorded is None:
                return True
            try:
                done = await self._streams.record(id_, recorded.command, recorded.cause)
            except Rejected:
                # The state may have moved while the step was under way; then there is another step.
                state = (await self._streams.load(id_)).state
                if self._next_step(state) == step:
                    raise
                continue
            if not done.events and self._next_step(done.state) == step:
                return True  # nothing recorded and nothing changed: asking again would be a circle
            self._forget(id_)
            state = done.state
        raise AssertionError(f"{id_} took {STEPS_MAX} steps and is not at rest")

    def _failed(self, id_: str, error: Exception) -> None:
        if isinstance(error, Contended) or is_transient(error):
            logger.info("process_step_failed", error=type(error).__name__, reason=str(error))
            later = self._later.get(id_)
            self._put_off(id_, failures=later.failures if later else 0)
            return
        later = self._later.get(id_)
        failures = 1 + (later.failures if later else 0)
        if not isinstance(error, Rejected | AssertionError) and failures < ATTEMPTS_MAX:
            logger.error("process_step_broken", error=type(error).__name__, exc_info=error)
            self._put_off(id_, failures=failures)
            return
        self.parked[id_] = f"{type(error).__name__}: {error}"
        self._forget(id_)
        logger.critical("process_parked", count=len(self.parked), exc_info=error)

    def _put_off(self, id_: str, failures: int) -> None:
        later = self._later.get(id_)
        tries = 1 + (later.tries if later else 0)
        wait_s = min(BACKOFF_FIRST_S * 2 ** min(tries - 1, 16), BACKOFF_MAX_S)
        wait_s *= random.uniform(0.75, 1.25)  # noqa: S311 - spreads what failed together
        timer = asyncio.get_running_loop().call_later(wait_s, self.wake, id_)
        self._later[id_] = _Later(tries, failures, timer)

    def _forget(self, id_: str) -> None:
        later = self._later.pop(id_, None)
        if later is not None and later.timer is not None:
            later.timer.cancel()
