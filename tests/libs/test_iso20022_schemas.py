import pytest

from libs.iso20022 import Message, build
from libs.iso20022.messages import TYPES
from libs.iso20022.pinning import FOLDER, schema_of
from tests.libs.iso20022_samples import messages


@pytest.mark.parametrize("message_type", sorted(TYPES.values()))
def test_the_pinned_schema_is_the_one_the_field_metadata_gives(message_type: str) -> None:
    pinned = (FOLDER / f"{message_type}.xsd").read_text(encoding="utf-8")
    assert pinned == schema_of(message_type)


@pytest.mark.parametrize("message_type", sorted(TYPES.values()))
def test_every_pinned_schema_knows_the_uetr(message_type: str) -> None:
    pinned = (FOLDER / f"{message_type}.xsd").read_text(encoding="utf-8")
    assert 'name="UETR"' in pinned or 'name="OrgnlUETR"' in pinned


def test_no_schema_is_pinned_that_the_link_does_not_speak() -> None:
    assert {file.name for file in FOLDER.iterdir()} == {f"{name}.xsd" for name in TYPES.values()}


@pytest.mark.parametrize("message", messages(), ids=lambda message: type(message).__name__)
def test_what_we_build_is_what_pyiso20022_reads(message: Message) -> None:
    from importlib import import_module  # noqa: PLC0415 - heavy, and this test's alone

    from xsdata.formats.dataclass.parsers import XmlParser  # noqa: PLC0415 - as above

    message_type, body = build(message)
    name = message_type.replace(".", "_")
    document = import_module(f"pyiso20022.{message_type[:4]}.{name}.{name}").Document
    # A property that the published message does not have makes the parser refuse.
    assert XmlParser().from_bytes(body, document) is not None
