"""The shelf: what lists stand on is read before they ask, and once."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from libs.read_model import Database
from services.recommendations.shelf import Shelf
from tests.services.recommendations.worlds import TODAY, World

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
