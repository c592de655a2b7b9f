"""The page, unit of commit: how much fits on one, and the hash that chains it."""

import hashlib

# The stored form ends in field 15, `page_hash` over all before it: tag, length, 32 bytes.
HASH_BYTES = 32
_HASH_TAG = b"\x7a\x20"
HASH_FIELD_BYTES = len(_HASH_TAG) + HASH_BYTES
NO_HASH = bytes(HASH_BYTES)
ENTRIES_MAX = 4_000
# The entry that reaches it still fits: with 64 legs it takes 15 KiB, and 700 KiB is the end.
PAGE_BYTES_MAX = 680 * 1_024


class PageDamaged(Exception):
    """A stored page is not what was written."""


def seal(body: bytes) -> tuple[bytes, bytes]:
    """The stored bytes of a page and its hash."""
    page_hash = hashlib.sha256(body).digest()
    return body + _HASH_TAG + page_hash, page_hash


def verified_hash(stored: bytes) -> bytes:
    """The page's hash, once it is proven to be over the stored bytes. Raises `PageDamaged`."""
    body, tail = stored[:-HASH_FIELD_BYTES], stored[-HASH_FIELD_BYTES:]
    page_hash = hashlib.sha256(body).digest()
    if tail != _HASH_TAG + page_hash:
        raise PageDamaged("it does not match its hash")
    return page_hash


def check_link(expected: tuple[int, bytes], found: tuple[int, bytes]) -> None:
    """Number and previous hash must follow from the page before. Raises `PageDamaged`."""
    if found != expected:
        raise PageDamaged("it does not follow the page before it")
