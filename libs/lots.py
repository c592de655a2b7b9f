"""Several messages of a stream in one, for who asks for it: each message has a price of its own.

A first message carries those behind it in a field that it does not know. Who did not ask never sees
it, and a server that does not know the asking goes on as ever.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from libs.wire_bytes import BYTES, varint

M = TypeVar("M", bound=Message)

# Metadata of the call that asks for it.
ASKED: Final = ("hefu-lots", "1")
# So much goes into one message, unless it is one alone.
MESSAGES_MAX: Final = 100
LOT_BYTES_MAX: Final = 256 << 10
# Far beyond any field of the messages it is put into; 2: length-delimited.
FIELD: Final = 1_000
_TAG: Final = varint(FIELD << 3 | 2).encode(BYTES)


def lots(messages: Iterable[bytes]) -> Iterator[bytes]:
    """Messages in as few as the bounds allow, in order."""
    lot: list[bytes] = []
    size = 0
    for message in messages:
        if lot and (len(lot) >= MESSAGES_MAX or size + len(message) > LOT_BYTES_MAX):
            yield _joined(lot)
            lot, size = [], 0
        lot.append(message)
        size += len(message)
    if lot:
        yield _joined(lot)


def parted(message: M) -> Sequence[M]:
    """The message and those that came in it, in order."""
    unknown = UnknownFieldSet(message)
    fields = [unknown[n] for n in range(len(unknown))]
    behind = [field.data for field in fields if field.field_number == FIELD]
    return [message, *map(type(message).FromString, behind)]


def _joined(messages: Sequence[bytes]) -> bytes:
    parts = [messages[0]]
    for message in messages[1:]:
        parts += (_TAG, varint(len(message)).encode(BYTES), message)
    return b"".join(parts)
