"""Fields of a hostile message: each there once, of its type and length, or refused."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from uuid import UUID

from libs.iso20022.messages import MessageInvalid
from libs.money import CurrencyUnknown, Money, exponent
from libs.xml import Element

# Decimal places of a control sum's exact form: the most an ISO 20022 amount may have.
SCALE = 5
DIGITS_MAX = 18
_POWERS: tuple[int, ...] = tuple(10**power for power in range(SCALE + 1))
_AMOUNT = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,5})?")
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*")
_ID = re.compile(r"[A-Za-z0-9/?:().,'+ -]{1,35}")
_ACCOUNT = re.compile(r"[A-Z0-9]{1,34}")
_CODE = re.compile(r"[A-Z0-9]{1,4}")
_UETR = re.compile(r"[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[89ab][a-f0-9]{3}-[a-f0-9]{12}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"[0-9]{1,15}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})?"
)


class Fields:
    """An element with the way to it, so that a refusal can say where it stands."""

    __slots__ = ("_path", "element")

    def __init__(self, element: Element, path: str = "") -> None:
        self.element = element
        self._path = path

    def refuse(self, reason: str, description: str, names: tuple[str, ...] = ()) -> MessageInvalid:
        """The refusal to raise for this element, or for one below it."""
        way = "/".join((self.element.name, *names))
        return MessageInvalid(reason, f"{self._path}{way}: {description}")

    def has(self, *names: str) -> bool:
        """Whether the element at the end of the way is there; twice is refused."""
        return self._find(names) is not None

    def maybe(self, *names: str) -> "Fields | None":
        """The element at the end of the way, where it is there; twice is refused."""
        found = self._find(names)
        return None if found is None else Fields(found, self._way(names[:-1]))

    def one(self, *names: str) -> "Fields":
        """The element at the end of the way, which must be there."""
        return Fields(self._one(names), self._way(names[:-1]))

    def each(self, name: str) -> Iterator["Fields"]:
        """All children of that name."""
        path = self._way(())
        return (Fields(child, path) for child in self.element.children if child.name == name)

    def text(self, *names: str) -> str:
        """Text that must be there and must not be empty."""
        found = self._one(names)
        if found.children or not found.text:
            raise self.refuse("FIELD_INVALID", "holds no text", names)
        if _TEXT.fullmatch(found.text) is None:
            raise self.refuse("FIELD_INVALID", "holds a control or invisible character", names)
        return found.text

    def id(self, *names: str) -> str:
        """A reference: 1 to 35 characters of the set banks take."""
        return self._matching(_ID, "a reference of up to 35 characters", names)

    def maybe_id(self, *names: str) -> str:
        """A reference, or empty where it is absent."""
        return self.id(*names) if self.has(*names) else ""

    def code(self, *names: str) -> str:
        """A code of up to four characters."""
        return self._matching(_CODE, "a code", names)

    def maybe_code(self, *names: str) -> str:
        """A code, or empty where it is absent."""
        return self.code(*names) if self.has(*names) else ""

    def account(self, *names: str) -> str:
        """An account number."""
        return self._matching(_ACCOUNT, "an account number", names)

    def number(self, *names: str) -> int:
        """A whole number."""
        return int(self._matching(_NUMBER, "a number", names))

    def is_true(self, *names: str) -> bool:
        """An indicator."""
        text = self.text(*names)
        if text not in {"true", "false", "1", "0"}:
            raise self.refuse("FIELD_INVALID", "is no indicator", names)
        return text in {"true", "1"}

    def uetr(self, *names: str) -> UUID:
        """A UETR: a UUIDv4 in lower case."""
        return UUID(self._matching(_UETR, "a UETR", names))

    def maybe_uetr(self, *names: str) -> UUID | None:
        """A UETR where it is there."""
        return self.uetr(*names) if self.has(*names) else None

    def date(self, *names: str) -> str:
        """A calendar date, as ISO 8601 text."""
        text = self._matching(_DATE, "a date", names)
        try:
            date.fromisoformat(text)
        except ValueError as error:
            raise self.refuse("FIELD_INVALID", "is no calendar date", names) from error
        return text

    def time_ms(self, *names: str) -> int:
        """Milliseconds since 1970; a time without zone is UTC."""
        text = self._matching(_TIME, "a time", names)
        try:
            found = datetime.fromisoformat(text)
        except ValueError as error:
            raise self.refuse("FIELD_INVALID", "is no time", names) from error
        moment = found if found.tzinfo else found.replace(tzinfo=UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000

    def amount(self, *names: str) -> Money:
        """An amount with its currency, within that currency's decimals; zero is one."""
        found = self._one(names)
        currency = found.attributes.get("Ccy", "")
        in_full = self.scaled(*names)
        try:
            digits = exponent(currency)
        except CurrencyUnknown as error:
            raise self.refuse("CURRENCY_UNKNOWN", str(error), names) from error
        if len(found.text.partition(".")[2]) > digits:
            raise self.refuse("CURRENCY_SCALE", f"{currency} has {digits} decimals", names)
        return Money(currency, in_full // _POWERS[SCALE - digits])

    def positive(self, *names: str) -> Money:
        """An amount above zero."""
        money = self.amount(*names)
        if money.minor == 0:
            raise self.refuse("AMOUNT_INVALID", "is zero", names)
        return money

    def scaled(self, *names: str) -> int:
        """A plain decimal as a whole number of 10^-5: exact, whatever the currency."""
        found = self._one(names)
        if found.children or _AMOUNT.fullmatch(found.text) is None:
            raise self.refuse("AMOUNT_INVALID", "is no plain decimal of up to 5 decimals", names)
        whole, _, fraction = found.text.partition(".")
        if len(whole) + len(fraction) > DIGITS_MAX:
            raise self.refuse("AMOUNT_INVALID", f"has more than {DIGITS_MAX} digits", names)
        return int(whole + fraction.ljust(SCALE, "0"))

    def _find(self, names: tuple[str, ...]) -> Element | None:
        found = self.element
        for name in names:
            children = [child for child in found.children if child.name == name]
            if not children:
                return None
            if len(children) > 1:
                raise self.refuse("FIELD_REPEATED", f"{name} occurs {len(children)} times")
            found = children[0]
        return found

    def _one(self, names: tuple[str, ...]) -> Element:
        found = self._find(names)
        if found is None:
            raise self.refuse("FIELD_MISSING", "is missing", names)
        return found

    def _way(self, names: tuple[str, ...]) -> str:
        return f"{self._path}{'/'.join((self.element.name, *names))}/"

    def _matching(self, pattern: re.Pattern[str], what: str, names: tuple[str, ...]) -> str:
        found = self._one(names)
        if found.children or pattern.fullmatch(found.text) is None:
            raise self.refuse("FIELD_INVALID", f"is not {what}", names)
        return found.text


def scaled(money: Money) -> int:
    """An amount as a whole number of 10^-5 of the major unit."""
    return money.minor * _POWERS[SCALE - exponent(money.currency)]
