"""A scripted bank core, for the demo and for testing any bank link."""

from libs.clock import system_clock
from libs.service import run
from services.samplebank.running import open_bank
from services.samplebank.settings import Settings


async def main(settings: Settings) -> None:
    """Serve the link and deliver what is due, until told to stop."""
    async with open_bank(settings, system_clock) as serving:
        await serving.wait_for_termination()


if __name__ == "__main__":
    run(main, Settings)
