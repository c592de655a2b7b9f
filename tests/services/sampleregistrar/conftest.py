from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.services.sampleregistrar.exchange import Exchange, open_exchange


@pytest.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[Exchange]:
    async with open_exchange(tmp_path) as found:
        yield found
