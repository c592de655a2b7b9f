"""The walk of two Merkle trees over the same keys, from their roots down to what differs."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from libs.two_halves import leaf_hash, node_hash


@dataclass(frozen=True, slots=True)
class AskNodes:
    """The other side's hashes at these places of a level; level 0 are the leaves."""

    level: int
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AskLeaves:
    """The other side's leaves, byte-exact."""

    indices: tuple[int, ...]


Ask: TypeAlias = AskNodes | AskLeaves


@dataclass(frozen=True, slots=True)
class Walked:
    """Places of the leaves that differ, with the other side's bytes, and the exchanges it took."""

    leaves: Mapping[int, bytes]
    exchanges: int


class WalkInvalid(Exception):
    """What was served does not hash to what was served above it: the answer proves nothing."""


def walk(
    levels: Sequence[Sequence[bytes]], other_root: bytes
) -> Generator[Ask, Sequence[bytes], Walked]:
    """Yields questions and takes answers, in the order asked. `levels[0]`: our leaves' hashes.

    Asks for children of differing nodes only, one batch a level. Raises `WalkInvalid`.
    """
    if not levels[0]:
        raise WalkInvalid("there is no leaf to differ in")
    theirs = {0: other_root}
    exchanges = 0
    for level in range(len(levels) - 1, 0, -1):
        differing = [index for index, node in theirs.items() if levels[level][index] != node]
        children = tuple(
            child
            for index in differing
            for child in (2 * index, 2 * index + 1)
            if child < len(levels[level - 1])
        )
        if not children:
            return Walked({}, exchanges)
        answer = yield AskNodes(level - 1, children)
        exchanges += 1
        below = _paired(children, answer)
        for index in differing:
            if node_hash(below[2 * index], below.get(2 * index + 1)) != theirs[index]:
                raise WalkInvalid(f"node {index} of level {level} is not made of what is below it")
        theirs = below
    differing = sorted(index for index, node in theirs.items() if levels[0][index] != node)
    if not differing:
        return Walked({}, exchanges)
    answer = yield AskLeaves(tuple(differing))
    leaves = _paired(tuple(differing), answer)
    for index, leaf in leaves.items():
        if leaf_hash(leaf) != theirs[index]:
            raise WalkInvalid(f"leaf {index} is not what its hash says")
    return Walked(leaves, exchanges + 1)


def _paired(indices: tuple[int, ...], answer: Sequence[bytes]) -> dict[int, bytes]:
    if len(answer) != len(indices):
        raise WalkInvalid(f"{len(answer)} answers to {len(indices)} questions")
    return dict(zip(indices, answer, strict=True))
