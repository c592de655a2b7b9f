import hashlib
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.two_halves import (
    BytesMalformed,
    Header,
    Leg,
    Tree,
    UnknownKey,
    decode_leaf,
    dispute_type,
    key_list_hash,
    leaf_bytes,
    leaf_hash,
    node_hash,
    sign_payload,
    uetr_of,
    unknown_key_bytes,
)

UETRS = [UUID(f"00000000-0000-4000-8000-00000000000{n}") for n in (1, 2, 3)]
LEGS = [
    Leg(uetr, favour, "CNY", 2, amount, "TESTACCT1", f"E2E-{n}")
    for n, (uetr, favour, amount) in enumerate(
        zip(UETRS, "CDC", (100_000, 40_000, 5), strict=True), 1
    )
]
LEAVES = [leaf_bytes(leg) for leg in LEGS]


@pytest.fixture
def header() -> Header:
    return Header(
        settlement_id=UUID("018f0000-0000-7000-8000-000000000001"),
        round=1,
        bank_id="TESTBANK",
        account="TESTACCT1",
        currency="CNY",
        exponent=2,
        model="NET_BILATERAL",
        value_date=20300115,
        window_ids=(UUID("018f0000-0000-7000-8000-0000000000aa"),),
        legs=3,
        sum_ours_minor=100_005,
        sum_bank_minor=40_000,
        key_list_hash=key_list_hash(UETRS),
        root=Tree(LEAVES).root,
        created_ms=1894665600000,
        expires_ms=1894669200000,
    )


def test_a_leg_has_the_bytes_of_the_published_vector() -> None:
    assert LEAVES[0].hex() == (
        "484546552d4c45472d310000000000004000800000000000000143434e590200000000000186a0"
        "09544553544143435431054532452d3100000000000000000000000000000000"
    )


def test_the_leaves_and_the_unknown_key_hash_to_the_published_vector() -> None:
    ends = [leaf_hash(leaf).hex() for leaf in [*LEAVES, unknown_key_bytes(UETRS[1])]]
    assert [(text[:8], text[-8:]) for text in ends] == [
        ("2296c44d", "16ffcd69"),
        ("abcb97b9", "5b085975"),
        ("7ce12c53", "ef6e3914"),
        ("9dfc7f55", "6a067b4f"),
    ]


def test_root_and_key_list_are_those_of_the_published_vector() -> None:
    assert Tree(LEAVES).root.hex() == (
        "3dc87f96d7a292f2caee7de36e6bc09bef250b22a9ec8dde1a2bb4619eb3795d"
    )
    assert key_list_hash(UETRS).hex() == (
        "5e3cc84acc04a9a7df1d7845c25e21a4e67cf458d9dda62b3acbefa3c5ffad44"
    )


def test_the_header_is_that_of_the_published_vector(header: Header) -> None:
    assert len(header.encode()) == 233
    assert header.digest.hex() == (
        "b3b62849b047bf5f8cb1f4ebcf885ade8ae040467ee75f1e8452ed51c2ea53be"
    )


@pytest.mark.parametrize(
    ("role", "first_key_byte", "signature"),
    [
        (
            "H",
            0x00,
            (
                "f80341effa7edb0d61d1b31b59dcf6ef4d4c3beb4e9b44ad7aeb53140c1be548"
                "e6c0de99db4d28729609d09782bba3dbcab42c73669478774aef3524033b750e"
            ),
        ),
        (
            "B",
            0x20,
            (
                "b8c9a72d7338b08996c1fc7555396a495345c234f8517e5652edd4731fb8d4e7"
                "66be8ff0c6aedca4db1e096fd43059d58071ddfa9a3432e0629c6aad11f1c60d"
            ),
        ),
    ],
)
def test_both_sides_sign_as_in_the_published_vector(
    header: Header, role: str, first_key_byte: int, signature: str
) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(first_key_byte, first_key_byte + 32)))
    assert key.sign(header.sign_payload(role)).hex() == signature


def test_the_uetr_of_a_payment_is_that_of_the_published_vector() -> None:
    uetr = uetr_of(UUID("018f0000-0000-7000-8000-0000000000bb"), 1)
    assert str(uetr) == "ec7c97c6-b438-447f-bbe5-ae313e06e560"
    assert uetr_of(UUID("018f0000-0000-7000-8000-0000000000bb"), 2) != uetr


def test_a_header_reads_back_as_it_was_written(header: Header) -> None:
    assert Header.decode(header.encode()) == header


