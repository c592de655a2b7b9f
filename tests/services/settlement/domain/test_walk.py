"""The walk finds exactly the legs that differ, in few exchanges, and believes nothing unproven."""

import math
import random
from collections.abc import Generator, Sequence

import pytest

from libs.two_halves import Tree
from services.settlement.domain.walk import Ask, AskNodes, Walked, WalkInvalid, walk

SIZES = (*range(1, 34), 1_000)


def leaves(n: int) -> list[bytes]:
    return [f"leaf {index}".encode() for index in range(n)]


def walked(ours: Tree, theirs: Tree) -> tuple[Walked, int]:
    """The result, and how many hashes were asked for."""
    walking: Generator[Ask, Sequence[bytes], Walked] = walk(ours.levels, theirs.root)
    hashes = 0
    try:
        ask = next(walking)
        while True:
            if isinstance(ask, AskNodes):
                hashes += len(ask.indices)
                answer = theirs.nodes(ask.level, ask.indices)
            else:
                answer = [theirs.leaf(index) for index in ask.indices]
            ask = walking.send(answer)
    except StopIteration as stop:
        result: Walked = stop.value
        return result, hashes


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("k", [0, 1, 2, 5])
def test_exactly_the_differing_legs_are_found(n: int, k: int) -> None:
    ours = leaves(n)
    chosen = random.Random(n * 31 + k).sample(range(n), min(k, n))  # noqa: S311 - seeded on purpose
    theirs = [b"other" + leaf if i in chosen else leaf for i, leaf in enumerate(ours)]

    found, hashes = walked(Tree(ours), Tree(theirs))

    assert sorted(found.leaves) == sorted(chosen)
    assert all(found.leaves[index] == theirs[index] for index in chosen)
    assert found.exchanges <= math.ceil(math.log2(n)) + 2
    assert hashes <= 2 * len(chosen) * math.ceil(math.log2(n)) if n > 1 else hashes == 0


def test_all_of_a_thousand_legs_may_differ() -> None:
    found, _ = walked(Tree(leaves(1_000)), Tree([b"x" + leaf for leaf in leaves(1_000)]))
    assert len(found.leaves) == 1_000


def test_an_empty_tree_has_nothing_to_differ_in() -> None:
    with pytest.raises(WalkInvalid):
        next(walk(Tree([]).levels, bytes(32)))


@pytest.mark.parametrize("n", [2, 3, 7, 33])
def test_a_node_that_does_not_hash_to_its_parent_is_found_out(n: int) -> None:
    ours = Tree(leaves(n))
    walking = walk(ours.levels, bytes(32))
    ask = next(walking)
    with pytest.raises(WalkInvalid):
        walking.send([bytes([1]) * 32] * len(ask.indices))


def test_a_leaf_that_is_not_what_its_hash_says_is_found_out() -> None:
    ours, theirs = Tree([b"a"]), Tree([b"b"])
    walking = walk(ours.levels, theirs.root)
    next(walking)
    with pytest.raises(WalkInvalid):
        walking.send([b"c"])


def test_too_few_answers_are_no_answer() -> None:
    walking = walk(Tree(leaves(8)).levels, bytes(32))
    next(walking)
    with pytest.raises(WalkInvalid):
        walking.send([bytes(32)])
