"""Version 1 appends through the real client: versions, repeats, refusals."""

from itertools import pairwise

import pytest
from kurrentdbclient import AsyncKurrentDBClient, NewEvent, StreamState
from kurrentdbclient.exceptions import (
    AccessDeniedError,
    BadRequestError,
    MaximumAppendSizeExceededError,
    NotFoundError,
    StreamIsDeletedError,
    UnauthenticatedError,
    WrongCurrentVersionError,
)

from tests.services.eventstore.server_process import PASSWORD, ServerProcess

NO_STREAM, ANY, EXISTS = StreamState.NO_STREAM, StreamState.ANY, StreamState.EXISTS


def events(count: int, kind: str = "Cut") -> tuple[NewEvent, ...]:
    return tuple(NewEvent(type=kind, data=f'{{"n":{n}}}'.encode()) for n in range(count))


async def revisions(client: AsyncKurrentDBClient, stream: str) -> list[int]:
    return [event.stream_position for event in await client.get_stream(stream)]


async def test_an_event_comes_back_as_it_was_sent(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    sent = NewEvent(
        type="Cut",
        data=b"\x00\xff",
        metadata=b'{"actor":"w"}',
        content_type="application/octet-stream",
    )
    position = await client.append_to_stream(stream, events=(sent,), current_version=NO_STREAM)
    (back,) = await client.get_stream(stream)
    assert (back.id, back.type, back.data, back.metadata, back.content_type) == (
        sent.id,
        sent.type,
        sent.data,
        sent.metadata,
        sent.content_type,
    )
    assert (back.stream_name, back.stream_position) == (stream, 0)
    assert back.commit_position == back.prepare_position == position > 0
    assert back.recorded_at is not None


async def test_positions_rise_sparsely_and_revisions_densely(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    await client.append_to_stream(stream, events=events(3), current_version=NO_STREAM)
    stored = await client.get_stream(stream)
    positions = [event.commit_position for event in stored]
    assert [event.stream_position for event in stored] == [0, 1, 2]
    # 100 and the size: data, metadata, and twice the type's length.
    assert {after - before for before, after in pairwise(positions)} == {
        100 + len(b'{"n":0}') + 2 * len("Cut")
    }


@pytest.mark.parametrize(
    ("stored", "expected", "actual"),
    [
        (0, 0, NO_STREAM),
        (0, 5, NO_STREAM),
        (0, EXISTS, NO_STREAM),
        (2, NO_STREAM, 1),
        (2, 0, 1),
        (2, 2, 1),
    ],
)
async def test_another_version_is_refused_and_named(
    client: AsyncKurrentDBClient,
    stream: str,
    stored: int,
    expected: int | StreamState,
    actual: int | StreamState,
) -> None:
    if stored:
        await client.append_to_stream(stream, events=events(stored), current_version=ANY)
    with pytest.raises(WrongCurrentVersionError) as refused:
        await client.append_to_stream(stream, events=events(1), current_version=expected)
    assert refused.value.actual_version == actual
    assert await client.get_commit_position() >= 0


@pytest.mark.parametrize("expected", [1, ANY, EXISTS])
async def test_a_welcome_version_is_appended_to(
    client: AsyncKurrentDBClient, stream: str, expected: int | StreamState
) -> None:
    await client.append_to_stream(stream, events=events(2), current_version=NO_STREAM)
    await client.append_to_stream(stream, events=events(1), current_version=expected)
    assert await revisions(client, stream) == [0, 1, 2]


@pytest.mark.parametrize("expected", [1, ANY, EXISTS])
async def test_the_same_events_again_give_the_original_position(
    client: AsyncKurrentDBClient, stream: str, expected: int | StreamState
) -> None:
    await client.append_to_stream(stream, events=events(2), current_version=NO_STREAM)
    batch = events(3)
    first = await client.append_to_stream(stream, events=batch, current_version=expected)
    await client.append_to_stream(stream, events=events(1), current_version=ANY)
    again = await client.append_to_stream(stream, events=batch, current_version=expected)
    assert again == first
    assert await revisions(client, stream) == [0, 1, 2, 3, 4, 5]


async def test_a_new_stream_created_twice_with_the_same_events_is_created_once(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    batch = events(2)
    first = await client.append_to_stream(stream, events=batch, current_version=NO_STREAM)
    assert first == await client.append_to_stream(stream, events=batch, current_version=NO_STREAM)
    assert await revisions(client, stream) == [0, 1]


@pytest.mark.parametrize("expected", [NO_STREAM, ANY])
async def test_known_events_followed_by_unknown_ones_are_refused(
    client: AsyncKurrentDBClient, stream: str, expected: StreamState
) -> None:
    batch = events(2)
    await client.append_to_stream(stream, events=batch[:1], current_version=NO_STREAM)
    with pytest.raises(WrongCurrentVersionError):
        await client.append_to_stream(stream, events=batch, current_version=expected)


async def test_a_known_id_with_other_content_counts_as_a_repeat(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    sent = NewEvent(type="Cut", data=b"{}")
    other = NewEvent(id=sent.id, type="Joined", data=b"[]")
    first = await client.append_to_stream(stream, events=(sent,), current_version=NO_STREAM)
    again = await client.append_to_stream(stream, events=(other,), current_version=NO_STREAM)
    assert again == first
    assert [event.type for event in await client.get_stream(stream)] == ["Cut"]


async def test_an_append_beyond_the_limit_is_refused_whole(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    half = NewEvent(type="Cut", data=b"x" * (600 * 1024))
    other = NewEvent(type="Cut", data=b"y" * (600 * 1024))
    with pytest.raises(MaximumAppendSizeExceededError):
        await client.append_to_stream(stream, events=(half, other), current_version=ANY)
    with pytest.raises(NotFoundError):
        await client.get_stream(stream)


async def test_an_append_just_within_the_limit_is_stored(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    sent = NewEvent(type="Cut", data=b"x" * (1024 * 1024 - 2 * len("Cut")))
    await client.append_to_stream(stream, events=(sent,), current_version=NO_STREAM)
    assert [len(event.data) for event in await client.get_stream(stream)] == [len(sent.data)]


@pytest.mark.parametrize("name", ["$all", "$$", "zero\x00byte"])
async def test_names_that_cannot_be_written_are_refused(
    client: AsyncKurrentDBClient, name: str
) -> None:
    with pytest.raises(BadRequestError):
        await client.append_to_stream(name, events=events(1), current_version=ANY)


async def test_names_may_be_of_any_script(client: AsyncKurrentDBClient, stream: str) -> None:
    name = f"合符-{stream}"
    await client.append_to_stream(name, events=events(1, "付款"), current_version=NO_STREAM)
    assert [event.type for event in await client.get_stream(name)] == ["付款"]
    with pytest.raises(WrongCurrentVersionError):
        await client.delete_stream(name, current_version=7)


async def test_a_deleted_stream_is_hidden_and_goes_on_numbering(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    await client.append_to_stream(stream, events=events(2), current_version=NO_STREAM)
    await client.delete_stream(stream, current_version=1)
    with pytest.raises(NotFoundError):
        await client.get_stream(stream)
    with pytest.raises(StreamIsDeletedError):
        await client.append_to_stream(stream, events=events(1), current_version=EXISTS)
    await client.append_to_stream(stream, events=events(1), current_version=NO_STREAM)
    assert await revisions(client, stream) == [2]


async def test_deleting_at_another_version_is_refused(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    with pytest.raises(NotFoundError):
        await client.delete_stream(stream, current_version=0)
    await client.append_to_stream(stream, events=events(2), current_version=NO_STREAM)
    with pytest.raises(WrongCurrentVersionError) as refused:
        await client.delete_stream(stream, current_version=0)
    assert (refused.value.expected_version, refused.value.actual_version) == (0, 1)
    assert await revisions(client, stream) == [0, 1]


async def test_a_tombstone_is_for_ever(client: AsyncKurrentDBClient, stream: str) -> None:
    await client.append_to_stream(stream, events=events(1), current_version=NO_STREAM)
    await client.tombstone_stream(stream, current_version=0)
    for attempt in (
        client.get_stream(stream),
        client.get_stream(f"$${stream}"),
        client.append_to_stream(stream, events=events(1), current_version=ANY),
        client.delete_stream(stream, current_version=ANY),
    ):
        with pytest.raises(StreamIsDeletedError):
            await attempt


async def test_metadata_bounds_what_is_seen(client: AsyncKurrentDBClient, stream: str) -> None:
    await client.append_to_stream(stream, events=events(5), current_version=NO_STREAM)
    await client.set_stream_metadata(stream, metadata={"$maxCount": 2, "owner": "x"})
    assert await revisions(client, stream) == [3, 4]
    await client.set_stream_metadata(stream, metadata={"$tb": 1})
    assert await revisions(client, stream) == [1, 2, 3, 4]
    await client.set_stream_metadata(stream, metadata={"$maxAge": 3600})
    assert await revisions(client, stream) == [0, 1, 2, 3, 4]
    assert await client.get_stream_metadata(stream) == ({"$maxAge": 3600}, 2)


async def test_metadata_for_a_deleted_stream_shows_it_again(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    await client.append_to_stream(stream, events=events(2), current_version=NO_STREAM)
    await client.delete_stream(stream, current_version=ANY)
    await client.set_stream_metadata(stream, metadata={"owner": "x"})
    metadata, _ = await client.get_stream_metadata(stream)
    assert metadata == {"owner": "x", "$tb": 2}
    assert await client.get_stream(stream) == ()


async def test_a_stream_with_metadata_alone_is_not_found_but_exists(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    await client.set_stream_metadata(stream, metadata={"owner": "x"})
    with pytest.raises(NotFoundError):
        await client.get_stream(stream)
    await client.append_to_stream(stream, events=events(1), current_version=EXISTS)
    assert await revisions(client, stream) == [0]


async def test_roles_bound_what_a_user_may_do(server: ServerProcess, stream: str) -> None:
    reader, writer = server.client("reader"), server.client("writer")
    try:
        with pytest.raises(AccessDeniedError):
            await reader.append_to_stream(stream, events=events(1), current_version=ANY)
        await writer.append_to_stream(stream, events=events(1), current_version=NO_STREAM)
        with pytest.raises(AccessDeniedError):
            await writer.tombstone_stream(stream, current_version=ANY)
        assert await revisions(reader, stream) == [0]
    finally:
        await reader.close()
        await writer.close()


@pytest.mark.parametrize("name", ["operator:wrong", "nobody:" + PASSWORD])
async def test_unknown_credentials_are_refused(server: ServerProcess, name: str) -> None:
    stranger = AsyncKurrentDBClient(
        f"kdb://{name}@localhost:{server.port}?TlsCaFile={server.identity.certificate}"
    )
    with pytest.raises(UnauthenticatedError):
        await stranger.get_stream("any")
    await stranger.close()
