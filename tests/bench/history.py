"""`python -m tests.bench.history`: a long history through the real writer, and what it costs.

Accounts and transfers go through the writer, index and snapshots into a real embedded event store,
durability on. Resident memory is taken all along; then the accounts service itself is started over
that history, and the time until it serves is taken. Figures go to `bench/history.json`.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

import grpc
import uvloop

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import accounts_pb2_grpc
from libs.authority import Identity, establish
from libs.clock import system_clock
from libs.grpc_client import open_channel
from libs.kurrent_store import KurrentStore
from libs.read_model import Database
from services.accounts.codec.pages import JOURNAL
from services.accounts.domain.answers import Answer
from services.accounts.domain.callers import caller_of
from services.accounts.domain.commands import Command, Leg, OpenAccount, Transfer
from services.accounts.domain.kinds import Direction, Kind
from services.accounts.id_index import IdIndex
from services.accounts.recovery import KEEP_ENTRIES, recover
from services.accounts.snapshots import Snapshots
from services.accounts.writer import Writer
from tests.servers import EventStoreServer, NatsServer, free_port, identities

RESULTS = Path(__file__).parents[2] / "bench" / "history.json"
OPERATOR, PAYMENTS = caller_of("operator", "operator"), caller_of("payments", "service")
BULK, IN_FLIGHT = 2_000, 4
CURRENCY = "CNY"
FUNDS = 1_000_000
WITH_FACT = 20  # one transfer in so many stands for a business fact
REPEATS = 1_000
SNAPSHOT_EVERY_PAGES = 500
_DEBIT, _CREDIT = int(Direction.DEBIT), int(Direction.CREDIT)
_MIB = 1 << 20
_NOT_YET = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@dataclass
class Moment:
    seconds: float
    accounts: int
    transfers: int
    resident_mib: float
    page: int
    index_page: int
    floor: int


@dataclass
class History:
    """What is reported."""

    machine: str
    accounts: int
    transfers: int
    minutes: float | None = None
    seconds: float = 0
    transfers_per_s: float = 0
    peak_mib: float = 0
    refused: int = 0
    moments: list[Moment] = field(default_factory=list)
    repeats: int = 0
    repeats_with_the_first_answer: int = 0
    repeats_per_s: float = 0
    store_mib: float = 0
    index_mib: float = 0
    restart_serves_s: float = 0
    restart_cpu_s: float = 0
    restart_resident_mib: float = 0
    load_average: float = 0


def resident_mib(pid: int | str = "self", name: str = "VmRSS") -> float:
    """Resident memory of a process as the kernel counts it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise AssertionError(f"the kernel says no {name}")


def cpu_s(pid: int) -> float:
    """What a process has had of the processors."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ids() -> Iterator[str]:
    """UUIDv7 of now, in order."""
    n = 0
    while True:
        ms = f"{time.time_ns() // 1_000_000:012x}"
        for _ in range(1_000):
            n += 1
            tail = f"{n:014x}"
            yield f"{ms[:8]}-{ms[8:]}-7{tail[:3]}-8{tail[3:6]}-{tail[6:]:0>12}"


class Told:
    """Tells every so often where things stand, and keeps it."""

    def __init__(self, history: History, writer: Writer, index: IdIndex) -> None:
        self._history, self._writer, self._index = history, writer, index
        self._begun = time.perf_counter()
        self._due = 0.0
        self.accounts = self.transfers = 0

    async def look(self, *, now: bool = False) -> None:
        seconds = time.perf_counter() - self._begun
        if seconds < self._due and not now:
            return
        self._due = seconds + 5
        floor = await self._writer.read(lambda book: book.floor)
        moment = Moment(
            round(seconds, 1),
            self.accounts,
            self.transfers,
            resident_mib(),
            self._writer.position,
            self._index.position,
            floor,
        )
        self._history.moments.append(moment)
        sys.stdout.write(f"{moment}\n")
        sys.stdout.flush()


@asynccontextmanager
async def writing(uri: str, folder: Path) -> AsyncIterator[tuple[Writer, IdIndex]]:
    """Writer, index and snapshots over a real store, as the service puts them together."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(KurrentStore.open(uri))
        rows = stack.enter_context(closing(Database.open(f"sqlite:///{folder}/ids.sqlite")))
        index = IdIndex(rows, store, JOURNAL)
        recovered = await recover(store, index, keep=KEEP_ENTRIES)
        snapshots = Snapshots(store, recovered, SNAPSHOT_EVERY_PAGES, index)
        writer = Writer(store, recovered, system_clock, snapshots, index)
        tasks = [asyncio.create_task(work.run()) for work in (writer, snapshots, index)]
        yield writer, index
        await index.reached(writer.position)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def in_flight(
    writer: Writer, calls: Iterator[list[Command]], told: Told, *, opening: bool
) -> int:
    """Send the calls, a few at a time; how many items were refused."""
    waiting: deque[asyncio.Task[list[Answer]]] = deque()
    refused = 0
    caller = OPERATOR if opening else PAYMENTS

    async def take() -> int:
        answers = await waiting.popleft()
        if opening:
            told.accounts += len(answers)
        else:
            told.transfers += len(answers)
        await told.look()
        return sum(answer.refusal is not None for answer in answers)

    for call in calls:
        waiting.append(asyncio.create_task(writer.submit(caller, call)))
        # Let it be queued before the next is made.
        await asyncio.sleep(0)
        if len(waiting) >= IN_FLIGHT:
            refused += await take()
    while waiting:
        refused += await take()
    return refused


