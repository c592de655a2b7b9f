"""Ids: UUIDv7 made at the edge, and child ids derived, so that a step run again has the same id."""

import hashlib
import re
from uuid import UUID

from uuid_utils.compat import uuid5, uuid7

_NO_TIME_MS = 0
_CANONICAL = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TIMELESS = "00000000-0000-"
_TAIL_BYTES = 10
_VARIANTS = "89ab"


def new_id() -> UUID:
    """A fresh UUIDv7. Only the edge of the system calls this."""
    return uuid7()


def is_uuid7(text: str) -> bool:
    """Whether the text is a UUIDv7 in its canonical, lower-case form."""
    return _CANONICAL.fullmatch(text) is not None


def time_ms(value: UUID) -> int:
    """The time inside a UUIDv7, in milliseconds since 1970."""
    return value.int >> 80


def time_ms_in(text: str) -> int:
    """The same of one that is in its canonical form as text."""
    return int(text[:8] + text[9:13], 16)


def has_time(text: str) -> bool:
    """Whether a UUIDv7 has a time in it; the ids of things known by their names alone have none."""
    return not text.startswith(_TIMELESS)


def derived_id(parent: UUID | str, purpose: str, ordinal: int = 0) -> UUID:
    """The child id of a step: UUIDv7 layout, the parent's time bits, the rest from SHA-256."""
    origin = parent if isinstance(parent, UUID) else UUID(parent)
    return _uuid7(time_ms(origin), origin.bytes, purpose, ordinal)


def derived_text(parent: str, purpose: str, ordinal: int = 0) -> str:
    """The same as text, of a parent in its canonical form, at a third of the price."""
    origin = bytes.fromhex(parent.replace("-", ""))
    tail = _digest(origin, purpose, ordinal)[:_TAIL_BYTES].hex()
    variant = _VARIANTS[int(tail[4], 16) & 0x3]
    return f"{parent[:14]}7{tail[1:4]}-{variant}{tail[5:8]}-{tail[8:]}"


def named_id(*names: str, at_ms: int = _NO_TIME_MS) -> UUID:
    """The id of a thing known by its names alone: no time inside unless given."""
    return _uuid7(at_ms, b"", "\x00".join(names), 0)


def named_in(namespace: UUID, name: str) -> UUID:
    """The UUIDv5 of a name, as the standard library has it, at a quarter of its price."""
    return uuid5(namespace, name)


def id_beside(neighbour: str, content: bytes) -> UUID:
    """The id of a content: a UUIDv7 in the time of another, the rest from SHA-256.

    Where ids are kept in order, what comes together lies together then, and is written together.
    """
    return _in_layout(time_ms_in(neighbour), hashlib.sha256(content).digest())


def account_id_of(owner: str, kind: str, currency: str, ordinal: int = 0) -> UUID:
    """A system account by name, the same in every service: `("bank:CD", "BANK_MIRROR", "CZK")`."""
    return named_id("account", owner, kind, currency, str(ordinal))


def _uuid7(at_ms: int, parent: bytes, purpose: str, ordinal: int) -> UUID:
    return _in_layout(at_ms, _digest(parent, purpose, ordinal))


def _digest(parent: bytes, purpose: str, ordinal: int) -> bytes:
    return hashlib.sha256(b"%b\x00%b\x00%d" % (parent, purpose.encode(), ordinal)).digest()


def _in_layout(at_ms: int, digest: bytes) -> UUID:
    tail = int.from_bytes(digest[:_TAIL_BYTES], "big")
    layout = (at_ms & (1 << 48) - 1) << 80 | tail
    layout = layout & ~(0xF << 76) | 7 << 76
    return UUID(int=layout & ~(0x3 << 62) | 0x2 << 62)
