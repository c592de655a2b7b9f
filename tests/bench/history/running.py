"""The accounts service over the embedded store and the bus, as `hefu up` runs them."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc

from hefu.accounts.v1 import accounts_pb2 as pb
from libs.authority import Identity, establish
from tests.servers import (
    EventStoreServer,
    NatsServer,
    Server,
    children_of,
    free_port,
    identities,
)

if TYPE_CHECKING:
    from hefu.accounts.v1.accounts_pb2_grpc import AccountsServiceAsyncStub

# It pays everyone the first money, and is asked for after each start.
HOUSE: Final = "019aa5c0-0000-7000-8000-000000000001"
_NOT_YET: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Running:
    """Store, bus and `python -m services.accounts` over one folder."""

    def __init__(self, folder: Path) -> None:
        self.run_dir = folder / "run"
        self.data_dir = self.run_dir / "data" / "accounts"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        identities(self.run_dir)
        establish(self.run_dir, [Identity("operator")])
        self.identities = self.run_dir / "identities"
        self.store = EventStoreServer(folder / "store", self.identities / "eventstore")
        self.bus = NatsServer(folder / "bus", self.identities / "nats")
        self.port = free_port()
        self._log = self.run_dir / "accounts.log"
        self._accounts: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    @property
    def pid(self) -> int:
        assert self._accounts is not None
        return self._accounts.pid

    async def start(self) -> tuple[float, float]:
        """All at once, as `hefu up` does; seconds until the store served, and the bus."""
        begun = time.perf_counter()
        self._start_accounts()

        async def started(server: Server) -> float:
            await asyncio.to_thread(server.start)
            return time.perf_counter() - begun

        store_s, bus_s = await asyncio.gather(started(self.store), started(self.bus))
        return store_s, bus_s

    def _start_accounts(self) -> None:
        environment = {
            "HEFU_SERVICE": "accounts",
            "HEFU_RUN_DIR": str(self.run_dir),
            "HEFU_PORT": str(self.port),
            "HEFU_EVENT_STORE": self.store.uri,
            "HEFU_BUS": self.bus.address,
        }
        with self._log.open("ab") as log:
            self._accounts = subprocess.Popen(
                [sys.executable, "-m", "services.accounts"],
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
            )

    def check(self) -> None:
        """Fail with what the service said last, if it has ended."""
        if self._accounts is not None and self._accounts.poll() is not None:
            raise AssertionError(self._log.read_text()[-2_000:])

    def kill(self) -> None:
        """As if the power were gone."""
        if self._accounts is not None:
            self._accounts.kill()
            self._accounts.wait()
            self._accounts = None
        self.store.kill()
        self.bus.kill()

    def told(self, event: str) -> list[dict[str, object]]:
        """Every line of the service's log that says this."""
        name = f'"event":"{event}"'
        return [json.loads(line) for line in self._log.read_text().splitlines() if name in line]

    def resident_mib(self, name: str = "VmRSS") -> float:
        return resident_mib(self.pid, name)

    def beside_mib(self, name: str = "VmRSS") -> float:
        """Memory of what the service has started."""
        return sum(resident_mib(pid, name) for pid in children_of(self.pid))


def resident_mib(pid: int, name: str = "VmRSS") -> float:
    """Memory of a process as the kernel counts it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise AssertionError(f"the kernel says no {name}")


async def serving(accounts: "AccountsServiceAsyncStub", running: Running) -> None:
    """Return once it answers for an account, or says that there is none."""
    request = pb.GetAccountRequest(account_id=HOUSE)
    while True:
        running.check()
        try:
            await accounts.GetAccount(request, timeout=5)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return
            if error.code() not in _NOT_YET:
                raise
            await asyncio.sleep(0.05)
        else:
            return
