"""`python -m tests.bench.history`: a long history through the real service, and what it costs.

Accounts and transfers go in bulk calls to `services.accounts`, which runs over the embedded event
store and the bus as `hefu up` runs it, durability on, its rows written by the process beside it.
Resident memory of both is taken all along. Then the load goes on, and store and service are killed
where a start has most to read: just before the next snapshot would be whole. The time until an
account is answered is taken from the start of all. Figures go to `bench/history.json`.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import uvloop

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1.accounts_pb2_grpc import AccountsServiceStub
from libs.grpc_client import open_channel
from tests.bench.history.load import (
    bulks,
    first_money,
    going_round,
    ids,
    in_flight,
    opening,
    openings,
)
from tests.bench.history.running import HOUSE, Running, resident_mib, serving
from tests.bench.measuring import cpu_s_of
from tests.bench.resting import rows_caught_up

if TYPE_CHECKING:
    from hefu.accounts.v1.accounts_pb2_grpc import AccountsServiceAsyncStub

RESULTS: Final = Path(__file__).parents[3] / "bench" / "history.json"
REPEATS: Final = 1_000
TOLD_EVERY_S: Final = 5.0
# Of the time between two snapshots: there the service is killed.
NEARLY: Final = 0.95
SEED: Final = 20_260_921
_CALL_S: Final = 120.0
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Moment:
    """Where things stood; memory in MiB, of the service and of the process beside it."""

    seconds: float
    accounts: int
    transfers: int
    resident_mib: float
    beside_mib: float


@dataclass(frozen=True, slots=True)
class Restart:
    """From the start of store, bus and service, all at once, until an account is answered.

    `entries_read`: those behind the snapshot. `acknowledged`: transfers answered last before the
    end, asked again; each must have its first answer.
    """

    store_serves_s: float
    bus_serves_s: float
    serves_s: float
    store_cpu_s: float
    accounts_cpu_s: float
    entries_read: int
    acknowledged: int
    with_the_first_answer: int
    resident_mib: float
    load_average: float


@dataclass
class History:
    """What is reported; None: not measured."""

    machine: str
    accounts: int
    transfers: int
    seconds: float = 0
    transfers_per_s: float = 0
    peak_mib: float = 0
    beside_peak_mib: float = 0
    store_peak_mib: float | None = None
    moments: list[Moment] = field(default_factory=list)
    repeats: int = 0
    repeats_with_the_first_answer: int = 0
    repeats_per_s: float = 0
    rows_behind_s: float | None = None
    store_mib: float = 0
    index_mib: float = 0
    rows_mib: float = 0
    restarts: list[Restart] = field(default_factory=list)


class Told:
    """Tells every so often where things stand, and keeps it."""

    def __init__(self, history: History, running: Running) -> None:
        self._history, self._running = history, running
        self._begun = time.perf_counter()
        self._due = 0.0
        self._accounts = self._transfers = 0

    def opened(self, count: int) -> None:
        self._accounts += count
        self.look()

    def moved(self, count: int) -> None:
        self._transfers += count
        self.look()

    def look(self, *, now: bool = False) -> None:
        seconds = time.perf_counter() - self._begun
        if seconds < self._due and not now:
            return
        running = self._running
        running.check()
        self._due = seconds + TOLD_EVERY_S
        resident, beside = running.resident_mib(), running.beside_mib()
        moment = Moment(round(seconds, 1), self._accounts, self._transfers, resident, beside)
        self._history.moments.append(moment)
        sys.stdout.write(f"{moment}\n")
        sys.stdout.flush()


class Callers:
    """Those who call: an operator opens, payments moves money; all of it must be posted."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._stack = AsyncExitStack()
        # What was answered last.
        self.last = pb.PostTransfersRequest()

    async def __aenter__(self) -> Self:
        self._operator, self.payments, self.settlement = [
            AccountsServiceStub(
                await self._stack.enter_async_context(
                    open_channel(self._running.address, self._running.identities / name)
                )
            )
            for name in ("operator", "payments", "settlement")
        ]
        await serving(self._operator, self._running)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def open(self, request: pb.PostCommandsRequest) -> int:
        return _posted(await self._operator.PostCommands(request, timeout=_CALL_S))

    async def transfer(self, request: pb.PostTransfersRequest) -> int:
        posted = _posted(await self.payments.PostTransfers(request, timeout=_CALL_S))
        self.last = request
        return posted


def _posted(answer: pb.PostCommandsResponse | pb.PostTransfersResponse) -> int:
    """How many were; all must be."""
    for result in answer.results:
        if result.HasField("refusal"):
            raise AssertionError(result.refusal)
    return len(answer.results)


async def build(history: History, running: Running, account_ids: Sequence[str]) -> None:
    """Make the history, and ask for some of it again."""
    kept: list[pb.Transfer] = []
    async with Callers(running) as callers:
        told = Told(history, running)
        await callers.open(pb.PostCommandsRequest(commands=[opening(HOUSE)]))
        await in_flight(callers.open, openings(account_ids), told.opened)
        told.look(now=True)
        begun = time.perf_counter()
        funded = _funded(account_ids, history.transfers)
        left = history.transfers - len(funded)
        # Calls in flight may change places: everyone has money before it goes round.
        for transfers in (first_money(funded), islice(going_round(funded, SEED), left)):
            calls = bulks(_keeping(transfers, history, kept))
            await in_flight(callers.transfer, calls, told.moved)
        history.seconds = round(time.perf_counter() - begun, 1)
        history.transfers_per_s = round(history.transfers / history.seconds)
        told.look(now=True)
        begun = time.perf_counter()
        await rows_caught_up(callers.settlement)
        history.rows_behind_s = round(time.perf_counter() - begun, 1)
        await ask_again(history, callers.payments, kept)
        told.look(now=True)
    history.peak_mib = running.resident_mib("VmHWM")
    history.beside_peak_mib = running.beside_mib("VmHWM")
    history.store_peak_mib = resident_mib(running.store.pid, "VmHWM")


