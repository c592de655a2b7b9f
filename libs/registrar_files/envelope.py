"""One file of records: header, field names, count, fixed-width rows, totals, end mark."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import repeat
from struct import Struct

from libs.registrar_files.columns import read_column, write_column
from libs.registrar_files.faults import FileFault, FileReason, FileRefused, refuse
from libs.registrar_files.profile import Field, Layout, Profile
from libs.registrar_files.records import ROW_OF, Row

MARK = b"OFDCFDAT"
END = b"OFDCFEND"
LINE_END = b"\r\n"
ROWS_MAX = 99_999_999
BODY_BYTES_MAX = 256 * 1024 * 1024
BATCH_MAX = 999
_TOTAL_WIDTH = 20
_CODE = re.compile(r"[A-Z0-9]{1,9}", re.ASCII)
# Lines before the names of the fields.
_HEAD_LINES = 8


@dataclass(frozen=True, slots=True)
class FileKey:
    """What a file is known by. `trade_date` is T, whenever it is sent; batches count from 1."""

    sender: str
    receiver: str
    trade_date: date
    file_type: str
    batch: int

    @property
    def name(self) -> str:
        """The file's name."""
        day = f"{self.trade_date:%Y%m%d}"
        return f"OFD_{self.sender}_{self.receiver}_{day}_{self.file_type}_{self.batch:03d}.TXT"


def build_file(key: FileKey, rows: Sequence[Row], profile: Profile) -> bytes:
    """The bytes of a file. Raises `FileRefused` where a value cannot be written as agreed."""
    layout = _layout(key, profile)
    _check_key(key)
    _check_rows(key, rows)
    columns = [
        write_column(key.name, field, [getattr(row, field.attribute) for row in rows], profile)
        for field in layout.fields
    ]
    head = [*_head(key, layout, profile), b"%08d" % len(rows)]
    lines = [b"".join(values) for values in zip(*columns, strict=True)]
    tail = [b"%0*d" % (_TOTAL_WIDTH, total) for total in _totals(key.name, layout, rows)]
    return LINE_END.join([*head, *lines, *tail, END, b""])


def parse_file(body: bytes, key: FileKey, profile: Profile) -> list[Row]:
    """The rows of a file, all of them or none. Raises `FileRefused`."""
    name, layout = key.name, _layout(key, profile)
    if len(body) > BODY_BYTES_MAX:
        raise refuse(FileReason.TOO_LARGE, name, f"more than {BODY_BYTES_MAX} bytes")
    at = _read_head(body, key, layout, profile)
    count_end = body.find(LINE_END, at)
    count_text = body[at:count_end] if count_end >= 0 else b""
    if len(count_text) != 8 or not count_text.isdigit():  # noqa: PLR2004 - the width of a count
        raise refuse(FileReason.COUNT, name, "there is no number of rows of eight digits")
    count, begin = int(count_text), count_end + len(LINE_END)
    tail_length = len(layout.totals) * (_TOTAL_WIDTH + 2) + len(END) + 2
    block, tail = body[begin : len(body) - tail_length], body[len(body) - tail_length :]
    if len(body) - tail_length < begin or not tail.endswith(END + LINE_END):
        raise refuse(FileReason.HEADER, name, "the end mark is missing")
    rows = _read_rows(name, block, count, layout, profile)
    _check_totals(name, layout, rows, tail)
    _check_rows(key, rows)
    return rows


def sha256_of(body: bytes) -> bytes:
    """What a file is compared by."""
    return hashlib.sha256(body).digest()


def _layout(key: FileKey, profile: Profile) -> Layout:
    try:
        return profile.layout(key.file_type)
    except KeyError:
        raise refuse(FileReason.NAME, key.name, f"no file of type {key.file_type!r}") from None


def _check_key(key: FileKey) -> None:
    for code in (key.sender, key.receiver):
        if _CODE.fullmatch(code) is None:
            raise refuse(FileReason.NAME, key.name, f"{code!r} is no sender or receiver")
    if not 1 <= key.batch <= BATCH_MAX:
        raise refuse(FileReason.NAME, key.name, f"no batch {key.batch}")


def _head(key: FileKey, layout: Layout, profile: Profile) -> list[bytes]:
    texts = [
        profile.version,
        key.sender,
        key.receiver,
        f"{key.trade_date:%Y%m%d}",
        f"{key.batch:03d}",
        key.file_type,
        f"{len(layout.fields):03d}",
        *(field.name for field in layout.fields),
    ]
    return [MARK, *(text.encode("ascii") for text in texts)]


