import subprocess
import sys
from pathlib import Path

import pytest

from libs.xml import (
    ATTRIBUTES_MAX,
    DEPTH_MAX,
    MESSAGE_BYTES_MAX,
    Schema,
    XmlRefused,
    amount,
    document,
    leaf,
    node,
    read,
)

NAMESPACE = "urn:test"
ANYTHING = """
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:test"
    elementFormDefault="qualified" xmlns="urn:test">
  <xs:complexType name="Part" mixed="true">
    <xs:sequence>
      <xs:any minOccurs="0" maxOccurs="unbounded" processContents="skip"/>
    </xs:sequence>
    <xs:anyAttribute processContents="skip"/>
  </xs:complexType>
  <xs:element name="Document" type="Part"/>
</xs:schema>
"""


@pytest.fixture
def schema(tmp_path: Path) -> Schema:
    file = tmp_path / "anything.xsd"
    file.write_text(ANYTHING)
    return Schema(file)


def of(inside: str, before: str = "", attributes: str = "") -> bytes:
    return f'{before}<Document xmlns="{NAMESPACE}"{attributes}>{inside}</Document>'.encode()


def nested(levels: int) -> bytes:
    return of("<a>" * (levels - 1) + "</a>" * (levels - 1))


def test_plain_xml_is_read(schema: Schema) -> None:
    root = read(
        of("<a>x</a><b c='1'/>", '<?xml version="1.0" encoding="UTF-8"?>'), NAMESPACE, schema=schema
    )
    assert [(child.name, child.text, dict(child.attributes)) for child in root.children] == [
        ("a", "x", {}),
        ("b", "", {"c": "1"}),
    ]


def test_what_is_written_is_read_the_same(schema: Schema) -> None:
    tricky = "a<b>&\"']]>é\r\n王"
    root = read(
        document(NAMESPACE, node("P", leaf("T", tricky), amount("A", "1.00", 'C"Z'))),
        NAMESPACE,
        schema=schema,
    )
    text, money = root.children[0].children
    # A carriage return does not survive XML's own rules; nothing else is lost.
    assert text.text == tricky.replace("\r\n", "\n")
    assert (money.text, money.attributes["Ccy"]) == ("1.00", 'C"Z')