def _funded(account_ids: Sequence[str], transfers: int) -> Sequence[str]:
    return account_ids[: max(2, min(len(account_ids), transfers // 10))]


def _keeping(
    transfers: Iterator[pb.Transfer], history: History, kept: list[pb.Transfer]
) -> Iterator[pb.Transfer]:
    """A few are kept, to be asked again."""
    every = max(1, history.transfers // REPEATS)
    for n, transfer in enumerate(transfers):
        if n % every == 0:
            kept.append(transfer)
        yield transfer


async def ask_again(
    history: History, payments: "AccountsServiceAsyncStub", kept: Sequence[pb.Transfer]
) -> None:
    """Old ids from all over the history: each must have its first answer, and other terms none."""
    begun = time.perf_counter()
    request = pb.PostTransfersRequest(transfers=kept)
    answer = await payments.PostTransfers(request, timeout=_CALL_S)
    history.repeats = len(kept)
    history.repeats_per_s = round(len(kept) / (time.perf_counter() - begun))
    history.repeats_with_the_first_answer = sum(result.is_replayed for result in answer.results)
    for transfer in request.transfers:
        transfer.purpose = "other"
    others = await payments.PostTransfers(request, timeout=_CALL_S)
    reasons = {result.refusal.reason for result in others.results}
    if reasons != {"IDEMPOTENCY_KEY_REUSED"}:
        raise AssertionError(f"an old id took other terms: {reasons}")


async def loaded(running: Running, funded: Sequence[str], seed: int) -> pb.PostTransfersRequest:
    """Keep the load on until a start would have most to read, and kill all; the last answered."""
    async with Callers(running) as callers:
        calls = bulks(going_round(funded, seed))
        load = asyncio.create_task(in_flight(callers.transfer, calls, lambda _: running.check()))
        first = await _snapshot(running, load)
        second = await _snapshot(running, load)
        await asyncio.wait([load], timeout=NEARLY * (second - first))
        if load.done():
            load.result()
        running.kill()
        last = callers.last
        load.cancel()
        await asyncio.wait([load])
    return last


async def _snapshot(running: Running, load: asyncio.Task[None]) -> float:
    """When the next one is whole."""
    before = len(running.told("snapshot_taken"))
    while len(running.told("snapshot_taken")) == before:
        await asyncio.wait([load], timeout=0.5)
        if load.done():
            load.result()
    return time.perf_counter()


async def restart(running: Running, last: pb.PostTransfersRequest) -> Restart:
    """From the start of all until the service answers over all that history."""
    begun = time.perf_counter()
    store_serves_s, bus_serves_s = await running.start()
    async with Callers(running) as callers:
        serves_s = time.perf_counter() - begun
        accounts_cpu_s = cpu_s_of(running.pid)
        answer = await callers.payments.PostTransfers(last, timeout=_CALL_S)
        return Restart(
            round(store_serves_s, 2),
            round(bus_serves_s, 2),
            round(serves_s, 2),
            # Beside others the clock says more than the start takes: so the processor's time too.
            cpu_s_of(running.store.pid),
            accounts_cpu_s,
            int(str(running.told("journal_recovered")[-1]["entries"])),
            len(last.transfers),
            sum(result.is_replayed for result in answer.results),
            running.resident_mib(),
            os.getloadavg()[0],
        )


def _mib(*found: Path) -> float:
    files = [path for each in found for path in (each, *each.rglob("*")) if path.is_file()]
    return round(sum(path.stat().st_size for path in files) / _MIB, 1)


def _account_ids(folder: Path, count: int) -> list[str]:
    """As they were made when the history was, or new ones."""
    kept = folder / "account_ids.txt"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        kept.write_text("\n".join(islice(ids(), count)))
    return kept.read_text().split()


async def main(history: History, folder: Path, restarts: int, *, again: bool) -> None:
    running = Running(folder)
    account_ids = _account_ids(folder, history.accounts)
    try:
        await running.start()
        if not again:
            await build(history, running, account_ids)
        for n in range(restarts):
            funded = _funded(account_ids, history.transfers)
            last = await loaded(running, funded, time.time_ns())
            history.restarts.append(await restart(running, last))
            sys.stdout.write(f"{n + 1}: {history.restarts[-1]}\n")
            sys.stdout.flush()
        files = list(running.data_dir.iterdir())
        history.store_mib = _mib(folder / "store")
        history.index_mib = _mib(*(path for path in files if path.name.startswith("ids")))
        history.rows_mib = _mib(*(path for path in files if not path.name.startswith("ids")))
    finally:
        running.kill()


def told() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--transfers", type=int, default=200_000)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the history lies; kept if given")
    parser.add_argument(
        "--again", action="store_true", help="go on with what lies in the folder: restarts alone"
    )
    asked = parser.parse_args()
    if asked.again:
        history = History(**json.loads(RESULTS.read_text()))
        history.restarts = []
    else:
        machine = (
            f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        )
        history = History(machine, asked.accounts, asked.transfers)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="hefu-history-"))
    try:
        uvloop.run(main(history, folder, asked.restarts, again=asked.again))
    finally:
        if asked.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(asdict(history), indent=1) + "\n")
    summary = {key: each for key, each in asdict(history).items() if key != "moments"}
    sys.stdout.write(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    told()
