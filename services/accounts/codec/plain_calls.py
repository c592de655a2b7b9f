"""Bulk calls of plain transfers between their bytes and ours, without a message in between.

A request whose every item moves one amount between two accounts, as any protobuf library writes it,
is read by one pattern, which vouches for the rules in the proto as well. Whatever it does not match
is nobody's fault: it is read and checked the general way.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, overload

from libs.money import MINOR_MAX
from libs.wire_bytes import BYTES, number, varint
from services.accounts.codec.answers import result_of
from services.accounts.domain.answers import Answer
from services.accounts.domain.commands import Leg, Transfer
from services.accounts.domain.kinds import Direction
from services.accounts.domain.legs import is_currency

ITEMS_MAX: Final = 8_000
PURPOSE_MAX, CORRELATION_MAX, FACT_KEY_MAX = 80, 80, 200
_LENGTH: Final = r"([\x00-\x7f]|[\x80-\xff][\x01-\x7f])"
_UUID: Final = r"\x24([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
_AMOUNT: Final = r"(?P<amount>\x22.\x0a\x03[A-Z]{3}\x10[\x80-\xff]{0,8}[\x01-\x7f])"
_FIRST: Final = rf"\x12(?P<size>.)\x0a{_UUID}\x18([\x01\x02]){_AMOUNT}"
_SECOND: Final = rf"\x12(?P=size)\x0a{_UUID}\x18([\x01\x02])(?P=amount)"
# Neither control characters nor the tags that may follow: where a text ends is never in doubt.
_WORDS: Final = r"[^\x00-\x1f\x22\x2a\x7f-\xff]+"
_TEXTS: Final = rf"((?:\x1a.{_WORDS})?(?:\x22.{_WORDS})?(?:\x2a.{_WORDS})?)"
_TRANSFER: Final = rf"\x0a{_UUID}{_FIRST}{_SECOND}{_TEXTS}"
_OF_TRANSFERS: Final = re.compile(rf"\x0a{_LENGTH}(){_TRANSFER}", re.DOTALL)
_OF_COMMANDS: Final = re.compile(rf"\x0a{_LENGTH}\x12{_LENGTH}{_TRANSFER}", re.DOTALL)
_EACH_TEXT: Final = re.compile(
    rf"(?:\x1a(.)({_WORDS}))?(?:\x22(.)({_WORDS}))?(?:\x2a(.)({_WORDS}))?", re.DOTALL
)
# Bytes of an id with its tag and length, of a leg beside its amount, before the amount's digits.
_ID_BYTES: Final = 38
_LEG_BYTES: Final = 40
_DIGITS_AT: Final = 8
# The tag of an amount in a leg that is asked for, and of one in a leg that is posted.
_ASKED: Final = '"'
_POSTED: Final = "\x1a"
DEBIT, CREDIT = chr(Direction.DEBIT), chr(Direction.CREDIT)
# A named tuple in a third of the time that its own call takes.
_made = tuple.__new__
# Amounts seen lately: most are seen again.
_AMOUNTS_MAX: Final = 4_096


class PlainAmount(NamedTuple):
    """An amount as it stands in bytes. `size`: of the transfer, without texts."""

    minor: int
    currency: str
    # "725 CZK", as terms have it.
    money: str
    # As a field of a posted leg, and a leg's length with it.
    posted: str
    leg: str
    size: int


class PlainTexts(NamedTuple):
    purpose: str
    correlation_id: str
    fact_key: str


class PlainTransfer(NamedTuple):
    """One of a plain call. `side`: of the first account, as a character; the second's is other."""

    transfer_id: str
    first: str
    side: str
    second: str
    amount: PlainAmount
    texts: PlainTexts | None


class PlainTransfers(Sequence[Transfer]):
    """A request that holds nothing else; its commands are made as they are asked for."""

    __slots__ = ("plain",)

    def __init__(self, plain: Sequence[PlainTransfer]) -> None:
        self.plain = plain

    def __len__(self) -> int:
        return len(self.plain)

    def __iter__(self) -> Iterator[Transfer]:
        return map(command_of, self.plain)

    @overload
    def __getitem__(self, index: int) -> Transfer: ...
    @overload
    def __getitem__(self, index: slice) -> "PlainTransfers": ...
    def __getitem__(self, index: int | slice) -> "Transfer | PlainTransfers":
        if isinstance(index, slice):
            return PlainTransfers(self.plain[index])
        return command_of(self.plain[index])


