"""What one registrar's files look like: fields, widths and order, read from `profiles/*.toml`."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from functools import cache
from pathlib import Path
from typing import Any

from libs.registrar_files.records import ROW_OF, Row

FOLDER = Path(__file__).parent / "profiles"
STANDARD = "ofd21"
WIDTH_MAX = 200
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9]*) ([ACDN])([1-9][0-9]{0,2})(?:\.([0-9]))?", re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}", re.ASCII)
_DATE_WIDTH = 8
_ENCODINGS = ("gb18030", "gbk", "gb2312", "utf-8", "ascii")


class ProfileWrong(Exception):
    """The profile is missing, or says what cannot be."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record.

    `kind`: A a code in plain ASCII, C text, D a date, N a number with `decimals` implied. `width`
    counts bytes. `attribute` is its name in the row.
    """

    name: str
    attribute: str
    kind: str
    width: int
    decimals: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """One type of file: its fields in order, and those whose sum stands at the end."""

    file_type: str
    fields: tuple[Field, ...]
    totals: tuple[str, ...]

    @property
    def width(self) -> int:
        """Bytes of a record, without its line end."""
        return sum(field.width for field in self.fields)


@dataclass(frozen=True, slots=True)
class Profile:
    """What was agreed with one registrar."""

    name: str
    version: str
    encoding: str
    layouts: Mapping[str, Layout]
    # Local time of the confirm date by which each type is due; what is not named is never late.
    due: Mapping[str, time] = field(default_factory=dict)
    # An investor's account is asked for in 01 and answered in 02; otherwise an order opens it.
    opens_accounts: bool = False

    def layout(self, file_type: str) -> Layout:
        """The layout of a type. Raises `KeyError`."""
        return self.layouts[file_type]

    def decimals(self, file_type: str, attribute: str) -> int:
        """At how many decimals a number stands in the files. Raises `KeyError`."""
        found = {field.attribute: field for field in self.layout(file_type).fields}
        return found[attribute].decimals

    def width(self, file_type: str, attribute: str) -> int:
        """How many bytes a value may have. Raises `KeyError`."""
        found = {field.attribute: field for field in self.layout(file_type).fields}
        return found[attribute].width


@cache
def load_profile(name: str = STANDARD, folder: Path = FOLDER) -> Profile:
    """A profile by its name. Raises `ProfileWrong`, which names file and field."""
    if _NAME.fullmatch(name) is None:
        raise ProfileWrong(f"{name!r} is no name of a profile")
    file = folder / f"{name}.toml"
    try:
        told = _told(name, folder)
        version, encoding, files = told["version"], told["encoding"], told["files"]
        if encoding not in _ENCODINGS:
            raise ProfileWrong(f"{file.name}: encoding: {encoding!r} is not known")
        layouts = {
            file_type: _layout(file.name, file_type, files[file_type]) for file_type in files
        }
        due = _due(file.name, told.get("due", {}))
    except OSError as error:
        raise ProfileWrong(f"{file.name}: {error.strerror}") from error
    except (KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise ProfileWrong(f"{file.name}: {error}") from error
    if absent := sorted(set(ROW_OF) - set(layouts)):
        raise ProfileWrong(f"{file.name}: no layout of {', '.join(absent)}")
    opens_accounts = told.get("opens_accounts", False)
    if not isinstance(opens_accounts, bool):
        raise ProfileWrong(f"{file.name}: opens_accounts: {opens_accounts!r} is not true or false")
    return Profile(name, str(version), encoding, layouts, due, opens_accounts)


def _told(name: str, folder: Path) -> dict[str, Any]:
    """What a file says; what it does not say, the one that it extends does."""
    told = tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))
    base = told.pop("extends", None)
    if base is None:
        return told
    if not isinstance(base, str) or _NAME.fullmatch(base) is None or base == name:
        raise ProfileWrong(f"{name}.toml: extends: {base!r} is no name of another profile")
    return {**tomllib.loads((folder / f"{base}.toml").read_text(encoding="utf-8")), **told}


def attribute_of(name: str) -> str:
    """The attribute of a field by its name in the market: `TASerialNO` is `ta_serial_no`."""
    apart = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", apart).lower()


def _due(file_name: str, told: Mapping[str, str]) -> Mapping[str, time]:
    due = {}
    for file_type, text in told.items():
        if file_type not in ROW_OF:
            raise ProfileWrong(f"{file_name}: due.{file_type}: there is no such type of file")
        try:
            due[file_type] = time.fromisoformat(text)
        except ValueError as error:
            raise ProfileWrong(f"{file_name}: due.{file_type}: {text!r} is no time") from error
    return due


def _layout(file_name: str, file_type: str, told: Mapping[str, list[str]]) -> Layout:
    where = f"{file_name}: files.{file_type}"
    row_type = ROW_OF.get(file_type)
    if row_type is None:
        raise ProfileWrong(f"{where}: there is no such type of file")
    fields = tuple(_field(where, row_type, line) for line in told["fields"])
    by_name = {field.name: field for field in fields}
    if len(by_name) != len(fields):
        raise ProfileWrong(f"{where}: a field stands there twice")
    needed = set(row_type._fields) - set(row_type._field_defaults)
    if absent := sorted(needed - {field.attribute for field in fields}):
        raise ProfileWrong(f"{where}: {', '.join(absent)} must be among the fields")
    for name in told["totals"]:
        if name not in by_name or by_name[name].kind != "N":
            raise ProfileWrong(f"{where}: totals: {name!r} is no number among the fields")
    return Layout(file_type, fields, tuple(told["totals"]))


def _field(where: str, row_type: type[Row], line: str) -> Field:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise ProfileWrong(f"{where}: {line!r} is not 'Name KindWidth.decimals'")
    name, kind, width, decimals = match[1], match[2], int(match[3]), int(match[4] or 0)
    attribute = attribute_of(name)
    if attribute not in row_type._fields:
        raise ProfileWrong(f"{where}: {name} is no field of such a record")
    is_date = kind == "D"
    if width > WIDTH_MAX or (is_date and width != _DATE_WIDTH) or (decimals and kind != "N"):
        raise ProfileWrong(f"{where}: {line!r} cannot be")
    if is_date is not _is_date(row_type, attribute):
        raise ProfileWrong(f"{where}: {name} is {'no' if is_date else 'a'} date")
    if (kind == "N") is not (row_type.__annotations__[attribute] is int):
        raise ProfileWrong(f"{where}: {name} is {'no' if kind == 'N' else 'a'} number")
    return Field(name, attribute, kind, width, decimals)


def _is_date(row_type: type[Row], attribute: str) -> bool:
    return "date" in str(row_type.__annotations__[attribute])
