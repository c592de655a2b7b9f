"""Exact money: whole minor units of an ISO 4217 currency."""

import re
from dataclasses import dataclass
from functools import cache

from iso4217 import Currency

MINOR_MAX = 999_999_999_999_999_999
_NOT_MONEY = frozenset(
    {"XAU", "XAG", "XPT", "XPD", "XTS", "XXX", "XBA", "XBB", "XBC", "XBD", "XDR"}
)
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,5})?", re.ASCII)


class CurrencyUnknown(ValueError):
    """The code is no ISO 4217 currency, or one that is not money here."""


class AmountMalformed(ValueError):
    """The text is no plain decimal number, or has more decimals than the currency."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units; `minor` may be negative."""

    currency: str
    minor: int

    def __str__(self) -> str:
        """Major units for people: `725.00 CZK`."""
        return f"{major(self.minor, self.currency)} {self.currency}"


@cache
def exponent(currency: str) -> int:
    """Decimals of a currency. Raises `CurrencyUnknown`."""
    try:
        found = None if currency in _NOT_MONEY else Currency(currency).exponent
    except ValueError:
        found = None
    if found is None:
        message = f"{currency!r} is not a currency of ISO 4217"
        raise CurrencyUnknown(message)
    return int(found)


def major(minor: int, currency: str) -> str:
    """Minor units as exact decimal text in major units, without grouping."""
    digits = exponent(currency)
    sign, text = ("-" if minor < 0 else ""), str(abs(minor)).rjust(digits + 1, "0")
    return f"{sign}{text}" if digits == 0 else f"{sign}{text[:-digits]}.{text[-digits:]}"


def parse_major(text: str, currency: str) -> int:
    """Decimal text in major units to minor units. Raises `AmountMalformed`, never rounds.

    The grammar is checked first: Python's own parsers take `1_000`, `1e2` and foreign digits.
    """
    if _DECIMAL.fullmatch(text) is None:
        message = f"{text!r} is not a decimal number"
        raise AmountMalformed(message)
    whole, _, fraction = text.partition(".")
    digits = exponent(currency)
    if len(fraction.rstrip("0")) > digits or len(fraction) > max(digits, 0):
        message = f"{text!r} has more than {digits} decimals"
        raise AmountMalformed(message)
    return int(whole + fraction.ljust(digits, "0"))
