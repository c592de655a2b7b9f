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

    __slots__ = ("_by_name", "_path", "element")

    def __init__(self, element: Element, path: str = "") -> None:
        self.element = element
        self._path = f"{path}/{element.name}" if path else element.name
        self._by_name: dict[str, list[Element]] = {}
        for child in element.children:
            self._by_name.setdefault(child.name, []).append(child)

    def refuse(self, reason: str, description: str) -> MessageInvalid:
        """The refusal to raise for this element."""
        return MessageInvalid(reason, f"{self._path}: {description}")

    def maybe(self, *names: str) -> "Fields | None":
        """The element at the end of the way, where it is there; twice is refused."""
        found = self
        for name in names:
            children = found._by_name.get(name)
            if children is None:
                return None
            if len(children) != 1:
                raise found.refuse("FIELD_REPEATED", f"{name} occurs {len(children)} times")
            found = Fields(children[0], found._path)
        return found

    def one(self, *names: str) -> "Fields":
        """The element at the end of the way, which must be there."""
        found = self.maybe(*names)
        if found is None:
            raise self.refuse("FIELD_MISSING", f"{'/'.join(names)} is missing")
        return found

    def each(self, name: str) -> Iterator["Fields"]:
        """All children of that name."""
        return (Fields(child, self._path) for child in self._by_name.get(name, ()))

    def text(self, *names: str) -> str:
        """Text that must be there and must not be empty."""
        found = self.one(*names)
        text = found.element.text
        if found.element.children or not text:
            raise found.refuse("FIELD_INVALID", "holds no text")
        if _TEXT.fullmatch(text) is None:
            raise found.refuse("FIELD_INVALID", "holds a control or invisible character")
        return text

    def id(self, *names: str) -> str:
        """A reference: 1 to 35 characters of the set banks take."""
        return self._matching(_ID, "a reference of up to 35 characters", names)

    def maybe_id(self, *names: str) -> str:
        """A reference, or empty where it is absent."""
        return self.id(*names) if self.maybe(*names) else ""

    def code(self, *names: str) -> str:
        """A code of up to four characters."""
        return self._matching(_CODE, "a code", names)

    def maybe_code(self, *names: str) -> str:
        """A code, or empty where it is absent."""
        return self.code(*names) if self.maybe(*names) else ""

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
            raise self.one(*names).refuse("FIELD_INVALID", "is no indicator")
        return text in {"true", "1"}

    def uetr(self, *names: str) -> UUID:
        """A UETR: a UUIDv4 in lower case."""
        return UUID(self._matching(_UETR, "a UETR", names))

    def maybe_uetr(self, *names: str) -> UUID | None:
        """A UETR where it is there."""
        return self.uetr(*names) if self.maybe(*names) else None

    def date(self, *names: str) -> str:
        """A calendar date, as ISO 8601 text."""
        text = self._matching(_DATE, "a date", names)
        try:
            date.fromisoformat(text)
        except ValueError as error:
            raise self.one(*names).refuse("FIELD_INVALID", "is no calendar date") from error
        return text

    def time_ms(self, *names: str) -> int:
        """Milliseconds since 1970; a time without zone is UTC."""
        text = self._matching(_TIME, "a time", names)
        try:
            found = datetime.fromisoformat(text)
        except ValueError as error:
            raise self.one(*names).refuse("FIELD_INVALID", "is no time") from error
        moment = found if found.tzinfo else found.replace(tzinfo=UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000

    def amount(self, *names: str) -> Money:
        """An amount with its currency, within that currency's decimals; zero is one."""
        found = self.one(*names)
        currency = found.element.attributes.get("Ccy", "")
        scaled = found.scaled()
        try:
            digits = exponent(currency)
        except CurrencyUnknown as error:
            raise found.refuse("CURRENCY_UNKNOWN", str(error)) from error
        decimals = len(found.element.text.partition(".")[2])
        if decimals > digits:
            raise found.refuse("CURRENCY_SCALE", f"{currency} has {digits} decimals")
        return Money(currency, scaled // 10 ** (SCALE - digits))

    def positive(self, *names: str) -> Money:
        """An amount above zero."""
        money = self.amount(*names)
        if money.minor == 0:
            raise self.one(*names).refuse("AMOUNT_INVALID", "is zero")
        return money

    def scaled(self, *names: str) -> int:
        """A plain decimal as a whole number of 10^-5: exact, whatever the currency."""
        found = self.one(*names)
        text = found.element.text
        if found.element.children or _AMOUNT.fullmatch(text) is None:
            raise found.refuse("AMOUNT_INVALID", "is no plain decimal of up to 5 decimals")
        whole, _, fraction = text.partition(".")
        if len(whole) + len(fraction) > DIGITS_MAX:
            raise found.refuse("AMOUNT_INVALID", f"has more than {DIGITS_MAX} digits")
        return int(whole + fraction.ljust(SCALE, "0"))

    def _matching(self, pattern: re.Pattern[str], what: str, names: tuple[str, ...]) -> str:
        text = self.text(*names)
        if pattern.fullmatch(text) is None:
            raise self.one(*names).refuse("FIELD_INVALID", f"is not {what}")
        return text


def scaled(money: Money) -> int:
    """An amount as a whole number of 10^-5 of the major unit."""
    return money.minor * int(10 ** (SCALE - exponent(money.currency)))
