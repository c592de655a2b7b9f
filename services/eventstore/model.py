"""What the store keeps and what it can be asked to do, as plain values."""

import hashlib
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, TypeAlias

from libs.failure import StartFailed

# Expected and actual versions that are not revisions. The numbers are those of the protocol.
NO_STREAM = -1
ANY = -2
EXISTS = -4
SOFT_DELETED = -5
TOMBSTONED = -6

# A truncation point at or beyond every revision: the mark of a deleted stream (storage).
DELETED_BEFORE = 2**63 - 1
TOMBSTONE_REVISION = 2**63 - 1

# Bits of an event's flags (storage).
IS_JSON = 1

METADATA_TYPE = "$metadata"
TOMBSTONE_TYPE = "$streamDeleted"
LINK_TYPE = "$>"
METADATA_PREFIX = "$$"

# Positions are sparse on purpose, so that nobody can rely on "+1".
POSITION_STEP = 100

_DIGEST_HEAD = struct.Struct(">QqQBIIII")


class NewEvent(NamedTuple):
    """One event on its way in."""

    stream: str
    event_id: bytes
    type: str
    flags: int
    data: bytes
    metadata: bytes

    @property
    def size(self) -> int:
        """Bytes counted against the append limit and into positions."""
        return len(self.data) + len(self.metadata) + 2 * len(self.type)


class Record(NamedTuple):
    """One event as stored; `created` is in ticks of 100 ns since 1970."""

    position: int
    stream: str
    revision: int
    event_id: bytes
    type: str
    flags: int
    created: int
    data: bytes
    metadata: bytes
    digest: bytes


def digest_of(  # noqa: PLR0913, PLR0917 - the digest covers every field of a record
    position: int,
    stream: str,
    revision: int,
    event_id: bytes,
    event_type: str,
    flags: int,
    created: int,
    data: bytes,
    metadata: bytes,
) -> bytes:
    """SHA-256 over all that a record says; lengths keep neighbouring fields apart (storage)."""
    name = stream.encode()
    kind = event_type.encode()
    head = _DIGEST_HEAD.pack(
        position, revision, created, flags, len(name), len(kind), len(data), len(metadata)
    )
    return hashlib.sha256(b"".join((head, event_id, name, kind, data, metadata))).digest()


@dataclass(slots=True)
class StreamState:
    """What the writer knows of a stream; changed only inside a commit group."""

    id: int
    name: str
    last: int = -1
    is_tombstoned: bool = False
    metadata: str | None = None
    truncate_before: int | None = None
    max_count: int | None = None
    max_age: int | None = None

    @property
    def is_deleted(self) -> bool:
        """Deleted softly: hidden up to now, but open to new events."""
        return self.truncate_before == DELETED_BEFORE


@dataclass(frozen=True, slots=True)
class Append:
    """Events for one or more streams, all or none; guards are checked but not written."""

    events: tuple[NewEvent, ...]
    expected: Mapping[str, int]
    size: int
    deadline: float


@dataclass(frozen=True, slots=True)
class Delete:
    """Hide a stream's events; `is_final` closes it for ever."""

    stream: str
    expected: int
    is_final: bool
    deadline: float
    size: int = 64


@dataclass(frozen=True, slots=True)
class Proven:
    """Remember that everything up to a position was read again and found whole."""

    position: int
    deadline: float = math.inf
    size: int = 64


Operation: TypeAlias = Append | Delete | Proven


@dataclass(frozen=True, slots=True)
class Stored:
    """Durable. Position of the last event (None when there was none), revision of each stream."""

    position: int | None
    revisions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Failure:
    """One stream that was not as expected; `actual` is a revision or one of the marks above."""

    stream: str
    expected: int
    actual: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was written, because of these streams."""

    failures: tuple[Failure, ...]


class Unserved(Enum):
    """Nothing was written, for a reason that is not the caller's."""

    EXPIRED = auto()
    DISK_RESERVE = auto()


Outcome: TypeAlias = Stored | Refused | Unserved


class StoreError(StartFailed):
    """The store cannot start or go on; the message is one line for the operator."""
