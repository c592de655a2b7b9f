"""The files on disk: one locked folder, one SQLite database, its settings proven, its schema."""

import fcntl
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from services.eventstore.model import StoreError

Connection = apsw.Connection
# What SQLite says when the disk fails or what is on it is not what was written.
DAMAGE: Final = (apsw.CorruptError, apsw.IOError, apsw.NotADBError)
# What it says when a check was given up by who asked for it.
GIVEN_UP: Final = apsw.InterruptError

FORMAT_VERSION: Final = 1
PAGE_BYTES: Final = 4_096
DATABASE_NAME: Final = "events.db"
_LOCK_NAME = "lock"
_VERIFIED_KEY: Final = "verified"

# Older ones can corrupt a WAL when two connections write or checkpoint at once.
_OLDEST_SQLITE = (3, 51, 3)
_BUSY_TIMEOUT_MS = 5_000
_NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "glusterfs"})

_SCHEMA = """
CREATE TABLE settings(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE streams(
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    last INTEGER NOT NULL,
    tombstoned INTEGER NOT NULL,
    metadata TEXT,
    truncate_before INTEGER,
    max_count INTEGER,
    max_age INTEGER);
CREATE TABLE events(
    pos INTEGER PRIMARY KEY,
    stream_id INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    type TEXT NOT NULL,
    flags INTEGER NOT NULL,
    created INTEGER NOT NULL,
    data BLOB,
    metadata BLOB,
    digest BLOB NOT NULL,
    UNIQUE(stream_id, revision));
CREATE INDEX events_by_id ON events(event_id);
CREATE TABLE groups(last_pos INTEGER PRIMARY KEY, events INTEGER NOT NULL, chain BLOB NOT NULL);
"""


class Folder:
    """The store's folder, held by one process for as long as this object is open."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        _refuse_network_disk(path)
        self.path = path
        self.database = path / DATABASE_NAME
        self._lock = os.open(path / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            message = f"the folder {path} is in use by another event store process"
            raise StoreError(message) from None

    def forget_cached_pages(self) -> None:
        """Drop the files from the page cache, so that what is verified is what is on the disk."""
        for name in (DATABASE_NAME, f"{DATABASE_NAME}-wal"):
            file = self.path / name
            if file.exists() and hasattr(os, "posix_fadvise"):
                descriptor = os.open(file, os.O_RDONLY)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)

    def close(self) -> None:
        """Let another process have the folder."""
        os.close(self._lock)


def open_writer(path: Path) -> apsw.Connection:
    """Open the one connection that writes, making the database when there is none."""
    require_sqlite(apsw.sqlite_lib_version())
    is_new = not path.exists()
    try:
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        # The checkpoint that SQLite makes on closing hides its errors; ours does not.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        _set_and_prove(connection, "journal_mode", "wal")
        _set_and_prove(connection, "wal_autocheckpoint", 0)
        _set_common(connection)
        if is_new or not connection.table_exists("main", "settings"):
            _create(connection)
    except apsw.NotADBError:
        message = f"{path} is not an event store database"
        raise StoreError(message) from None
    _check_format(connection, path)
    return connection


def require_sqlite(version: str) -> None:
    """Refuse a SQLite whose write-ahead log can be corrupted."""
    if tuple(int(part) for part in version.split(".")) < _OLDEST_SQLITE:
        message = f"SQLite {version} is too old: 3.51.3 or newer is needed"
        raise StoreError(message)


def open_reader(path: Path) -> apsw.Connection:
    """Open a connection that can only read."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    _set_and_prove(connection, "wal_autocheckpoint", 0)
    _set_common(connection)
    _set_and_prove(connection, "query_only", 1)
    return connection


def _set_common(connection: apsw.Connection) -> None:
    _set_and_prove(connection, "synchronous", 2)
    _set_and_prove(connection, "mmap_size", 0)
    _set_and_prove(connection, "fullfsync", 1)
    _set_and_prove(connection, "checkpoint_fullfsync", 1)


def _set_and_prove(connection: apsw.Connection, name: str, value: str | int) -> None:
    connection.pragma(name, value)
    actual = connection.pragma(name)
    # Where memory mapping is compiled out, asking for its size answers nothing at all.
    if actual != value and not (name == "mmap_size" and actual is None):
        message = f"SQLite did not take {name}={value}: it is {actual}"
        raise StoreError(message)


def _create(connection: apsw.Connection) -> None:
    with connection:
        connection.execute(_SCHEMA)
        connection.execute(
            "INSERT INTO settings VALUES('format_version', ?), ('store_id', ?)",
            (FORMAT_VERSION, secrets.token_hex(16)),
        )


def _check_format(connection: apsw.Connection, path: Path) -> None:
    row = connection.execute("SELECT value FROM settings WHERE key='format_version'").fetchone()
    found = None if row is None else row[0]
    if found != FORMAT_VERSION:
        message = f"{path} has format version {found}; this program reads {FORMAT_VERSION}"
        raise StoreError(message)


def _refuse_network_disk(path: Path) -> None:
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return
    resolved = path.resolve()
    best, kind = -1, ""
    for line in mounts.read_text().splitlines():
        _, mount, file_system, *_ = line.split()
        if resolved.is_relative_to(mount) and len(mount) > best:
            best, kind = len(mount), file_system
    if kind in _NETWORK_FILE_SYSTEMS:
        message = f"{path} is on a network file system ({kind}), where no lock can be trusted"
        raise StoreError(message)


def store_id(connection: Connection) -> str:
    """The random identity that the store got when it was made, 32 hexadecimal digits."""
    row = connection.execute("SELECT value FROM settings WHERE key='store_id'").fetchone()
    if row is None:
        raise StoreError("the database has lost its identity")
    return str(row[0])


def verified_mark(connection: Connection) -> int | None:
    """Position up to which everything was once read again and found whole."""
    row = connection.execute("SELECT value FROM settings WHERE key=?", (_VERIFIED_KEY,)).fetchone()
    return None if row is None else int(row[0])


def mark_verified(connection: Connection, position: int) -> None:
    """Set it."""
    connection.execute(
        "INSERT INTO settings VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value=excluded.value",
        (_VERIFIED_KEY, position),
    )


def count_wal_pages(connection: Connection, tell: Callable[[int], None]) -> None:
    """Have the pages in the log told after each commit, instead of automatic checkpoints."""

    def hook(_connection: Connection, _name: str, pages: int) -> int:
        tell(pages)
        return apsw.SQLITE_OK

    connection.set_wal_hook(hook)


def checkpoint(connection: Connection) -> int:
    """Move what no reader holds from the log into the database; the log's size in pages."""
    pages, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    return pages


def empty_log(connection: Connection) -> None:
    """Move everything into the database and cut the log to nothing."""
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
