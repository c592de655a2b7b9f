"""How a process runs: it stops when told, and says in one line why it could not start."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from libs.event_store import StoreUnavailable
from libs.failure import StartFailed
from libs.memory_store import MemoryStore
from libs.service import EXIT_CRASHED, EXIT_NOT_STARTED, EXIT_STOPPED, until_ready

BEGIN = """
import asyncio
from libs.failure import StartFailed
from libs.service import run
from libs.settings import ServiceSettings

async def main(settings):
"""
END = "\nrun(main, ServiceSettings)\n"


def _process(tmp_path: Path, body: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "HEFU_SERVICE": "payments",
        "HEFU_PORT": "0",
        "HEFU_RUN_DIR": str(tmp_path),
    }
    return subprocess.Popen(
        [sys.executable, "-c", BEGIN + body + END],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    body = """
    try:
        print("begun", flush=True)
        await asyncio.Event().wait()
    finally:
        print("closed", flush=True)
"""
    with _process(tmp_path, body) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        said, complained = process.communicate(timeout=30)

    assert process.returncode == EXIT_STOPPED
    assert said.splitlines()[0] == "closed"
    assert complained == ""


def test_a_task_that_forgets_its_end_is_told_again(tmp_path: Path) -> None:
    body = """
    async def forgetful():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(forgetful())
        await asyncio.sleep(0)
        print("begun", flush=True)
        await asyncio.Event().wait()
"""
    with _process(tmp_path, body) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)

    assert process.returncode == EXIT_STOPPED
    forgot, stopped = (json.loads(line) for line in said.splitlines())
    assert (forgot["event"], stopped["event"]) == ("task_forgot_its_end", "process_stopped")
    assert "forgetful" in forgot["task"]


def test_what_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    body = """
    async with asyncio.TaskGroup():
        raise StartFailed("port 1 is in use: `hefu down`")
"""
    with _process(tmp_path, body) as process:
        _, complained = process.communicate(timeout=30)

    assert process.returncode == EXIT_NOT_STARTED
    assert complained == "hefu: payments: port 1 is in use: `hefu down`\n"


def test_a_crash_is_logged_and_is_an_exit_code(tmp_path: Path) -> None:
    with _process(tmp_path, "    raise KeyError('x')\n") as process:
        said, _ = process.communicate(timeout=30)

    assert process.returncode == EXIT_CRASHED
    assert '"event":"process_crashed"' in said


class Proving(MemoryStore):
    """A store that serves once it has been asked a few times."""

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.refusals = refusals

    async def head(self) -> int:
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable("Server Is Not Ready")
        return await super().head()


async def test_a_service_waits_while_the_store_proves_its_history() -> None:
    store, reached = Proving(3), 0

    async def reach() -> None:
        nonlocal reached
        reached += 1

    async with asyncio.timeout(10):
        await until_ready(store, reach)

    assert (store.refusals, reached) == (0, 3)


async def test_a_service_does_not_wait_for_a_store_that_is_gone() -> None:
    async def nobody() -> None:
        raise StartFailed("nobody answers")

    with pytest.raises(StartFailed, match="nobody answers"):
        await until_ready(Proving(3), nobody)
