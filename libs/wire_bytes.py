"""Protobuf's wire form by hand, for what is written tens of thousands of times a second.

Fields are written in the order of their numbers and left out at their defaults, as protobuf's own
deterministic form has it. Each takes its tag as bytes: number and wire type in one.
"""

_SEVEN_BITS = 0x7F
_MORE = 0x80
_WORD = 1 << 64


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > _SEVEN_BITS:
        digits.append(value & _SEVEN_BITS | _MORE)
        value >>= 7
    digits.append(value)
    return bytes(digits)


# Lengths and small numbers are nearly all there is.
_SMALL = tuple(_varint(value) for value in range(1 << 12))
_SMALL_END = len(_SMALL)


def varint(value: int) -> bytes:
    """A number of up to 64 bits; a negative one takes ten bytes."""
    if 0 <= value < _SMALL_END:
        return _SMALL[value]
    return _varint(value if value >= 0 else value + _WORD)


def number(tag: bytes, value: int) -> bytes:
    """A field that is a number."""
    return tag + varint(value) if value else b""


def text(tag: bytes, value: str) -> bytes:
    """A field that is text."""
    if not value:
        return b""
    data = value.encode()
    return tag + varint(len(data)) + data


def message(tag: bytes, data: bytes) -> bytes:
    """A field that is a message, there even where it is empty; or one of a repeated field."""
    return tag + varint(len(data)) + data
