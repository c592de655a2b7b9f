"""Start the event store, serve until told to stop, leave the files whole."""

import asyncio

from libs.service import run
from services.eventstore.running import running
from services.eventstore.settings import Settings


async def main(settings: Settings) -> None:
    """Serve until cancelled, which is what SIGTERM does."""
    async with running(settings):
        await asyncio.Event().wait()


if __name__ == "__main__":
    run(main, Settings)