def test_no_changed_byte_of_a_header_goes_unnoticed(header: Header) -> None:
    whole = header.encode()
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        try:
            other = Header.decode(changed)
        except BytesMalformed:
            continue
        assert other.digest != header.digest


@pytest.mark.parametrize("cut", [0, 1, 12, 13, 100, 232])
def test_a_cut_header_is_refused(header: Header, cut: int) -> None:
    with pytest.raises(BytesMalformed):
        Header.decode(header.encode()[:cut])
    with pytest.raises(BytesMalformed):
        Header.decode(header.encode() + b"\x00")


def test_a_role_that_is_nobodys_signs_nothing(header: Header) -> None:
    with pytest.raises(BytesMalformed):
        sign_payload("X", header.digest)


@pytest.mark.parametrize("count", [*range(34), 1_000])
def test_each_node_is_made_of_the_two_below_it(count: int) -> None:
    tree = Tree([str(n).encode() for n in range(count)])
    for level in range(1, len(tree.levels)):
        below = tree.levels[level - 1]
        for index, node in enumerate(tree.levels[level]):
            pair = below[2 * index : 2 * index + 2]
            assert node == node_hash(pair[0], pair[1] if pair[1:] else None)
    assert tree.root == (tree.levels[-1][0] if count else hashlib.sha256().digest())


def test_nodes_and_leaves_outside_the_tree_are_not_served() -> None:
    tree = Tree(LEAVES)
    assert tree.nodes(1, [1, 0]) == [tree.levels[1][1], tree.levels[1][0]]
    for level, index in ((0, 3), (0, -1), (3, 0), (-1, 0)):
        with pytest.raises(IndexError):
            tree.nodes(level, [index])
    with pytest.raises(IndexError):
        tree.leaf(-1)


def test_a_leaf_reads_back_as_it_was_written() -> None:
    back = Leg(UETRS[0], "C", "CNY", 2, 1, "A1", "E", original_uetr=UETRS[1])
    assert decode_leaf(leaf_bytes(back)) == back
    assert decode_leaf(unknown_key_bytes(UETRS[0])) == UnknownKey(UETRS[0])
    with pytest.raises(BytesMalformed):
        decode_leaf(leaf_bytes(back)[:-1])


@pytest.mark.parametrize(
    ("theirs", "type_"),
    [
        (Leg(UETRS[0], "C", "CNY", 2, 99_900, "TESTACCT1", "E2E-1"), "AMOUNT"),
        (Leg(UETRS[0], "C", "EUR", 2, 100_000, "TESTACCT1", "E2E-1"), "CURRENCY"),
        (Leg(UETRS[0], "D", "CNY", 2, 100_000, "TESTACCT1", "E2E-1"), "DIRECTION"),
        (Leg(UETRS[0], "C", "CNY", 2, 100_000, "OTHER", "E2E-1"), "ACCOUNT"),
        (Leg(UETRS[0], "C", "CNY", 2, 100_000, "TESTACCT1", "E2E-9"), "REFERENCE"),
        (Leg(UETRS[0], "C", "CNY", 2, 100_000, "TESTACCT1", "E2E-1", UETRS[2]), "RETURN_LINK"),
    ],
)
def test_the_type_of_a_dispute_names_the_field_that_differs(theirs: Leg, type_: str) -> None:
    assert dispute_type(LEAVES[0], leaf_bytes(theirs)) == type_


def test_a_side_that_knows_nothing_of_a_leg_is_named() -> None:
    nothing = unknown_key_bytes(UETRS[0])
    assert dispute_type(LEAVES[0], nothing) == "UNKNOWN_TO_BANK"
    assert dispute_type(nothing, LEAVES[0]) == "UNKNOWN_TO_US"


@pytest.mark.parametrize(
    "leg",
    [
        Leg(UETRS[0], "X", "CNY", 2, 1, "A", "E"),
        Leg(UETRS[0], "C", "cny", 2, 1, "A", "E"),
        Leg(UETRS[0], "C", "CNY", 2, -1, "A", "E"),
        Leg(UETRS[0], "C", "CNY", 2, 2**64, "A", "E"),
        Leg(UETRS[0], "C", "CNY", 2, 1, "Ä", "E"),
        Leg(UETRS[0], "C", "CNY", 2, 1, "A", "E" * 256),
    ],
)
def test_a_field_that_does_not_fit_its_place_makes_no_leaf(leg: Leg) -> None:
    with pytest.raises(BytesMalformed):
        leaf_bytes(leg)
