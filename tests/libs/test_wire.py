"""Money and times survive the wire."""

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from libs.money import MINOR_MAX, Money
from libs.wire import money_from_wire, money_to_wire, time_from_wire, time_to_wire


@given(st.sampled_from(["CZK", "JPY", "KWD"]), st.integers(-MINOR_MAX, MINOR_MAX))
def test_money_comes_back_as_it_went(currency: str, minor: int) -> None:
    money = Money(currency, minor)

    assert money_from_wire(money_to_wire(money)) == money


@given(st.integers(-(10**15), 10**16))
def test_a_time_comes_back_as_it_went(micros: int) -> None:
    assert time_from_wire(time_to_wire(micros)) == micros


def test_nanoseconds_are_cut_off() -> None:
    assert time_from_wire(Timestamp(seconds=1, nanos=1_999)) == 1_000_001
