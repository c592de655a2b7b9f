"""Many answers that are waited for together."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def all_done(answers: Iterable[asyncio.Future[T]]) -> None:
    """Return once all are done, whatever came of each. Cancelled, the one at hand is, too.

    Answers that come together are found done behind the first: that costs nothing, while
    `asyncio.wait` takes a callback and a turn of the loop for each.
    """
    for answer in answers:
        if not answer.done():
            with suppress(Exception):
                await answer
