"""Work on databases in a process of its own: there it takes Python's lock, and not here.

All threads of a process share one such lock. Where one of them decides everything, rows that are
made beside it stand in its way although another core is idle. So they are made by a process that
lives as long as its owner: the two talk over a pair of sockets, and it ends when those close.
"""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection as Pipe
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from sqlalchemy import Connection

from libs import telemetry
from libs.read_model import EXIT_BROKEN, DatabaseUnavailable

P = ParamSpec("P")
T = TypeVar("T")

END_S = 5.0

log = telemetry.get_logger()


class ApartFailed(Exception):
    """What the work raised, in words; the log has it whole."""


class Answer(NamedTuple):
    """What the process tells of a work."""

    result: Any
    # Why there is no result; `is_unavailable`: the database did not answer.
    failure: str = ""
    is_unavailable: bool = False


class _Started(NamedTuple):
    process: subprocess.Popen[bytes]
    pipes: Sequence[Pipe]


class Apart:
    """The process beside ours, with a lane for each database. It is started again if it dies."""

    def __init__(self, service: str, urls: Sequence[str], log_level: str = "INFO") -> None:
        self._service = service
        self._urls = tuple(urls)
        self._log_level = log_level
        self._guard = threading.Lock()
        self._started: _Started | None = None
        self._is_closed = False

    def of(self, lane: int, work: Callable[Concatenate[Connection, P], T]) -> Callable[P, T]:
        """The work, to be called on a thread: done there in one transaction on the lane's database.

        It is a function of a module, found there by its name. Raises `DatabaseUnavailable` where
        the database, or the process itself, did not answer: then the work may be done or not.
        Raises `ApartFailed` where the work raised. A lane does one work at a time.
        """

        def done(*args: P.args, **_none: P.kwargs) -> T:
            found: T = self._do(lane, work, args)
            return found

        return done

    def start(self) -> None:
        """Start the process now: else the first who needs it waits for it."""
        self._running()

    def close(self) -> None:
        """End it at once: what it was at is undone, as by any crash, and done at the next start."""
        with self._guard:
            started, self._started = self._started, None
            self._is_closed = True
        if started is not None:
            started.process.kill()
            _end(started)

    def _do(self, lane: int, work: object, args: tuple[object, ...]) -> Any:  # noqa: ANN401 - typed by `of`
        started = self._running()
        try:
            pipe = started.pipes[lane]
            pipe.send((work, args))
            answer: Answer = pipe.recv()
        except (EOFError, OSError) as error:
            self._lost(started)
            raise DatabaseUnavailable(f"the process of {self._service} ended") from error
        if answer.is_unavailable:
            raise DatabaseUnavailable(answer.failure)
        if answer.failure:
            raise ApartFailed(answer.failure)
        return answer.result

    def _running(self) -> _Started:
        with self._guard:
            if self._is_closed:
                raise DatabaseUnavailable(f"the process of {self._service} is closed")
            if self._started is None:
                self._started = self._start()
            return self._started

    def _start(self) -> _Started:
        pairs = [socket.socketpair() for _ in self._urls]
        theirs = [other.fileno() for _, other in pairs]
        argv = [sys.executable, "-m", "libs.apart_process", self._service, self._log_level]
        process = subprocess.Popen(
            [*argv, *map(str, theirs)], pass_fds=theirs, stdin=subprocess.DEVNULL
        )
        for _, other in pairs:
            other.close()
        pipes = [Pipe(own.detach()) for own, _ in pairs]
        for pipe, url in zip(pipes, self._urls, strict=True):
            pipe.send(url)
        return _Started(process, pipes)

    def _lost(self, started: _Started) -> None:
        with self._guard:
            if self._started is not started:  # another lane has seen it first, or we are closed
                return
            self._started = None
        code = _end(started)
        log.error("process_apart_ended", process=self._service, exit_code=code)
        if code == EXIT_BROKEN:
            os._exit(EXIT_BROKEN)


def _end(started: _Started) -> int:
    """Let it go, and answer how it ended."""
    for pipe in started.pipes:
        pipe.close()
    try:
        return started.process.wait(END_S)
    except subprocess.TimeoutExpired:
        started.process.kill()
        return started.process.wait()
