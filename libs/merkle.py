"""Merkle trees with the hashing of RFC 6962: roots, inclusion paths, and a tree that only grows.

Leaves and nodes are hashed with different first bytes, so that neither can pass as the other. A
tree of n leaves splits at the largest power of two below n: a node without a sibling moves up.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
_LEAF = b"\x00"
_NODE = b"\x01"


class PathMalformed(ValueError):
    """The path does not fit a leaf at this place of a tree of this size."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf's bytes."""
    return sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes | None) -> bytes:
    """The node above two; alone, the left one moves up unchanged."""
    return left if right is None else sha256(_NODE + left + right).digest()


def level_above(level: Sequence[bytes]) -> list[bytes]:
    """The hashes one level up."""
    nodes = iter(level)
    above = [
        sha256(_NODE + left + right).digest() for left, right in zip(nodes, nodes, strict=False)
    ]
    if len(level) % 2:
        above.append(level[-1])
    return above


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; without any, the hash of nothing."""
    if not leaves:
        return sha256().digest()
    level = leaves
    while len(level) > 1:
        level = level_above(level)
    return level[0]


def root_over(data: Iterable[bytes]) -> bytes:
    """The root over the leaves' own bytes."""
    return root_of([sha256(_LEAF + each).digest() for each in data])


def path_to(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The hashes that lead from a leaf to the root, lowest first. Raises `IndexError`."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    path: list[bytes] = []
    level = leaves
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            path.append(level[beside])
        level, index = level_above(level), index >> 1
    return path


def root_along(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root a leaf hash and its path lead to (RFC 9162, 2.1.3.2). Raises `PathMalformed`."""
    if not 0 <= index < size:
        raise PathMalformed(f"there is no leaf {index} among {size}")
    found, place, last = leaf, index, size - 1
    for beside in path:
        if not last or len(beside) != HASH_BYTES:
            raise PathMalformed("the path is too long, or holds what is no hash")
        if place % 2 or place == last:
            found = node_hash(beside, found)
            while place and not place % 2:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, beside)
        place, last = place >> 1, last >> 1
    if last:
        raise PathMalformed("the path is too short")
    return found


class Growing:
    """A tree that leaves are added to: it keeps the roots of its full parts, highest first."""

    def __init__(self, size: int = 0, parts: Sequence[bytes] = ()) -> None:
        if len(parts) != size.bit_count():
            raise PathMalformed(f"a tree of {size} leaves has {size.bit_count()} full parts")
        self.size = size
        self.parts = list(parts)

    def add(self, leaf: bytes) -> None:
        """Add a leaf's hash behind the others."""
        size, found = self.size, leaf
        while size % 2:
            found = node_hash(self.parts.pop(), found)
            size >>= 1
        self.parts.append(found)
        self.size += 1

    @property
    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self.parts:
            return sha256().digest()
        found = self.parts[-1]
        for part in reversed(self.parts[:-1]):
            found = node_hash(part, found)
        return found
