"""Pins the schemas: an XSD for each message of the link, from the field metadata of pyiso20022.

`python -m libs.iso20022.pinning` writes them anew; a test compares. pyiso20022 was made from the
published schemas, and its fields carry their order, how often they may occur, and their facets.
"""

import dataclasses
import importlib
import sys
import typing
from collections.abc import Iterator, Sequence
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType

from xsdata.models.datatype import XmlDate, XmlDateTime, XmlPeriod, XmlTime

from libs.iso20022.messages import NAMESPACE, TYPES
from libs.xml import attributes

Field: typing.TypeAlias = "tuple[dataclasses.Field[object], object]"

FOLDER = Path(__file__).parent / "xsd"
_SIMPLE: dict[object, str] = {
    str: "xs:string",
    bool: "xs:boolean",
    Decimal: "xs:decimal",
    XmlDate: "xs:date",
    XmlDateTime: "xs:dateTime",
    XmlTime: "xs:time",
    # Only ever a card's dates, which are a year and a month.
    XmlPeriod: "xs:gYearMonth",
}
_FACETS = {
    "length": "length",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
    "min_inclusive": "minInclusive",
    "total_digits": "totalDigits",
    "fraction_digits": "fractionDigits",
}


def schema_of(message_type: str) -> str:
    """The XSD of a message."""
    name = message_type.replace(".", "_")
    module = importlib.import_module(f"pyiso20022.{message_type[:4]}.{name}.{name}")
    types = _Types()
    types.add(module.Document)
    target = attributes(
        {
            "xmlns": NAMESPACE + message_type,
            "targetNamespace": NAMESPACE + message_type,
            "elementFormDefault": "qualified",
        }
    )
    lines = (
        f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"{target}>',
        '<xs:element name="Document" type="Document"/>',
        *types.written(),
        "</xs:schema>",
    )
    return "\n".join(lines) + "\n"


class _Types:
    """Types by name, each written once, in the order in which they are needed."""

    def __init__(self) -> None:
        self._waiting: list[type] = []
        self._seen: set[type] = set()
        self._simple: dict[str, str] = {}

    def add(self, type_: type) -> str:
        if type_ not in self._seen:
            self._seen.add(type_)
            self._waiting.append(type_)
        return type_.__name__

    def written(self) -> Iterator[str]:
        while self._waiting:
            type_ = self._waiting.pop(0)
            yield from _enumeration(type_) if issubclass(type_, Enum) else self._complex(type_)
        for restriction, name in self._simple.items():
            yield f"<xs:simpleType{attributes({'name': name})}>{restriction}</xs:simpleType>"

    def _complex(self, type_: type) -> Iterator[str]:
        hints = typing.get_type_hints(type_)
        fields = [(field, hints[field.name]) for field in dataclasses.fields(type_)]
        content = (
            self._amount(fields)
            if any(field.metadata.get("type") == "Attribute" for field, _ in fields)
            else self._children(type_, fields)
        )
        yield f"<xs:complexType{attributes({'name': type_.__name__})}>"
        yield from content
        yield "</xs:complexType>"

    def _amount(self, fields: Sequence[Field]) -> Iterator[str]:
        """Text with attributes: amounts, and the few others of their make."""
        for field, hint in fields:
            if field.metadata.get("type") != "Attribute":
                base = {"base": self._restricted(hint, field.metadata)}
                yield f"<xs:simpleContent><xs:extension{attributes(base)}>"
        for field, hint in fields:
            if field.metadata.get("type") == "Attribute":
                named = {
                    "name": str(field.metadata["name"]),
                    "type": self._restricted(hint, field.metadata),
                    "use": "required",
                }
                yield f"<xs:attribute{attributes(named)}/>"
        yield "</xs:extension></xs:simpleContent>"

    def _children(self, type_: type, fields: Sequence[Field]) -> Iterator[str]:
        # In ISO 20022 a type is a choice if and only if its name says so.
        group = "choice" if "Choice" in type_.__name__ else "sequence"
        yield f"<xs:{group}>"
        for field, hint in fields:
            if field.metadata.get("type") == "Wildcard":
                yield '<xs:any namespace="##any" processContents="skip"/>'
            else:
                yield f"<xs:element{attributes(self._element(field, hint, group))}/>"
        yield f"</xs:{group}>"

    def _element(
        self, field: "dataclasses.Field[object]", hint: object, group: str
    ) -> dict[str, str]:
        metadata = field.metadata
        found = {"name": str(metadata["name"])}
        bare = _bare(hint)
        if bare in _SIMPLE:
            found["type"] = self._restricted(hint, metadata)
        elif isinstance(bare, type):
            found["type"] = self.add(bare)
        else:
            raise TypeError(f"{field.name} is of no type that a schema knows")
        least = 1 if metadata.get("required") else metadata.get("min_occurs", 0)
        if group == "sequence" and least != 1:
            found["minOccurs"] = str(least)
        if typing.get_origin(hint) is list:
            most = metadata.get("max_occurs", sys.maxsize)
            found["maxOccurs"] = "unbounded" if most >= sys.maxsize else str(most)
        return found

    def _restricted(self, hint: object, metadata: typing.Mapping[str, object]) -> str:
        base = _SIMPLE[_bare(hint)]
        facets = "".join(
            f"<xs:{facet}{attributes({'value': str(metadata[name])})}/>"
            for name, facet in _FACETS.items()
            if name in metadata
        )
        if not facets:
            return base
        text = f"<xs:restriction{attributes({'base': base})}>{facets}</xs:restriction>"
        return self._simple.setdefault(text, f"Simple{len(self._simple) + 1}")


def _enumeration(type_: type[Enum]) -> Iterator[str]:
    yield f"<xs:simpleType{attributes({'name': type_.__name__})}>"
    yield '<xs:restriction base="xs:string">'
    yield from (f"<xs:enumeration{attributes({'value': str(each.value)})}/>" for each in type_)
    yield "</xs:restriction></xs:simpleType>"


def _bare(hint: object) -> object:
    """The type inside `list[...]` and `None | ...`."""
    if typing.get_origin(hint) is list:
        return typing.get_args(hint)[0]
    if isinstance(hint, UnionType) or typing.get_origin(hint) is typing.Union:
        return next(part for part in typing.get_args(hint) if part is not NoneType)
    return hint


def main() -> None:
    """Write the schemas."""
    FOLDER.mkdir(exist_ok=True)
    for message_type in TYPES.values():
        (FOLDER / f"{message_type}.xsd").write_text(schema_of(message_type), encoding="utf-8")


if __name__ == "__main__":
    main()
