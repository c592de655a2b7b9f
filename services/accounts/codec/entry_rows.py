"""The rows of an entry; those of a plain transfer, read from its stored bytes by one pattern.

Nearly every entry is one: two accounts, one amount, in no window and no group. By its messages it
takes twice as long. What the pattern does not match is read by them; a test holds both against each
other.
"""

import re
from functools import lru_cache
from typing import Final, TypeAlias

from libs.wire_bytes import BYTES
from services.accounts.domain.kinds import Direction

_NUMBER: Final = r"[\x80-\xff]{0,9}[\x00-\x7f]"
_ID: Final = r"\x24([0-9a-f-]{36})"
# Neither control characters nor the tags that may follow: where a text ends is never in doubt.
_TEXT: Final = r"[^\x00-\x1f\x22\x2a\x7f-\xff]+"
_BALANCE: Final = (
    rf"J.\x0a{_ID}\x10({_NUMBER})(?:\x18({_NUMBER}))?(?:\x20({_NUMBER}))?(?:\x28({_NUMBER}))?"
)
_LEG: Final = rf"\x0a.\x0a{_ID}\x10([\x01\x02])\x1a.\x0a\x03[A-Z]{{3}}\x10({_NUMBER})"
_PLAIN: Final = re.compile(
    rf"(?:\x08{_NUMBER})?\x12\x24[0-9a-f-]{{36}}\x1a.{_TEXT}(?:\x22.({_TEXT}))?\x2a\x20.{{32}}"
    rf"2\x0a(.{{10}}):\x0a(.{{10}}){_BALANCE}{_BALANCE}(?:R\x40.{{64}})?"
    rf"\xc2\x01{_NUMBER}{_LEG}{_LEG}(?!\x0a)",
    re.DOTALL,
)
_SEVEN_BITS: Final = 0x7F
_SIGN: Final = 1 << 63
_WORD: Final = 1 << 64
_NUMBERS_KEPT: Final = 8_192
_CREDIT: Final = chr(Direction.CREDIT)


# Rows are tuples in the order of their tables' columns: a page makes thousands, and one with names
# takes seven times as long to make.
# Of `entries`: page number, ordinal, correlation id, window id, business date, stored bytes.
EntryRow: TypeAlias = tuple[int, int, str, str, str, bytes]
# Of `entry_accounts`, the account after the entry: account id, its sequence number, page number,
# ordinal, value date, business date; credits minus debits of this entry, posted, held and incoming,
# in minor units.
TouchedRow: TypeAlias = tuple[str, int, int, int, str, str, int, int, int, int]


def plain_rows(
    data: bytes, page_number: int, ordinal: int
) -> tuple[EntryRow, TouchedRow, TouchedRow] | None:
    """A plain transfer's rows; None where the entry is none."""
    found = _PLAIN.match(data.decode(BYTES))
    if found is None:
        return None
    (
        correlation_id,
        value_date,
        date,
        one_id,
        one_seq,
        one_posted,
        one_held,
        one_incoming,
        other_id,
        other_seq,
        other_posted,
        other_held,
        other_incoming,
        first_id,
        first_side,
        minor,
        second_id,
        second_side,
        second_minor,
    ) = found.groups("")
    if (
        minor != second_minor
        or first_side == second_side
        or {one_id, other_id} != {first_id, second_id}
    ):
        return None
    credited = _number(minor)
    is_credited = (one_id == first_id) == (first_side == _CREDIT)
    moved = credited if is_credited else -credited
    return (
        (page_number, ordinal, correlation_id, "", date, data),
        (
            one_id,
            _number(one_seq),
            page_number,
            ordinal,
            value_date,
            date,
            moved,
            _number(one_posted),
            _number(one_held),
            _number(one_incoming),
        ),
        (
            other_id,
            _number(other_seq),
            page_number,
            ordinal,
            value_date,
            date,
            -moved,
            _number(other_posted),
            _number(other_held),
            _number(other_incoming),
        ),
    )


@lru_cache(_NUMBERS_KEPT)
def _number(digits: str) -> int:
    """A varint; "" is the default, 0."""
    value = 0
    for digit in reversed(digits):
        value = value << 7 | ord(digit) & _SEVEN_BITS
    return value - _WORD if value >= _SIGN else value
