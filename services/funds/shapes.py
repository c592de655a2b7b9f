"""Frozen dataclasses as protobuf JSON by their fields, both ways: the names are storage.

Written from what Python knows, as `json_format` takes thirty times as long; a test proves that
protobuf reads every event and writes the same. Whole numbers are text, dates ISO 8601, members of
an enumeration `CLASS_NAME_MEMBER`, and what is at its default is left out.
"""

import re
import types
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, fields, is_dataclass
from datetime import date
from enum import Enum
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson

from libs.money import Money
from services.funds.domain.order_terms import text_of

E = TypeVar("E")

Json = dict[str, Any]

_SHAPES: "Final[dict[type[Any], Shape]]" = {}
# Classes whose word alone would say too little in a contract.
_STORED_AS: Final = {"Frequency": "PlanFrequency"}
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Unstorable(Exception):
    """A type that has no place in protobuf JSON as we write it: our mistake, found at import."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How one kind of value is written and read; None is written where it is left out."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    absent: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str
    way: _Way
    # Fields of a union stand under the alternative's own name, not under theirs.
    alternatives: Mapping[str, type]
    # Text, truth or a whole number: one that counts as false is at its default, and left out.
    is_plain: bool = False
    # Of these, what JSON has too.
    is_as_it_is: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """One dataclass: to JSON and from it."""

    type_: type
    slots: tuple[_Slot, ...]
    # All fields' values at once.
    values: Callable[[object], tuple[Any, ...]]
    # Its name in a union.
    alternative: str

    def to_json(self, value: object) -> Json:
        """The value's fields, without those at their defaults."""
        body: Json = {}
        for slot, each in zip(self.slots, self.values(value), strict=True):
            if slot.is_plain:
                if each:
                    body[slot.name] = each if slot.is_as_it_is else str(each)
            elif slot.alternatives:
                if each is not None:
                    shape = shape_of(type(each))
                    body[shape.alternative] = shape.to_json(each)
            else:
                written = slot.way.write(each)
                if written is not None:
                    body[slot.name] = written
        return body

    def from_json(self, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of the type given
        """The value; fields that are missing get what protobuf gives them."""
        found: list[Any] = []
        for slot in self.slots:
            if slot.alternatives:
                found.append(_read_alternative(slot, body))
            elif slot.name in body:
                found.append(slot.way.read(body[slot.name]))
            else:
                found.append(slot.way.absent())
        return self.type_(*found)


def shape_of(type_: type[Any]) -> Shape:
    """How a dataclass is stored. Raises `Unstorable`."""
    found = _SHAPES.get(type_)
    if found is None:
        hints = get_type_hints(type_)
        slots = tuple(_slot(each, hints[each.name]) for each in fields(type_))
        values = _values_of([slot.name for slot in slots])
        found = Shape(type_, slots, values, _alternative(type_))
        _SHAPES[type_] = found
    return found


def snake(name: str) -> str:
    """`FundKind` as `fund_kind`."""
    return _CAPITAL.sub("_", name).lower()


def _alternative(type_: type[Any]) -> str:
    return snake(type_.__name__)


def _read_alternative(slot: _Slot, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a union's
    for name, type_ in slot.alternatives.items():
        if name in body:
            return shape_of(type_).from_json(body[name])
    return None


def _slot(field: "Field[Any]", hint: Any) -> _Slot:  # noqa: ANN401 - a type as it was written
    members = [each for each in get_args(hint) if each is not types.NoneType]
    if _is_union(hint) and len(members) > 1 and all(is_dataclass(each) for each in members):
        nothing = _Way(lambda _: None, lambda _: None, lambda: None)
        return _Slot(field.name, nothing, {_alternative(each): each for each in members})
    is_plain, is_as_it_is = hint in (str, int, bool), hint in (str, bool)
    return _Slot(field.name, _way(hint), {}, is_plain, is_as_it_is)


def _values_of(names: Sequence[str]) -> Callable[[object], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)


def _is_union(hint: Any) -> bool:  # noqa: ANN401 - a type as it was written
    return get_origin(hint) in (Union, types.UnionType)


def _way(hint: Any) -> _Way:  # noqa: ANN401 - a type as it was written
    if _is_union(hint):
        return _optional(hint)
    if get_origin(hint) is tuple:
        return _sequence(get_args(hint)[0])
    if hint in _PLAIN:
        return _PLAIN[hint]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _member(hint)
    if hint is Money:
        return _Way(_money_to_json, _money_from_json, lambda: Money("", 0))
    if is_dataclass(hint) and isinstance(hint, type):
        shape = shape_of(hint)
        return _Way(shape.to_json, shape.from_json, lambda: shape.from_json({}))
    raise Unstorable(f"{hint} has no place in a stored event")


def _optional(hint: Any) -> _Way:  # noqa: ANN401 - a type as it was written
    members = [each for each in get_args(hint) if each is not types.NoneType]
    if len(members) != 1:
        raise Unstorable(f"{hint} has no place in a stored event")
    way = _way(members[0])

    def write(value: Any) -> Any:  # noqa: ANN401 - of the type given
        if value is None:
            return None
        written = way.write(value)
        # Zero that differs from absence is written.
        return _ZEROS[type(value)] if written is None else written

    return _Way(write, way.read, lambda: None)


def _sequence(hint: Any) -> _Way:  # noqa: ANN401 - a type as it was written
    way = _way(hint)
    zero = _ZEROS.get(hint, {})

    def write(values: tuple[Any, ...]) -> list[Any] | None:
        written = (way.write(each) for each in values)
        return [zero if each is None else each for each in written] or None

    return _Way(write, lambda found: tuple(way.read(each) for each in found), tuple)


def _member(hint: type[Enum]) -> _Way:
    prefix = f"{snake(_STORED_AS.get(hint.__name__, hint.__name__))}_".upper()
    texts = {each: prefix + each.name for each in hint}
    members = {text: each for each, text in texts.items()}
    first = next(iter(hint))
    return _Way(texts.__getitem__, members.__getitem__, lambda: first)


def _money_to_json(money: Money) -> Json:
    return {"currency_code": money.currency, "minor_units": str(money.minor)}


def _money_from_json(body: Mapping[str, Any]) -> Money:
    return Money(body.get("currency_code", ""), int(body.get("minor_units", 0)))


_ZEROS: Final[Mapping[Any, Any]] = {int: "0", str: "", bool: False, bytes: ""}
_PLAIN: Final[Mapping[Any, _Way]] = {
    str: _Way(lambda value: value or None, str, str),
    int: _Way(lambda value: str(value) if value else None, int, int),
    bool: _Way(lambda value: value or None, bool, bool),
    bytes: _Way(
        lambda value: b64encode(value).decode() if value else None,
        b64decode,
        bytes,
    ),
    date: _Way(
        text_of,
        date.fromisoformat,
        lambda: date.min,
    ),
}


class UnknownEvent(Exception):
    """An event of ours that this version does not know: it must be taught to read it first."""


class ShapeCodec(Generic[E]):
    """Events of one aggregate and their stored bytes; `names` are contract, the classes are not."""

    def __init__(self, package: str, names: Mapping[str, type[Any]]) -> None:
        self._names = {type_: package + name for name, type_ in names.items()}
        self._shapes: dict[str, Shape] = {
            package + name: shape_of(type_) for name, type_ in names.items()
        }

    @property
    def types(self) -> Mapping[str, type]:
        """Stored type to class."""
        return {name: shape.type_ for name, shape in self._shapes.items()}

    def encode(self, event: E) -> tuple[str, bytes]:
        name = self._names[type(event)]
        return name, orjson.dumps(self._shapes[name].to_json(event))

    def decode(self, event_type: str, data: bytes) -> E:
        shape = self._shapes.get(event_type)
        if shape is None:
            raise UnknownEvent(event_type)
        event: E = shape.from_json(orjson.loads(data))
        return event
