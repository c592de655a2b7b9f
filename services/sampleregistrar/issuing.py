"""What goes to the distributor: packages numbered, kept, and delivered until each has arrived."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from libs.registrar_files import (
    File,
    Package,
    PackageKey,
    Profile,
    Received,
    Row,
    build_index,
    make_package,
)
from libs.registrar_files.package import ROWS_PER_FILE as ROWS_OF_A_FILE
from services.sampleregistrar.schema import packages_out

BACKOFF_FIRST_MS = 200
BACKOFF_MAX_MS = 3_000
HELD = 0
# What fits one call, envelope and all.
PACKAGE_BYTES_MAX = 15 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Parcel:
    """A package to deliver."""

    ordinal: int
    package: Package
    attempts: int


@dataclass(frozen=True, slots=True)
class Issuer:
    """The counter where packages are made. `sender` and `receiver` stand in every file."""

    profile: Profile
    sender: str
    receiver: str

    def issue(
        self,
        connection: Connection,
        trade_date: date,
        contents: Mapping[str, Sequence[Row]],
        *,
        due_ms: int,
        copies: int = 1,
    ) -> list[str]:
        """Packages of the rows by type, each as large as a call may be; the files' names."""
        received = last_issued(connection, trade_date)
        key = PackageKey(self.sender, self.receiver, trade_date, received.number + 1)
        whole = make_package(key, contents, self.profile, received)
        counted = _counted(whole, contents)
        for files in _fitting(counted):
            self.put(connection, trade_date, files, due_ms=due_ms, copies=copies)
        return [file.name for file in whole.files]

    def put(
        self,
        connection: Connection,
        trade_date: date,
        files: Sequence[tuple[File, int]],
        *,
        due_ms: int,
        copies: int = 1,
    ) -> None:
        """One package of files that are made already, with their numbers of rows."""
        received = last_issued(connection, trade_date)
        key = PackageKey(self.sender, self.receiver, trade_date, received.number + 1)
        package = Package(key, build_index(key, files, self.profile), tuple(f for f, _ in files))
        batches = {**received.batches, **{file.file_type: file.batch for file, _ in files}}
        connection.execute(
            insert(packages_out).values(
                trade_date=trade_date.isoformat(),
                number=key.number,
                package=_bytes_of(package),
                batches=json.dumps(batches),
                due_ms=due_ms,
                attempts=0,
                copies=copies,
                is_refused=0,
            )
        )

    def fetch(self, connection: Connection, trade_date: str, from_number: int) -> list[Package]:
        """Packages of a date that are not held back, from a number on, as many as fit a call."""
        found: list[Package] = []
        size = 0
        rows = connection.execute(
            select(packages_out)
            .where(
                (packages_out.c.trade_date == trade_date)
                & (packages_out.c.number >= from_number)
                & (packages_out.c.due_ms != HELD)
            )
            .order_by(packages_out.c.number)
        ).mappings()
        for row in rows:
            size += len(row["package"])
            if found and size > PACKAGE_BYTES_MAX:
                break
            found.append(self._package(row))
        return found

    def due(self, connection: Connection, now_ms: int) -> list[Parcel]:
        """The one to be sent now: of each date the first that has not arrived, the oldest."""
        firsts = (
            select(func.min(packages_out.c.ordinal))
            .where((packages_out.c.copies > 0) & (packages_out.c.due_ms != HELD))
            .group_by(packages_out.c.trade_date)
        )
        rows = connection.execute(
            select(packages_out)
            .where(packages_out.c.ordinal.in_(firsts) & (packages_out.c.due_ms <= now_ms))
            .order_by(packages_out.c.ordinal)
            .limit(1)
        ).mappings()
        return [Parcel(row["ordinal"], self._package(row), row["attempts"]) for row in rows]

    def next_due_ms(self, connection: Connection) -> int | None:
        """When the next is to be sent; None if all has been, or is held back."""
        waits = (packages_out.c.copies > 0) & (packages_out.c.due_ms != HELD)
        found: int | None = connection.execute(
            select(func.min(packages_out.c.due_ms)).where(waits)
        ).scalar_one()
        return found

    def name_of(self, parcel: Parcel) -> str:
        """What logs call it."""
        return parcel.package.key.name

    def delivered(self, connection: Connection, parcel: Parcel, _now_ms: int, refusal: str) -> None:
        """It has arrived once more; with a `refusal`, and was not taken, or not all of it."""
        mine = packages_out.c.ordinal == parcel.ordinal
        values: dict[str, object] = {"copies": packages_out.c.copies - 1}
        if refusal:
            values["is_refused"] = 1
        connection.execute(update(packages_out).where(mine).values(values))

    def failed(self, connection: Connection, parcel: Parcel, now_ms: int) -> None:
        """It has not arrived: again after a while that grows up to `BACKOFF_MAX_MS`."""
        wait_ms = min(BACKOFF_FIRST_MS << min(parcel.attempts, 10), BACKOFF_MAX_MS)
        connection.execute(
            update(packages_out)
            .where(packages_out.c.ordinal == parcel.ordinal)
            .values(due_ms=now_ms + wait_ms, attempts=parcel.attempts + 1)
        )

    def _package(self, row: RowMapping) -> Package:
        trade_date = date.fromisoformat(row["trade_date"])
        key = PackageKey(self.sender, self.receiver, trade_date, row["number"])
        return _package_of(key, row["package"])


