"""A scripted registrar of funds, for the demo and for testing any registrar link."""

from libs.clock import system_clock
from libs.service import run
from services.sampleregistrar.running import open_registrar
from services.sampleregistrar.settings import Settings


async def main(settings: Settings) -> None:
    """Serve the link and deliver what is due, until told to stop."""
    async with open_registrar(settings, system_clock) as serving:
        await serving.wait_for_termination()


if __name__ == "__main__":
    run(main, Settings)
