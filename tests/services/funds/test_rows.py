"""Rows of funds: the same on PostgreSQL as on SQLite, and the same when they are made anew."""

import asyncio
from contextlib import suppress
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Table, select

from libs.projection import Projection
from libs.read_model import Database
from libs.replay import ReplayProgress, replay
from services.funds import projections
from services.funds import tables as t
from services.funds.queries import holdings_page, statement_page, unit_sums
from tests.servers import new_database
from tests.services.funds.dealing import NEXT, UNITS, cut_off, own, place, sell
from tests.services.funds.scripted import FUND, Scripted, set_up
from tests.services.funds.test_income import begin_plan, dividend, monthly
from tests.services.funds.worlds import INVESTOR, TA, World, at

# The server's first start takes seconds.
pytestmark = pytest.mark.full
AFTER = date(2026, 9, 29)
SOLD = 100_000


async def rows_of(database: Database, table: Table) -> list[tuple[Any, ...]]:
    ordered = select(table).order_by(*table.primary_key.columns)
    return [tuple(row) for row in await database.read(lambda c: c.execute(ordered).all())]


async def catch_up(world: World, database: Database) -> None:
    projection = Projection(projections.OWN, database, world.store)
    await projection.prepare()
    running = asyncio.create_task(projection.run())
    await projection.wait_for(await world.store.head())
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def trade(world: World, rows_at: str) -> None:
    """Bought, partly sold, a dividend, a plan: whatever makes rows."""
    registrar = Scripted(world)
    async with world.funds(rows_at=rows_at) as parts:
        await set_up(parts)
        await own(world, parts, registrar)
        await begin_plan(parts, monthly())
        await place(world, parts, sell(SOLD), 2)
        await cut_off(world, parts, NEXT)
        registrar.begin(NEXT, AFTER)
        (order,) = registrar.orders()
        await registrar.hand_in(parts, {"07": [registrar.price()]})
        world.now_us = at("2026-10-08 09:00")
        rows = {
            "04": [registrar.sold(order, 98_746, 1_504)],
            "05": [registrar.balance(UNITS - SOLD)],
            "06": [dividend(34_636, "1", confirmed_amount=34_636)],
        }
        await registrar.hand_in(parts, rows)
        await world.until(f"ta_day-{TA}-{NEXT}", "TaDayCashSettled")
        await world.until_order(2, "Settled")


async def test_every_table_is_the_same_row_for_row_on_both_databases(postgresql: str) -> None:
    world, address = World(), new_database(postgresql, "funds")
    await trade(world, address)
    one, other = Database.open(address), Database.open("sqlite://")
    for database in (one, other):
        await catch_up(world, database)

    for table in t.own.sorted_tables:
        found = await rows_of(one, table)
        assert found == await rows_of(other, table), table.name
    assert await rows_of(one, t.movements)
    assert await rows_of(one, t.plans)
    for database in (one, other):
        database.close()


async def test_queries_answer_the_same_on_postgresql(postgresql: str) -> None:
    world, address = World(), new_database(postgresql, "funds_queries")
    await trade(world, address)
    database = Database.open(address)
    await catch_up(world, database)

    sums = await database.read(lambda c: unit_sums(c, FUND))
    (held,) = await database.read(lambda c: holdings_page(c, INVESTOR, "", ("", ""), 10))
    lines = await database.read(lambda c: statement_page(c, INVESTOR, "", ("", ""), 0, 10))

    assert (sums.issued, sums.redeemed, sums.held) == (UNITS, SOLD, UNITS - SOLD)
    assert (held.shares, held.frozen) == (UNITS - SOLD, 0)
    # Whatever they are read by, they stand in the order in which they were booked.
    assert lines[-1].shares_after == UNITS - SOLD
    last = [each async for each in replay(projections.OWN, database, world.store)][-1]
    assert isinstance(last, ReplayProgress)
    assert last.differences == ()
    database.close()
