"""Protobuf's wire form by hand, for what is written tens of thousands of times a second.

Bytes are handled as text of characters below 256, and become bytes at the very end: Python puts
text together several times as fast. Fields are written in the order of their numbers and left out
at their defaults, as protobuf's own deterministic form has it. Each takes its tag: number and wire
type in one.
"""

_SEVEN_BITS = 0x7F
_MORE = 0x80
_WORD = 1 << 64
# Two digits of seven bits are looked up at a time.
_DIGITS_BITS = 14
_DIGITS = 1 << _DIGITS_BITS
_DIGITS_MASK = _DIGITS - 1
SHORT_END = _DIGITS
# Bytes as characters: one each.
BYTES = "latin-1"


# Lengths and small numbers are nearly all there is: a number that ends here, and two digits of one
# that goes on. Who knows that a number is below `SHORT_END` may look it up without a call.
SHORT = tuple(
    chr(value) if value <= _SEVEN_BITS else chr(value & _SEVEN_BITS | _MORE) + chr(value >> 7)
    for value in range(_DIGITS)
)
_MORE_TO_COME = tuple(
    chr(value & _SEVEN_BITS | _MORE) + chr(value >> 7 | _MORE) for value in range(_DIGITS)
)


def varint(value: int) -> str:
    """A number of up to 64 bits; a negative one takes ten bytes."""
    if 0 <= value < _DIGITS:
        return SHORT[value]
    if value < 0:
        value += _WORD
    digits = ""
    while value >= _DIGITS:
        digits += _MORE_TO_COME[value & _DIGITS_MASK]
        value >>= _DIGITS_BITS
    return digits + SHORT[value]


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
