"""Reading off the event loop: a few threads, each with its own connection that cannot write."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

from libs.telemetry import get_logger
from services.eventstore import storage
from services.eventstore.pages import Corrupt
from services.eventstore.storage import Connection

_THREADS: Final = 4
_EXIT_DAMAGED: Final = 65

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_log = get_logger()


class Reader:
    """Runs a page function with a connection of the thread it runs on."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="reader")
        self._local = threading.local()
        self._opened: list[Connection] = []

    async def run(
        self,
        page: Callable[Concatenate[Connection, _Arguments], _Result],
        *arguments: _Arguments.args,
        **named: _Arguments.kwargs,
    ) -> _Result:
        """Run it on a thread; damage found in what is stored ends the process."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, lambda: self._guarded(page, *arguments, **named)
        )

    async def close(self) -> None:
        """Wait for the pages being read, then close their connections."""
        await asyncio.to_thread(self._threads.shutdown)
        for connection in self._opened:
            connection.close()

    def _guarded(
        self,
        page: Callable[Concatenate[Connection, _Arguments], _Result],
        *arguments: _Arguments.args,
        **named: _Arguments.kwargs,
    ) -> _Result:
        try:
            return page(self._connection(), *arguments, **named)
        except (Corrupt, *storage.DAMAGE) as error:
            _log.critical("damage_found", error=type(error).__name__, reason=str(error))
            os._exit(_EXIT_DAMAGED)

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = storage.open_reader(self._database)
            self._opened.append(connection)
        return connection
