"""The parts of which our messages are made, each in the form its field demands."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from libs.iso20022.messages import Message, MessageInvalid
from libs.money import MINOR_MAX, Money, major
from libs.xml import amount, leaf, node

T = TypeVar("T")

_REFERENCE = re.compile(r"[A-Za-z0-9/?:().,'+ -]{1,35}")
_ACCOUNT = re.compile(r"[A-Z0-9]{1,34}")


def group_header(message: Message, *totals: str) -> str:
    """Message id and time, and what else its kind says of the whole."""
    return node(
        "GrpHdr",
        leaf("MsgId", reference(message.message_id)),
        leaf("CreDtTm", time(message.created_ms)),
        *totals,
    )


def money(name: str, value: Money) -> str:
    """A positive amount. Raises `MessageInvalid`."""
    if value.minor <= 0:
        raise MessageInvalid("AMOUNT_INVALID", f"{value} is not positive")
    return amount(name, in_major(value.minor, value.currency), value.currency)


def in_major(minor: int, currency: str) -> str:
    """Minor units as decimal text of at most 18 digits. Raises `MessageInvalid`."""
    if abs(minor) > MINOR_MAX:
        raise MessageInvalid("AMOUNT_INVALID", f"{minor} has more than 18 digits")
    return major(minor, currency)


def account(name: str, number: str, currency: str = "") -> str:
    """An account by its number. Raises `MessageInvalid`."""
    if _ACCOUNT.fullmatch(number) is None:
        raise MessageInvalid(
            "FIELD_INVALID", f"account {number!r} has other characters than A-Z0-9"
        )
    currency_code = leaf("Ccy", currency) if currency else ""
    return node(name, node("Id", node("Othr", leaf("Id", number))), currency_code)


def reference(text: str) -> str:
    """A reference in the characters banks take. Raises `MessageInvalid`."""
    if _REFERENCE.fullmatch(text) is None:
        raise MessageInvalid("FIELD_INVALID", f"reference {text!r} does not fit its field")
    return text


def time(at_ms: int) -> str:
    """Milliseconds since 1970 as UTC."""
    whole = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at_ms % 1000:03d}Z"


def where(value: T | None, write: Callable[[T], str]) -> str:
    """What is written of a value that is there; nothing of one that is not."""
    return write(value) if value else ""
