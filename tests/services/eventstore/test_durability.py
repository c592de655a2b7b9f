"""Kills, full disks, torn logs, flipped bits: what was acknowledged stays, or is missed aloud."""

import asyncio
import itertools
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
from kurrentdbclient import AsyncKurrentDBClient, NewEvent, StreamState
from kurrentdbclient.events import NewRecord, StreamStateCheck
from kurrentdbclient.exceptions import GrpcError, KurrentDBClientError

from services.eventstore.accept_loss import accept_loss
from tests.services.eventstore.server_process import Identity, ServerProcess

NO_STREAM, ANY = StreamState.NO_STREAM, StreamState.ANY
MARK = b"a mark that is easy to find in a file"
EXIT_DISK = 74
ENOUGH = 20


@contextmanager
def serving(identity: Identity, data_dir: Path, **more: str) -> Iterator[ServerProcess]:
    process = ServerProcess(identity, data_dir, **more)
    try:
        yield process.serve()
    finally:
        process.stop()


def refusal(identity: Identity, data_dir: Path, **more: str) -> str:
    process = ServerProcess(identity, data_dir, **more)
    try:
        said = process.refusal()
    finally:
        process.stop()
    assert process.exit_code == 69
    return said


async def write(client: AsyncKurrentDBClient, stream: str, count: int) -> None:
    await client.append_to_stream(
        stream,
        events=tuple(NewEvent(type="Cut", data=MARK + b" %d" % n) for n in range(count)),
        current_version=NO_STREAM,
    )


async def fill(identity: Identity, data_dir: Path, *, is_killed: bool = False) -> None:
    """A store with one stream of ten events, left in order or in the middle of things."""
    with serving(identity, data_dir) as server:
        client = server.client()
        await write(client, "ten", 10)
        await client.close()
        if is_killed:
            server.kill()


def flip_bit(file: Path, offset: int) -> None:
    content = bytearray(file.read_bytes())
    content[offset] ^= 0x04
    file.write_bytes(content)


async def keep_writing(
    client: AsyncKurrentDBClient,
    stream: str,
    acknowledged: list[tuple[str, int, int]],
    enough: asyncio.Event,
) -> None:
    """Write until the server is gone; `enough` is set at 20 events in the stream."""
    for revision in itertools.count(-1):
        expected = NO_STREAM if revision < 0 else revision
        try:
            result = await client.append_records(
                (NewRecord(stream_name=stream, type="Cut", data=MARK),),
                (StreamStateCheck(stream, expected),),
            )
        except KurrentDBClientError:
            return
        (place,) = result.stream_positions
        acknowledged.append((stream, place.stream_position, result.commit_position))
        if place.stream_position == ENOUGH:
            enough.set()


async def test_what_was_acknowledged_survives_a_kill(identity: Identity, data_dir: Path) -> None:
    acknowledged: list[tuple[str, int, int]] = []
    for life in range(3):
        with serving(identity, data_dir) as server:
            client = server.client()
            enough = asyncio.Event()
            async with asyncio.TaskGroup() as writers:
                for n in range(16):
                    writers.create_task(
                        keep_writing(client, f"life{life}-{n}", acknowledged, enough)
                    )
                await asyncio.wait_for(enough.wait(), 60)
                server.kill()
            await client.close()
    with serving(identity, data_dir) as server:
        client = server.client()
        read = await client.read_all()
        stored = {
            (event.stream_name, event.stream_position, event.commit_position)
            async for event in read
        }
        await client.close()
    assert set(acknowledged) <= stored
    # Stored but not acknowledged: at most what was on its way when the kill came.
    assert len(stored) - len(acknowledged) <= 3 * 16


async def test_an_unknown_outcome_is_settled_by_sending_the_same_again(
    identity: Identity, data_dir: Path
) -> None:
    events = (NewEvent(type="Cut", data=b"{}"), NewEvent(type="Cut", data=b"{}"))
    with serving(identity, data_dir) as server:
        client = server.client()
        first = await client.append_to_stream("s", events=events, current_version=NO_STREAM)
        await client.close()
        server.kill()
    with serving(identity, data_dir) as server:
        client = server.client()
        assert first == await client.append_to_stream("s", events=events, current_version=NO_STREAM)
        assert len(await client.get_stream("s")) == 2
        await client.close()


async def test_a_clean_stop_leaves_no_log_behind(identity: Identity, data_dir: Path) -> None:
    await fill(identity, data_dir)
    log = data_dir / "events.db-wal"
    assert not log.exists() or log.stat().st_size == 0


async def test_a_stop_is_as_clean_when_nobody_reads_the_log_any_more(
    identity: Identity, data_dir: Path
) -> None:
    with serving(identity, data_dir) as server:
        client = server.client()
        await client.append_to_stream(
            "s", events=(NewEvent(type="Cut", data=b"{}"),), current_version=NO_STREAM
        )
        assert server.stop_unheard() == 0
        await client.close()
    log = data_dir / "events.db-wal"
    assert not log.exists() or log.stat().st_size == 0


async def test_a_second_process_is_refused(identity: Identity, data_dir: Path) -> None:
    with serving(identity, data_dir):
        assert "in use by another event store" in refusal(identity, data_dir)


async def test_a_port_in_use_is_named(identity: Identity, data_dir: Path) -> None:
    with serving(identity, data_dir) as server:
        said = refusal(identity, data_dir.with_name("other"), HEFU_PORT=str(server.port))
    assert said.startswith(f"hefu: eventstore: port {server.port} is in use")


