"""Values of advice in protobuf's wire form at once: thousands of little messages need not be made.

One walk over a class and its message's descriptor puts together how it is written; a test holds the
bytes against those of the message itself.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from functools import cache, lru_cache
from types import NoneType, UnionType
from typing import Any, Final, TypeAlias, Union, get_args, get_origin

from libs.money import Money
from libs.wire_bytes import message, number, text, varint
from services.recommendations.codec import PAIRS, POSITIONS, PREFIXES, hints_of
from services.recommendations.domain.proposal import Positions, Reasoned
from services.recommendations.packing import are_six_digits

# Bytes as text of characters below 256, see `libs.wire_bytes`.
Form: TypeAlias = Callable[[Any], str]
# Of protobuf, whose own are typed twice over.
Descriptor: TypeAlias = Any
FieldDescriptor: TypeAlias = Any

# Reasons and lists of refused funds whose form is kept: most are those of many investors.
_REASONS_KEPT: Final = 4_096
_REFUSED_KEPT: Final = 256
_VARINT: Final = 0
_BYTES: Final = 2


@cache
def form_of(type_: Any, descriptor: Descriptor) -> Form:  # noqa: ANN401 - a dataclass, or a named tuple
    """How values of a class are written as the message of a descriptor, without its length.

    Its source is put together, as `dataclasses` does it: a call for each field takes twice as long.
    """
    scope: dict[str, Any] = {"text": text, "number": number}
    lines = [line for _, line in sorted(_lines(type_, descriptor, scope))]
    source = f"def write(value):\n    return ''.join(({', '.join(lines)},))\n"
    exec(source, scope)  # noqa: S102 - of our own classes' names alone
    write: Form = scope["write"]
    return lru_cache(_REASONS_KEPT)(write) if type_ is Reasoned else write


def tag(field: FieldDescriptor) -> str:
    """Number and wire type."""
    is_number = field.cpp_type not in (field.CPPTYPE_STRING, field.CPPTYPE_MESSAGE)
    return varint(field.number << 3 | (_VARINT if is_number else _BYTES))


def _lines(
    type_: Any,  # noqa: ANN401 - as above
    descriptor: Descriptor,
    scope: dict[str, Any],
) -> Iterator[tuple[int, str]]:
    """Number of each field, and the expression that writes it."""
    fields = descriptor.fields_by_name
    for name, hint in hints_of(type_):
        if hint is Positions:
            for part in POSITIONS:
                field = fields[f"{part}_position"]
                yield field.number, f"number({tag(field)!r}, value.{name}.{part})"
            continue
        field = fields[name]
        if hint is str:
            yield field.number, f"text({tag(field)!r}, value.{name})"
        elif hint in (int, bool):
            yield field.number, f"number({tag(field)!r}, value.{name})"
        else:
            scope[f"_{name}"] = _form_of_field(type_, name, hint, field)
            yield field.number, f"_{name}(value.{name})"


def _form_of_field(type_: Any, name: str, hint: Any, field: FieldDescriptor) -> Form:  # noqa: ANN401 - as above
    if name == "runner_up":
        return _runner_up(field)
    if name == "refused":
        return _all_refused(tag(field))
    if pair := PAIRS.get((type_.__name__, name)):
        return _pairs(pair, hint, field)
    return _form(hint, field)


def _form(hint: Any, field: FieldDescriptor) -> Form:  # noqa: ANN401 - of the type hinted
    of, origin = tag(field), get_origin(hint)
    if origin in (Union, UnionType):
        inner = next(each for each in get_args(hint) if each is not NoneType)
        form = _form(inner, field)
        return lambda value: "" if value is None else form(value)
    if origin is tuple:
        one = _of_many(get_args(hint)[0], field)
        return lambda values: "".join([one(each) for each in values]) if values else ""
    if hint is str:
        return lambda value: text(of, value) if value else ""
    if hint in (int, bool):
        return lambda value: f"{of}{varint(value)}" if value else ""
    if hint is Money:
        return lambda value: message(of, _money(value))
    if issubclass(hint, Enum):
        numbers = field.enum_type.values_by_name
        told = {each: number(of, numbers[PREFIXES[hint] + each.name].number) for each in hint}
        return told.__getitem__
    body = form_of(hint, field.message_type)
    return lambda value: message(of, body(value))


def _of_many(kind: Any, field: FieldDescriptor) -> Form:  # noqa: ANN401 - as above
    """One of a repeated field: there even where it is at its default."""
    form, nothing = _form(kind, field), message(tag(field), "")
    return lambda value: form(value) or nothing


def _pairs(names: tuple[str, str], hint: Any, field: FieldDescriptor) -> Form:  # noqa: ANN401 - of the field
    """Text, and text or a number."""
    of, fields = tag(field), field.message_type.fields_by_name
    (_, kind), (left, right) = get_args(get_args(hint)[0]), (tag(fields[name]) for name in names)
    other: Callable[[str, Any], str] = text if kind is str else number

    def write(pairs: Sequence[tuple[str, Any]]) -> str:
        return "".join([message(of, text(left, a) + other(right, b)) for a, b in pairs])

    return write


def _runner_up(field: FieldDescriptor) -> Form:
    fields = field.message_type.fields_by_name
    code, reason = (_form(str, fields["fund_code"]), _form(Reasoned, fields["reason"]))
    of = tag(field)
    return lambda told: "" if told is None else message(of, code(told[0]) + reason(told[1]))


def _money(value: Money) -> str:
    return text("\x0a", value.currency) + number("\x10", value.minor)


def _all_refused(of: str) -> Form:
    """Check by check. Codes of six digits, thousands perhaps, are put together in one go."""

    @lru_cache(_REFUSED_KEPT)
    def one(code: str, codes: tuple[str, ...]) -> str:
        if are_six_digits(codes):
            told = "\x12\x06" + "\x12\x06".join(codes)
        else:
            told = "".join([text("\x12", each) or message("\x12", "") for each in codes])
        return message(of, text("\x0a", code) + told)

    return lambda refused: "".join([one(code, codes) for code, codes in refused])
