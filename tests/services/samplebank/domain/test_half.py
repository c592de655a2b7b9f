from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from libs.two_halves import Leg, Tree, leaf_bytes, unknown_key_bytes
from services.samplebank.domain.half import (
    WRONG_BY_MINOR,
    Movement,
    half_of,
    keys_of,
    pack,
    record,
    unpack,
)

UETRS = [UUID(int=n) for n in range(1, 4)]


def movement(place: int, minor: int = 500, favour: str = "D") -> Movement:
    return Movement(UETRS[place], f"{place:032x}", favour, "CZK", minor)


def test_the_half_is_made_of_the_banks_own_figures() -> None:
    known = {UETRS[0]: movement(0, 700, "C"), UETRS[2]: movement(2)}
    half = half_of(UETRS, known, "WALLET1")
    leg = Leg(UETRS[0], "C", "CZK", 2, 700, "WALLET1", f"{0:032x}")
    assert half.leaves[0] == leaf_bytes(leg)
    assert half.leaves[1] == unknown_key_bytes(UETRS[1])
    assert half.root == Tree(half.leaves).root
    assert (half.legs, half.sum_wallet_minor, half.sum_bank_minor) == (2, 700, 500)


def test_a_half_of_nothing_has_the_root_of_nothing() -> None:
    assert half_of([], {}, "WALLET1").root == Tree([]).root


def test_a_movement_is_written_down_once_and_anew_only_after_a_dispute() -> None:
    wrong = record(movement(0), None, wrongly=True)
    assert wrong is not None
    assert wrong.amount_minor == 500 + WRONG_BY_MINOR
    assert record(movement(0), wrong, wrongly=False) is None
    disputed = Movement(UETRS[0], "e", "D", "CZK", 600, is_wrong=True, is_disputed=True)
    assert record(movement(0), disputed, wrongly=False) == movement(0)


def test_keys_are_whole_ascending_and_each_there_once() -> None:
    packed = b"".join(uetr.bytes for uetr in UETRS)
    assert keys_of(packed) == tuple(UETRS)
    assert keys_of(b"") == ()
    assert keys_of(packed[:-1]) is None
    assert keys_of(packed[16:] + packed[:16]) is None
    assert keys_of(packed[:16] * 2) is None


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_leaves_come_out_of_the_books_as_they_went_in(leaves: list[bytes]) -> None:
    assert unpack(pack(leaves)) == tuple(leaves)
