"""Pages and snapshots between their stored bytes and ours. Hashes are over the stored bytes."""

from collections.abc import Mapping, Sequence

from hefu.accounts.v1 import events_pb2 as pb
from libs.merkle import root_over
from libs.wire import time_from_wire, time_to_wire
from libs.wire_bytes import BYTES, SHORT, SHORT_END, varint
from services.accounts.codec.facts import entry_from_wire
from services.accounts.domain.entries import Page
from services.accounts.domain.pages import seal, verified_hash

# These names are storage.
PAGE_TYPE = "hefu.accounts.v1.PageWritten"
SNAPSHOT_TYPE = "hefu.accounts.v1.SnapshotTaken"
# Beside a page: whether any of its entries is in a bank's window, or of one. Who follows banks need
# not read a page that says there is none; earlier pages say nothing.
OF_WINDOWS: Mapping[str, str] = {"actor": "accounts"}
OF_NO_WINDOW: Mapping[str, str] = {"actor": "accounts", "windows": "none"}
JOURNAL = "journal-0"
SNAPSHOTS = "journal_snapshot-0"
_ENTRIES_TAG = b"\x2a"  # field 5, length-delimited
_SHORT_ENTRIES = [_ENTRIES_TAG + size.encode(BYTES) for size in SHORT]
_ROOT_TAG = b"\x72\x20"  # field 14, 32 bytes


def journal_of(shard: int) -> str:
    """The stream of a shard's pages."""
    return f"journal-{shard}"


def shard_of_stream(journal: str) -> int:
    """The shard whose pages the stream holds."""
    return int(journal.rpartition("-")[2])


def snapshots_of(shard: int) -> str:
    """The stream of a shard's snapshots."""
    return f"journal_snapshot-{shard}"


def encode_page(
    number: int,
    previous_hash: bytes,
    written_us: int,
    business_date: str,
    encoded_entries: Sequence[bytes],
) -> tuple[bytes, bytes]:
    """A page's stored bytes and its hash; fields in the order of their numbers, as in protobuf."""
    head = pb.PageWritten(
        page_number=number,
        previous_hash=previous_hash,
        written_time=time_to_wire(written_us),
        business_date=business_date,
    )
    parts = [head.SerializeToString(deterministic=True)]
    for entry in encoded_entries:
        size = len(entry)
        parts += (_SHORT_ENTRIES[size] if size < SHORT_END else _before(size), entry)
    parts += (_ROOT_TAG, root_over(encoded_entries))
    return seal(b"".join(parts))


def _before(size: int) -> bytes:
    """What stands before an entry of so many bytes."""
    return _ENTRIES_TAG + varint(size).encode(BYTES)


def decode_page(stored: bytes) -> Page:
    """A page, proven against its own hash. Raises `PageDamaged`."""
    page_hash = verified_hash(stored)
    message = pb.PageWritten.FromString(stored)
    return Page(
        message.page_number,
        message.previous_hash,
        time_from_wire(message.written_time),
        message.business_date,
        tuple(map(entry_from_wire, message.entries)),
        page_hash,
    )


def page_message(stored: bytes) -> pb.PageWritten:
    """A page as its message, for those who hand it on."""
    return pb.PageWritten.FromString(stored)


def encode_snapshot(
    page_number: int, page_hash: bytes, state_hash: bytes, state: bytes, part: int, parts: int
) -> bytes:
    return pb.SnapshotTaken(
        page_number=page_number,
        page_hash=page_hash,
        state_hash=state_hash,
        state=state,
        part=part,
        parts=parts,
    ).SerializeToString(deterministic=True)


def decode_snapshot(stored: bytes) -> pb.SnapshotTaken:
    return pb.SnapshotTaken.FromString(stored)
