"""One supervised process: started, asked for its health, started again, and stopped when told."""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from libs.launching import Launch, working_folder
from libs.process_log import log_line

BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 5.0
# Up for this long, a process is not in a loop of crashes.
STEADY_S = 10.0
STOP_S = 10.0
# A process that answers nothing for this long is ended, and so started again; while it starts,
# one that has done nothing for this long either: a long journal is read before it is served.
HUNG_S = 30.0
_ASK_STARTING_EVERY_S = 0.1
_ASK_UP_EVERY_S = 1.0
LOG_BYTES_MAX = 20_000_000
# Wrong settings, damaged files: starting again helps nobody (sysexits.h: EX_DATAERR, EX_CONFIG).
_HOPELESS = frozenset({65, 78})
# A supervisor that was killed leaves nothing behind. KILL, since an orderly end may hang on the log
# that nobody reads; what was acknowledged survives it. (Not by a hook between fork and exec:
# gRPC's threads do not survive a fork.)
_SETPRIV = shutil.which("setpriv")
_TETHER = (_SETPRIV, "--pdeathsig", "KILL") if _SETPRIV is not None else ()

State: TypeAlias = Literal["starting", "up", "unhealthy", "waiting", "failed", "stopped"]


@dataclass(slots=True)
class ProcessState:
    """What is known of a process; this is what `supervisor.json` holds."""

    name: str
    port: int
    metrics_port: int
    log: str
    pid: int = 0
    state: State = "starting"
    restarts: int = 0
    exit_code: int | None = None
    # Unix seconds of the last start.
    started_s: float = 0.0


class Child:
    """A process and who watches over it. `ask`: is it healthy; `tell`: something changed."""

    def __init__(
        self,
        launch: Launch,
        log_file: Path,
        ask: Callable[[Launch], Awaitable[bool]],
        tell: Callable[[], None],
        *,
        hung_s: float = HUNG_S,
    ) -> None:
        self.launch = launch
        self._hung_s = hung_s
        self.state = ProcessState(launch.name, launch.port, launch.metrics_port, str(log_file))
        self._log_file = log_file
        self._ask = ask
        self._tell = tell
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Keep it running until it is stopped, or has failed for good."""
        backoff_s = BACKOFF_FIRST_S
        while not self._stopping.is_set():
            began_s = time.monotonic()
            code = await self._live()
            self.state.exit_code = code
            if self._stopping.is_set():
                break
            if code in _HOPELESS:
                log_line("process_failed", process=self.launch.name, exit_code=code)
                self._become("failed")
                return
            if time.monotonic() - began_s > STEADY_S:
                backoff_s = BACKOFF_FIRST_S
            self.state.restarts += 1
            log_line("process_ended", process=self.launch.name, exit_code=code)
            self._become("waiting")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff_s)
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)
        self._become("stopped")

    async def stop(self) -> None:
        """TERM, and KILL for one that does not listen. Never starts it again."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        _signal(process, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            log_line("process_killed", process=self.launch.name, waited_s=STOP_S)
            _signal(process, signal.SIGKILL)
            await process.wait()

    async def _live(self) -> int:
        with _opened(self._log_file) as output:
            process = await asyncio.create_subprocess_exec(
                *_TETHER,
                *self.launch.argv,
                env=self.launch.environment,
                cwd=working_folder(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._process = process
        self.state.pid = process.pid
        self.state.started_s = time.time()
        self._become("starting")
        if self._stopping.is_set():  # told while it was being started
            _signal(process, signal.SIGTERM)
        asking = asyncio.create_task(self._watch(process))
        try:
            return await process.wait()
        finally:
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        alive_s, worked = time.monotonic(), 0
        had_folder = False
        while True:
            if await self._ask(self.launch):
                alive_s = time.monotonic()
                self._become("up")
            elif self.state.state == "up":
                self._become("unhealthy")
            if self.state.state == "starting" and (ticks := _ticks(process.pid)) > worked:
                alive_s, worked = time.monotonic(), ticks
            folder = self.launch.needs_folder
            has_folder = folder is None or folder.is_dir()
            if had_folder and not has_folder:
                log_line("process_lost_its_folder", process=self.launch.name)
                _signal(process, signal.SIGKILL)
            had_folder = has_folder
            if time.monotonic() - alive_s > self._hung_s:
                log_line("process_hung", process=self.launch.name, waited_s=self._hung_s)
                _signal(process, signal.SIGKILL)
            is_up = self.state.state == "up"
            await asyncio.sleep(_ASK_UP_EVERY_S if is_up else _ASK_STARTING_EVERY_S)

    def _become(self, state: State) -> None:
        if self.state.state != state or state == "starting":
            self.state.state = state
            self._tell()


def _ticks(pid: int) -> int:
    """How much of the processors it has had; 0 where the system does not tell."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # After the name, which may hold anything: the 12th and 13th field.
    fields = told.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _opened(log_file: Path) -> "contextlib.AbstractContextManager[int]":
    if log_file.exists() and log_file.stat().st_size > LOG_BYTES_MAX:
        log_file.replace(log_file.with_suffix(".log.1"))
    descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return _Closing(descriptor)


class _Closing(contextlib.AbstractContextManager[int]):
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
