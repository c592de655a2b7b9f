"""Hostile XML in, plain XML out: the one module here that parses XML."""

import re
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

MESSAGE_BYTES_MAX = 256 * 1024
STATEMENT_BYTES_MAX = 64 * 1024 * 1024
DEPTH_MAX = 64
ATTRIBUTES_MAX = 64
NAMESPACES_MAX = 8
_NONE: Mapping[str, str] = MappingProxyType({})
_DECLARATION = re.compile(
    rb"""<\?xml\s+version=(?:"1\.0"|'1\.0')"""
    rb"""(?:\s+encoding=(?:"([A-Za-z0-9._-]+)"|'([A-Za-z0-9._-]+)'))?"""
    rb"""(?:\s+standalone=(?:"(?:yes|no)"|'(?:yes|no)'))?\s*\?>"""
)
_DOCUMENT_TYPE = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_TOO_DEEP = etree.XPath("boolean(" + "/*" * (DEPTH_MAX + 1) + ")")
_TOO_MANY_ATTRIBUTES = etree.XPath(f"boolean(//*[@*[{ATTRIBUTES_MAX + 1}]])")


class XmlRefused(Exception):
    """The bytes are no XML we read. `reason` is stable, `description` is for people."""

    def __init__(self, reason: str, description: str) -> None:
        super().__init__(f"{reason}: {description}")
        self.reason = reason
        self.description = description


class Element(NamedTuple):
    """An element by its local name: text or children, never both."""

    name: str
    text: str
    attributes: Mapping[str, str]
    children: tuple["Element", ...]


_MAKING = Lock()


class Schema:
    """A pinned XSD, from a file of ours."""

    def __init__(self, file: Path) -> None:
        # libxml2 sets up its built-in types with the first schema, and two threads that do so at
        # once leave them broken for good: every later schema is then "not valid" (seen).
        with _MAKING:
            self._schema = etree.XMLSchema(etree.parse(file, etree.XMLParser(no_network=True)))
        # The errors of a check are kept by the schema itself, and checks run on threads.
        self._lock = Lock()

    def check(self, body: bytes) -> None:
        """Raises `XmlRefused` unless bytes of ours are valid."""
        self.check_tree(etree.fromstring(body))

    def check_tree(self, root: etree._Element) -> None:
        """The same for a tree that has been read."""
        with self._lock:
            if not self._schema.validate(root):
                first = self._schema.error_log[0]
                raise XmlRefused("XML_SCHEMA", f"{first.path}: {first.type_name}")


def read(
    body: bytes,
    namespace: str,
    *,
    schema: Schema,
    bytes_max: int = MESSAGE_BYTES_MAX,
) -> Element:
    """The document's root, every element of it in `namespace`. Raises `XmlRefused`.

    The order of the checks is that of the bank link's rules: size, encoding, what may not occur in
    the bytes at all, and only then a parser without network, entities or schemas of its own.
    """
    if len(body) > bytes_max:
        raise XmlRefused("XML_TOO_LARGE", f"more than {bytes_max} bytes")
    _check_bytes(body)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        recover=False,
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise XmlRefused("XML_MALFORMED", "the bytes are not well-formed XML") from error
    if _TOO_DEEP(root):
        raise XmlRefused("XML_TOO_DEEP", f"more than {DEPTH_MAX} levels")
    if _TOO_MANY_ATTRIBUTES(root):
        raise XmlRefused("XML_ATTRIBUTES", f"more than {ATTRIBUTES_MAX} attributes on an element")
    prefix = "{" + namespace + "}"
    if not isinstance(root.tag, str) or not root.tag.startswith(prefix):
        raise XmlRefused("XML_NAMESPACE", "the root is not of the message's namespace")
    schema.check_tree(root)
    return _element(root, prefix)


def leaf(name: str, text: str) -> str:
    """An element that holds text. The name is ours, the text is escaped."""
    return f"<{name}>{escape(text)}</{name}>"


def node(name: str, *children: str) -> str:
    """An element that holds elements."""
    return f"<{name}>{''.join(children)}</{name}>"


def amount(name: str, text: str, currency: str) -> str:
    """An element that holds an amount and names its currency."""
    return f"<{name} Ccy={quoteattr(currency)}>{escape(text)}</{name}>"


def document(namespace: str, *children: str) -> bytes:
    """The whole document, UTF-8."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns={quoteattr(namespace)}>'
        f"{''.join(children)}</Document>"
    ).encode()


def attributes(values: Mapping[str, str]) -> str:
    """Attributes, each after a space."""
    return "".join(f" {name}={quoteattr(value)}" for name, value in values.items())


def _check_bytes(body: bytes) -> None:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise XmlRefused("XML_ENCODING", "the bytes are not UTF-8") from error
    start = 0
    if body.startswith(b"<?"):
        declaration = _DECLARATION.match(body)
        if declaration is None:
            raise XmlRefused("XML_DECLARATION", "the XML declaration is not a plain one")
        start = declaration.end()
        encoding = declaration[1] or declaration[2] or b"UTF-8"
        if encoding.upper() != b"UTF-8":
            raise XmlRefused("XML_ENCODING", "the declared encoding is not UTF-8")
    if not body.startswith(b"<"):
        raise XmlRefused("XML_MALFORMED", "the bytes do not start with an element")
    if _DOCUMENT_TYPE.search(body):
        raise XmlRefused("XML_DOCTYPE", "a document type or entity is declared")
    for mark, reason in ((b"<!--", "XML_COMMENT"), (b"<![", "XML_CDATA"), (b"<!", "XML_DOCTYPE")):
        if mark in body:
            raise XmlRefused(reason, f"{mark.decode('ascii')} occurs")
    if body.find(b"<?", start) >= 0:
        raise XmlRefused("XML_PROCESSING_INSTRUCTION", "a processing instruction occurs")
    if body.count(b"xmlns") > NAMESPACES_MAX:
        raise XmlRefused("XML_NAMESPACES", f"more than {NAMESPACES_MAX} namespace declarations")


def _element(found: etree._Element, prefix: str) -> Element:
    # The schema has seen to it that no text stands between elements.
    tag = found.tag
    if not isinstance(tag, str) or not tag.startswith(prefix):
        raise XmlRefused("XML_NAMESPACE", "an element is not of the message's namespace")
    children = tuple([_element(child, prefix) for child in found])
    attributes = dict(found.items()) if found.keys() else _NONE
    return Element(tag[len(prefix) :], "" if children else found.text or "", attributes, children)