def openings(account_ids: Sequence[str]) -> Iterator[list[Command]]:
    for at in range(0, len(account_ids), BULK):
        yield [
            OpenAccount(id_, f"customer:{id_[-12:]}", Kind.CUSTOMER_WALLET, CURRENCY, 0, "")
            for id_ in account_ids[at : at + BULK]
        ]


def transfers(
    account_ids: Sequence[str], house: str, count: int, fresh: Iterator[str], kept: list[Transfer]
) -> Iterator[list[Command]]:
    """First everyone is given money, then it goes round; a few are kept, to be asked again."""
    random = Random(20_260_921)  # noqa: S311 - the same history each time
    funded = account_ids[: max(2, min(len(account_ids), count // 10))]
    keep_every = max(1, count // REPEATS)
    for at in range(0, count, BULK):
        call: list[Command] = []
        for n in range(at, min(at + BULK, count)):
            id_ = next(fresh)
            if n < len(funded):
                payer, payee, minor = house, funded[n], FUNDS
            else:
                payer, payee = random.choice(funded), random.choice(funded)
                minor = random.randint(1, 500)
                if payer == payee:
                    payer = house
            legs = (
                Leg(payer, "", _DEBIT, CURRENCY, minor),
                Leg(payee, "", _CREDIT, CURRENCY, minor),
            )
            fact = f"{id_}/credit" if n % WITH_FACT == 0 else ""
            transfer = Transfer(id_, legs, "history", "", fact, "", None)
            if n % keep_every == 0:
                kept.append(transfer)
            call.append(transfer)
        yield call


async def build(history: History, uri: str, folder: Path) -> str:
    """Make the history; an account in it."""
    fresh = ids()
    async with writing(uri, folder) as (writer, index):
        told = Told(history, writer, index)
        account_ids = [next(fresh) for _ in range(history.accounts)]
        house = next(fresh)
        await writer.submit(
            OPERATOR, [OpenAccount(house, "house", Kind.FEE_INCOME, CURRENCY, 0, "")]
        )
        await in_flight(writer, openings(account_ids), told, opening=True)
        await told.look(now=True)
        kept: list[Transfer] = []
        begun = time.perf_counter()
        until = begun + 60 * history.minutes if history.minutes else float("inf")
        made = transfers(account_ids, house, history.transfers, fresh, kept)
        calls = _while(made, lambda: time.perf_counter() < until)
        history.refused = await in_flight(writer, calls, told, opening=False)
        history.seconds = round(time.perf_counter() - begun, 1)
        history.transfers = told.transfers
        history.transfers_per_s = round(history.transfers / history.seconds)
        await told.look(now=True)
        await ask_again(history, writer, kept)
        history.peak_mib = resident_mib(name="VmHWM")
        return house


def _while(calls: Iterator[list[Command]], is_time: Callable[[], bool]) -> Iterator[list[Command]]:
    """A call that would come too late is not made at all."""
    while is_time():
        call = next(calls, None)
        if call is None:
            return
        yield call


async def ask_again(history: History, writer: Writer, kept: Sequence[Transfer]) -> None:
    """Old ids from all over the history: each must have its first answer, and other terms none."""
    begun = time.perf_counter()
    answers = await writer.submit(PAYMENTS, kept)
    history.repeats = len(kept)
    history.repeats_per_s = round(len(kept) / (time.perf_counter() - begun))
    history.repeats_with_the_first_answer = sum(answer.is_replayed for answer in answers)
    changed = [transfer._replace(purpose="other") for transfer in kept]
    others = await writer.submit(PAYMENTS, changed)
    reasons = {answer.refusal.reason for answer in others if answer.refusal}
    if reasons != {"IDEMPOTENCY_KEY_REUSED"} or not all(answer.refusal for answer in others):
        raise AssertionError(f"an old id took other terms: {reasons}")


def accounts_process(
    run_dir: Path, port: int, store: EventStoreServer, bus: NatsServer
) -> subprocess.Popen[bytes]:
    """`python -m services.accounts` over that history."""
    environment = {
        "HEFU_SERVICE": "accounts",
        "HEFU_RUN_DIR": str(run_dir),
        "HEFU_PORT": str(port),
        "HEFU_EVENT_STORE": store.uri,
        "HEFU_BUS": bus.address,
    }
    with (run_dir / "accounts.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "services.accounts"],
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
        )


async def restart(
    history: History, run_dir: Path, store: EventStoreServer, bus: NatsServer, account_id: str
) -> None:
    """From the start of the process until it answers."""
    port, begun = free_port(), time.perf_counter()
    accounts = accounts_process(run_dir, port, store, bus)
    try:
        identity = run_dir / "identities" / "operator"
        async with open_channel(f"localhost:{port}", identity) as channel:
            stub = accounts_pb2_grpc.AccountsServiceStub(channel)
            request = pb.GetAccountRequest(account_id=account_id)
            while True:
                if accounts.poll() is not None:
                    raise AssertionError((run_dir / "accounts.log").read_text()[-2_000:])
                try:
                    await stub.GetAccount(request, timeout=5)
                except grpc.aio.AioRpcError as error:
                    if error.code() not in _NOT_YET:
                        raise
                    await asyncio.sleep(0.05)
                else:
                    break
        history.restart_serves_s = round(time.perf_counter() - begun, 2)
        # Beside others the clock says more than the start takes: so the processor's time too.
        history.restart_cpu_s = cpu_s(accounts.pid)
        history.load_average = os.getloadavg()[1]
        history.restart_resident_mib = resident_mib(accounts.pid)
        sys.stdout.write(f"serves after {history.restart_serves_s} s\n")
    finally:
        accounts.kill()
        await asyncio.to_thread(accounts.wait)


def _mib(path: Path) -> float:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return round(sum(each.stat().st_size for each in files) / _MIB, 1)


async def main(history: History, folder: Path) -> None:
    run_dir = folder / "run"
    run_dir.mkdir(parents=True)
    identities(run_dir)
    establish(run_dir, [Identity("operator")])
    data = run_dir / "data" / "accounts"
    data.mkdir(parents=True)
    keys = run_dir / "identities"
    store = EventStoreServer(folder / "store", keys / "eventstore")
    bus = NatsServer(folder / "bus", keys / "nats")
    store.start()
    bus.start()
    try:
        house = await build(history, store.uri, data)
        history.store_mib, history.index_mib = _mib(folder / "store"), _mib(data)
        await restart(history, run_dir, store, bus, house)
    finally:
        bus.stop()
        store.stop()


def told() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--transfers", type=int, default=200_000)
    parser.add_argument("--minutes", type=float, help="no transfers are begun after these")
    parser.add_argument("--folder", type=Path, help="where the history lies; kept if given")
    asked = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    history = History(machine, asked.accounts, asked.transfers, minutes=asked.minutes)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="hefu-history-"))
    try:
        uvloop.run(main(history, folder))
    finally:
        if asked.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(asdict(history), indent=1) + "\n")
    summary = {key: each for key, each in asdict(history).items() if key != "moments"}
    sys.stdout.write(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    told()
