"""The terms of a command in one canonical form, whose hash decides whether a repeat is one.

The order of the terms is storage: hashes and checks of every entry ever written depend on it. They
are joined by a character that no term may contain (`shape.py` sees to it): no two look alike.
"""

import hashlib
import struct
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from services.accounts.domain.commands import (
    Amount,
    CaptureHold,
    CloseAccount,
    Command,
    FreezeAccount,
    MoveBusinessDate,
    ObligationTerms,
    OpenAccount,
    OpenWindow,
    PlaceHold,
    ReleaseHold,
    SealWindow,
    Transfer,
    UnfreezeAccount,
)

SEPARATOR = b"\x1f"
_CHECK_BYTES = 4
_NO_OBLIGATION = ("", "", "", "", "")
_OBLIGATION = ("bank_id", "favour", "amount", "payment_id", "carried_from_window_id")
_OBLIGATION_PATHS = tuple(f"obligation.{name}" for name in _OBLIGATION)
_LEG = ("target", "direction", "amount")
_TRANSFER_PATHS = ("purpose", "correlation_id", "fact_key", "value_date", *_OBLIGATION_PATHS)
_PATHS: dict[str, tuple[str, ...]] = {
    "open_account": ("owner", "kind", "currency_code", "ordinal", "correlation_id"),
    "freeze_account": ("account_id", "side", "purpose", "stop_captures"),
    "unfreeze_account": ("freeze_id", "account_id"),
    "close_account": ("account_id",),
    "place_hold": (
        "account_id",
        "amount",
        "destination_account_id",
        "expires_after_s",
        "purpose",
        "correlation_id",
    ),
    "capture_hold": (
        "hold_id",
        "amount",
        "is_final",
        "destination",
        "purpose",
        "correlation_id",
        "fact_key",
        *_OBLIGATION_PATHS,
    ),
    "release_hold": ("hold_id", "amount", "correlation_id"),
    "move_business_date": ("to_date",),
    "open_window": ("bank_id", "currency_code"),
    "seal_window": ("window_id",),
    "close_window": (),
}


class Digest(NamedTuple):
    """SHA-256 over the terms, and a CRC-32 of each, to name those that differ."""

    hash: bytes
    checks: bytes


def name_of(command: Command) -> str:
    """The kind of command, as refusals and terms name it."""
    return canonical(command)[0]


def digest(terms: Sequence[str]) -> Digest:
    encoded = [term.encode() for term in terms]
    checks = struct.pack(f"<{len(encoded)}I", *map(crc32, encoded))
    return Digest(hashlib.sha256(SEPARATOR.join(encoded)).digest(), checks)


def differing(terms: Sequence[str], stored_checks: bytes) -> tuple[str, ...]:
    """Names of the terms that differ from those of the stored entry with these checks."""
    here = digest(terms).checks
    mine = [here[at : at + _CHECK_BYTES] for at in range(0, len(here), _CHECK_BYTES)]
    theirs = [
        stored_checks[at : at + _CHECK_BYTES] for at in range(0, len(stored_checks), _CHECK_BYTES)
    ]
    if mine[:1] != theirs[:1]:
        return ("command",)
    paths = _paths(terms)
    found = [
        path for path, one, other in zip(paths, mine[1:], theirs[1:], strict=False) if one != other
    ]
    if len(mine) != len(theirs):
        found.append("legs")
    # Two texts may share a CRC; the hash has already said that something differs.
    return tuple(found) or ("terms",)


def _paths(terms: Sequence[str]) -> Sequence[str]:
    if terms[0] != "transfer":
        return _PATHS[terms[0]]
    legs = (len(terms) - 1 - len(_TRANSFER_PATHS)) // len(_LEG)
    return [*_TRANSFER_PATHS, *(f"legs[{n}].{part}" for n in range(legs) for part in _LEG)]


def canonical(command: Command) -> list[str]:
    """All fields that decide the effect, without the id, behind the command's name."""
    match command:
        case Transfer():
            return _transfer(command)
        case PlaceHold():
            return [
                "place_hold",
                command.account_id,
                _amount(command.amount),
                command.destination,
                str(command.expires_after_s),
                command.purpose,
                command.correlation_id,
            ]
        case CaptureHold():
            return _capture(command)
        case ReleaseHold(_, hold_id, amount, correlation_id):
            return ["release_hold", hold_id, _amount(amount), correlation_id]
        case OpenAccount(_, owner, kind, currency, ordinal, correlation_id):
            return [
                "open_account",
                owner,
                str(int(kind)),
                currency,
                str(ordinal),
                correlation_id,
            ]
        case FreezeAccount(_, account_id, side, purpose, stop_captures):
            stops = "1" if stop_captures else "0"
            return ["freeze_account", account_id, str(int(side)), purpose, stops]
        case UnfreezeAccount(_, freeze_id, account_id):
            return ["unfreeze_account", freeze_id, account_id]
        case CloseAccount(_, account_id):
            return ["close_account", account_id]
        case MoveBusinessDate(_, to_date):
            return ["move_business_date", to_date]
        case OpenWindow(_, bank_id, currency):
            return ["open_window", bank_id, currency]
        case SealWindow(_, window_id):
            return ["seal_window", window_id]
        case _:
            return ["close_window"]


def _transfer(command: Transfer) -> list[str]:
    terms = [
        "transfer",
        command.purpose,
        command.correlation_id,
        command.fact_key,
        command.value_date,
        *_obligation(command.obligation),
    ]
    for account_id, bank_id, direction, currency, minor in command.legs:
        terms += (account_id or f"clearing:{bank_id}", str(int(direction)), f"{minor} {currency}")
    return terms


def _capture(command: CaptureHold) -> list[str]:
    destination = f"clearing:{command.bank_id}" if command.bank_id else command.account_id
    return [
        "capture_hold",
        command.hold_id,
        _amount(command.amount),
        "1" if command.is_final else "0",
        destination,
        command.purpose,
        command.correlation_id,
        command.fact_key,
        *_obligation(command.obligation),
    ]


def _amount(amount: Amount | None) -> str:
    return "" if amount is None else f"{amount.minor} {amount.currency}"


def _obligation(terms: ObligationTerms | None) -> tuple[str, ...]:
    if terms is None:
        return _NO_OBLIGATION
    return (
        terms.bank_id,
        str(int(terms.favour)),
        f"{terms.minor} {terms.currency}",
        terms.payment_id,
        terms.carried_from,
    )
