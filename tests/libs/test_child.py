"""A supervised process that answers nothing: idle it is hung, at work it is only slow to start."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from libs.child import Child
from libs.launching import Launch

# Long enough that a crowded machine gives some of it to a process at work.
HUNG_S = 1.0
IDLE = "import time; time.sleep(600)"
# So long at work, more than what an idle one is given.
AT_WORK = (
    f"import time\nend = time.process_time() + {HUNG_S * 2}\nwhile time.process_time() < end: pass"
)


async def _never(_: Launch) -> bool:
    return False


def _child(tmp_path: Path, program: str) -> Child:
    argv = (sys.executable, "-c", program)
    launch = Launch("slow", argv, dict(os.environ), 0, 0, "grpc", 0)
    return Child(launch, tmp_path / "slow.log", _never, lambda: None, hung_s=HUNG_S)


@pytest.mark.parametrize(
    ("program", "ends_with"), [(IDLE, -signal.SIGKILL), (AT_WORK, 0)], ids=["idle", "at work"]
)
async def test_who_is_at_work_is_left_to_start(
    tmp_path: Path, program: str, ends_with: int
) -> None:
    child = _child(tmp_path, program)
    running = asyncio.create_task(child.run())
    async with asyncio.timeout(60):
        while child.state.exit_code is None:  # noqa: ASYNC110 - another process ends it
            await asyncio.sleep(0.01)
    await child.stop()
    await running

    assert child.state.exit_code == ends_with
