"""The stored page, byte for byte: golden files pin every version and are never edited."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from hefu.accounts.v1 import events_pb2
from libs.journal_pages import split
from services.accounts.codec.pages import decode_page, encode_page
from services.accounts.codec.replaying import once_in, replay_page
from services.accounts.codec.snapshots import decode_blocks, encode_block, encode_rows
from services.accounts.domain.book import Book
from services.accounts.domain.entries import Page
from services.accounts.domain.forgetting import lower_to
from services.accounts.domain.pages import NO_HASH, PageDamaged
from services.accounts.domain.recalling import once_of
from services.accounts.domain.snapshot import (
    Row,
    SnapshotUnknown,
    columns_of,
    freeze_book,
    thaw_book,
    thaw_columns,
    thaw_head,
)
from tests.services.accounts.desk import Desk
from tests.services.accounts.stored import stored_pages
from tests.services.accounts.stories import (
    every_kind_of_entry,
    kinds_that_came_later,
    transfers_between_shards,
    transfers_over_shards,
)


@pytest.fixture(scope="module")
def desk() -> Desk:
    return every_kind_of_entry()


@pytest.fixture
def golden(root: Path) -> Path:
    return root / "tests" / "golden" / "accounts"


# The first has pages without a root over their entries; from the third on, a transfer whose entry
# tells all its terms has no checks of them.
VERSIONS = (1, 2, 3)
LATER_VERSIONS = (2, 3)


def _golden_pages(golden: Path, version: int) -> list[bytes]:
    return [path.read_bytes() for path in sorted(golden.glob(f"page_v{version}_*.binpb"))]


def _replayed(pages: Sequence[bytes]) -> Book:
    """As recovery does it: straight from the stored bytes."""
    book, previous_hash = Book(), NO_HASH
    for number, stored in enumerate(pages):
        previous_hash = replay_page(stored, book, (number, previous_hash)).page_hash
    return book


@pytest.fixture(scope="module")
def later() -> Desk:
    return kinds_that_came_later()


def test_the_stories_have_every_kind_of_entry(desk: Desk, later: Desk) -> None:
    shards = (*transfers_between_shards().pages, *transfers_over_shards().pages)
    pages = [*desk.pages, *later.pages, *shards]
    told = {type(entry.fact).__name__ for page in pages for entry in page}
    facts = events_pb2.Entry.DESCRIPTOR.oneofs_by_name["fact"].fields
    assert told == {field.message_type.name for field in facts if field.message_type}


def test_pages_are_stored_as_they_always_were(desk: Desk, golden: Path) -> None:
    assert stored_pages(desk) == _golden_pages(golden, VERSIONS[-1])


@pytest.mark.parametrize("version", VERSIONS)
def test_golden_pages_replay_to_the_same_book(desk: Desk, golden: Path, version: int) -> None:
    assert _replayed(_golden_pages(golden, version)) == desk.book


@pytest.mark.parametrize("version", LATER_VERSIONS)
@pytest.mark.parametrize("name", ["later", "crossing"])
def test_what_came_later_replays_to_the_same_book(golden: Path, name: str, version: int) -> None:
    story = kinds_that_came_later() if name == "later" else transfers_between_shards()
    stored = [path.read_bytes() for path in sorted(golden.glob(f"page_{name}_v{version}_*.binpb"))]
    book = _replayed(stored)
    assert book == story.book
    assert not book.crossings
    if version == LATER_VERSIONS[-1]:
        assert stored_pages(story) == stored


def test_transfers_over_shards_replay_to_the_same_book(golden: Path) -> None:
    story = transfers_over_shards()
    stored = [path.read_bytes() for path in sorted(golden.glob("page_span_v3_*.binpb"))]
    book = _replayed(stored)
    assert book == story.book
    assert len(book.spans) == len(book.reserved) == 1
    assert stored_pages(story) == stored


def test_every_entry_reads_back(desk: Desk, later: Desk) -> None:
    for told in (desk, later, transfers_between_shards(), transfers_over_shards()):
        pages = [decode_page(stored) for stored in stored_pages(told)]
        assert [list(page.entries) for page in pages] == told.pages


def test_what_happens_once_is_read_off_the_bytes_as_off_the_entries(desk: Desk) -> None:
    for told in (desk, transfers_between_shards(), transfers_over_shards()):
        for stored, entries in zip(stored_pages(told), told.pages, strict=True):
            once = [one for n, entry in enumerate(entries) for one in once_of(entry, n)]
            assert once_in(stored) == (stored[-32:], once)


def test_the_stored_form_is_what_protobuf_itself_would_write(desk: Desk, later: Desk) -> None:
    for stored in [*stored_pages(desk), *stored_pages(later)]:
        message = events_pb2.PageWritten.FromString(stored)
        assert message.SerializeToString(deterministic=True) == stored


def test_the_hash_is_over_all_but_the_last_34_bytes(desk: Desk) -> None:
    previous = NO_HASH
    for stored in stored_pages(desk):
        page: Page = decode_page(stored)
        assert page.page_hash == sha256(stored[:-34]).digest() == stored[-32:]
        assert page.previous_hash == previous
        previous = page.page_hash


def test_any_changed_byte_is_noticed(desk: Desk) -> None:
    stored = stored_pages(desk)[1]
    for at in range(0, len(stored), 97):
        changed = stored[:at] + bytes([stored[at] ^ 0x10]) + stored[at + 1 :]
        with pytest.raises(PageDamaged):
            decode_page(changed)


@pytest.mark.parametrize("size", [1, 127, 128, 16_383, 16_384, 100_000, 3_000_000])
def test_entries_of_all_sizes_come_back_from_their_page(size: int) -> None:
    entries = (b"a" * size, b"b", b"c" * size)
    stored, page_hash = encode_page(7, NO_HASH, 1, "2026-09-20", entries)

    page = split(stored)

    assert (page.entries, page.stated_hash, page.is_sealed) == (entries, page_hash, True)


def _as_now(name: str, rows: Sequence[Row]) -> list[bytes]:
    return encode_rows(name, rows)


def _in_full(name: str, rows: Sequence[Row]) -> list[bytes]:
    """As they were stored before: a column that says one thing of all, said for each."""
    return [encode_block(name, columns_of(name, rows))]


@pytest.mark.parametrize("encode", [_as_now, _in_full])
@pytest.mark.parametrize("story", [every_kind_of_entry, transfers_over_shards])
def test_a_snapshot_gives_back_the_book_behind_its_page(
    story: Callable[[], Desk], encode: Callable[[str, Sequence[Row]], list[bytes]]
) -> None:
    desk = story()
    head, sections = freeze_book(desk.book)
    blocks = [block for name, rows in sections if rows for block in encode(name, rows)]

    (_, read), *tables = decode_blocks(b"".join([encode_block("head", head), *blocks]))
    thawed = thaw_head(read, desk.book.page_number)
    for name, columns in tables:
        thaw_columns(thawed, name, columns)

    whole = desk.replayed()
    lower_to(whole, whole.page_number)
    assert thawed == whole


def test_a_snapshot_from_before_there_were_spans_is_read(desk: Desk) -> None:
    head, sections = freeze_book(desk.book)
    columns = {k: v for k, v in head["columns"].items() if k not in ("spans", "reserved")}
    thawed = thaw_book({**head, "columns": columns}, [each for each in sections if each[1]])
    assert thawed.accounts == desk.book.accounts


@pytest.mark.parametrize("part", ["version", "columns", "plain"])
def test_a_snapshot_of_another_form_is_not_guessed_at(desk: Desk, part: str) -> None:
    head, sections = freeze_book(desk.book)
    changed = {"version": 1, "columns": {"accounts": ["id"]}, "plain": {"page_number": 3}}
    with pytest.raises(SnapshotUnknown):
        thaw_book({**head, part: changed[part]}, sections)
