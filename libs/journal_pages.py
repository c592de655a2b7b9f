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
_NUMBER, _BYTES = 0, 2  # wire types
_ENTRIES, _ROOT = 5, 14  # fields
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

    @property
    def is_sealed(self) -> bool:
        """Whether the page is as its own hash says."""
        return self.stated_hash == self.body_hash

    @property
    def entries_root(self) -> bytes:
        """The root over its entries, worked out."""
        return root_over(self.entries)


def split(stored: bytes) -> StoredPage:
    """A page's parts. Raises `PageUnreadable`."""
    body, tail = stored[:-_TAIL_BYTES], stored[-_TAIL_BYTES:]
    stated_hash = tail[len(_HASH_TAG) :] if tail.startswith(_HASH_TAG) else None
    entries: list[bytes] = []
    root: bytes | None = None
    at, end = 0, len(body)
    while at < end:
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
            entries.append(body[at : at + size])
        elif field == _ROOT:
            root = body[at : at + size]
        at += size
    return StoredPage(tuple(entries), root, stated_hash, sha256(body).digest())


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
