"""Processes are driven to their end, by whatever woke them and whatever failed on the way."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest

from libs.decider import Cause, Streams
from libs.memory_store import MemoryStore
from libs.process import STEPS_MAX, ProcessDriver, Recorded, Together
from libs.transient import Unavailable
from tests.events import followed_until
from tests.libs.counting import Codec, Reach, State, counter

STEPS = 5
ALONE = 4
Driver: TypeAlias = ProcessDriver[Reach, State, str, int]
Outcome: TypeAlias = Recorded[Reach] | Exception | None
Perform: TypeAlias = Callable[[str, State, int], Awaitable[Recorded[Reach] | None]]


class World:
    """Counters that go up to `STEPS`, and what `perform` meets on the way."""

    def __init__(self, open_ids: Sequence[str] = (), *, goes_together: bool = False) -> None:
        self.goes_together = goes_together
        self.goes: list[int] = []
        self.streams = Streams(MemoryStore(), "counter", counter, Codec())
        self.open = list(open_ids)
        self.performed: Counter[tuple[str, int]] = Counter()
        self.failures: dict[tuple[str, int], list[Exception | None]] = {}
        self.running = 0
        self.most_running = 0
        self.is_watched = asyncio.Event()

    def driver(
        self,
        concurrency: int = 64,
        perform: Perform | None = None,
        steps: int = STEPS,
    ) -> Driver:
        alone = perform or self.perform

        async def each(many: Sequence[tuple[str, State, int]]) -> Sequence[Outcome]:
            self.goes.append(len(many))
            return [await outcome(alone(*one)) for one in many]

        return ProcessDriver(
            self.streams,
            lambda state: state.total + 1 if state.total < steps else None,
            alone,
            self.open_ids,
            # One step of each goes alone, and what follows it: so both ways meet.
            together=Together(lambda _, step: step != ALONE, each) if self.goes_together else None,
            concurrency=concurrency,
        )

    async def perform(self, id_: str, _state: State, step: int) -> Recorded[Reach] | None:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        self.performed[id_, step] += 1
        failures = self.failures.get((id_, step))
        if failures:
            failure = failures.pop(0)
            if failure is None:
                return None
            raise failure
        return Recorded(Reach(step), Cause(f"{id_}-{step}"))

    async def open_ids(self) -> Sequence[str]:
        self.is_watched.set()
        return self.open

    async def total(self, id_: str) -> int:
        return (await self.streams.load(id_)).state.total


@pytest.fixture(params=[False, True], ids=["alone", "together"])
def world(request: pytest.FixtureRequest) -> World:
    return World(goes_together=request.param)


async def outcome(performing: Awaitable[Recorded[Reach] | None]) -> Outcome:
    try:
        return await performing
    except Exception as error:  # noqa: BLE001 - the answer of one among many
        return error


@asynccontextmanager
async def running(driver: Driver) -> AsyncIterator[None]:
    task = asyncio.create_task(driver.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def reach_end(world: World, *ids: str) -> None:
    """Wait until all are at their end."""
    async with asyncio.timeout(30):
        for id_ in ids:
            following = world.streams.store.follow((world.streams.stream(id_),))
            await followed_until(following, STEPS)


async def test_a_woken_process_goes_to_its_end_and_does_each_step_once(world: World) -> None:
    driver = world.driver()
    async with running(driver):
        driver.wake("a")
        await driver.settle()

    assert await world.total("a") == STEPS
    assert set(world.performed.values()) == {1}


async def test_waking_many_times_at_once_is_one_look(world: World) -> None:
    driver = world.driver()
    for _ in range(100):
        driver.wake("a")
    async with running(driver):
        await driver.settle()

    assert world.performed == {("a", n): 1 for n in range(1, STEPS + 1)}


async def test_no_more_run_at_once_than_allowed() -> None:
    world = World()
    driver = world.driver(concurrency=7)
    async with running(driver):
        for n in range(100):
            driver.wake(str(n))
        await driver.settle()

    assert world.most_running == 7
    assert [await world.total(str(n)) for n in range(100)] == [STEPS] * 100


async def test_a_thousand_are_driven_in_seconds(world: World) -> None:
    driver = world.driver(concurrency=512)
    async with running(driver), asyncio.timeout(60):
        for n in range(1_000):
            driver.wake(str(n))
        await driver.settle()

    assert sum(world.performed.values()) == 1_000 * STEPS


async def test_steps_that_fit_are_done_and_recorded_in_few_goes() -> None:
    world = World(goes_together=True)
    for n in range(100):
        await world.streams.transact(str(n), Reach(1), Cause(f"first {n}"))
    driver = world.driver()
    async with running(driver):
        for n in range(100):
            driver.wake(str(n))
        await driver.settle()

    assert [await world.total(str(n)) for n in range(100)] == [STEPS] * 100
    assert set(world.performed.values()) == {1}
    assert world.goes == [100, 100]


async def test_the_watchdog_finds_what_nobody_woke() -> None:
    world = World(["a", "b"])
    async with running(world.driver()):
        await reach_end(world, "a", "b")

    assert set(world.performed.values()) == {1}


async def test_an_unknown_outcome_is_looked_at_again_later(world: World) -> None:
    world.failures["a", 3] = [Unavailable("away"), None, TimeoutError("slow")]
    driver = world.driver()
    async with running(driver):
        driver.wake("a")
        await reach_end(world, "a")

    assert world.performed["a", 3] == 4
    assert world.performed["a", 2] == world.performed["a", 4] == 1
    assert driver.parked == {}


async def test_waking_one_that_was_put_off_looks_at_once(world: World) -> None:
    world.failures["a", 1] = [None] * 3
    driver = world.driver()
    async with running(driver):
        for _ in range(4):
            driver.wake("a")
            await driver.settle()

        assert await world.total("a") == STEPS


async def test_a_wake_during_the_look_is_not_lost(world: World) -> None:
    looked = asyncio.Event()

    async def perform(id_: str, state: State, step: int) -> Recorded[Reach] | None:
        if step == 1 and not looked.is_set():
            looked.set()
            driver.wake(id_)  # what the step waits for came while it was looked at
            return None
        return await world.perform(id_, state, step)

    driver = world.driver(perform=perform)
    async with running(driver):
        driver.wake("a")
        await driver.settle()

        assert await world.total("a") == STEPS


async def test_a_bug_parks_its_process_and_no_other(world: World) -> None:
    world.failures["bad", 2] = [AssertionError("a state nobody thought of")]
    driver = world.driver()
    async with running(driver):
        driver.wake("bad")
        driver.wake("good")
        await driver.settle()
        driver.wake("bad")
        await driver.settle()

    assert list(driver.parked) == ["bad"]
    assert await world.total("good") == STEPS
    assert world.performed["bad", 2] == 1


async def test_a_refused_record_parks_its_process(world: World) -> None:

    async def perform(id_: str, _state: State, step: int) -> Recorded[Reach] | None:
        return Recorded(Reach(step - 2), Cause(f"{id_}-{step}"))

    await world.streams.transact("a", Reach(2), Cause("c"))
    driver = world.driver(perform=perform)
    async with running(driver):
        driver.wake("a")
        await driver.settle()

    assert "GOES_BACK" in driver.parked["a"]


async def test_a_step_that_changes_nothing_is_not_repeated_in_a_circle(world: World) -> None:
    tries = 0

    async def perform(_id: str, _state: State, _step: int) -> Recorded[Reach] | None:
        nonlocal tries
        tries += 1
        return Recorded(Reach(0), Cause("c"))

    driver = world.driver(perform=perform)
    async with running(driver):
        driver.wake("a")
        await driver.settle()

    assert tries == 1


async def test_a_life_cycle_without_end_is_parked() -> None:
    world = World()
    driver = world.driver(steps=10 * STEPS_MAX)
    async with running(driver):
        driver.wake("a")
        await driver.settle()

    assert str(STEPS_MAX) in driver.parked["a"]


async def test_a_restart_goes_on_where_the_last_life_stopped() -> None:
    world = World(["a"])
    world.failures["a", 3] = [Unavailable("away")] * 100
    async with running(world.driver()):
        await world.is_watched.wait()
    world.failures.clear()

    async with running(world.driver()):
        await reach_end(world, "a")

    assert world.performed["a", 5] == 1
