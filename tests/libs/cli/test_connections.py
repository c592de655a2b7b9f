"""A command that fails says so in one line."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from libs.cli.connections import told
from libs.cli.terminal import EXIT_FAILED
from libs.client import HefuError
from libs.failure import StartFailed


async def _refused() -> int:
    raise HefuError("BALANCE_TOO_LOW", "no money")


async def _broken() -> int:
    raise ZeroDivisionError


async def _side_by_side() -> int:
    async with asyncio.TaskGroup() as group:
        group.create_task(_refused())
        group.create_task(asyncio.sleep(0))
    return 0


async def _not_started() -> int:
    raise StartFailed("nothing runs here")


@pytest.mark.parametrize(
    ("work", "line"),
    [
        (_refused, "hefu: BALANCE_TOO_LOW: no money"),
        (_side_by_side, "hefu: BALANCE_TOO_LOW: no money"),
        (_not_started, "hefu: nothing runs here"),
    ],
)
def test_a_failure_is_one_line(
    work: Callable[[], Awaitable[int]], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(work) == EXIT_FAILED
    assert capsys.readouterr().out.strip() == line


def test_a_fault_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        told(_broken)
