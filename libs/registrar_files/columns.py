"""Values of one field over all rows, to fixed-width bytes and back; each fault names its row."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import TypeVar

from libs.registrar_files.faults import FAULTS_MAX, FileFault, FileReason, FileRefused
from libs.registrar_files.profile import Field, Profile

T = TypeVar("T")
U = TypeVar("U")
_BLANK_DATE = b" " * 8
_VISIBLE = bytes(range(0x21, 0x7F))


class _Unfit(ValueError):
    """The value does not fit its field."""

    def __init__(self, reason: FileReason, described: str) -> None:
        self.reason = reason
        super().__init__(described)


def read_column(
    name: str,
    field: Field,
    values: Sequence[bytes],
    profile: Profile,
    faults: list[FileFault],
) -> Sequence[object]:
    """The values of a field; what is wrong is added to `faults`."""
    read = _reader(field, profile.encoding)
    try:
        return _each_once(read, values)
    except _Unfit:
        # Told again, slowly, with the rows.
        faults += _faults(name, field, values, read)
        return ()


def write_column(
    name: str, field: Field, values: Sequence[object], profile: Profile
) -> Sequence[bytes]:
    """The bytes of a field. Raises `FileRefused`."""
    write = _writer(field, profile.encoding)
    try:
        # Not numbers: 1, 1.0 and True are one value to a set, and only the first may be written.
        return list(map(write, values)) if field.kind == "N" else _each_once(write, values)
    except _Unfit:
        raise FileRefused(_faults(name, field, values, write)) from None


def _each_once(convert: Callable[[T], U], values: Sequence[T]) -> Sequence[U]:
    # A value that comes again is looked up: most fields say the same in most rows.
    distinct = set(values)
    if len(distinct) > len(values) // 2:
        return list(map(convert, values))
    known = {value: convert(value) for value in distinct}
    return list(map(known.__getitem__, values))


def _faults(
    name: str, field: Field, values: Sequence[T], convert: Callable[[T], object]
) -> list[FileFault]:
    found = []
    for row, value in enumerate(values, 1):
        try:
            convert(value)
        except _Unfit as error:
            found.append(FileFault(error.reason, name, row, field.name, str(error)))
            if len(found) >= FAULTS_MAX:
                break
    return found


def _reader(field: Field, encoding: str) -> Callable[[bytes], object]:
    match field.kind:
        case "N":
            return _number
        case "D":
            return _date
        case "A":
            return _code
        case _:
            return lambda value: _text(value, encoding)


def _number(value: bytes) -> int:
    # Digits of ASCII only: Python's own parser takes signs, spaces and underscores.
    if value.isdigit():
        return int(value)
    if not value.strip(b" "):
        return 0
    raise _Unfit(FileReason.FIELD, f"{_shown(value)} is not all digits")


def _date(value: bytes) -> date | None:
    if value == _BLANK_DATE:
        return None
    if not value.isdigit():
        raise _Unfit(FileReason.DATE, f"{_shown(value)} is no date (yyyymmdd)")
    try:
        return date(int(value[:4]), int(value[4:6]), int(value[6:8]))
    except ValueError:
        raise _Unfit(FileReason.DATE, f"there is no {_shown(value)}") from None


def _code(value: bytes) -> str:
    code = value.rstrip(b" ")
    if _is_code(code):
        return code.decode("ascii")
    raise _Unfit(FileReason.FIELD, f"{_shown(value)} is no code in plain ASCII")


def _is_code(code: bytes) -> bool:
    # What is deleted are the characters that may stand in a code: the visible ones of ASCII.
    return not code.translate(None, _VISIBLE)


def _text(value: bytes, encoding: str) -> str:
    try:
        text = value.rstrip(b" ").decode(encoding)
    except UnicodeDecodeError:
        raise _Unfit(FileReason.ENCODING, f"{_shown(value)} is not {encoding}") from None
    if not _is_plain(text):
        raise _Unfit(FileReason.FIELD, f"{_shown(value)} has control characters in it")
    return text


def _writer(field: Field, encoding: str) -> Callable[[object], bytes]:
    width = field.width
    match field.kind:
        case "N":
            return lambda value: _digits(value, width)
        case "D":
            return _day
        case "A":
            return lambda value: _padded_code(value, width)
        case _:
            return lambda value: _padded_text(value, width, encoding)


def _digits(value: object, width: int) -> bytes:
    # Neither a boolean nor a float, which may be NaN, is a number here.
    if type(value) is not int or value < 0:
        raise _Unfit(FileReason.FIELD, f"{value!r} is not a whole number from zero on")
    digits = b"%0*d" % (width, value)
    if len(digits) > width:
        raise _Unfit(FileReason.WIDTH, f"{value} has more than {width} digits")
    return digits


def _day(value: object) -> bytes:
    if value is None:
        return _BLANK_DATE
    if type(value) is not date:
        raise _Unfit(FileReason.DATE, f"{value!r} is not a date")
    return b"%04d%02d%02d" % (value.year, value.month, value.day)


def _padded_code(value: object, width: int) -> bytes:
    if not isinstance(value, str) or not value.isascii() or not _is_code(value.encode()):
        raise _Unfit(FileReason.FIELD, f"{value!r} is no code in plain ASCII")
    return _padded(value.encode(), width)


def _padded_text(value: object, width: int, encoding: str) -> bytes:
    if not isinstance(value, str) or value.endswith(" ") or not _is_plain(value):
        raise _Unfit(FileReason.FIELD, f"{value!r} cannot stand in a field")
    try:
        return _padded(value.encode(encoding), width)
    except UnicodeEncodeError:
        raise _Unfit(FileReason.ENCODING, f"{value!r} cannot be written in {encoding}") from None


def _padded(value: bytes, width: int) -> bytes:
    if len(value) > width:
        raise _Unfit(FileReason.WIDTH, f"{len(value)} bytes do not fit {width}")
    return value.ljust(width)


def _is_plain(text: str) -> bool:
    return text.isprintable() or all(ord(each) >= 32 and each != "\x7f" for each in text)  # noqa: PLR2004 - below are control characters


def _shown(value: bytes) -> str:
    return repr(value[:40].decode("gb18030", "replace"))
