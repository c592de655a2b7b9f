"""Protobuf's wire form by hand, for what is written tens of thousands of times a second.

Bytes are handled as text of characters below 256, and become bytes at the very end: Python puts
text together several times as fast. Fields are written in the order of their numbers and left out
at their defaults, as protobuf's own deterministic form has it. Each takes its tag: number and wire
type in one.
"""

_SEVEN_BITS = 0x7F
_MORE = 0x80
_WORD = 1 << 64
# Bytes as characters: one each.
BYTES = "latin-1"


def _varint(value: int) -> str:
    digits = ""
    while value > _SEVEN_BITS:
        digits += _MORE_TO_COME[value & _SEVEN_BITS]
        value >>= 7
    return digits + chr(value)


_MORE_TO_COME = tuple(chr(value | _MORE) for value in range(_MORE))
# Lengths and small numbers are nearly all there is.
_SMALL = tuple(_varint(value) for value in range(1 << 12))
_SMALL_END = len(_SMALL)


def varint(value: int) -> str:
    """A number of up to 64 bits; a negative one takes ten bytes."""
    if 0 <= value < _SMALL_END:
        return _SMALL[value]
    return _varint(value if value >= 0 else value + _WORD)


def number(tag: str, value: int) -> str:
    """A field that is a number."""
    return f"{tag}{varint(value)}" if value else ""


def text(tag: str, value: str) -> str:
    """A field that is text."""
    if not value:
        return ""
    if not value.isascii():
        value = value.encode().decode(BYTES)
    return f"{tag}{varint(len(value))}{value}"


def data(tag: str, value: bytes) -> str:
    """A field that is bytes."""
    return f"{tag}{varint(len(value))}{value.decode(BYTES)}" if value else ""


def message(tag: str, value: str) -> str:
    """A field that is a message, there even where it is empty; or one of a repeated field."""
    return f"{tag}{varint(len(value))}{value}"