def last_issued(connection: Connection, trade_date: date) -> Received:
    """The last package of a date, and the last batch of each type."""
    row = (
        connection.execute(
            select(packages_out.c.number, packages_out.c.batches)
            .where(packages_out.c.trade_date == trade_date.isoformat())
            .order_by(packages_out.c.number.desc())
            .limit(1)
        )
        .mappings()
        .one_or_none()
    )
    return Received() if row is None else Received(row["number"], json.loads(row["batches"]))


def release(connection: Connection, trade_date: str, now_ms: int) -> int:
    """Lets go what is held back, of a date or of all; how many packages."""
    held = packages_out.c.due_ms == HELD
    if trade_date:
        held &= packages_out.c.trade_date == trade_date
    return connection.execute(update(packages_out).where(held).values(due_ms=now_ms)).rowcount


def _counted(package: Package, contents: Mapping[str, Sequence[Row]]) -> list[tuple[File, int]]:
    # Files stand in order of type and batch, and each but the last of a type is full.
    left = {file_type: len(rows) for file_type, rows in contents.items()}
    last = {file.file_type: file.batch for file in package.files}
    counted = []
    for file in package.files:
        is_last = file.batch == last[file.file_type]
        rows = left[file.file_type] if is_last else min(left[file.file_type], ROWS_OF_A_FILE)
        left[file.file_type] -= rows
        counted.append((file, rows))
    return counted


def _fitting(files: Sequence[tuple[File, int]]) -> list[list[tuple[File, int]]]:
    parts: list[list[tuple[File, int]]] = [[]]
    size = 0
    for file, rows in files:
        size += len(file.body)
        if parts[-1] and size > PACKAGE_BYTES_MAX:
            parts.append([])
            size = len(file.body)
        parts[-1].append((file, rows))
    return parts


def _bytes_of(package: Package) -> bytes:
    head = {
        "index": len(package.index),
        "files": [
            (file.file_type, file.batch, file.name, len(file.body)) for file in package.files
        ],
    }
    bodies = b"".join(file.body for file in package.files)
    return json.dumps(head).encode() + b"\n" + package.index + bodies


def _package_of(key: PackageKey, content: bytes) -> Package:
    line, _, rest = content.partition(b"\n")
    head = json.loads(line)
    index, at, files = rest[: head["index"]], head["index"], []
    for file_type, batch, name, size in head["files"]:
        files.append(File(file_type, batch, name, rest[at : at + size]))
        at += size
    return Package(key, index, tuple(files))
