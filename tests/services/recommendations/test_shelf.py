"""The shelf: what lists stand on is read before they ask, and once."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from libs.read_model import Database
from services.recommendations.domain.ranking import CrowdRanker
from services.recommendations.shelf import Shelf
from tests.services.recommendations.worlds import TODAY, World, weekdays

T = TypeVar("T")
SHOWN = ["000002", "000004"]


class Counted(Database):
    """Counts what is read."""

    reads: int = 0

    async def read(self, work: Callable[[Connection], T]) -> T:
        self.reads += 1
        return await super().read(work)


async def test_funds_that_were_shown_are_read_again_when_prices_come_before_anybody_asks(
    tmp_path: Path,
) -> None:
    address = f"sqlite:///{tmp_path}/rows.sqlite"
    world, rows, counted = World(), Database.open(address), Counted.open(address)
    assert isinstance(counted, Counted)
    await world.catalogue(days=30)
    async with world.service(rows) as parts:
        own, heard, _ = parts.projections
        shelf = Shelf(counted, heard, own, lambda: world.now_us)
        await shelf.refresh()
        before = await shelf.features_of(SHOWN, shelf.catalogue)

        price = {"nav": {"nav_date": TODAY.isoformat(), "nav": "20000"}}
        await world.told.again("000002", "FundNavPublished", price)
        await world.heard(parts)
        await shelf.refresh()
        await shelf.read_ahead()
        reads = counted.reads
        await shelf.read_ahead()
        after = await shelf.features_of(SHOWN, shelf.catalogue)
        read = counted.reads
    counted.close()

    assert read == reads, "it was there already"
    assert after["000002"] != before["000002"]
    assert after["000004"] == before["000004"]


async def test_an_order_of_all_funds_is_kept_where_prices_alone_moved() -> None:
    world = World()
    await world.catalogue(days=5)
    ladder = -1
    async with world.service() as parts:
        orders = []
        price = {"nav": {"nav_date": weekdays(1, TODAY)[0], "nav": "20000"}}
        shut = {"status": "FUND_STATUS_CLOSED"}
        for name, body in (("FundNavPublished", price), ("FundStatusChanged", shut)):
            house = parts.shelf.rankers["house@1"]
            assert isinstance(house, CrowdRanker)
            orders.append(house.orders[ladder])
            await world.told.again("000002", name, body)
            await world.heard(parts)
        after = parts.shelf.rankers["house@1"]
        nav = parts.shelf.catalogue.funds[1].nav

    assert isinstance(after, CrowdRanker)
    assert nav == 20_000
    assert orders[1] is orders[0]
    assert after.orders[ladder] is not orders[1]
    assert after.orders[ladder] == orders[1], "what is closed keeps its place; it is not eligible"
