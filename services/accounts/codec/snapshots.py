"""Snapshots as stored: compressed blocks of columns, each part chained to the one before it."""

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from services.accounts.domain.snapshot import Row

PART_BYTES_MAX = 600 * 1_024
_LENGTH_BYTES = 4


def link(chain: bytes, state: bytes) -> bytes:
    """The hash of a part: over the hash of the part before it, then its own bytes."""
    return hashlib.sha256(chain + state).digest()


def encode_block(name: str, content: object) -> bytes:
    text = json.dumps([name, content], separators=(",", ":"), ensure_ascii=False)
    block = zlib.compress(text.encode(), 1)
    return len(block).to_bytes(_LENGTH_BYTES, "big") + block


def encode_rows(name: str, rows: Sequence[Row]) -> list[bytes]:
    """The rows column by column, in as many blocks as it takes for each to fit a part."""
    if not rows:
        return []
    block = encode_block(name, [list(column) for column in zip(*rows, strict=True)])
    if len(block) <= PART_BYTES_MAX or len(rows) == 1:
        return [block]
    half = len(rows) // 2
    return [*encode_rows(name, rows[:half]), *encode_rows(name, rows[half:])]


def decode_blocks(state: bytes) -> Iterator[tuple[str, Any]]:
    """What a part says: the head, then tables' columns. Raises `ValueError`."""
    at = 0
    while at < len(state):
        end = at + _LENGTH_BYTES
        length = int.from_bytes(state[at:end], "big")
        try:
            name, content = json.loads(zlib.decompress(state[end : end + length]))
        except zlib.error as error:
            raise ValueError("a block that does not open") from error
        yield name, content
        at = end + length
