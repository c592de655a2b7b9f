"""`make bench`: the journal and payments on a real system, durability on, beside their peers."""

import argparse
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc
import uvloop
from rich.console import Console

from hefu.accounts.v1.accounts_pb2_grpc import AccountsServiceStub
from libs.cli.connections import connect
from libs.cli.partners import register_partners
from libs.client.accounts import AccountsClient
from libs.grpc_client import open_channel
from libs.ids import new_id
from libs.supervisor import BankSpec, System, start
from tests.bench import advice, echo, funds, postgres, stages
from tests.bench.load import BANK, Wallets, funded, opened, poster
from tests.bench.measuring import (
    PACE,
    Load,
    Measured,
    Processes,
    Shape,
    measure,
    tails_by_turns,
    with_tails,
)
from tests.bench.resting import rows_caught_up
from tests.bench.shapes import bulk, holds, payments, refused, replayed, transfers
from tests.bench.telling import DOCUMENT, RESULTS, Found, print_table, write_document, write_results

ALL = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "advice", "fund", "echo", "pgbench")
SECONDS = 5.0
WALLETS = 200


async def _at_once() -> None:
    """There is nothing to wait for."""


def _nothing_beside() -> AbstractAsyncContextManager[None]:
    return nullcontext()


class Bench:
    """One run: what is wanted, and what was found so far.

    `rested` returns once what the shapes before have left behind is done.
    """

    def __init__(
        self, wanted: frozenset[str], seconds: float, console: Console, *, is_full: bool = False
    ) -> None:
        self.wanted = wanted
        self.seconds = seconds
        self.is_full = is_full
        self.measured: list[Measured] = []
        self.missing: list[str] = []
        self.rested: Callable[[], Awaitable[None]] = _at_once
        self.peer: postgres.Peer | None = None
        self._beside: list[Measured] = []
        self._console = console

    async def take(self, shape: Shape, processes: Processes) -> None:
        """Measure one shape, if it is wanted."""
        if shape.key.partition("-")[0] in self.wanted:
            with self._console.status(shape.name):
                await self.rested()
                self.measured.append(await measure(shape, self.seconds, processes))
            self._tell()

    def keep(self, measured: Measured) -> None:
        self.measured.append(measured)
        self._tell()

    async def compare_tails(self, loads: Sequence[Load]) -> None:
        """Take latencies again, of loads that were measured, by turns."""
        with self._console.status("latencies by turns"):
            tails = await tails_by_turns(loads, self.seconds, self.rested)
        for (shape, _), found in zip(loads, tails, strict=True):
            at = next(n for n, each in enumerate(self.measured) if each.key == shape.key)
            told = self.measured[at] = with_tails(self.measured[at], found)
            line = f"({told.key}) p99 {told.p99_ms:,.1f} ms; {told.note}"
            self._console.print(line, highlight=False, soft_wrap=True)

    async def beside(self) -> None:
        """Measure the peer at this moment, too: the machine is faster at one than at another."""
        if self.peer is None:
            return
        with self._console.status("pgbench"):
            await self.rested()
            self._beside.append(await self.peer.measured(postgres.MANY))
        key = self._beside[0].key
        self.measured = [each for each in self.measured if each.key != key]
        self.keep(postgres.mean_of(self._beside))

    def _tell(self) -> None:
        found = self.measured[-1]
        used = sorted(found.cpu_by_process.items(), key=lambda item: -item[1])
        most = ", ".join(f"{name} {cpu_s:.3f}" for name, cpu_s in used[:3])
        self._console.print(
            f"({found.key}) {found.name}: {found.per_second:,.0f}/s, p99 {found.p99_ms:,.1f} ms; "
            f"CPU s / 1,000: {most or f'{found.server_cpu_s:.3f}'}",
            highlight=False,
            soft_wrap=True,
        )


