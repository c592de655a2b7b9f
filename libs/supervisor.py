"""A system on this machine: started in the background from `tilt.yaml`, found again, stopped."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from libs.child import ProcessState
from libs.failure import StartFailed
from libs.grpc_settings import grpc_settings
from libs.launching import launches, working_folder
from libs.planning import BankSpec, RegistrarSpec, make_plan
from libs.ports import is_free
from libs.run_folder import (
    Bank,
    Plan,
    Registrar,
    check_version,
    empty,
    event_store_uri,
    prepare,
    read_plan,
)
from libs.supervisor_process import LOCK_FILE, STATE_FILE
from libs.topology import TILT_FILE, load_topology

__all__ = [
    "Bank",
    "BankSpec",
    "ProcessState",
    "Registrar",
    "RegistrarSpec",
    "Running",
    "System",
    "event_store_uri",
    "running",
    "running_or_none",
    "start",
    "stop_what_runs",
]

START_S = 120.0
STOP_S = 60.0
PORTS_S = 5.0
# A process that ended this often before it served even once will not serve.
RESTARTS_BEFORE_UP_MAX = 4
_LOOK_EVERY_S = 0.05
_STAY_LOOK_EVERY_S = 1.0
_LOG_TAIL_BYTES = 4_096
_HOW_TO_MOVE = "`hefu down` stops what is ours; `make up PORT_OFFSET=1000` chooses other ports"

# Processes that serve, all of them, and the one that just began to.
Progress: TypeAlias = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Running:
    """A system as its supervisor told last."""

    pid: int
    state: str
    port_offset: int
    addresses: Mapping[str, str]
    banks: tuple[Bank, ...]
    processes: tuple[ProcessState, ...]
    registrars: tuple[Registrar, ...] = ()

    def process(self, name: str) -> ProcessState:
        """One of its processes. Raises `KeyError`."""
        return {process.name: process for process in self.processes}[name]

    @property
    def is_up(self) -> bool:
        """Whether every process serves."""
        return all(process.state == "up" for process in self.processes)


def running_or_none(run_dir: Path) -> Running | None:
    """The system that runs in a folder, if one does."""
    if not _is_held(run_dir / LOCK_FILE):
        return None
    try:
        told = json.loads((run_dir / STATE_FILE).read_text())
    except (OSError, ValueError):
        return None
    return Running(
        told["pid"],
        told["state"],
        told["port_offset"],
        told["addresses"],
        tuple(Bank(**bank) for bank in told["banks"]),
        tuple(ProcessState(**process) for process in told["processes"]),
        tuple(Registrar(**registrar) for registrar in told.get("registrars", ())),
    )


def running(run_dir: Path) -> Running:
    """The system that runs in a folder. Raises `StartFailed` where none does."""
    found = running_or_none(run_dir)
    if found is None:
        raise StartFailed(f"nothing runs in {run_dir}: `make up` starts it")
    return found


async def stop_what_runs(run_dir: Path) -> bool:
    """Stop the system of a folder. Answers whether there was one. Raises `StartFailed`."""
    if running_or_none(run_dir) is None:
        return False
    await System(run_dir, is_attached=True).stop()
    return True


@dataclass(slots=True)
class System:
    """A running system in our hands. `is_attached`: it ran before we came."""

    run_dir: Path
    is_attached: bool
    supervisor: "subprocess.Popen[bytes] | None" = None

    @property
    def running(self) -> Running:
        """How it is now. Raises `StartFailed` where it has gone."""
        return running(self.run_dir)

    @property
    def addresses(self) -> Mapping[str, str]:
        """host:port of each process."""
        return self.running.addresses

    @property
    def banks(self) -> tuple[Bank, ...]:
        """The sample banks."""
        return self.running.banks

    async def stop(self) -> None:
        """Stop everything, what needs others first. Raises `StartFailed` where it does not end."""
        found = running_or_none(self.run_dir)
        if found is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGTERM)
        if self.supervisor is not None:
            if found is None and self.supervisor.poll() is None:
                self.supervisor.terminate()
            try:
                await asyncio.to_thread(self.supervisor.wait, STOP_S)
            except subprocess.TimeoutExpired:
                # Its children go with it.
                self.supervisor.kill()
                await asyncio.to_thread(self.supervisor.wait)
        await _until(lambda: not _is_held(self.run_dir / LOCK_FILE), STOP_S, "it does not stop")

    async def restart(self, name: str) -> None:
        """End one process in an orderly way and wait until it serves again."""
        await self._end(name, signal.SIGTERM)

    async def kill(self, name: str) -> None:
        """End one process as a crash would; the supervisor starts it again. Does not wait."""
        os.kill(self.running.process(name).pid, signal.SIGKILL)

    async def wait_until_up(self, names: Iterable[str] = (), timeout_s: float = START_S) -> None:
        """Wait until these processes serve, or all. Raises `StartFailed`."""
        wanted = set(names)

        def is_up() -> bool:
            found = running_or_none(self.run_dir)
            return found is not None and all(
                p.state == "up" for p in found.processes if not wanted or p.name in wanted
            )

        await _until(is_up, timeout_s, "not everything serves")

    async def wait_until_stopped(self) -> None:
        """Wait until it is stopped by whomever."""
        while _is_held(self.run_dir / LOCK_FILE):  # noqa: ASYNC110 - another process ends it
            await asyncio.sleep(_STAY_LOOK_EVERY_S)

    async def _end(self, name: str, number: signal.Signals) -> None:
        before = self.running.process(name)
        os.kill(before.pid, number)

        def is_another() -> bool:
            now = self.running.process(name)
            return now.pid != before.pid and now.state == "up"

        await _until(is_another, START_S, f"{name} does not come back")


async def start(  # noqa: PLR0913 - each is a choice of who starts it
    run_dir: Path,
    *,
    banks: Sequence[BankSpec],
    manners: str = "ordinary",
    port_offset: int | None = 0,
    fresh: bool = False,
    seed: str = "hefu",
    progress: Progress | None = None,
    tilt_file: Path = TILT_FILE,
    registrars: Sequence[RegistrarSpec] = (),
) -> System:
    """Start the system, or join the one that runs with these banks and manners, until it serves.

    Where others are asked for, it is started again with those of both, on the same data;
    `fresh` forgets all data first. `port_offset` None: free ports. Raises `StartFailed`: one line
    with a way out.
    """
    run_dir = run_dir.absolute()  # noqa: ASYNC240 - at the start, before there is other work
    topology = load_topology(tilt_file)
    found = running_or_none(run_dir)
    if found is not None:
        attached = System(run_dir, is_attached=True)
        if not fresh and _is_asked_for(found, banks, manners, port_offset, registrars):
            await _watch_start(attached, progress)
            return attached
        await attached.stop()
    if fresh:
        empty(run_dir)
    check_version(run_dir)
    known = read_plan(run_dir)
    plan = make_plan(
        topology,
        known.banks if known is not None else (),
        banks,
        manners,
        port_offset,
        seed,
        known_registrars=known.registrars if known is not None else (),
        registrars=registrars,
    )
    await _await_ports(plan)
    prepare(run_dir, topology, plan)
    launches(run_dir, topology, plan)  # a missing binary is told here, not in a log
    return await _launch(run_dir, progress)


async def _launch(run_dir: Path, progress: Progress | None) -> System:
    with (run_dir / "logs" / "supervisor.log").open("ab") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            [sys.executable, "-m", "libs.supervisor_process", str(run_dir)],
            cwd=working_folder(),
            env={**os.environ, **grpc_settings()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    system = System(run_dir, is_attached=False, supervisor=process)
    try:
        await _watch_start(system, progress)
    except BaseException:
        await asyncio.shield(system.stop())
        raise
    return system


async def _watch_start(system: System, progress: Progress | None) -> None:
    seen: set[str] = set()
    # A system that runs already may have lost processes before: only what happens now counts.
    restarts_before: dict[str, int] = {}

    def is_up() -> bool:
        if system.supervisor is not None and system.supervisor.poll() is not None:
            raise StartFailed(_last_line(system.run_dir / "logs" / "supervisor.log"))
        found = running_or_none(system.run_dir)
        if found is None:
            return False
        for process in found.processes:
            before = restarts_before.setdefault(
                process.name, process.restarts if system.is_attached else 0
            )
            is_lost = process.restarts - before >= RESTARTS_BEFORE_UP_MAX
            if process.state == "failed" or (is_lost and process.name not in seen):
                raise StartFailed(_why_not(process))
            if process.state == "up" and process.name not in seen:
                seen.add(process.name)
                if progress is not None:
                    progress(len(seen), len(found.processes), process.name)
        return found.is_up

    await _until(is_up, START_S, f"not everything serves; see {system.run_dir / 'logs'}")


def _why_not(process: ProcessState) -> str:
    line = _last_line(Path(process.log))
    return f"{process.name} does not start: {line} (see {process.log})"


def _is_asked_for(
    found: Running,
    banks: Sequence[BankSpec],
    manners: str,
    port_offset: int | None,
    registrars: Sequence[RegistrarSpec],
) -> bool:
    here = {registrar.registrar_id for registrar in found.registrars}
    if not {registrar.registrar_id for registrar in registrars} <= here:
        return False
    known = {(bank.bank_id, bank.currency, bank.manners) for bank in found.banks}
    wanted = {(bank.bank_id, bank.currency, manners) for bank in banks}
    return wanted <= known and port_offset in (None, found.port_offset)


async def _await_ports(plan: Plan) -> None:
    # What was stopped a moment ago may still be leaving its ports.
    until_s = time.monotonic() + PORTS_S
    for name, port in [*plan.ports.items(), *plan.metrics_ports.items()]:
        while not is_free(port):
            if time.monotonic() > until_s:
                raise StartFailed(f"port {port} ({name}) is in use: {_HOW_TO_MOVE}")
            await asyncio.sleep(_LOOK_EVERY_S)


async def _until(is_so: Callable[[], bool], timeout_s: float, complaint: str) -> None:
    until_s = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > until_s:
            raise StartFailed(f"{complaint} ({timeout_s:.0f} s)")
        await asyncio.sleep(_LOOK_EVERY_S)


def _is_held(lock_file: Path) -> bool:
    try:
        with lock_file.open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _last_line(log_file: Path) -> str:
    try:
        with log_file.open("rb") as opened:
            opened.seek(max(0, log_file.stat().st_size - _LOG_TAIL_BYTES))
            lines = opened.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return "no log"
    told = [line for line in lines if line.startswith("hefu: ")] or [x for x in lines if x.strip()]
    return told[-1].removeprefix("hefu: ")[:500] if told else "no word"
