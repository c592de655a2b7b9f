"""Orders and investors as a registrar's files name them.

申请单编号 is an order's id in the 24 characters that a file has room for, and back.
The 128 bits of a UUID are 22 digits in base 62, so that the map needs no memory: whoever reads a
number knows the order, and no two orders share one.
"""

from hashlib import sha256
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Final
from uuid import UUID

# A registrar's own numbers never begin so.
PREFIX: Final = "HF"
# Of an order that is offered again, and again: each time it goes under another number.
_AGAIN: Final = "GHI"
PREFIXES: Final = (PREFIX, *(f"H{each}" for each in _AGAIN))
_DIGITS: Final = digits + ascii_uppercase + ascii_lowercase
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_LENGTH: Final = 22
_MOST: Final = 2**128


def serial_of(order_id: str) -> str:
    """The number of an order in a registrar's files."""
    left, found = UUID(order_id).int, ""
    for _ in range(_LENGTH):
        left, digit = divmod(left, len(_DIGITS))
        found = _DIGITS[digit] + found
    return PREFIX + found


def again_of(serial: str, number: int) -> str:
    """The number under which an order goes to the registrar the nth time after the first."""
    return PREFIXES[number] + serial.removeprefix(PREFIX)


def order_id_of(serial: str) -> str | None:
    """The order of a number; None: it is none of ours."""
    if not serial.startswith(PREFIXES) or len(serial) != len(PREFIX) + _LENGTH:
        return None
    value = 0
    for digit in serial[len(PREFIX) :]:
        if digit not in _VALUES:
            return None
        value = value * len(_DIGITS) + _VALUES[digit]
    return str(UUID(int=value)) if value < _MOST else None


def trading_account_of(investor_id: str) -> str:
    """交易账号: 22 characters that tell a registrar nothing of who it is; the rows tell us."""
    return PREFIX + sha256(f"trading account\0{investor_id}".encode()).hexdigest()[:20].upper()
