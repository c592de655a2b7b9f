"""A database that would not keep its promises is refused; one that broke ends the process."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, text

from libs.bus import BusUnavailable
from libs.event_store import OutcomeUnknown, StoreUnavailable, WrongVersion
from libs.read_model import (
    Database,
    DatabaseRefused,
    DatabaseUnavailable,
    Put,
    apply,
    refuse_old_sqlite,
)
from libs.transient import Unavailable, is_transient

metadata = MetaData()
rows = Table(
    "rows", metadata, Column("id", Text, primary_key=True), Column("n", BigInteger, nullable=False)
)

# A page of the file that cannot be written is an I/O error: here, a file that may not grow.
_BREAK = """
import asyncio, resource, signal, sys
from libs.read_model import Database
from sqlalchemy import text

async def main():
    database = Database.open("sqlite:///" + sys.argv[1])
    await database.write(lambda c: c.execute(text("CREATE TABLE t (x)")))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    for _ in range(200):
        try:
            await database.write(
                lambda c: c.execute(text("INSERT INTO t VALUES (randomblob(20000))"))
            )
        except BaseException as error:
            print("went on after", type(error).__name__)
    print("went on")

asyncio.run(main())
"""


@pytest.mark.parametrize("version", [(3, 40, 1), (3, 51, 2), (3, 51)])
def test_an_sqlite_whose_log_may_be_corrupted_is_refused(version: tuple[int, ...]) -> None:
    with pytest.raises(DatabaseRefused, match=r"3\.51\.3 or newer"):
        refuse_old_sqlite(version)


def test_a_safe_sqlite_is_taken() -> None:
    refuse_old_sqlite((3, 51, 3))
    refuse_old_sqlite((4, 0))


def test_an_unknown_database_is_refused() -> None:
    with pytest.raises(DatabaseRefused, match="mysql"):
        Database.open("mysql://localhost/x")


def test_a_database_that_cannot_be_written_any_more_ends_the_process(
    tmp_path: Path, root: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BREAK, str(tmp_path / "x.sqlite")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'libs' / 'gen'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == os.EX_IOERR, done.stderr
    assert "went on" not in done.stdout
    assert "database_broken" in done.stdout + done.stderr


async def test_rows_are_durable_and_settings_are_what_they_should_be(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'a' / 'x.sqlite'}")
    await database.write(metadata.create_all)

    found = await database.write(
        lambda c: [
            c.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    )
    database.close()

    assert found == ["wal", 2, 1]


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'x.sqlite'}")
    await database.write(metadata.create_all)

    with pytest.raises(Exception, match="readonly"):
        await database.read(lambda c: apply(c, [Put(rows, {"id": "a", "n": 1})]))
    database.close()


async def test_a_database_held_by_another_is_unavailable_not_broken(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.sqlite'}"
    first, second = Database.open(url), Database.open(url)
    await first.write(metadata.create_all)
    await second.administer(lambda c: c.execute(text("PRAGMA busy_timeout=10")))

    def hold(_: object) -> None:
        with second._writer.begin() as other:  # noqa: SLF001 - the other process, here
            apply(other, [Put(rows, {"id": "a", "n": 1})])

    await first.administer(lambda c: c.execute(text("PRAGMA busy_timeout=10")))
    with pytest.raises(DatabaseUnavailable):
        await first.write(hold)
    first.close()
    second.close()


def test_what_passes_by_itself_is_told_from_what_does_not() -> None:
    class Code:
        name = "UNAVAILABLE"

    class Call(Exception):
        def code(self) -> Code:
            return Code()

    for error in (
        Unavailable("x"),
        OutcomeUnknown("x"),
        StoreUnavailable("x"),
        BusUnavailable("x"),
        TimeoutError(),
        ConnectionResetError(errno.ECONNRESET, "x"),
        Call(),
        ExceptionGroup("both", [TimeoutError(), Call()]),
    ):
        assert is_transient(error)
    for other in (
        ValueError("x"),
        WrongVersion("s", 1),
        ExceptionGroup("one", [TimeoutError(), ValueError()]),
    ):
        assert not is_transient(other)