async def of_system(bench: Bench, system: System, folder: Path) -> None:
    """Every shape on the running system, one after the other."""
    identities = system.run_dir / "identities"
    address = system.addresses["accounts"]
    processes = Processes({each.name: each.pid for each in system.running.processes if each.pid})
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(connect(system.run_dir, system.running))
        to_wallet, to_payments, to_settlement = [
            await stack.enter_async_context(open_channel(address, identities / name))
            for name in ("wallet", "payments", "settlement")
        ]
        await register_partners(link, system)
        bench.rested = partial(rows_caught_up, AccountsServiceStub(to_settlement))
        as_payments = await stack.enter_async_context(_client(to_payments))
        wallets = Wallets(await funded(link, as_payments, WALLETS))
        hot = Wallets(wallets.ids[: bulk.HOT])
        empty = Wallets(await opened(link, WALLETS))
        post = poster(to_wallet)
        for shape in transfers.shapes(link, wallets):
            await bench.take(shape, processes)
        name = f"bulk of {bulk.BULK}, {bulk.IN_FLIGHT} in flight"
        plain = bulk.shape("c", name, post, wallets)
        await bench.take(plain, processes)
        await bench.beside()
        await bench.take(bulk.shape("d", f"{name}, ten hot accounts", post, hot), processes)
        if "e" in bench.wanted:
            rate = next((each.per_second for each in bench.measured if each.key == "c"), 0.0)
            shape = replace(
                plain, key="e", name=f"{name}, a window sealed every 2 s", pace=PACE * rate
            )
            sealing = partial(bulk.sealing, AccountsServiceStub(to_settlement))
            async with sealing():
                await bench.take(shape, processes)
            if rate:
                alone = replace(plain, pace=shape.pace)
                await bench.compare_tails([(alone, _nothing_beside), (shape, sealing)])
        await bench.take(holds.shape(as_payments, wallets), processes)
        await bench.take(refused.shape(post, empty), processes)
        await bench.take(payments.shape(link, wallets), processes)
        await bench.beside()
        await bench.rested()
        bench.rested = _at_once
        if "h" in bench.wanted:
            bench.keep(await replayed.measured(link.store, folder, os.getpid()))


@asynccontextmanager
async def _client(channel: grpc.aio.Channel) -> AsyncIterator[AccountsClient]:
    client = AccountsClient(channel)
    try:
        yield client
    finally:
        await client.close()


async def of_echo(bench: Bench, identity_dir: Path) -> None:
    """The ceiling."""
    async with echo.echoing(identity_dir) as (channel, pid):
        wallets = Wallets([new_id() for _ in range(WALLETS)])
        for shape in echo.shapes(channel, wallets):
            await bench.take(shape, Processes({"echo": pid}))


async def run(bench: Bench, console: Console) -> None:
    """The peer first and between; the system; then parts of it."""
    async with AsyncExitStack() as stack:
        if "pgbench" in bench.wanted:
            try:
                with console.status("pgbench"):
                    peer = postgres.peer(max(bench.seconds, 5.0))
                    bench.peer = await stack.enter_async_context(peer)
                    bench.keep(await bench.peer.measured(postgres.FEW))
                await bench.beside()
            except postgres.Unavailable as error:
                bench.missing.append(f"pgbench: {error}")
        await of_journal(bench)
    await of_funds_and_advice(bench, console)


async def of_journal(bench: Bench) -> None:
    """The system on its own, and the ceiling of what it stands on."""
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        system = await start(
            run_dir, banks=[BankSpec(BANK)], manners="clean", port_offset=None, fresh=True
        )
        try:
            if bench.wanted - {"pgbench", "echo", "advice", "fund"}:
                await of_system(bench, system, Path(folder))
        finally:
            await system.stop()
        if "echo" in bench.wanted:
            await of_echo(bench, run_dir / "identities" / "accounts")


async def of_funds_and_advice(bench: Bench, console: Console) -> None:
    """Last: what they leave in this process's memory would slow the load generator of the rest."""
    if "advice" in bench.wanted:
        with tempfile.TemporaryDirectory() as folder, console.status("advice"):
            for found in await advice.measured(Path(folder)):
                bench.keep(found)
    if "fund" in bench.wanted:
        with tempfile.TemporaryDirectory() as folder, console.status("funds") as status:
            tell = status.update
            async for each in funds.measured(Path(folder), tell, is_full=bench.is_full):
                bench.keep(each)


def main() -> None:
    """Measure, print the table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(ALL), help=f"of {','.join(ALL)}")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each shape, twice")
    parser.add_argument(
        "--full", action="store_true", help="funds: 100,000 confirmations, 1,000,000 holdings"
    )
    arguments = parser.parse_args()
    wanted = frozenset(arguments.only.split(","))
    if not wanted <= frozenset(ALL):
        parser.error(f"there are {', '.join(ALL)}")
    console = Console()
    load_before = os.getloadavg()[0]
    bench = Bench(wanted, arguments.seconds, console, is_full=arguments.full)
    uvloop.run(run(bench, console))
    found = Found(
        sorted(bench.measured, key=_place),
        arguments.seconds,
        bench.missing,
        load_before,
        uvloop.run(stages.measured()),
    )
    print_table(found, console)
    if wanted == frozenset(ALL):
        write_results(found)
        write_document(found)
        console.print(f"written to {RESULTS.parent.name}/{RESULTS.name} and docs/{DOCUMENT.name}")


def _place(measured: Measured) -> int:
    return ALL.index(measured.key.partition("-")[0])


if __name__ == "__main__":
    main()
