"""A stored page of the journal taken apart byte by byte: what is hashed, and what each hash says.

It knows the page's frame only, not what an entry means, so that it can be trusted with pages that
somebody has changed. The frame is that of `hefu.accounts.v1.PageWritten`.
"""

from dataclasses import dataclass
from hashlib import sha256

from libs.merkle import root_over

HASH_BYTES = 32
_HASH_TAG = b"\x7a\x20"  # field 15, 32 bytes: always the last
_TAIL_BYTES = len(_HASH_TAG) + HASH_BYTES
_ROOT_TAG = b"\x72\x20"  # field 14, 32 bytes: the one before it, where there is one
_NUMBER, _BYTES = 0, 2  # wire types
_PAGE_NUMBER, _PREVIOUS, _TIME, _ENTRIES, _ROOT = 1, 2, 3, 5, 14  # fields
_SECONDS, _NANOS = 1, 2  # fields of a time
_SEVEN_BITS, _MORE = 0x7F, 0x80
_VARINT_BITS_MAX = 63


class PageUnreadable(ValueError):
    """The bytes are no page's frame."""


@dataclass(frozen=True, slots=True)
class StoredPage:
    """Entries in their stored bytes. `stated_*`: what the page says of itself; None: nothing."""

    entries: tuple[bytes, ...]
    stated_root: bytes | None
    stated_hash: bytes | None
    # SHA-256 over all before the field that states it.
    body_hash: bytes
    # All before the entries.
    head: bytes

    @property
    def is_sealed(self) -> bool:
        """Whether the page is as its own hash says."""
        return self.stated_hash == self.body_hash

    @property
    def entries_root(self) -> bytes:
        """The root over its entries, worked out."""
        return root_over(self.entries)


@dataclass(frozen=True, slots=True)
class Seal:
    """What a page says of itself, read without its entries."""

    number: int
    previous_hash: bytes
    # Microseconds since 1970.
    written_us: int
    entries_root: bytes
    page_hash: bytes


def seal_of(stored: bytes) -> Seal:
    """A page's own words, not proven here. Raises `PageUnreadable`."""
    number, previous_hash, written_us, at = 0, b"", 0, 0
    while at < len(stored):
        tag, at = _varint(stored, at)
        field, kind = tag >> 3, tag & 7
        value, at = _varint(stored, at)
        if field == _PAGE_NUMBER and kind == _NUMBER:
            number = value
        elif field == _PREVIOUS and kind == _BYTES:
            previous_hash = stored[at : at + value]
        elif field == _TIME and kind == _BYTES:
            written_us = _time_us(stored[at : at + value])
        else:  # fields are in the order of their numbers
            break
        at += value if kind == _BYTES else 0
    tail = stored[-_TAIL_BYTES:]
    if not tail.startswith(_HASH_TAG) or len(previous_hash) != HASH_BYTES:
        raise PageUnreadable("it states no hashes")
    above = stored[-_TAIL_BYTES - len(_ROOT_TAG) - HASH_BYTES : -_TAIL_BYTES]
    stated = above[len(_ROOT_TAG) :] if above.startswith(_ROOT_TAG) else None
    root = stated or split(stored).entries_root
    return Seal(number, previous_hash, written_us, root, tail[len(_HASH_TAG) :])


def split(stored: bytes) -> StoredPage:
    """A page's parts. Raises `PageUnreadable`."""
    body, tail = stored[:-_TAIL_BYTES], stored[-_TAIL_BYTES:]
    stated_hash = tail[len(_HASH_TAG) :] if tail.startswith(_HASH_TAG) else None
    entries: list[bytes] = []
    root: bytes | None = None
    at, end = 0, len(body)
    head = body
    while at < end:
        begun = at
        tag, at = _varint(body, at)
        field, kind = tag >> 3, tag & 7
        if kind == _NUMBER:
            _, at = _varint(body, at)
            continue
        if kind != _BYTES:
            raise PageUnreadable(f"field {field} is of a kind that no page has")
        size, at = _varint(body, at)
        if at + size > end:
            raise PageUnreadable("the bytes end too early")
        if field == _ENTRIES:
            if not entries:
                head = body[:begun]
            entries.append(body[at : at + size])
        elif field == _ROOT:
            root = body[at : at + size]
        at += size
    return StoredPage(tuple(entries), root, stated_hash, sha256(body).digest(), head)


def _time_us(data: bytes) -> int:
    at, parts = 0, {_SECONDS: 0, _NANOS: 0}
    while at < len(data):
        tag, at = _varint(data, at)
        parts[tag >> 3], at = _varint(data, at)
    return parts[_SECONDS] * 1_000_000 + parts[_NANOS] // 1_000


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    try:
        while (byte := data[at]) & _MORE:
            value |= (byte & _SEVEN_BITS) << shift
            shift += 7
            at += 1
            if shift > _VARINT_BITS_MAX:
                raise PageUnreadable("a number is too long")
    except IndexError as error:
        raise PageUnreadable("the bytes end too early") from error
    return value | byte << shift, at + 1