def command_of(plain: PlainTransfer) -> Transfer:
    """The same as a command, for whoever asks by the rules."""
    transfer_id, first, side, second, amount, texts = plain
    other = CREDIT if side == DEBIT else DEBIT
    return Transfer(
        transfer_id,
        (
            Leg(first, "", ord(side), amount.currency, amount.minor),
            Leg(second, "", ord(other), amount.currency, amount.minor),
        ),
        *(texts or ("", "", "")),
        "",
        None,
    )


def read_transfers(raw: bytes) -> PlainTransfers | None:
    """A `PostTransfersRequest`, where it is plain."""
    return _read(raw, _OF_TRANSFERS)


def read_commands(raw: bytes) -> PlainTransfers | None:
    """A `PostCommandsRequest`, where it is plain."""
    return _read(raw, _OF_COMMANDS)


def _read(raw: bytes, pattern: re.Pattern[str]) -> PlainTransfers | None:
    found: list[PlainTransfer] = []
    size = 0
    # What does not match is passed over: then the sizes do not add up.
    for outer, inner, id_, leg, first, side, amount, second, other, words in pattern.findall(
        raw.decode(BYTES)
    ):
        known = _amounts.get(amount) or _amount_of(amount)
        if known is None or known.leg != leg or side == other:
            return None
        item = known.size + len(words)
        if inner:
            if inner != varint(item):
                return None
            item += 1 + len(inner)
        if outer != varint(item):
            return None
        size += 1 + len(outer) + item
        texts = None
        if words:
            texts = _texts_of(words)
            if texts is None:
                return None
        found.append(_made(PlainTransfer, (id_, first, side, second, known, texts)))
    return PlainTransfers(found) if size == len(raw) and 0 < len(found) <= ITEMS_MAX else None


_amounts: dict[str, PlainAmount] = {}


def _amount_of(field: str) -> PlainAmount | None:
    """The amount that a field of a leg holds, if it is money and of the sizes it says."""
    digits = field[_DIGITS_AT:]
    minor = 0
    for character in reversed(digits):
        minor = minor << 7 | ord(character) & 0x7F
    currency, leg = field[4:7], _LEG_BYTES + len(field)
    if ord(field[1]) != len(field) - 2 or minor > MINOR_MAX or not is_currency(currency):
        return None
    size = _ID_BYTES + 2 * (2 + leg)
    posted = field.replace(_ASKED, _POSTED, 1)
    found = PlainAmount(minor, currency, f"{minor} {currency}", posted, chr(leg), size)
    if len(_amounts) >= _AMOUNTS_MAX:
        _amounts.clear()
    _amounts[field] = found
    return found


def _texts_of(words: str) -> PlainTexts | None:
    """The texts of a transfer, if they are as long as they say and may be."""
    match = _EACH_TEXT.fullmatch(words)
    if match is None:
        return None
    purpose_size, purpose, correlation_size, correlation_id, fact_size, fact_key = match.groups("")
    if not (
        _fits(purpose_size, purpose, PURPOSE_MAX)
        and _fits(correlation_size, correlation_id, CORRELATION_MAX)
        and _fits(fact_size, fact_key, FACT_KEY_MAX)
    ):
        return None
    return PlainTexts(purpose, correlation_id, fact_key)


def _fits(size: str, text: str, most: int) -> bool:
    return (ord(size) if size else 0) == len(text) <= most


def result_text(command_id: str, answer: Answer) -> str:
    """An answer as an item of a response to a bulk call, in characters of one byte."""
    result = result_of(command_id, answer).SerializeToString().decode(BYTES)
    return f"\n{varint(len(result))}{result}"


def response_bytes(results: Sequence[str], position: int) -> bytes:
    """A response to a bulk call: results in their order, and the position they all stand at."""
    return f"{''.join(results)}{number(chr(0x10), position)}".encode(BYTES)
