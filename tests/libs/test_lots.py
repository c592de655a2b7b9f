"""Messages that travel in one come out as they went in, and in order."""

from google.protobuf.wrappers_pb2 import BytesValue
from hypothesis import given
from hypothesis import strategies as st

from libs import lots
from libs.lots import LOT_BYTES_MAX, MESSAGES_MAX, parted


def message(value: bytes) -> bytes:
    return BytesValue(value=value).SerializeToString()


@given(st.lists(st.binary(max_size=40), max_size=3 * MESSAGES_MAX))
def test_what_goes_in_comes_out(values: list[bytes]) -> None:
    told = [BytesValue.FromString(each) for each in lots.lots(map(message, values))]

    assert [one.value for each in told for one in parted(each)] == values
    assert len(told) == -(-len(values) // MESSAGES_MAX)


def test_what_would_be_too_much_in_one_is_in_several() -> None:
    values = [bytes(LOT_BYTES_MAX // 2), bytes(LOT_BYTES_MAX // 3), bytes(2 * LOT_BYTES_MAX), b"x"]

    told = list(lots.lots(map(message, values)))

    assert [len(parted(BytesValue.FromString(each))) for each in told] == [2, 1, 1]


def test_one_alone_is_the_message_itself() -> None:
    assert list(lots.lots([message(b"a")])) == [message(b"a")]
