"""What a start proves before it serves, and what is proven beside the work."""

import uuid
from pathlib import Path

import apsw
import pytest

from services.eventstore import storage, verify
from services.eventstore.model import Append, NewEvent, Stored
from services.eventstore.pages import Corrupt
from services.eventstore.proving import Proof
from services.eventstore.store import Store, open_store
from services.eventstore.verify import Bounds, Verified
from tests.services.eventstore.server_process import Identity, ServerProcess

EXIT_DAMAGED = 65
PAGE = 100_000
PAGES = 12


async def write(store: Store, first: int, count: int) -> None:
    """Large events, as pages of the journal are."""
    for n in range(first, first + count):
        data = b"page %03d " % n + bytes(PAGE)
        event = NewEvent("journal-0", uuid.uuid4().bytes, "Page", 0, data, b"")
        append = Append((event,), {"journal-0": n - 1}, event.size, float("inf"))
        assert isinstance(await store.writer.submit(append), Stored)


async def fill(data_dir: Path, *, is_marked: bool = True) -> None:
    """A store of large events; started once more over them, it has proven them all."""
    store = await open_store(data_dir, 0)
    await write(store, 0, PAGES)
    await store.close()
    if is_marked:
        await (await open_store(data_dir, 0)).close()


def flip_bit_in(data_dir: Path, page: int) -> int:
    """Damage a page; the position of its event."""
    file = data_dir / storage.DATABASE_NAME
    database = apsw.Connection(str(file))
    position = database.execute(
        "SELECT pos FROM events e JOIN streams s ON s.id = e.stream_id"
        " WHERE s.name = 'journal-0' AND revision = ?",
        (page,),
    ).get
    database.close()
    content = bytearray(file.read_bytes())
    content[content.index(b"page %03d " % page) + 20] ^= 0x04
    file.write_bytes(content)
    assert isinstance(position, int)
    return position


def verified(data_dir: Path, bounds: Bounds) -> Verified:
    connection = storage.open_writer(data_dir / storage.DATABASE_NAME)
    try:
        return verify.verify(connection, None, bounds)
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("bounds", "events"),
    [
        (Bounds(), PAGES + 1),
        (Bounds(events=3), 3),
        (Bounds(bytes_=4 * PAGE), 4),
        (Bounds(events=3, bytes_=6 * PAGE), 3),
        (Bounds(events=6, bytes_=3 * PAGE), 3),
        (Bounds(bytes_=0), 0),
    ],
)
async def test_of_what_was_proven_before_the_lesser_bound_is_proven_again(
    data_dir: Path, bounds: Bounds, events: int
) -> None:
    await fill(data_dir)
    assert verified(data_dir, bounds).events == events


async def test_what_was_never_proven_is_proven_whatever_the_bounds(data_dir: Path) -> None:
    await fill(data_dir, is_marked=False)
    found = verified(data_dir, Bounds(events=1, bytes_=0))
    # All but the first, which was there at the only start.
    assert found.events >= PAGES


async def test_a_large_file_is_served_before_all_its_pages_are_checked(data_dir: Path) -> None:
    await fill(data_dir)
    assert verified(data_dir, Bounds()).has_all_pages
    assert not verified(data_dir, Bounds(bytes_=PAGE)).has_all_pages


async def test_damage_within_the_bound_is_found_before_the_store_serves(
    identity: Identity, data_dir: Path
) -> None:
    await fill(data_dir)
    position = flip_bit_in(data_dir, PAGES - 2)
    process = ServerProcess(identity, data_dir, HEFU_PROVEN_FIRST_BYTES=str(4 * PAGE))
    assert f"the event at position {position} is damaged" in process.refusal()


async def test_damage_beyond_the_bound_ends_the_store_that_serves_and_is_named(
    identity: Identity, data_dir: Path
) -> None:
    await fill(data_dir)
    position = flip_bit_in(data_dir, 2)
    process = ServerProcess(identity, data_dir, HEFU_PROVEN_FIRST_BYTES=str(4 * PAGE)).serve()
    said, code = process.last_words()
    assert code == EXIT_DAMAGED
    assert f"the event at position {position} is damaged" in said


async def test_an_index_that_lost_an_event_ends_the_store_that_serves(
    identity: Identity, data_dir: Path
) -> None:
    await fill(data_dir)
    lose_from_index(data_dir)
    process = ServerProcess(identity, data_dir, HEFU_PROVEN_FIRST_BYTES=str(4 * PAGE)).serve()
    said, code = process.last_words()
    assert code == EXIT_DAMAGED
    assert "missing from index events_by_id" in said


def lose_from_index(data_dir: Path) -> None:
    """Change an event's id where it is found by it, and nowhere else."""
    file = data_dir / storage.DATABASE_NAME
    database = apsw.Connection(str(file))
    identity = database.execute(
        "SELECT event_id FROM events WHERE type = 'Page' ORDER BY pos LIMIT 1"
    ).get
    assert isinstance(identity, bytes)
    database.close()
    content = bytearray(file.read_bytes())
    places = [at for at in range(len(content)) if content.startswith(identity, at)]
    # In the table its type follows.
    (place,) = [at for at in places if content[at + 16 : at + 20] != b"Page"]
    content[place + 15] ^= 0x01
    file.write_bytes(content)


async def test_a_check_of_pages_is_given_up_when_nobody_wants_it_any_more(data_dir: Path) -> None:
    await fill(data_dir)
    connection = storage.open_reader(data_dir / storage.DATABASE_NAME)
    assert verify.verify_pages(connection)
    assert not verify.verify_pages(connection, (), lambda: True)
    connection.close()


async def test_a_damaged_small_table_is_found_first_in_a_large_file(data_dir: Path) -> None:
    await fill(data_dir)
    connection = storage.open_writer(data_dir / storage.DATABASE_NAME)
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute(
        "UPDATE sqlite_schema SET rootpage ="
        " (SELECT rootpage FROM sqlite_schema WHERE name = 'events_by_id')"
        " WHERE name = 'sqlite_autoindex_streams_1'"
    )
    connection.close()
    with pytest.raises(Corrupt, match="the database is damaged"):
        verified(data_dir, Bounds(bytes_=0))


async def test_the_mark_follows_what_is_written_so_that_a_crash_leaves_little_to_prove(
    data_dir: Path,
) -> None:
    store = await open_store(data_dir, 0)
    begun = Verified(0, 0, -1, verify.BEGINNING, has_all_pages=True)
    proof = Proof(store.reader, store.writer, store.tail, begun)
    await write(store, 0, PAGES - 1)
    await proof.move_mark()
    await write(store, PAGES - 1, 1)
    await store.close()
    assert verified(data_dir, Bounds(bytes_=0)).events == 1
