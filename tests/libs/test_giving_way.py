"""Rows give way to who is busy, and come at once where somebody waits for them."""

import asyncio

from sqlalchemy import BigInteger, Column, MetaData, Table

from libs.memory_store import MemoryStore
from libs.projection import Projection
from libs.read_model import Database, Put, ReadModel
from tests.events import fill

metadata = MetaData()
places = Table("places", metadata, Column("position", BigInteger, primary_key=True))
MODEL = ReadModel(
    "places", 1, "test", ("a-",), metadata, lambda e: [Put(places, {"position": e.position})]
)
# As if each batch of rows had been days of work.
DAYS = 1e9


class Somebody:
    """Who is busy, as long as it is said; `asked` once the rows rest."""

    def __init__(self) -> None:
        self.works = True
        self.asked = asyncio.Event()

    def is_busy(self) -> bool:
        self.asked.set()
        return self.works


async def test_rows_rest_while_others_are_busy_unless_somebody_waits_for_them() -> None:
    store, database, somebody = MemoryStore(), Database.open("sqlite://"), Somebody()
    projection = Projection(MODEL, database, store, is_busy=somebody.is_busy, give_way_times=DAYS)
    first = await fill(store, "a-1", 3)
    running = asyncio.create_task(projection.run())
    try:
        await asyncio.wait_for(somebody.asked.wait(), 10)
        assert projection.position == first

        second = await fill(store, "a-2", 3)
        somebody.asked.clear()
        await asyncio.wait_for(somebody.asked.wait(), 10)
        assert projection.position == first  # it looks up, and rests on

        await projection.wait_for(second)
        assert projection.position == second

        third = await fill(store, "a-3", 3)
        somebody.works = False
        async with asyncio.timeout(10):
            while projection.position < third:  # noqa: ASYNC110 - nobody waits for the rows
                await asyncio.sleep(0)
    finally:
        running.cancel()
        await asyncio.wait([running])
        database.close()