async def test_another_format_version_is_refused(identity: Identity, data_dir: Path) -> None:
    await fill(identity, data_dir)
    database = apsw.Connection(str(data_dir / "events.db"))
    database.execute("UPDATE settings SET value = 2 WHERE key = 'format_version'")
    database.close()
    assert "has format version 2; this program reads 1" in refusal(identity, data_dir)


def test_a_file_that_is_no_database_is_refused(identity: Identity, data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "events.db").write_bytes(b"not a database at all" * 400)
    assert "is not an event store database" in refusal(identity, data_dir)


async def test_a_flipped_bit_in_an_event_is_found_at_start_and_its_position_named(
    identity: Identity, data_dir: Path
) -> None:
    await fill(identity, data_dir)
    database = apsw.Connection(str(data_dir / "events.db"))
    ((position,),) = database.execute(
        "SELECT pos FROM events WHERE data = ?", (MARK + b" 7",)
    ).fetchall()
    database.close()
    file = data_dir / "events.db"
    flip_bit(file, file.read_bytes().index(MARK + b" 7") + 3)
    assert f"the event at position {position} is damaged" in refusal(identity, data_dir)


async def test_a_flipped_bit_in_the_log_is_found_at_start(
    identity: Identity, data_dir: Path
) -> None:
    await fill(identity, data_dir, is_killed=True)
    log = data_dir / "events.db-wal"
    flip_bit(log, log.read_bytes().index(MARK + b" 7") + 3)
    assert "acknowledged events are gone" in refusal(identity, data_dir)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
async def test_a_log_cut_short_is_missed_aloud(
    identity: Identity, data_dir: Path, kept: float
) -> None:
    await fill(identity, data_dir, is_killed=True)
    log = data_dir / "events.db-wal"
    log.write_bytes(log.read_bytes()[: int(log.stat().st_size * kept)])
    assert "acknowledged events are gone" in refusal(identity, data_dir)


async def test_an_operator_may_give_up_what_is_gone_and_that_is_recorded(
    identity: Identity, data_dir: Path
) -> None:
    await fill(identity, data_dir, is_killed=True)
    log = data_dir / "events.db-wal"
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    assert "acknowledged events are gone" in refusal(identity, data_dir)
    assert (await accept_loss(data_dir)).startswith("events after ")
    assert (await accept_loss(data_dir)).startswith("nothing is missing")
    with serving(identity, data_dir) as server:
        client = server.client()
        *_, last = await client.get_stream("$store")
        await client.close()
    assert last.type == "$store-loss-accepted"
    lost = json.loads(last.data)
    assert lost["acknowledged_up_to"] > lost["found_up_to"]


async def test_an_event_that_vanished_is_found_at_start(identity: Identity, data_dir: Path) -> None:
    await fill(identity, data_dir)
    database = apsw.Connection(str(data_dir / "events.db"))
    database.execute("DELETE FROM events WHERE revision = 4")
    database.close()
    assert "an event is missing between positions" in refusal(identity, data_dir)


async def test_a_stream_that_forgot_its_last_revision_is_found_at_start(
    identity: Identity, data_dir: Path
) -> None:
    await fill(identity, data_dir)
    database = apsw.Connection(str(data_dir / "events.db"))
    database.execute("UPDATE streams SET last = 5 WHERE name = 'ten'")
    database.close()
    assert "stream ten is damaged" in refusal(identity, data_dir)


async def test_metadata_that_its_stream_forgot_is_found_at_start(
    identity: Identity, data_dir: Path
) -> None:
    with serving(identity, data_dir) as server:
        client = server.client()
        await write(client, "ten", 10)
        await client.set_stream_metadata("ten", metadata={"$maxCount": 5})
        await client.close()
    database = apsw.Connection(str(data_dir / "events.db"))
    database.execute("UPDATE streams SET max_count = 9 WHERE name = 'ten'")
    database.close()
    assert "stream ten is damaged" in refusal(identity, data_dir)


async def test_a_disk_that_fails_ends_the_process_and_loses_nothing(
    identity: Identity, data_dir: Path
) -> None:
    with serving(identity, data_dir) as server:
        client = server.client()
        await write(client, "ten", 10)
        # From now on no file of the process may grow: the next commit cannot be written.
        size = (data_dir / "events.db-wal").stat().st_size
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, size))
        with pytest.raises(KurrentDBClientError):
            await write(client, "more", 10)
        await client.close()
        assert await asyncio.to_thread(server.wait) == EXIT_DISK
    with serving(identity, data_dir) as server:
        client = server.client()
        assert len(await client.get_stream("ten")) == 10
        await client.close()


async def test_at_the_reserve_writes_are_refused_and_reads_go_on(
    identity: Identity, data_dir: Path
) -> None:
    await fill(identity, data_dir)
    with serving(identity, data_dir, HEFU_RESERVE_BYTES=str(2**62)) as server:
        client = server.client()
        with pytest.raises(GrpcError, match="RESOURCE_EXHAUSTED"):
            await write(client, "more", 1)
        assert len(await client.get_stream("ten")) == 10
        await client.close()


async def test_positions_go_on_after_a_restart(identity: Identity, data_dir: Path) -> None:
    await fill(identity, data_dir, is_killed=True)
    with serving(identity, data_dir) as server:
        client = server.client()
        before = await client.get_commit_position()
        await write(client, "more", 1)
        (after,) = await client.get_stream("more")
        assert after.commit_position == before + 100 + len(MARK + b" 9") + 2 * len("Cut")
        await client.close()
