"""Reads with a count, of a stream and of the whole log, through the real client."""

import uuid

import pytest
from grpc import StatusCode
from kurrentdbclient import AsyncKurrentDBClient, NewEvent, RecordedEvent, StreamState
from kurrentdbclient.exceptions import GrpcError, NotFoundError

NO_STREAM, ANY = StreamState.NO_STREAM, StreamState.ANY


async def write(
    client: AsyncKurrentDBClient, stream: str, count: int, kind: str = "Cut"
) -> tuple[RecordedEvent, ...]:
    await client.append_to_stream(
        stream,
        events=tuple(NewEvent(type=kind, data=b"{}") for _ in range(count)),
        current_version=ANY,
    )
    return await client.get_stream(stream)


@pytest.mark.parametrize(
    ("start", "is_backwards", "limit", "expected"),
    [
        (None, False, 9, [0, 1, 2, 3, 4]),
        (None, True, 9, [4, 3, 2, 1, 0]),
        (2, False, 9, [2, 3, 4]),
        (2, True, 9, [2, 1, 0]),
        (None, False, 2, [0, 1]),
        (None, True, 2, [4, 3]),
        (9, False, 9, []),
        (9, True, 2, [4, 3]),
    ],
)
async def test_a_stream_is_read_from_a_revision_both_ways(
    client: AsyncKurrentDBClient,
    stream: str,
    start: int | None,
    is_backwards: bool,  # noqa: FBT001 - a table of cases
    limit: int,
    expected: list[int],
) -> None:
    await write(client, stream, 5)
    found = await client.get_stream(
        stream, stream_position=start, backwards=is_backwards, limit=limit
    )
    assert [event.stream_position for event in found] == expected


async def test_a_stream_longer_than_a_page_is_read_whole(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    for _ in range(3):
        await write(client, stream, 450)
    forwards = await client.get_stream(stream)
    backwards = await client.get_stream(stream, backwards=True, limit=1_100)
    assert [event.stream_position for event in forwards] == list(range(1_350))
    assert [event.stream_position for event in backwards] == list(range(1_349, 249, -1))


async def test_a_stream_that_never_was_is_not_found(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    with pytest.raises(NotFoundError):
        await client.get_stream(stream)


async def test_the_log_is_read_from_a_position_inclusive_and_before_it_exclusive(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    stored = await write(client, stream, 4)
    third = stored[2].commit_position
    forwards = await client.read_all(commit_position=third, limit=2)
    assert [event.id async for event in forwards] == [stored[2].id, stored[3].id]
    backwards = await client.read_all(commit_position=third, backwards=True, limit=2)
    assert [event.id async for event in backwards] == [stored[1].id, stored[0].id]


async def test_a_position_between_events_is_refused_and_one_beyond_the_head_is_not(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    stored = await write(client, stream, 2)
    between = await client.read_all(commit_position=stored[0].commit_position + 1)
    with pytest.raises(GrpcError) as refused:
        [event async for event in between]
    assert refused.value.__cause__ is not None
    assert refused.value.__cause__.code() is StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
    beyond = await client.read_all(commit_position=stored[-1].commit_position + 10**12)
    assert [event async for event in beyond] == []


@pytest.mark.parametrize("is_backwards", [False, True])
async def test_the_count_is_of_events_after_the_filter(
    client: AsyncKurrentDBClient,
    stream: str,
    is_backwards: bool,  # noqa: FBT001 - a table of cases
) -> None:
    kind = f"Kind{uuid.uuid4().hex}"
    for _ in range(4):
        await write(client, stream, 30)
        await write(client, stream, 1, kind)
    read = await client.read_all(
        filter_include=(kind,), filter_by_prefix=True, limit=3, backwards=is_backwards
    )
    found = [event.stream_position async for event in read]
    assert found == ([123, 92, 61] if is_backwards else [30, 61, 92])


@pytest.mark.parametrize("is_by_prefix", [True, False])
async def test_streams_are_filtered_by_prefix_and_by_expression(
    client: AsyncKurrentDBClient,
    stream: str,
    is_by_prefix: bool,  # noqa: FBT001 - a table of cases
) -> None:
    await write(client, f"{stream}-a", 2)
    await write(client, f"{stream}-b", 2)
    await write(client, f"other-{stream}-a", 2)
    wanted = (f"{stream}-a", f"{stream}-b") if is_by_prefix else (f"{stream}-.*",)
    read = await client.read_all(
        filter_include=wanted, filter_by_stream_name=True, filter_by_prefix=is_by_prefix
    )
    found = [event.stream_name async for event in read]
    assert found == [f"{stream}-a"] * 2 + [f"{stream}-b"] * 2


async def test_an_expression_for_types_excludes_by_default_what_the_store_writes_itself(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    await client.set_stream_metadata(stream, metadata={"$maxCount": 3})
    first = await client.read_all(limit=5)
    assert not [event.type async for event in first if event.type.startswith("$")]
    everything = await client.read_all(filter_exclude=(), limit=1)
    assert [event.commit_position async for event in everything] == [0]


@pytest.mark.parametrize(
    ("include", "is_by_prefix"),
    [
        (("(",), False),
        (("x" * 3_000,), False),
        (("(a+)+b",), False),
        (("$idx-ce-a",), True),
    ],
)
async def test_filters_that_cannot_be_served_are_refused(
    client: AsyncKurrentDBClient,
    include: tuple[str, ...],
    is_by_prefix: bool,  # noqa: FBT001 - a table of cases
) -> None:
    read = await client.read_all(
        filter_include=include, filter_by_stream_name=True, filter_by_prefix=is_by_prefix
    )
    with pytest.raises(GrpcError, match="INVALID_ARGUMENT"):
        [event async for event in read]


async def test_links_are_resolved_when_asked_for(client: AsyncKurrentDBClient, stream: str) -> None:
    (target,) = await write(client, f"{stream}-target", 1)
    links = tuple(
        NewEvent(type="$>", data=data.encode())
        for data in (f"0@{stream}-target", f"7@{stream}-target", "nonsense")
    )
    await client.append_to_stream(stream, events=links, current_version=NO_STREAM)
    plain = await client.get_stream(stream)
    assert [event.type for event in plain] == ["$>"] * 3
    resolved = await client.get_stream(stream, resolve_links=True)
    assert [event.id for event in resolved] == [target.id]
    assert resolved[0].link is not None
    assert resolved[0].link.id == links[0].id


async def test_the_commit_position_is_the_newest_events(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    stored = await write(client, stream, 1)
    assert await client.get_commit_position() == stored[0].commit_position
