"""The process that runs a system: starts what the plan names, keeps it running, tells, stops."""

import asyncio
import fcntl
import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from libs.child import Child
from libs.failure import StartFailed, first_line
from libs.launching import Launch, launches
from libs.run_folder import Plan, read_plan, write_whole
from libs.topology import load_topology

if TYPE_CHECKING:
    from libs.health import HealthChecks

STATE_FILE = "supervisor.json"
LOCK_FILE = "supervisor.lock"
_LOCK_S = 2.0
_LOCK_EVERY_S = 0.02


class Supervisor:
    """All processes of one run folder."""

    def __init__(self, run_dir: Path, plan: Plan) -> None:
        self._run_dir = run_dir
        self._plan = plan
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._checks: HealthChecks | None = None
        logs = run_dir / "logs"
        self._children = [
            Child(launch, logs / f"{launch.name}.log", self._ask, self._changed.set)
            for launch in launches(run_dir, load_topology(Path(plan.tilt_file)), plan)
        ]

    def stop(self) -> None:
        """Begin to stop everything."""
        self._stop.set()

    async def run(self) -> None:
        """Run until told to stop; then stop what needs others before what is needed."""
        self._tell("starting")
        telling = asyncio.create_task(self._tell_changes())
        running = [asyncio.create_task(child.run()) for child in self._children]
        await self._stop.wait()
        for stage in sorted({child.launch.stage for child in self._children}, reverse=True):
            ending = [child for child in self._children if child.launch.stage == stage]
            await asyncio.gather(*(child.stop() for child in ending))
        await asyncio.gather(*running)
        telling.cancel()
        if self._checks is not None:
            await self._checks.close()
        (self._run_dir / STATE_FILE).unlink(missing_ok=True)

    async def _ask(self, launch: Launch) -> bool:
        if self._checks is None:
            # Late: by now everything is being started, which does not have to wait for gRPC.
            from libs.health import HealthChecks  # noqa: PLC0415

            self._checks = HealthChecks(self._run_dir / "identities" / "operator")
        return await self._checks.ask(launch)

    async def _tell_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._tell("stopping" if self._stop.is_set() else "running")

    def _tell(self, state: str) -> None:
        plan = self._plan
        told = {
            "pid": os.getpid(),
            "state": state,
            "port_offset": plan.port_offset,
            "addresses": plan.addresses,
            "banks": [asdict(bank) for bank in plan.banks],
            "registrars": [asdict(registrar) for registrar in plan.registrars],
            "processes": [asdict(child.state) for child in self._children],
        }
        write_whole(self._run_dir / STATE_FILE, json.dumps(told))


async def _main(run_dir: Path) -> None:
    plan = read_plan(run_dir)
    if plan is None:
        raise StartFailed(f"{run_dir} has no plan: `hefu up` makes one")
    supervisor = Supervisor(run_dir, plan)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    await supervisor.run()


def main(run_dir: Path) -> int:
    """Supervise the system of a run folder; one supervisor each."""
    with (run_dir / LOCK_FILE).open("w") as lock:
        if not _takes(lock):
            sys.stderr.write(f"hefu: a system runs in {run_dir} already: `hefu down` stops it\n")
            return 69
        try:
            asyncio.run(_main(run_dir))
        except StartFailed as error:
            sys.stderr.write(f"hefu: {first_line(error)}\n")
            return 69
    return 0


def _takes(lock: TextIO) -> bool:
    # Who only looks whether a system runs holds the lock for a moment.
    until_s = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > until_s:
                return False
            time.sleep(_LOCK_EVERY_S)
        else:
            return True


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
