"""The metadata of a stream: JSON of which three keys mean something to the store."""

import json
from typing import NamedTuple

from services.eventstore.model import DELETED_BEFORE


class StreamMetadata(NamedTuple):
    """The text as it is kept, and what it says: revisions, events, seconds."""

    text: str
    truncate_before: int | None
    max_count: int | None
    max_age: int | None


def parse(data: bytes) -> StreamMetadata:
    """Read a metadata event's data; whatever is not a JSON object counts as an empty one."""
    document: dict[str, object] = {}
    text = "{}"
    try:
        loaded = json.loads(data)
        if isinstance(loaded, dict):
            text = json.dumps(loaded)
            document = loaded
    except (ValueError, RecursionError):
        pass
    return StreamMetadata(
        text,
        _whole(document.get("$tb"), least=0),
        _whole(document.get("$maxCount"), least=1),
        _whole(document.get("$maxAge"), least=1),
    )


def _whole(value: object, least: int) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return min(value, DELETED_BEFORE)
    return None
