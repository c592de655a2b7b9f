"""Bulk calls of plain transfers between their bytes and ours, without a message in between.

A request whose every item is a transfer of two legs in one currency, as any protobuf library writes
it, is read by one pattern, which vouches for the rules in the proto as well. Whatever it does not
match is nobody's fault: it is read and checked the general way.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from hefu.accounts.v1 import accounts_pb2 as pb
from libs.money import MINOR_MAX
from libs.wire_bytes import BYTES, message, number, text, varint
from services.accounts.codec.answers import result_of
from services.accounts.codec.entry_bytes import balance_text
from services.accounts.domain.answers import Answer
from services.accounts.domain.commands import Leg, Transfer
from services.accounts.domain.entries import TransferPosted

ITEMS_MAX: Final = 8_000
PURPOSE_MAX, CORRELATION_MAX, FACT_KEY_MAX = 80, 80, 200
_LENGTH: Final = r"([\x00-\x7f]|[\x80-\xff][\x01-\x7f])"
_UUID: Final = r"\x24([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
_NUMBER: Final = r"([\x80-\xff]{0,8}[\x01-\x7f])"
_LEG: Final = rf"\x12(.)\x0a{_UUID}\x18([\x01\x02])\x22(.)\x0a\x03([A-Z]{{3}})\x10{_NUMBER}"
# Neither control characters nor the tags that may follow: where a text ends is never in doubt.
_TEXT: Final = r"(.)([^\x00-\x1f\x22\x2a\x7f-\xff]+)"
_TEXTS: Final = rf"(?:\x1a{_TEXT})?(?:\x22{_TEXT})?(?:\x2a{_TEXT})?"
_TRANSFER: Final = rf"\x0a{_UUID}{_LEG}{_LEG}{_TEXTS}"
_OF_TRANSFERS: Final = re.compile(rf"\x0a{_LENGTH}()({_TRANSFER})", re.DOTALL)
_OF_COMMANDS: Final = re.compile(rf"\x0a{_LENGTH}\x12{_LENGTH}({_TRANSFER})", re.DOTALL)
# Bytes of a leg beside its amount, and of an amount beside its number.
_LEG_BYTES: Final = 42
_MONEY_BYTES: Final = 6


class PlainTransfers(NamedTuple):
    """A request that holds nothing else."""

    transfers: list[Transfer]


def read_transfers(raw: bytes) -> PlainTransfers | None:
    """A `PostTransfersRequest`, where it is plain."""
    return _read(raw, _OF_TRANSFERS)


def read_commands(raw: bytes) -> PlainTransfers | None:
    """A `PostCommandsRequest`, where it is plain."""
    return _read(raw, _OF_COMMANDS)


def _read(raw: bytes, pattern: re.Pattern[str]) -> PlainTransfers | None:
    characters = raw.decode(BYTES)
    match: Callable[[str, int], re.Match[str] | None] = pattern.match
    found: list[Transfer] = []
    at, end = 0, len(characters)
    while at < end:
        item = match(characters, at)
        if item is None:
            return None
        (
            outer,
            inner,
            body,
            id_,
            leg_1,
            account_1,
            side_1,
            money_1,
            currency_1,
            minor_1,
            leg_2,
            account_2,
            side_2,
            money_2,
            currency_2,
            minor_2,
            purpose_length,
            purpose,
            correlation_length,
            correlation_id,
            fact_length,
            fact_key,
        ) = item.groups()
        size = len(body)
        if inner:
            if _number(inner) != size:
                return None
            size += 1 + len(inner)
        if (
            _number(outer) != size
            or ord(money_1) != len(minor_1) + _MONEY_BYTES
            or ord(money_2) != len(minor_2) + _MONEY_BYTES
            or ord(leg_1) != ord(money_1) + _LEG_BYTES
            or ord(leg_2) != ord(money_2) + _LEG_BYTES
        ):
            return None
        if purpose or correlation_id or fact_key:
            purpose, correlation_id, fact_key = purpose or "", correlation_id or "", fact_key or ""
            if not (
                _fits(purpose_length, purpose, PURPOSE_MAX)
                and _fits(correlation_length, correlation_id, CORRELATION_MAX)
                and _fits(fact_length, fact_key, FACT_KEY_MAX)
            ):
                return None
        first, second = _number(minor_1), _number(minor_2)
        if first > MINOR_MAX or second > MINOR_MAX:
            return None
        found.append(
            Transfer(
                id_,
                (
                    Leg(account_1, "", ord(side_1), currency_1, first),
                    Leg(account_2, "", ord(side_2), currency_2, second),
                ),
                purpose or "",
                correlation_id or "",
                fact_key or "",
                "",
                None,
            )
        )
        at = item.end()
    return PlainTransfers(found) if 0 < len(found) <= ITEMS_MAX else None


def _number(characters: str) -> int:
    """The number that a varint of so many characters holds."""
    if len(characters) == 1:
        return ord(characters)
    found = 0
    for character in reversed(characters):
        found = found << 7 | ord(character) & 0x7F
    return found


def _fits(length: str | None, found: str, most: int) -> bool:
    return (ord(length) if length else 0) == len(found) <= most


def results_bytes(transfers: Sequence[Transfer], answers: Sequence[Answer]) -> bytes:
    """The bytes of a response to a bulk call: results, and the position of the last of them."""
    parts: list[str] = []
    last = 0
    for transfer, answer in zip(transfers, answers, strict=True):
        position, is_replayed, entry, refusal = answer
        last = max(last, position)
        if entry is None or refusal is not None or not isinstance(entry.fact, TransferPosted):
            result = result_of(transfer.transfer_id, answer).SerializeToString().decode(BYTES)
        else:
            replayed = "\x18\x01" if is_replayed else ""
            result = text("\n", transfer.transfer_id) + number("\x10", position) + replayed
            for balance in entry.balances:
                result += message("\x32", balance_text(balance))
        parts.append(f"\n{varint(len(result))}{result}")
    parts.append(number("\x10", last))
    return "".join(parts).encode(BYTES)


def transfers_response(
    request: PlainTransfers, answers: Sequence[Answer]
) -> pb.PostTransfersResponse:
    """The answer to `PostTransfers`."""
    return pb.PostTransfersResponse.FromString(results_bytes(request.transfers, answers))


def commands_response(
    request: PlainTransfers, answers: Sequence[Answer]
) -> pb.PostCommandsResponse:
    """The answer to `PostCommands`."""
    return pb.PostCommandsResponse.FromString(results_bytes(request.transfers, answers))
