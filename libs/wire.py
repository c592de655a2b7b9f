"""Values between their wire form and ours: `Money`, and times as microseconds since 1970."""

from google.protobuf.timestamp_pb2 import Timestamp

from hefu.type.v1.money_pb2 import Money as WireMoney
from libs.money import Money

_MICRO = 1_000_000


def money_to_wire(money: Money) -> WireMoney:
    """Our money as a message."""
    return WireMoney(currency_code=money.currency, minor_units=money.minor)


def money_from_wire(message: WireMoney) -> Money:
    """A message as our money. The currency's code is checked by who uses it."""
    return Money(message.currency_code, message.minor_units)


def time_to_wire(micros: int) -> Timestamp:
    """Microseconds since 1970 as a timestamp."""
    return Timestamp(seconds=micros // _MICRO, nanos=micros % _MICRO * 1_000)


def time_from_wire(message: Timestamp) -> int:
    """A timestamp as microseconds since 1970; nanoseconds below that are cut off."""
    return message.seconds * _MICRO + message.nanos // 1_000
