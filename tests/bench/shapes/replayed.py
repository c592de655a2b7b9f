"""(h): the whole journal into an empty read model."""

import asyncio
import time
from pathlib import Path

from libs.event_store import EventStore
from libs.projection import Projection
from libs.read_model import Database
from services.accounts.codec.pages import JOURNAL, page_message
from services.accounts.projections import ACCOUNTS_ENTRIES
from tests.bench.measuring import Measured, cpu_s_of

PATIENCE_S = 600.0


async def measured(store: EventStore, folder: Path, own_pid: int) -> Measured:
    """From the first page to the present end; an item is an entry. Rows are written here."""
    entries = 0
    position = 0
    async for stored in store.read(JOURNAL):
        entries += len(page_message(stored.data).entries)
        position = stored.position
    database = Database.open(f"sqlite:///{folder / 'replayed.db'}")
    projection = Projection(ACCOUNTS_ENTRIES, database, store)
    begun, cpu_s = time.perf_counter(), cpu_s_of(own_pid)
    running = asyncio.create_task(projection.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while projection.position < position and not running.done():  # noqa: ASYNC110 - as a looker-on
                await asyncio.sleep(0.05)
        if running.done():
            running.result()
    finally:
        running.cancel()
        await asyncio.wait([running])
        database.close()
    lasted = time.perf_counter() - begun
    return Measured(
        "h",
        "replay of the whole journal into an empty read model",
        entries / lasted,
        server_cpu_s=(cpu_s_of(own_pid) - cpu_s) / entries * 1_000,
        items=entries,
        note="items are entries; CPU is that of the replay alone",
    )
