"""A cancellation that was swallowed on the way is not forgotten."""

import asyncio
from collections.abc import Collection
from typing import Any

CANCEL_AGAIN_S = 0.5


def heed_cancellation() -> None:
    """Raise `CancelledError` where this task was told to end.

    `asyncio.wait_for` of Python 3.11 returns the result, and drops the cancellation, where both
    come at once; libraries we call use it. A loop that is to end when told asks here on each round.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def end(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Cancel the tasks until they have ended: again, where a cancellation was swallowed."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
