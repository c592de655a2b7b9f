"""Trees of RFC 6962: known roots, every path of every size, and nothing else passes."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.merkle import Growing, PathMalformed, leaf_hash, path_to, root_along, root_of, root_over

# The eight leaves and roots of the certificate-transparency reference implementation.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def _hashes(size: int) -> list[bytes]:
    return [leaf_hash(bytes([n])) for n in range(size)]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_reference(size: int) -> None:
    growing = Growing()
    for leaf in LEAVES[:size]:
        growing.add(leaf_hash(leaf))

    assert root_over(LEAVES[:size]).hex() == ROOTS[size - 1]
    assert growing.root.hex() == ROOTS[size - 1]


def test_no_leaves_have_the_hash_of_nothing() -> None:
    assert root_of([]) == Growing().root == sha256().digest()


def test_every_leaf_of_every_tree_has_a_path_to_its_root() -> None:
    for size in range(1, 40):
        leaves = _hashes(size)
        for index in range(size):
            path = path_to(index, leaves)
            assert root_along(leaves[index], index, size, path) == root_of(leaves)
            assert len(path) <= (size - 1).bit_length()


@given(st.integers(2, 70), st.data())
def test_a_path_proves_one_leaf_at_one_place_only(size: int, data: st.DataObject) -> None:
    leaves = _hashes(size)
    index, other = data.draw(st.permutations(range(size)))[:2]
    path = path_to(index, leaves)

    for leaf, place in ((leaves[other], index), (leaves[index], other)):
        try:
            assert root_along(leaf, place, size, path) != root_of(leaves)
        except PathMalformed:
            assert place == other  # another place may need a path of another length


@pytest.mark.parametrize(
    ("index", "size", "kept", "added"),
    [
        (5, 5, 3, b""),
        (-1, 5, 3, b""),
        (2, 5, 2, b""),
        (2, 5, 3, bytes(32)),
        (2, 5, 2, bytes(31)),
    ],
)
def test_a_path_that_does_not_fit_is_none(index: int, size: int, kept: int, added: bytes) -> None:
    leaves = _hashes(5)
    path = path_to(2, leaves)[:kept] + ([added] if added else [])

    with pytest.raises(PathMalformed):
        root_along(leaves[2], index, size, path)


def test_a_tree_grows_on_from_its_full_parts() -> None:
    leaves = _hashes(77)
    for size in range(77):
        first = Growing()
        for leaf in leaves[:size]:
            first.add(leaf)
        again = Growing(first.size, first.parts)
        for leaf in leaves[size:]:
            again.add(leaf)
        assert again.root == root_of(leaves)
    with pytest.raises(PathMalformed):
        Growing(3, [bytes(32)])