def _read_head(body: bytes, key: FileKey, layout: Layout, profile: Profile) -> int:
    """Where the count begins."""
    wanted = _head(key, layout, profile)
    found, at = [], 0
    for _ in wanted:
        end = body.find(LINE_END, at, at + 200)
        if end < 0:
            raise refuse(FileReason.HEADER, key.name, "it ends, or has a long line, in its header")
        found.append(body[at:end])
        at = end + len(LINE_END)
    told = ("mark", "version", "sender", "receiver", "date", "batch", "type", "number of fields")
    reasons = {"date": FileReason.DATE, "mark": FileReason.HEADER, "version": FileReason.HEADER}
    reasons["number of fields"] = FileReason.LAYOUT
    for what, is_, should in zip(told, found, wanted, strict=False):
        if is_ != should:
            reason = reasons.get(what, FileReason.NAME)
            raise refuse(reason, key.name, f"{what} is {_shown(is_)}, not {_shown(should)}")
    for place, (is_, should) in enumerate(
        zip(found[_HEAD_LINES:], wanted[_HEAD_LINES:], strict=True), 1
    ):
        if is_ != should:
            raise refuse(
                FileReason.LAYOUT,
                key.name,
                f"field {place} is {_shown(is_)}, not {_shown(should)}",
            )
    return at


def _read_rows(name: str, block: bytes, count: int, layout: Layout, profile: Profile) -> list[Row]:
    step = layout.width + len(LINE_END)
    # Cheap where all is well: the length, and a line end at the end of each row.
    if len(block) != count * step or block[layout.width :: step] != b"\r" * count:
        raise FileRefused([_misfit(name, block, count, layout.width)])
    if block.count(b"\n") != count or block[step - 1 :: step] != b"\n" * count:
        raise FileRefused([_misfit(name, block, count, layout.width)])
    if not count:
        return []
    cut = Struct("".join(f"{field.width}s" for field in layout.fields) + f"{len(LINE_END)}x")
    raw = list(zip(*cut.iter_unpack(block), strict=True))
    faults: list[FileFault] = []
    columns = {
        field.attribute: read_column(name, field, values, profile, faults)
        for field, values in zip(layout.fields, raw, strict=True)
    }
    _check_required(name, layout, columns, faults)
    if faults:
        raise FileRefused(sorted(faults, key=lambda fault: fault.row))
    row_type = ROW_OF[layout.file_type]
    defaults = row_type._field_defaults
    ordered: list[Iterable[object]] = [
        columns[attribute] if attribute in columns else repeat(defaults[attribute], count)
        for attribute in row_type._fields
    ]
    make: Callable[[Iterable[object]], Row] = row_type._make
    return [make(values) for values in zip(*ordered, strict=True)]


def _misfit(name: str, block: bytes, count: int, width: int) -> FileFault:
    lines = block.split(LINE_END)
    if lines and lines[-1] == b"":
        lines.pop()
    for row, line in enumerate(lines, 1):
        if len(line) != width:
            told = f"{len(line)} bytes, not {width}"
            return FileFault(FileReason.WIDTH, name, row, description=told)
    told = f"it says {count} rows and has {len(lines)}"
    return FileFault(FileReason.COUNT, name, description=told)


def _check_required(
    name: str,
    layout: Layout,
    columns: Mapping[str, Sequence[object]],
    faults: list[FileFault],
) -> None:
    row_type = ROW_OF[layout.file_type]
    for field in layout.fields:
        if field.attribute in row_type._field_defaults or field.kind == "N":
            continue
        values = columns[field.attribute]
        for blank in (None, ""):
            if blank in values:
                row = values.index(blank) + 1
                told = "it must not be blank"
                faults.append(FileFault(FileReason.FIELD, name, row, field.name, told))


def _totals(name: str, layout: Layout, rows: Sequence[Row]) -> list[int]:
    by_name = {field.name: field for field in layout.fields}
    sums = [sum(getattr(row, by_name[each].attribute) for row in rows) for each in layout.totals]
    for each, total in zip(layout.totals, sums, strict=True):
        if total >= 10**_TOTAL_WIDTH:
            fault = FileFault(
                FileReason.WIDTH, name, field=each, description="the total is too big"
            )
            raise FileRefused([fault])
    return sums


def _check_totals(name: str, layout: Layout, rows: Sequence[Row], tail: bytes) -> None:
    told = tail.split(LINE_END)
    for each, total, text in zip(layout.totals, _totals(name, layout, rows), told, strict=False):
        if len(text) != _TOTAL_WIDTH or not text.isdigit():
            fault = FileFault(FileReason.TOTAL, name, field=each, description="it is no number")
            raise FileRefused([fault])
        if int(text) != total:
            described = f"the file says {int(text)}, its rows add up to {total}"
            raise FileRefused([FileFault(FileReason.TOTAL, name, 0, each, described)])


def _check_rows(key: FileKey, rows: Sequence[Row]) -> None:
    """Orders, and what is said of them, are about the file's own day."""
    if key.file_type not in ("03", "04"):
        return
    faults = [
        FileFault(FileReason.DATE, key.name, number, "TransactionDate", "not the file's date")
        for number, row in enumerate(rows, 1)
        if getattr(row, "transaction_date") != key.trade_date  # noqa: B009 - of two kinds of rows
    ]
    if faults:
        raise FileRefused(faults)


def _shown(value: bytes) -> str:
    return repr(value[:40].decode("ascii", "replace"))


__all__ = ["Field", "FileKey", "build_file", "parse_file", "sha256_of"]
