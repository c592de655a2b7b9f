"""A question to the event store that has no effect: asked a few times, each time for so long."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from libs.event_store import StoreUnavailable

T = TypeVar("T")

RETRY_FIRST_S = 0.05
RETRY_MAX_S = 1.0


async def asked(ask: Callable[[], Awaitable[T]], attempts_max: int, timeout_s: float) -> T:
    """The answer. Raises `StoreUnavailable` with what the last try ended in.

    The time is ours to keep: a client's own deadline is one of the call on the wire, and a client
    that changes its connection meanwhile may never look at that call again (seen: its reader was
    cancelled before it had begun, and the answer was awaited for ever).
    """
    for failures in range(1, attempts_max + 1):
        try:
            async with asyncio.timeout(timeout_s):
                return await ask()
        except asyncio.CancelledError as error:
            reason = unless_ours(error)
        except TimeoutError:
            reason = f"no answer within {timeout_s:.0f} s"
        except Exception as error:  # noqa: BLE001 - judged by the next try
            reason = f"{type(error).__name__}: {error}"
        if failures < attempts_max:
            await pause(failures)
    raise StoreUnavailable(reason)


async def pause(failures: int) -> None:
    """Wait longer after each failure, up to about `RETRY_MAX_S`."""
    wait_s = min(RETRY_FIRST_S * 2 ** min(failures, 10), RETRY_MAX_S)
    await asyncio.sleep(wait_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter


def unless_ours(error: asyncio.CancelledError) -> str:
    """The reason for going on, where it was the client that cancelled, and not our caller."""
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise error
    return "the client cancelled the call"
