"""Version 2 appends through the real client: several streams, all or none."""

import pytest
from kurrentdbclient import AsyncKurrentDBClient, NewEvent, StreamState
from kurrentdbclient.events import NewEvents, NewRecord, StreamStateCheck
from kurrentdbclient.exceptions import (
    ConsistencyChecksFailedError,
    GrpcError,
    KurrentDBClientError,
    MultiAppendToSameStreamError,
    NotFoundError,
    RecordMaxSizeExceededError,
    StreamTombstonedError,
    TransactionMaxSizeExceededError,
    WrongCurrentVersionError,
)

NO_STREAM, ANY, EXISTS = StreamState.NO_STREAM, StreamState.ANY, StreamState.EXISTS
TOMBSTONED = -6


def record(stream: str, data: bytes = b"{}", kind: str = "Cut") -> NewRecord:
    return NewRecord(stream_name=stream, type=kind, data=data)


async def revisions(client: AsyncKurrentDBClient, stream: str) -> list[int]:
    return [event.stream_position for event in await client.get_stream(stream)]


async def test_records_for_several_streams_are_stored_in_their_order(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    a, b = f"{stream}-a", f"{stream}-b"
    result = await client.append_records((record(a), record(b), record(a)))
    assert [(s.stream_name, s.stream_position) for s in result.stream_positions] == [(a, 1), (b, 0)]
    stored = [*await client.get_stream(a), *await client.get_stream(b)]
    in_order = sorted(stored, key=lambda event: event.commit_position)
    assert [event.stream_name for event in in_order] == [a, b, a]
    assert result.commit_position == in_order[-1].commit_position


async def test_properties_and_format_come_back_as_metadata(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    sent = NewRecord(
        stream_name=stream,
        type="合符.v1",
        data=b"\x01",
        metadata='{"actor":"合"}'.encode(),
        content_type="application/octet-stream",
    )
    await client.append_records((sent,))
    (back,) = await client.get_stream(stream)
    assert (back.id, back.type, back.content_type) == (sent.id, sent.type, sent.content_type)
    assert back.metadata == (
        b'{"actor":"\\u5408","$schema.name":"\\u5408\\u7b26.v1","$schema.format":"Bytes"}'
    )


async def test_every_stream_that_is_not_as_expected_is_named_with_its_check(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    a, b, c, gone = (f"{stream}-{name}" for name in ("a", "b", "c", "gone"))
    await client.append_records((record(a), record(gone)))
    await client.tombstone_stream(gone, current_version=0)
    checks = (
        StreamStateCheck(c, 4),
        StreamStateCheck(a, NO_STREAM),
        StreamStateCheck(b, NO_STREAM),
    )
    with pytest.raises(ConsistencyChecksFailedError) as refused:
        await client.append_records((record(a), record(b), record(gone)), checks)
    found = [
        (
            failure.check_index,
            failure.stream_state_failure.stream_name,
            failure.stream_state_failure.expected_state,
            failure.stream_state_failure.actual_state,
        )
        for failure in refused.value.failures
        if failure.stream_state_failure is not None
    ]
    assert found == [(0, c, 4, -1), (1, a, -1, 0), (3, gone, -2, TOMBSTONED)]
    with pytest.raises(NotFoundError):
        await client.get_stream(b)


async def test_a_check_may_name_a_stream_that_is_not_written(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    a, b = f"{stream}-a", f"{stream}-b"
    await client.append_records((record(a),))
    await client.append_records(
        (record(b),), (StreamStateCheck(a, 0), StreamStateCheck(b, NO_STREAM))
    )
    assert await revisions(client, b) == [0]


async def test_the_same_records_again_give_the_original_position_even_when_checks_moved_on(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    a, b, guard = f"{stream}-a", f"{stream}-b", f"{stream}-guard"
    records = (record(a), record(b), record(b))
    checks = (
        StreamStateCheck(a, NO_STREAM),
        StreamStateCheck(b, NO_STREAM),
        StreamStateCheck(guard, NO_STREAM),
    )
    first = await client.append_records(records, checks)
    await client.append_records((record(a), record(guard)))
    assert await client.append_records(records, checks) == first
    assert await revisions(client, a) == [0, 1]
    assert await revisions(client, b) == [0, 1]


async def test_a_mixture_of_known_and_new_records_is_refused(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    a, b = f"{stream}-a", f"{stream}-b"
    known = record(a)
    await client.append_records((known,), (StreamStateCheck(a, NO_STREAM),))
    checks = (StreamStateCheck(a, NO_STREAM), StreamStateCheck(b, NO_STREAM))
    with pytest.raises(ConsistencyChecksFailedError) as refused:
        await client.append_records((known, record(b)), checks)
    assert [failure.check_index for failure in refused.value.failures] == [0]
    with pytest.raises(NotFoundError):
        await client.get_stream(b)


@pytest.mark.parametrize("kind", ["", "two words", "semi;colon"])
async def test_a_type_that_is_not_a_name_is_refused(
    client: AsyncKurrentDBClient, stream: str, kind: str
) -> None:
    with pytest.raises(GrpcError, match="INVALID_ARGUMENT"):
        await client.append_records((record(stream, kind=kind),))


async def test_an_append_of_no_records_is_refused(client: AsyncKurrentDBClient) -> None:
    with pytest.raises(GrpcError, match="INVALID_ARGUMENT"):
        await client.append_records(())


async def test_too_large_is_told_for_one_record_and_for_all_together(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    big = record(stream, b"x" * (1024 * 1024 + 1))
    with pytest.raises(RecordMaxSizeExceededError) as one:
        await client.append_records((big,))
    assert (one.value.stream_name, one.value.event_id) == (stream, big.id)
    half = (record(stream, b"x" * (600 * 1024)), record(stream, b"y" * (600 * 1024)))
    with pytest.raises(TransactionMaxSizeExceededError) as both:
        await client.append_records(half)
    assert both.value.size > both.value.max_size == 1024 * 1024


async def test_a_session_is_stored_whole_or_refused_at_the_first_conflict(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    a, b = f"{stream}-a", f"{stream}-b"
    batch = [
        NewEvents(a, (NewEvent(type="Cut", data=b"{}"),), NO_STREAM),
        NewEvents(b, (NewEvent(type="Cut", data=b"{}"),), ANY),
    ]
    position = await client.multi_append_to_stream(batch)
    assert await client.multi_append_to_stream(batch) == position
    assert await revisions(client, a) == [0]
    conflict = [
        NewEvents(b, (NewEvent(type="Cut", data=b"{}"),), 0),
        NewEvents(a, (NewEvent(type="Cut", data=b"{}"),), 7),
    ]
    with pytest.raises(WrongCurrentVersionError) as refused:
        await client.multi_append_to_stream(conflict)
    assert (refused.value.stream_name, refused.value.expected_version) == (a, 7)
    assert refused.value.actual_version == 0
    assert await revisions(client, b) == [0]


async def test_a_session_names_a_closed_stream_and_one_that_comes_twice(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    await client.append_records((record(stream),))
    await client.tombstone_stream(stream, current_version=0)
    event = NewEvent(type="Cut", data=b"{}")
    with pytest.raises(StreamTombstonedError):
        await client.multi_append_to_stream(NewEvents(stream, (event,), ANY))
    twice = [NewEvents(f"{stream}-x", (event,), ANY), NewEvents(f"{stream}-X", (event,), ANY)]
    with pytest.raises(MultiAppendToSameStreamError):
        await client.multi_append_to_stream(twice)


async def test_an_empty_session_is_refused(client: AsyncKurrentDBClient, stream: str) -> None:
    with pytest.raises(KurrentDBClientError, match="no requests"):
        await client.multi_append_to_stream(())
    with pytest.raises(GrpcError, match="INVALID_ARGUMENT"):
        await client.multi_append_to_stream(NewEvents(stream, (), ANY))
