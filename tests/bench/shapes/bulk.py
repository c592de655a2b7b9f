"""Bulk calls: over many accounts, over ten hot ones, and while windows are sealed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from hefu.accounts.v1 import accounts_pb2 as pb
from libs.ids import new_id
from tests.bench.load import Post, Wallets, request_of
from tests.bench.measuring import Shape

if TYPE_CHECKING:
    from hefu.accounts.v1.accounts_pb2_grpc import AccountsServiceAsyncStub

BULK: Final = 500
IN_FLIGHT: Final = 16
HOT: Final = 10
SEAL_EVERY_S: Final = 2.0
# A bank of the bench alone: its windows are nobody else's business.
_BANK: Final = "BENCH"


class RefusedUnexpectedly(AssertionError):
    """A transfer of the load was refused."""


def shape(key: str, name: str, post: Post, wallets: Wallets) -> Shape:
    """Bulk calls, a fixed number of them in flight."""

    async def bulk() -> int:
        answer = await post(request_of(wallets, BULK))
        for result in answer.results:
            if result.HasField("refusal"):
                raise RefusedUnexpectedly(result.refusal)
        return len(answer.results)

    return Shape(key, name, IN_FLIGHT, bulk)


@asynccontextmanager
async def sealing(accounts: "AccountsServiceAsyncStub") -> AsyncIterator[None]:
    """Seal a window and open the next one, again and again."""
    window_id = str(new_id())
    opening = pb.OpenWindowRequest(window_id=window_id, bank_id=_BANK, currency_code="CZK")
    opened = await accounts.OpenWindow(opening, timeout=10)
    window_id = opened.window.window_id

    async def seal() -> None:
        nonlocal window_id
        while True:
            await asyncio.sleep(SEAL_EVERY_S)
            next_id = str(new_id())
            request = pb.SealWindowRequest(window_id=window_id, next_window_id=next_id)
            await accounts.SealWindow(request, timeout=60)
            window_id = next_id

    task = asyncio.create_task(seal())
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.wait([task])
