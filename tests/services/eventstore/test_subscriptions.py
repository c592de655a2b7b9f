"""Catch-up subscriptions through the real client: order, checkpoints, the turn to live."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from kurrentdbclient import AsyncKurrentDBClient, NewEvent, StreamState
from kurrentdbclient.exceptions import ServiceUnavailableError, StreamIsDeletedError

from libs.lots import ASKED, parted
from services.eventstore.protocol import shared, streams
from tests.services.eventstore.server_process import Identity, ServerProcess
from tests.services.eventstore.test_wire import METADATA

ANY = StreamState.ANY


async def write(client: AsyncKurrentDBClient, stream: str, count: int) -> int:
    return await client.append_to_stream(
        stream,
        events=tuple(NewEvent(type="Cut", data=b"{}") for _ in range(count)),
        current_version=ANY,
    )


@asynccontextmanager
async def following(subscription: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - two classes
    opened = await subscription
    try:
        yield opened
    finally:
        await opened.stop()


async def take(subscription: Any, count: int) -> list[str]:  # noqa: ANN401 - two classes
    taken: list[str] = []
    while len(taken) < count:
        event = await asyncio.wait_for(anext(subscription), 20)
        if event.is_caught_up:
            taken.append("caught up")
        elif event.is_checkpoint:
            taken.append(f"checkpoint {event.commit_position}")
        else:
            taken.append(f"{event.stream_name} {event.stream_position}")
    return taken


async def test_a_stream_is_told_from_its_start_then_live(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    await write(client, stream, 3)
    async with following(client.subscribe_to_stream(stream, include_caught_up=True)) as told:
        assert await take(told, 4) == [f"{stream} {n}" for n in range(3)] + ["caught up"]
        await write(client, f"{stream}-other", 2)
        await write(client, stream, 2)
        assert await take(told, 2) == [f"{stream} 3", f"{stream} 4"]


async def test_the_start_of_a_stream_subscription_is_exclusive(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    await write(client, stream, 3)
    async with following(client.subscribe_to_stream(stream, stream_position=1)) as told:
        assert await take(told, 1) == [f"{stream} 2"]


async def test_a_subscription_from_the_end_tells_only_what_comes(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    await write(client, stream, 3)
    end = client.subscribe_to_stream(stream, from_end=True, include_caught_up=True)
    async with following(end) as told:
        assert await take(told, 1) == ["caught up"]
        await write(client, stream, 1)
        assert await take(told, 1) == [f"{stream} 3"]


async def test_a_stream_that_is_not_there_is_waited_for_until_it_is_closed(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    async with following(client.subscribe_to_stream(stream, include_caught_up=True)) as told:
        assert await take(told, 1) == ["caught up"]
        await write(client, stream, 1)
        assert await take(told, 1) == [f"{stream} 0"]
        await client.tombstone_stream(stream, current_version=0)
        with pytest.raises(StreamIsDeletedError):
            await take(told, 1)
    with pytest.raises(StreamIsDeletedError):
        async with following(client.subscribe_to_stream(stream)) as told:
            await take(told, 1)


@pytest.mark.parametrize("is_by_prefix", [True, False])
async def test_a_filtered_subscription_tells_history_a_checkpoint_and_that_it_caught_up(
    client: AsyncKurrentDBClient,
    stream: str,
    is_by_prefix: bool,  # noqa: FBT001 - a table of cases
) -> None:
    start = await write(client, f"{stream}-before", 1)
    await write(client, f"{stream}-a", 2)
    await write(client, f"{stream}-b", 2)
    head = await write(client, f"{stream}-c", 1)
    subscription = client.subscribe_to_all(
        commit_position=start,
        filter_include=(f"{stream}-a", f"{stream}-b"),
        filter_by_stream_name=True,
        filter_by_prefix=is_by_prefix,
        include_checkpoints=True,
        include_caught_up=True,
    )
    async with following(subscription) as told:
        assert await take(told, 6) == [
            f"{stream}-a 0",
            f"{stream}-a 1",
            f"{stream}-b 0",
            f"{stream}-b 1",
            f"checkpoint {head}",
            "caught up",
        ]
        await write(client, f"{stream}-c", 3)
        await write(client, f"{stream}-b", 1)
        assert await take(told, 1) == [f"{stream}-b 2"]


@pytest.mark.parametrize("is_by_prefix", [True, False])
@pytest.mark.parametrize("is_live", [True, False])
async def test_checkpoints_come_after_every_so_many_considered_events(
    client: AsyncKurrentDBClient,
    stream: str,
    is_by_prefix: bool,  # noqa: FBT001 - a table of cases
    is_live: bool,  # noqa: FBT001 - a table of cases
) -> None:
    start = await write(client, f"{stream}-before", 1)
    if not is_live:
        await write(client, f"{stream}-noise", 25)
    subscription = client.subscribe_to_all(
        commit_position=start,
        filter_include=(f"{stream}-a",),
        filter_by_stream_name=True,
        filter_by_prefix=is_by_prefix,
        include_checkpoints=True,
        include_caught_up=True,
        window_size=5,
        checkpoint_interval_multiplier=2,
    )
    async with following(subscription) as told:
        if is_live:
            assert await take(told, 1) == ["caught up"]
            await write(client, f"{stream}-noise", 25)
        noise = await client.get_stream(f"{stream}-noise")
        marks = [f"checkpoint {noise[n].commit_position}" for n in (9, 19)]
        if not is_live:
            marks += [f"checkpoint {noise[24].commit_position}", "caught up"]
        assert await take(told, len(marks)) == marks


async def test_resuming_from_a_checkpoint_misses_and_repeats_nothing(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    start = await write(client, f"{stream}-before", 1)
    for _ in range(20):
        await write(client, f"{stream}-noise", 7)
        await write(client, f"{stream}-a", 1)
    told: list[int] = []
    position: int = start
    while len(told) < 20:
        subscription = client.subscribe_to_all(
            commit_position=position,
            filter_include=(f"{stream}-a",),
            filter_by_stream_name=True,
            filter_by_prefix=True,
            include_checkpoints=True,
            window_size=3,
            checkpoint_interval_multiplier=1,
        )
        async with following(subscription) as opened:
            for _ in range(5):
                event = await asyncio.wait_for(anext(opened), 20)
                position = event.commit_position
                if not event.is_checkpoint:
                    told.append(event.stream_position)
                if len(told) == 20:
                    break
    assert told == list(range(20))


async def test_a_subscriber_that_lags_loses_nothing(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    start = await write(client, f"{stream}-before", 1)
    subscription = client.subscribe_to_all(
        commit_position=start,
        filter_include=(stream,),
        filter_by_stream_name=True,
        filter_by_prefix=True,
    )
    async with following(subscription) as told:
        # More than the newest events that are kept in memory, while nobody reads.
        for n in range(40):
            await write(client, f"{stream}-{n}", 300)
        expected = [f"{stream}-{n} {r}" for n in range(40) for r in range(300)]
        assert await take(told, len(expected)) == expected


async def test_writers_and_a_subscriber_agree_on_the_order(
    client: AsyncKurrentDBClient, stream: str
) -> None:
    start = await write(client, f"{stream}-before", 1)
    subscription = client.subscribe_to_all(
        commit_position=start,
        filter_include=(stream,),
        filter_by_stream_name=True,
        filter_by_prefix=True,
    )
    async with following(subscription) as told:
        async with asyncio.TaskGroup() as writers:
            for n in range(8):
                for _ in range(20):
                    writers.create_task(write(client, f"{stream}-{n}", 2))
        live = await take(told, 8 * 20 * 2)
    read = await client.read_all(
        commit_position=start,
        filter_include=(stream,),
        filter_by_stream_name=True,
        filter_by_prefix=True,
    )
    stored = [f"{event.stream_name} {event.stream_position}" async for event in read]
    assert live == stored[1:]


async def test_a_server_that_stops_ends_subscriptions_with_an_error(
    identity: Identity,
    data_dir: Any,  # noqa: ANN401 - a path
) -> None:
    server = ServerProcess(identity, data_dir).serve()
    client = server.client()
    try:
        subscription = await client.subscribe_to_all(include_caught_up=True)
        assert await take(subscription, 1) == ["caught up"]
        waiting = asyncio.create_task(take(subscription, 1))
        assert await asyncio.to_thread(server.stop) == 0
        with pytest.raises(ServiceUnavailableError):
            await asyncio.wait_for(waiting, 20)
    finally:
        await client.close()
        server.stop()


async def test_an_unfiltered_subscription_tells_everything_without_checkpoints(
    client: AsyncKurrentDBClient,
) -> None:
    stream = f"plain-{uuid.uuid4().hex}"
    start = await write(client, stream, 1)
    subscription = client.subscribe_to_all(
        commit_position=start,
        filter_exclude=(),
        include_checkpoints=True,
        include_caught_up=True,
    )
    async with following(subscription) as told:
        assert await take(told, 1) == ["caught up"]
        await client.set_stream_metadata(stream, metadata={})
        await write(client, stream, 1)
        assert await take(told, 2) == [f"$${stream} 0", f"{stream} 1"]


@pytest.mark.parametrize(("asking", "messages"), [((), 5), ((ASKED,), 1)])
async def test_events_come_together_where_that_is_asked_for(
    client: AsyncKurrentDBClient,
    server: ServerProcess,
    stream: str,
    asking: tuple[tuple[str, str], ...],
    messages: int,
) -> None:
    await write(client, stream, 5)
    everything = shared.Empty()
    options = streams.ReadReq.Options(
        all=streams.ReadReq.Options.AllOptions(start=everything),
        subscription=streams.ReadReq.Options.SubscriptionOptions(),
        filter=streams.ReadReq.Options.FilterOptions(
            stream_identifier=streams.ReadReq.Options.FilterOptions.Expression(prefix=[stream]),
            max=100,
            checkpointIntervalMultiplier=1,
        ),
        uuid_option=streams.ReadReq.Options.UUIDOption(string=everything),
    )
    credentials = grpc.ssl_channel_credentials(server.identity.certificate.read_bytes())
    told = []
    async with grpc.aio.secure_channel(f"localhost:{server.port}", credentials) as channel:
        call = channel.unary_stream(
            "/event_store.client.streams.Streams/Read",
            request_serializer=streams.ReadReq.SerializeToString,
            response_deserializer=streams.ReadResp.FromString,
        )(streams.ReadReq(options=options), metadata=(*METADATA, *asking), timeout=20)
        async for message in call:
            if message.HasField("caught_up"):
                break
            if message.HasField("event"):
                told.append(parted(message))
        call.cancel()

    assert [one.event.event.stream_revision for each in told for one in each] == list(range(5))
    assert len(told) == messages
