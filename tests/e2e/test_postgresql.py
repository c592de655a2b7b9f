"""The same day with every service's rows in PostgreSQL: nothing but an address differs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.e2e.conftest import World, assert_ties_out, started, write_orders
from tests.servers import new_database

pytestmark = [pytest.mark.full, pytest.mark.timeout(400)]
ORDERS = 60
SERVICES = ("accounts", "payments", "settlement", "funds", "recommendations")


@pytest.fixture
async def world(
    tmp_path: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    for service in SERVICES:
        new_database(postgresql, service)
    monkeypatch.setenv("HEFU_DATABASES", postgresql.replace("/postgres?", "/{service}?"))
    world = await started(tmp_path, "ordinary")
    yield world
    await world.system.stop()


async def test_a_day_with_rows_in_postgresql_ties_out_and_is_replayed_row_for_row(
    world: World, postgresql: str
) -> None:
    told, report = await world.day(write_orders(world.folder, ORDERS, seed=8))
    assert_ties_out(told, report, ORDERS)

    again = await world.hefu("replay", "all")

    assert again.code == 0, again.output
    assert again.output.count("the same, row for row") > 3
    for service in SERVICES:
        address = make_url(postgresql).set(drivername="postgresql+psycopg", database=service)
        engine = create_engine(address)
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM positions")), service
        engine.dispose()
        files = (world.system.run_dir / "data" / service).glob("*.sqlite")
        # People's keys are no rows: they have a database of their own.
        assert {file.name for file in files} <= {"keys.sqlite"}
