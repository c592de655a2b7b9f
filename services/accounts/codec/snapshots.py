"""Snapshots as stored: compressed blocks of columns, each part chained to the one before it."""

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from services.accounts.domain.snapshot import Row, columns_of

PART_BYTES_MAX = 600 * 1_024
_LENGTH_BYTES = 4


def link(chain: bytes, state: bytes) -> bytes:
    """The hash of a part: over the hash of the part before it, then its own bytes."""
    return hashlib.sha256(chain + state).digest()


def encode_block(*content: object) -> bytes:
    """Its name comes first."""
    # Named tuples are left to us: they are lists like others.
    block = zlib.compress(orjson.dumps(content, default=tuple), 1)
    return len(block).to_bytes(_LENGTH_BYTES, "big") + block


def encode_rows(name: str, rows: Sequence[Row]) -> list[bytes]:
    """The rows column by column, in as many blocks as it takes for each to fit a part.

    A column that says one thing of all is stored as that one: of accounts, most are.
    """
    if not rows:
        return []
    count = len(rows)
    brief = [
        column[:1] if column.count(column[0]) == count else column
        for column in columns_of(name, rows)
    ]
    block = encode_block(name, brief, count)
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
            name, content, *counted = orjson.loads(zlib.decompress(state[end : end + length]))
        except zlib.error as error:
            raise ValueError("a block that does not open") from error
        yield name, _whole(content, *counted) if counted else content
        at = end + length


def _whole(columns: Sequence[list[Any]], count: int) -> list[list[Any]]:
    """Each column with a value for every row."""
    return [column if len(column) == count else column * count for column in columns]
