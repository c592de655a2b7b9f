"""The day ties out whatever process dies in it, and when the bus forgets everything."""

import asyncio
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.conftest import World, assert_ties_out, started, write_orders

pytestmark = pytest.mark.timeout(2400)
ORDERS = 60
VICTIMS = ("accounts", "payments", "settlement", "eventstore", "nats", "bank-AB", "bank-DE")


async def day_with_kills(world: World, number: int, *kills: tuple[str, float]) -> None:
    """Plays a day of its own date and file, and kills processes, each so long after the last."""
    date = datetime.now(UTC).date() - timedelta(days=25 - number)
    orders = write_orders(world.folder, ORDERS, 10 + number)
    playing = asyncio.create_task(world.day(orders, "--date", date.isoformat()))
    for victim, after_s in kills:
        # An instant of the day, drawn by the test: there is no event to wait for.
        await asyncio.wait({playing}, timeout=after_s)
        await world.system.kill(victim)
    told, report = await playing
    print(f"day {number}: {kills}", report.get("seconds"))  # noqa: T201 - the history of a failing run
    assert_ties_out(told, report, ORDERS)


async def test_killed_processes_cost_nothing_but_time(tmp_path: Path) -> None:
    draw = random.Random(20261121)  # noqa: S311 - repeatable, not secret
    world = await started(tmp_path, "ordinary")
    try:
        victims = ("settlement", "accounts", "eventstore")
        await day_with_kills(world, 0, *((each, draw.uniform(1.0, 3.0)) for each in victims))
    finally:
        await world.system.stop()


@pytest.mark.full
async def test_twenty_kills_at_random_instants_of_the_day(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201 - a failing run is repeated by it
    draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
    world = await started(tmp_path, "ordinary")
    try:
        for number in range(20):
            await day_with_kills(world, number, (draw.choice(VICTIMS), draw.uniform(0.3, 4.0)))
    finally:
        await world.system.stop()


@pytest.mark.full
async def test_the_bus_may_lose_everything_in_the_middle_of_a_day(clean_world: World) -> None:
    orders = write_orders(clean_world.folder, ORDERS, 40)
    playing = asyncio.create_task(clean_world.day(orders))
    await asyncio.wait({playing}, timeout=3.0)
    shutil.rmtree(clean_world.system.run_dir / "data" / "nats" / "jetstream", ignore_errors=True)
    told, report = await playing
    assert_ties_out(told, report, ORDERS)