BOMB = '<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "XML_MALFORMED"),
        (b"not xml", "XML_MALFORMED"),
        (b" " + of("x"), "XML_MALFORMED"),
        (of("x" * MESSAGE_BYTES_MAX), "XML_TOO_LARGE"),
        (of("x").decode().encode("utf-16"), "XML_ENCODING"),
        (b"\xef\xbb\xbf" + of("x"), "XML_MALFORMED"),
        (
            of("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"))[:-20] + b"\xff",
            "XML_ENCODING",
        ),
        (b"<a>\xc0\xaf</a>", "XML_ENCODING"),
        (b"<a>\xed\xa0\x80</a>", "XML_ENCODING"),
        (of("x", '<?xml version="1.0" encoding="UTF-7"?>'), "XML_ENCODING"),
        (of("x", '<?xml version="1.0" encoding="ISO-8859-1"?>'), "XML_ENCODING"),
        (of("x", '<?xml version="1.0" encoding="UTF-16"?>'), "XML_ENCODING"),
        (of("x", '<?xml version="1.1"?>'), "XML_DECLARATION"),
        (of("x", '<?xml version="1.0" encoding="UTF-8" x="y"?>'), "XML_DECLARATION"),
        (of("&b;", BOMB), "XML_DOCTYPE"),
        (of("x", "<!DOCTYPE Document>"), "XML_DOCTYPE"),
        (of("x", "<!doctype Document>"), "XML_DOCTYPE"),
        (of("x", '<!DOCTYPE Document SYSTEM "file:///etc/passwd">'), "XML_DOCTYPE"),
        (of("x", '<!DOCTYPE Document PUBLIC "a" "http://localhost/">'), "XML_DOCTYPE"),
        (of("x", '<!DOCTYPE d [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>'), "XML_DOCTYPE"),
        (of("<!ENTITY a 'b'>"), "XML_DOCTYPE"),
        (of("<!ELEMENT a ANY>"), "XML_DOCTYPE"),
        (of("1<!-- x -->00"), "XML_COMMENT"),
        (of("x") + b"<!-- after -->", "XML_COMMENT"),
        (of("<![CDATA[x]]>"), "XML_CDATA"),
        (of("1<?x y?>00"), "XML_PROCESSING_INSTRUCTION"),
        (of("x", '<?xml-stylesheet href="a"?>'), "XML_DECLARATION"),
        (of("x", '<?xml version="1.0"?><?xml-stylesheet href="a"?>'), "XML_PROCESSING_INSTRUCTION"),
        (of("x") + b"<?after?>", "XML_PROCESSING_INSTRUCTION"),
        (of("&nobody;"), "XML_MALFORMED"),
        (of("&#0;"), "XML_MALFORMED"),
        (of("&#x1F;"), "XML_MALFORMED"),
        (b"<a>\x00</a>", "XML_MALFORMED"),
        (of("x") + of("y"), "XML_MALFORMED"),
        (of("x") + b"tail", "XML_MALFORMED"),
        (of("<a>")[:-11], "XML_MALFORMED"),
        (of("<a></b>"), "XML_MALFORMED"),
        (of("<a c='1' c='2'/>"), "XML_MALFORMED"),
        (of("<p:a/>"), "XML_MALFORMED"),
        (b"<Document>x</Document>", "XML_NAMESPACE"),
        (b"<Document xmlns='urn:other'>x</Document>", "XML_NAMESPACE"),
        (b"<x:Document xmlns:x='urn:other' xmlns='urn:test'>x</x:Document>", "XML_NAMESPACE"),
        (of("<a xmlns='urn:other'/>"), "XML_NAMESPACE"),
        (of("<a xmlns=''/>"), "XML_NAMESPACE"),
        (
            of('<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>'),
            "XML_NAMESPACE",
        ),
        (of("".join(f"<a xmlns:n{n}='urn:{n}'/>" for n in range(9))), "XML_NAMESPACES"),
        (nested(DEPTH_MAX + 1), "XML_TOO_DEEP"),
        (nested(200), "XML_TOO_DEEP"),
        (nested(30_000), "XML_MALFORMED"),
        (
            of("<a " + " ".join(f"a{n}='x'" for n in range(ATTRIBUTES_MAX + 1)) + "/>"),
            "XML_ATTRIBUTES",
        ),
        (of("<Document/>", attributes=" a='1'").replace(b"Document", b"Other"), "XML_SCHEMA"),
    ],
)
def test_hostile_xml_is_refused_by_name(body: bytes, reason: str, schema: Schema) -> None:
    with pytest.raises(XmlRefused) as caught:
        read(body, NAMESPACE, schema=schema)
    assert caught.value.reason == reason


def test_the_deepest_permitted_and_the_most_attributes_are_read(schema: Schema) -> None:
    assert read(nested(DEPTH_MAX), NAMESPACE, schema=schema).name == "Document"
    attributes = " ".join(f"a{n}='x'" for n in range(ATTRIBUTES_MAX))
    root = read(of(f"<a {attributes}/>"), NAMESPACE, schema=schema)
    assert len(root.children[0].attributes) == ATTRIBUTES_MAX


def test_a_prefix_for_the_same_namespace_reads_the_same(schema: Schema) -> None:
    prefixed = b"<d:Document xmlns:d='urn:test'><d:a>x</d:a></d:Document>"
    assert read(prefixed, NAMESPACE, schema=schema) == read(
        of("<a>x</a>"), NAMESPACE, schema=schema
    )


def test_a_larger_limit_is_for_statements(schema: Schema) -> None:
    body = of("<a>" + "x" * MESSAGE_BYTES_MAX + "</a>")
    assert read(body, NAMESPACE, schema=schema, bytes_max=2 * MESSAGE_BYTES_MAX).children


FIRST_SCHEMAS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from libs.xml import Schema
files = sorted(Path("libs/iso20022/xsd").glob("*.xsd"))
together = Barrier(len(files))
def make(file):
    together.wait()
    return Schema(file)
with ThreadPoolExecutor(len(files)) as threads:
    assert len(list(threads.map(make, files))) == len(files)
"""


def test_the_first_schemas_of_a_process_may_be_made_by_threads_at_once(root: Path) -> None:
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", FIRST_SCHEMAS], cwd=root, check=False)
        assert done.returncode == 0
