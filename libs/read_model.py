"""Read models in SQL: one schema for SQLite and PostgreSQL, one writer thread, many readers."""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog
from pysqlite3 import dbapi2 as pysqlite
from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.pool import QueuePool, StaticPool

from libs.event_store import StoredEvent
from libs.failure import StartFailed
from libs.transient import Unavailable
from libs.writes import Added, Erase, Patch, PatchRows, Put, PutRows, Write, apply

__all__ = [
    "Added",
    "Database",
    "DatabaseRefused",
    "DatabaseUnavailable",
    "Erase",
    "Patch",
    "PatchRows",
    "Put",
    "PutRows",
    "ReadModel",
    "Write",
    "apply",
]

T = TypeVar("T")

READERS_MAX = 8
BUSY_TIMEOUT_MS = 10_000
# Earlier versions may corrupt a write-ahead log when two connections write or checkpoint at once.
SQLITE_LEAST = (3, 51, 3)
EXIT_BROKEN = 74  # sysexits.h, EX_IOERR
_OUTSIDE = "hefu_outside_transaction"
# IOERR, CORRUPT, FULL, NOTADB: after these SQLite may accept commits that do not last.
_BROKEN = frozenset({10, 11, 13, 26})

logger = structlog.get_logger()


class DatabaseRefused(StartFailed):
    """The database would not keep its promises: too old, or set up so that results would differ."""


class DatabaseUnavailable(Unavailable):
    """The database does not answer, or is held by another; the transaction left nothing."""


def _always(_: bytes) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class ReadModel:
    """Tables made from one service's events. Disposable: another `version` means it is made anew.

    `project` is pure; it may read nothing but its event.
    """

    name: str
    version: int
    source: str
    prefixes: tuple[str, ...]
    metadata: MetaData
    project: Callable[[StoredEvent], Iterable[Write]]
    # The one type of event it takes, where it takes but one: then the bus brings no other.
    only: str = ""
    # Whether an event has rows at all, by its bytes: quickly told, it saves reading and a commit.
    concerns: Callable[[bytes], bool] = _always


def refuse_old_sqlite(version: Sequence[int]) -> None:
    """Raise `DatabaseRefused` for a version whose write-ahead log is not safe."""
    if tuple(version) < SQLITE_LEAST:
        found, least = (".".join(map(str, each)) for each in (version, SQLITE_LEAST))
        raise DatabaseRefused(f"SQLite {found} may corrupt its log; {least} or newer is needed")


def _leave() -> None:
    os._exit(EXIT_BROKEN)


