"""The pinned schemas of the link's messages."""

from functools import cache
from pathlib import Path

from libs.xml import Schema

_FOLDER = Path(__file__).parent / "xsd"


@cache
def schema_of(message_type: str) -> Schema:
    """The schema of a message type that the link knows."""
    return Schema(_FOLDER / f"{message_type}.xsd")
