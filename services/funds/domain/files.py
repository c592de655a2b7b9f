"""A file of a registrar: one content for ever under its key, taken whole or not at all.

The key is (registrar, trade date, type, batch), and names the stream. The same bytes again are
nothing new; other bytes under the same key stop, and an operator is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, Rejected

# Of the raw bytes in one event: well below what a store takes.
PIECE_MAX = 512 * 1024


# Events. How they are stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class Stored:
    file_key: str
    sha256: str
    size: int
    pieces: int
    is_outgoing: bool


@dataclass(frozen=True, slots=True)
class PieceStored:
    """The raw bytes, a piece an event, in order."""

    number: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    rows: int


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Refused as a whole: nothing of it is booked. The bytes are kept."""

    reason: str
    description: str


Event: TypeAlias = Stored | PieceStored | Accepted | Quarantined


# States.
@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Kept:
    stored: Stored
    pieces: tuple[bytes, ...] = ()
    outcome: Accepted | Quarantined | None = None

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)


File: TypeAlias = Absent | Kept


def evolve(file: File, event: Event) -> File:
    match file, event:
        case Absent(), Stored():
            return Kept(event)
        case Kept(stored, pieces, None), PieceStored(number, content) if number == len(pieces):
            return Kept(stored, (*pieces, content))
        case Kept(stored, pieces, None), (Accepted() | Quarantined()):
            return Kept(stored, pieces, event)
    raise AssertionError(f"{type(event).__name__} cannot follow {type(file).__name__}")


# Commands.
class Reason(Enum):
    FILE_DIFFERS = auto()
    FILE_UNKNOWN = auto()
    CONTRADICTS_RECORD = auto()


@dataclass(frozen=True, slots=True)
class Store:
    file_key: str
    content: bytes
    # Of the content, 64 hex digits.
    sha256: str
    is_outgoing: bool


@dataclass(frozen=True, slots=True)
class Accept:
    rows: int


@dataclass(frozen=True, slots=True)
class Quarantine:
    reason: str
    description: str


Command: TypeAlias = Store | Accept | Quarantine


def decide(command: Command, file: File) -> Sequence[Event]:
    match command:
        case Store():
            return _store(command, file)
        case Accept(rows):
            return _end(Accepted(rows), file)
        case Quarantine(reason, description):
            return _end(Quarantined(reason, description), file)
        case _:
            assert_never(command)


def _store(command: Store, file: File) -> Sequence[Event]:
    if isinstance(file, Kept):
        if file.stored.sha256 == command.sha256:
            return []
        told = "other bytes are kept under this key: an operator decides"
        raise Rejected(Reason.FILE_DIFFERS, told)
    content = command.content
    pieces = [content[at : at + PIECE_MAX] for at in range(0, len(content), PIECE_MAX)]
    stored = Stored(
        command.file_key, command.sha256, len(content), len(pieces), command.is_outgoing
    )
    return [stored, *(PieceStored(number, piece) for number, piece in enumerate(pieces))]


def _end(outcome: Accepted | Quarantined, file: File) -> Sequence[Event]:
    if isinstance(file, Absent):
        raise Rejected(Reason.FILE_UNKNOWN)
    if file.outcome is None:
        return [outcome]
    if type(file.outcome) is type(outcome):
        return []
    raise Rejected(Reason.CONTRADICTS_RECORD, f"it was {type(file.outcome).__name__.lower()}")


files: Decider[Command, File, Event] = Decider(Absent(), decide, evolve)
