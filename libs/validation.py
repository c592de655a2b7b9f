"""The shape of requests: the rules written in the protos, and no field the proto does not know."""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from libs.decider import FieldViolation

if TYPE_CHECKING:
    from protovalidate import FieldPathPb, Validator

VIOLATIONS_MAX = 50


@cache
def _validator() -> "Validator":
    from protovalidate import Validator  # noqa: PLC0415 - late: start-up is quicker

    return Validator()


def shape_violations(message: Message) -> tuple[FieldViolation, ...]:
    """What of the message breaks the rules in its proto; at most `VIOLATIONS_MAX`."""
    found = _validator().collect_violations(message)
    return tuple(
        FieldViolation(_path(proto.field), proto.message)
        for proto in (violation.proto for violation in found[:VIOLATIONS_MAX])
    )


def drops_unknown_fields(message: Message) -> bool:
    """Whether there were fields, at any depth, that the proto does not know. They are gone now."""
    size = message.ByteSize()
    message.DiscardUnknownFields()
    return message.ByteSize() != size


def _path(field: "FieldPathPb | None") -> str:
    return "" if field is None else "".join(_steps(field)).lstrip(".")


def _steps(field: "FieldPathPb") -> Iterator[str]:
    for element in field.elements:
        yield f".{element.field_name}"
        if element.subscript is not None:
            yield f"[{element.subscript.value}]"
