"""The bank as a process of its own: killed without warning, it forgets nothing it has said."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from hefu.samplebank.v1 import samplebank_pb2 as demo
from libs.grpc_client import open_channel
from libs.ports import free_ports
from tests.services.samplebank.town import (
    ACCOUNT,
    DATE,
    TIMEOUT_S,
    Town,
    Visit,
    item,
    payouts,
    pulls,
)


@asynccontextmanager
async def process(town: Town, port: int, root: Path) -> AsyncIterator[Process]:
    environment = {
        **os.environ,
        "HEFU_SERVICE": "bank-CD",
        "HEFU_RUN_DIR": str(town.run_dir),
        "HEFU_PORT": str(port),
        "HEFU_BANK_ID": "CD",
        "HEFU_MANNERS": "ordinary",
        "HEFU_BANK_ORDINAL": "0",
        "HEFU_ACCOUNT_NUMBER": ACCOUNT,
        "HEFU_CURRENCY": "CZK",
        "HEFU_BANK_LINK": f"localhost:{town.link_port}",
        "HEFU_WALLET_KEY": str(town.identity("settlement") / "signing.pub"),
    }
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.samplebank", env=environment, cwd=root, stdout=PIPE
    )
    try:
        assert started.stdout is not None
        async with asyncio.timeout(TIMEOUT_S * 3):
            while b"bank_opened" not in await started.stdout.readline():
                pass
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


@asynccontextmanager
async def visit(town: Town, port: int) -> AsyncIterator[Visit]:
    address = f"localhost:{port}"
    async with (
        open_channel(address, town.identity("settlement"), mutual=True) as ours,
        open_channel(address, town.identity("operator"), mutual=True) as operators,
    ):
        await asyncio.gather(ours.channel_ready(), operators.channel_ready())
        yield Visit(town, ours, operators)


async def test_a_killed_bank_goes_on_where_it_was(town: Town, root: Path) -> None:
    (port,), order = free_ports(1), payouts("m2", [item(3)])
    async with process(town, port, root) as bank, visit(town, port) as before:
        await before.submit(pulls("m1", [item(1), item(2)]))
        with pytest.raises(grpc.aio.AioRpcError):
            await before.submit(order)
        bank.send_signal(signal.SIGKILL)
        await bank.wait()
    async with process(town, port, root) as bank, visit(town, port) as after:
        again = await after.submit(order)
        books = await after.demo.GetBooks(demo.GetBooksRequest())
        end = await after.demo.EndDay(demo.EndDayRequest(business_date=DATE))
        await town.letterbox.wait_for(1)
        bank.send_signal(signal.SIGTERM)
        assert await bank.wait() == 0

    assert again.transactions[0].status == "ACSC"
    assert (books.executed, books.executed_twice, books.behaviours["LOST_REPLY"]) == (3, 0, 1)
    assert (end.closing_minor, end.lines) == (10_000, 3)
