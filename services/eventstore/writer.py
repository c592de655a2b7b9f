"""The one writer: takes all that is queued, commits it as one group, then answers."""

import asyncio
import os
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from libs.telemetry import get_logger
from services.eventstore import storage
from services.eventstore.group import carry_out
from services.eventstore.head import Head, HeadFile
from services.eventstore.log import Log
from services.eventstore.model import Operation, Outcome, Record, Unserved
from services.eventstore.storage import Connection

GROUP_OPERATIONS_MAX: Final = 512
GROUP_BYTES_MAX: Final = 4 * 1024 * 1024
QUEUE_OPERATIONS_MAX: Final = 8_192
QUEUE_BYTES_MAX: Final = 64 * 1024 * 1024
_CHECKPOINT_PAGES: Final = 1_000
_WAL_ALARM_BYTES: Final = 64 * 1024 * 1024
_HEAD_FLUSH_S: Final = 1.0
_EXIT_DISK: Final = 74

_log = get_logger()


class Overloaded(Exception):
    """The queue is full; nothing was taken."""


class Closing(Exception):
    """The store is stopping; nothing was taken."""


@dataclass(frozen=True, slots=True)
class _Queued:
    operation: Operation
    outcome: asyncio.Future[Outcome]


class Writer:
    """Owns the writing connection; `submit` is called on the event loop, the rest on its thread."""

    def __init__(
        self,
        connection: Connection,
        head_file: HeadFile,
        folder: Path,
        reserve_bytes: int,
        publish: Callable[[Sequence[Record]], None],
    ) -> None:
        self._connection = connection
        self._log = Log(connection)
        self._head_file = head_file
        self._folder = folder
        self._reserve_bytes = reserve_bytes
        self._publish = publish
        self._queue: queue.SimpleQueue[_Queued | None] = queue.SimpleQueue()
        self._queued_operations = 0
        self._queued_bytes = 0
        self._is_closing = False
        self._wal_pages = 0
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="writer")
        storage.count_wal_pages(connection, self._note_wal_pages)

    @property
    def head(self) -> Head:
        """Where the log ends."""
        return self._log.head

    def start(self) -> None:
        """Begin to take operations."""
        self._head_file.write(self._log.head)
        self._thread.start()

    def submit(self, operation: Operation) -> asyncio.Future[Outcome]:
        """Queue an operation; its outcome comes whatever the caller does meanwhile."""
        if self._is_closing:
            raise Closing
        if (
            self._queued_operations >= QUEUE_OPERATIONS_MAX
            or self._queued_bytes + operation.size > QUEUE_BYTES_MAX
        ):
            raise Overloaded
        self._queued_operations += 1
        self._queued_bytes += operation.size
        queued = _Queued(operation, self._loop.create_future())
        self._queue.put(queued)
        return queued.outcome

    async def close(self) -> None:
        """Refuse what comes, finish what is queued, move the log into the database, flush."""
        self._is_closing = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            self._work()
            self._finish()
        except BaseException as error:  # noqa: BLE001 - answered or not, nothing may follow
            # After a failed sync SQLite takes later commits as if nothing had been. So no answer
            # is given and the process ends here; the next start verifies what there is.
            _log.critical("writer_failed", error=type(error).__name__, reason=str(error))
            os._exit(_EXIT_DISK)

    def _work(self) -> None:
        carried: _Queued | None = None
        while True:
            first = carried or self._next()
            if first is None:
                return
            group, carried, is_last = self._gather(first)
            self._commit(group)
            if self._wal_pages >= _CHECKPOINT_PAGES:
                self._checkpoint()
            if is_last:
                return

    def _next(self) -> _Queued | None:
        while True:
            try:
                return self._queue.get(timeout=_HEAD_FLUSH_S)
            except queue.Empty:
                self._head_file.flush()

    def _gather(self, first: _Queued) -> tuple[list[_Queued], _Queued | None, bool]:
        """Take what is queued by now, up to a group's limits; what does not fit is carried over."""
        group, size = [first], first.operation.size
        while len(group) < GROUP_OPERATIONS_MAX:
            try:
                queued = self._queue.get_nowait()
            except queue.Empty:
                break
            if queued is None:
                return group, None, True
            if size + queued.operation.size > GROUP_BYTES_MAX:
                return group, queued, False
            group.append(queued)
            size += queued.operation.size
        return group, None, False

    def _commit(self, group: list[_Queued]) -> None:
        if self._is_below_reserve():
            outcomes: list[Outcome] = [Unserved.DISK_RESERVE] * len(group)
            self._loop.call_soon_threadsafe(self._answer, group, outcomes, ())
            return
        self._connection.execute("BEGIN IMMEDIATE")
        outcomes = [carry_out(queued.operation, self._log) for queued in group]
        records = self._log.seal()
        self._connection.execute("COMMIT")
        if records:
            self._head_file.write(self._log.head)
        self._loop.call_soon_threadsafe(self._answer, group, outcomes, records)

    def _answer(
        self, group: Sequence[_Queued], outcomes: Sequence[Outcome], records: Sequence[Record]
    ) -> None:
        for queued, outcome in zip(group, outcomes, strict=True):
            self._queued_operations -= 1
            self._queued_bytes -= queued.operation.size
            if not queued.outcome.done():
                queued.outcome.set_result(outcome)
        if records:
            # A turn later: whoever wrote waits for the answer, whoever follows only listens.
            self._loop.call_soon(self._publish, records)

    def _is_below_reserve(self) -> bool:
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize < self._reserve_bytes

    def _note_wal_pages(self, pages: int) -> None:
        self._wal_pages = pages

    def _checkpoint(self) -> None:
        size = storage.checkpoint(self._connection) * storage.PAGE_BYTES
        self._wal_pages = 0
        if size > _WAL_ALARM_BYTES:
            _log.error("log_held_by_a_reader", size_bytes=size)

    def _finish(self) -> None:
        storage.empty_log(self._connection)
        self._head_file.close()
        self._connection.close()