class Database:
    """One database. Writes go through one thread, a transaction a call; reads see a snapshot."""

    def __init__(self, writer: Engine, reader: Engine, on_broken: Callable[[], None]) -> None:
        self._writer = writer
        self._reader = reader
        self._on_broken = on_broken
        # There is one shadow beside the live tables: replays take turns.
        self.replaying = asyncio.Lock()
        self._writing = ThreadPoolExecutor(1, "database-writer")
        # In memory there is one connection, so there is one thread.
        self._reading = (
            self._writing
            if reader is writer
            else ThreadPoolExecutor(READERS_MAX, "database-reader")
        )

    @classmethod
    def open(cls, url: str, on_broken: Callable[[], None] = _leave) -> "Database":
        """Open `sqlite:///file`, `sqlite://` (in memory) or `postgresql://...`.

        `on_broken` runs on an I/O error and is not expected to return. Raises `DatabaseRefused`.
        """
        address = make_url(url)
        if address.get_backend_name() == "sqlite":
            return cls(*_sqlite_engines(address), on_broken)
        if address.get_backend_name() == "postgresql":
            return cls(*_postgresql_engines(address), on_broken)
        raise DatabaseRefused(f"{address.get_backend_name()} is not a database we know")

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._writer.dialect.name

    def close(self) -> None:
        """Wait for what is running, and close all connections."""
        self._writing.shutdown()
        self._reading.shutdown()
        self._writer.dispose()
        self._reader.dispose()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a read transaction, on a thread. Raises `DatabaseUnavailable`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reading, self._in_transaction, self._reader, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction, alone. It goes on if the caller is cancelled meanwhile."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writing, self._in_transaction, self._writer, work)

    def write_here(self, work: Callable[[Connection], T]) -> T:
        """As `write`, on this thread: for a process that has nothing else to do."""
        return self._in_transaction(self._writer, work)

    async def in_turn(self, work: Callable[[], T]) -> T:
        """Run `work`, which writes by a way of its own, when it is the next write's turn."""
        return await asyncio.get_running_loop().run_in_executor(self._writing, work)

    async def administer(self, work: Callable[[Connection], T]) -> T:
        """Run `work` alone but in no transaction: for statements that cannot be in one."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writing, self._outside, work)

    def _in_transaction(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        try:
            with engine.begin() as connection:
                return work(connection)
        except DBAPIError as error:
            raise self._judged(error) from error

    def _outside(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._writer.connect() as connection:
                # SQLite's driver would be reset to beginning by itself: our own option skips BEGIN.
                options = (
                    {"isolation_level": "AUTOCOMMIT"}
                    if self.dialect == "postgresql"
                    else {_OUTSIDE: True}
                )
                return work(connection.execution_options(**options))
        except DBAPIError as error:
            raise self._judged(error) from error

    def _judged(self, error: DBAPIError) -> Exception:
        code = getattr(error.orig, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in _BROKEN:
            # What was committed before is safe; nothing after this could be believed.
            logger.critical("database_broken", code=code, reason=str(error.orig))
            self._on_broken()
        is_lost = code is None and isinstance(error, OperationalError | InterfaceError)
        if is_lost or error.connection_invalidated or code in (5, 6):  # BUSY, LOCKED
            return DatabaseUnavailable(str(error.orig))
        return error


def _sqlite_engines(address: URL) -> tuple[Engine, Engine]:
    refuse_old_sqlite(pysqlite.sqlite_version_info)
    address = address.set(drivername="sqlite")
    if address.database in (None, "", ":memory:"):
        engine = create_engine(
            address,
            module=pysqlite,
            poolclass=StaticPool,
            connect_args={"check_same_thread": False},
        )
        _begin_with(engine, "BEGIN IMMEDIATE", journal="memory")
        return engine, engine
    Path(address.database or "").parent.mkdir(parents=True, exist_ok=True)
    writer = create_engine(address, module=pysqlite, poolclass=QueuePool, pool_size=1)
    _begin_with(writer, "BEGIN IMMEDIATE", journal="wal")
    reader = create_engine(
        address, module=pysqlite, poolclass=QueuePool, pool_size=READERS_MAX, max_overflow=0
    )
    _begin_with(reader, "BEGIN", journal="wal", query_only=True)
    with writer.connect():  # makes the file, and the log beside it, before any reader looks
        return writer, reader


def _begin_with(engine: Engine, begin: str, *, journal: str, query_only: bool = False) -> None:
    @event.listens_for(engine, "connect")
    def _set_up(connection: pysqlite.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        # First, so that what follows waits for its turn too.
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        (mode,) = connection.execute(f"PRAGMA journal_mode={journal}").fetchone()
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        if mode != journal or synchronous != 2:  # noqa: PLR2004 - FULL
            raise DatabaseRefused(f"SQLite keeps journal_mode={mode}, synchronous={synchronous}")
        if query_only:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not connection.get_execution_options().get(_OUTSIDE):
            connection.exec_driver_sql(begin)


def _postgresql_engines(address: URL) -> tuple[Engine, Engine]:
    address = address.set(drivername="postgresql+psycopg")
    writer = create_engine(address, pool_size=1, max_overflow=0, pool_pre_ping=True)
    reader = create_engine(
        address,
        pool_size=READERS_MAX,
        max_overflow=0,
        pool_pre_ping=True,
        isolation_level="REPEATABLE READ",
        execution_options={"postgresql_readonly": True},
    )
    try:
        with writer.connect() as connection:
            found = connection.execute(
                text("SELECT datcollate FROM pg_database WHERE datname = current_database()")
            ).scalar_one()
    except OperationalError as error:
        reason = str(error.orig).partition("\n")[0]
        raise DatabaseRefused(f"PostgreSQL cannot be reached: {reason}") from error
    if found not in ("C", "C.UTF-8", "C.utf8", "POSIX"):
        # Text would be ordered otherwise than on SQLite and in Python.
        raise DatabaseRefused(f"the database's collation is {found}; make it with C")
    return writer, reader
