"""A package: an index file and the files it names, made together and taken apart again."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from libs.registrar_files.envelope import (
    END,
    LINE_END,
    FileKey,
    build_file,
    parse_file,
    sha256_of,
)
from libs.registrar_files.faults import FileFault, FileReason, FileRefused, refuse
from libs.registrar_files.profile import Profile
from libs.registrar_files.records import Row

INDEX_MARK = b"OFDCFIDX"
FILES_MAX = 100
# About ten megabytes of confirmations: what is more goes into the next batch.
ROWS_PER_FILE = 15_000
_HEAD_LINES = 8
_LINE = re.compile(r"([A-Z0-9_]{1,80}\.TXT) ([0-9]{8}) ([0-9a-f]{64})", re.ASCII)
_NAME = re.compile(
    r"OFD_([A-Z0-9]{1,9})_([A-Z0-9]{1,9})_([0-9]{8})_([0-9]{2})_([0-9]{3})\.TXT", re.ASCII
)


@dataclass(frozen=True, slots=True)
class PackageKey:
    """What a package is known by; numbers count from 1 for each direction and trade date."""

    sender: str
    receiver: str
    trade_date: date
    number: int

    @property
    def name(self) -> str:
        """The name of its index file."""
        day = f"{self.trade_date:%Y%m%d}"
        return f"OFI_{self.sender}_{self.receiver}_{day}_{self.number:03d}.TXT"


@dataclass(frozen=True, slots=True)
class File:
    """One file as it was written."""

    file_type: str
    batch: int
    name: str
    body: bytes

    @property
    def sha256(self) -> bytes:
        """What it is compared by."""
        return sha256_of(self.body)


@dataclass(frozen=True, slots=True)
class Package:
    """An index and its files, in the order of the index."""

    key: PackageKey
    index: bytes
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True)
class Received:
    """What came under a trade date before: the last package number, the last batch of each type."""

    number: int = 0
    batches: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileRead:
    """One file of a package: its rows, or the faults for which none of them is taken."""

    file: File
    rows: tuple[Row, ...] = ()
    faults: tuple[FileFault, ...] = ()


def make_package(
    key: PackageKey,
    contents: Mapping[str, Sequence[Row]],
    profile: Profile,
    received: Received | None = None,
    *,
    rows_per_file: int = ROWS_PER_FILE,
) -> Package:
    """Files of the rows by type, as many batches as are needed, and their index.

    `received`: what was sent under the date before. A type without rows gets one empty file.
    Raises `FileRefused` where a value cannot be written.
    """
    before = received or Received()
    files = []
    for file_type in sorted(contents):
        rows, batch = contents[file_type], before.batches.get(file_type, 0)
        for at in range(0, max(len(rows), 1), rows_per_file):
            batch += 1
            file_key = FileKey(key.sender, key.receiver, key.trade_date, file_type, batch)
            part = rows[at : at + rows_per_file]
            body = build_file(file_key, part, profile)
            files.append((File(file_type, batch, file_key.name, body), len(part)))
    return Package(key, build_index(key, files, profile), tuple(file for file, _ in files))


def build_index(key: PackageKey, files: Sequence[tuple[File, int]], profile: Profile) -> bytes:
    """The index over files and their numbers of rows."""
    if len(files) > FILES_MAX:
        raise refuse(FileReason.TOO_LARGE, key.name, f"more than {FILES_MAX} files")
    texts = [
        profile.version,
        key.sender,
        key.receiver,
        f"{key.trade_date:%Y%m%d}",
        f"{key.number:03d}",
        f"{len(files):03d}",
        *(f"{file.name} {rows:08d} {file.sha256.hex()}" for file, rows in files),
    ]
    lines = [INDEX_MARK, *(text.encode("ascii") for text in texts), END, b""]
    return LINE_END.join(lines)


def read_package(
    package: Package, profile: Profile, received: Received | None = None
) -> list[FileRead]:
    """The files of a package, each read whole or refused whole.

    Raises `FileRefused` where the package itself cannot be taken: its index is wrong, does not
    name what came, or its number or a batch does not follow what was `received` before.
    """
    before = received or Received()
    if package.key.number != before.number + 1:
        told = f"package {package.key.number} does not follow {before.number}"
        raise refuse(FileReason.GAP, package.key.name, told)
    named = _read_index(package, profile)
    _check_named(package, named)
    _check_batches(package, before)
    return [_read(package.key, file, named[file.name][0], profile) for file in package.files]


def _read(key: PackageKey, file: File, rows: int, profile: Profile) -> FileRead:
    file_key = FileKey(key.sender, key.receiver, key.trade_date, file.file_type, file.batch)
    try:
        found = parse_file(file.body, file_key, profile)
    except FileRefused as error:
        return FileRead(file, faults=error.faults)
    if len(found) != rows:
        told = f"the index says {rows} rows, the file has {len(found)}"
        return FileRead(file, faults=(FileFault(FileReason.COUNT, file.name, description=told),))
    return FileRead(file, rows=tuple(found))


def _read_index(package: Package, profile: Profile) -> dict[str, tuple[int, bytes]]:
    key, name = package.key, package.key.name
    try:
        lines = package.index.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        raise refuse(FileReason.ENCODING, name, "an index is plain ASCII") from None
    wanted = [
        ("mark", FileReason.HEADER, INDEX_MARK.decode()),
        ("version", FileReason.HEADER, profile.version),
        ("sender", FileReason.NAME, key.sender),
        ("receiver", FileReason.NAME, key.receiver),
        ("date", FileReason.DATE, f"{key.trade_date:%Y%m%d}"),
        ("number", FileReason.NAME, f"{key.number:03d}"),
    ]
    for (what, reason, should), line in zip(wanted, [*lines, *[""] * 6], strict=False):
        if line != should:
            raise refuse(reason, name, f"{what} is {line[:40]!r}, not {should!r}")
    if len(lines) < _HEAD_LINES or lines[-2:] != [END.decode(), ""]:
        raise refuse(FileReason.HEADER, name, "the end mark is missing")
    count, files = lines[6], lines[7:-2]
    if not (count.isascii() and count.isdigit()) or int(count) != len(files):
        raise refuse(FileReason.COUNT, name, f"it says {count[:8]!r} files and names {len(files)}")
    named: dict[str, tuple[int, bytes]] = {}
    for line in files:
        match = _LINE.fullmatch(line)
        if match is None or match[1] in named:
            raise refuse(FileReason.INDEX, name, f"{line[:60]!r} names no file, or one again")
        named[match[1]] = int(match[2]), bytes.fromhex(match[3])
    return named


def _check_named(package: Package, named: Mapping[str, tuple[int, bytes]]) -> None:
    name, key = package.key.name, package.key
    here = {file.name for file in package.files}
    if len(here) != len(package.files):
        raise refuse(FileReason.INDEX, name, "a file is there twice")
    if absent := sorted(set(named) - here):
        raise refuse(FileReason.INDEX, name, f"{absent[0]} is named and not there")
    if extra := sorted(here - set(named)):
        raise refuse(FileReason.INDEX, name, f"{extra[0]} is there and not named")
    for file in package.files:
        if file.sha256 != named[file.name][1]:
            raise refuse(FileReason.HASH, name, f"{file.name} is not what the index speaks of")
        match = _NAME.fullmatch(file.name)
        should = (key.sender, key.receiver, f"{key.trade_date:%Y%m%d}")
        if match is None or (match[1], match[2], match[3]) != should:
            raise refuse(FileReason.NAME, name, f"{file.name} is none of this package")
        if (match[4], int(match[5])) != (file.file_type, file.batch):
            raise refuse(FileReason.NAME, name, f"{file.name} came as another type or batch")


def _check_batches(package: Package, before: Received) -> None:
    last = dict(before.batches)
    for file in package.files:
        following = last.get(file.file_type, 0) + 1
        if file.batch != following:
            told = f"{file.name} came where batch {following} was next"
            raise refuse(FileReason.GAP, package.key.name, told)
        last[file.file_type] = following
