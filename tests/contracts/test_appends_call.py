"""The one long call that appends of many go by together, on the real store."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import kurrentdbclient as kurrent
import pytest
import pytest_asyncio

from hefu.eventstore.v1 import appends_pb2 as pb
from libs.appends_call import AppendsCall
from libs.event_store import NO_STREAM, Appended, NewEvent
from libs.joined_appends import Append, Conflicts
from libs.kurrent_store import KurrentStore
from libs.long_call import CallBroken
from tests.events import event
from tests.servers import EventStoreServer

ID = b"i" * 16


@pytest_asyncio.fixture
async def client(
    event_store_server: EventStoreServer,
) -> AsyncIterator[kurrent.AsyncKurrentDBClient]:
    opened = kurrent.AsyncKurrentDBClient(event_store_server.uri)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def call(client: kurrent.AsyncKurrentDBClient) -> AsyncIterator[AppendsCall]:
    opened = AppendsCall(client)
    yield opened
    await opened.close()


def append(stream: str, expected: int, *events: NewEvent) -> Append:
    given = events or (event(0),)
    return Append(stream, given, expected, 0, asyncio.get_running_loop().create_future())


async def test_a_group_is_stored_together_and_read_back_as_it_was(
    call: AppendsCall, category: str, event_store_server: EventStoreServer
) -> None:
    given = {
        f"{category}-1": (event(1), event(2)),
        f"{category}-2": (event(3)._replace(is_json=False, data=b"\x00\xff"),),
    }

    found = await call.append([append(s, NO_STREAM, *events) for s, events in given.items()])

    assert [each.revision for each in found] == [1, 0]
    async with KurrentStore.open(event_store_server.uri) as store:
        for stream, events in given.items():
            stored = [each async for each in store.read(stream)]
            told = [(s.id, s.type, s.data, s.metadata, s.is_json) for s in stored]
            assert told == [(e.id, e.type, e.data, e.metadata, e.is_json) for e in events]


async def test_many_groups_under_way_at_once_have_an_answer_each(
    call: AppendsCall, category: str
) -> None:
    found = await asyncio.gather(
        *(call.append([append(f"{category}-{n}", NO_STREAM, event(n))]) for n in range(200))
    )
    assert len({one.position for (one,) in found}) == 200


async def test_the_same_group_again_has_the_first_answer(call: AppendsCall, category: str) -> None:
    given = [append(f"{category}-{n}", NO_STREAM) for n in range(3)]

    first = await call.append(given)

    assert await call.append(given) == first
    assert all(isinstance(each, Appended) for each in first)


async def test_nothing_of_a_group_is_stored_where_one_stream_is_elsewhere(
    call: AppendsCall, category: str, event_store_server: EventStoreServer
) -> None:
    await call.append([append(f"{category}-1", NO_STREAM)])

    with pytest.raises(Conflicts) as elsewhere:
        await call.append([append(f"{category}-1", 7), append(f"{category}-2", NO_STREAM)])
    with pytest.raises(Conflicts) as nowhere:
        await call.append([append(f"{category}-3", 7)])

    assert elsewhere.value.actual == {f"{category}-1": 0}
    assert nowhere.value.actual == {f"{category}-3": NO_STREAM}
    async with KurrentStore.open(event_store_server.uri) as store:
        assert await store.read_last(f"{category}-2") is None


def _of(**changes: Any) -> pb.AppendContinuouslyRequest:  # noqa: ANN401 - any field's value
    told: dict[str, Any] = {
        "number": 1,
        "timeout_ms": 5_000,
        "streams": ["whole-1"],
        "expected": [-2],
        "event_counts": [1],
        "event_ids": [ID],
        "event_types": ["Cut"],
        "are_json": [True],
        "data": [b"{}"],
        "metadata": [b"{}"],
    }
    return pb.AppendContinuouslyRequest(**told | changes)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (_of(streams=["$all"]), "cannot be written to"),
        (_of(streams=[""]), "streams: is empty"),
        (_of(streams=["a-1", "a-1"], expected=[-2, -2], event_counts=[1, 1]), "each told once"),
        (_of(expected=[]), "each told once"),
        (_of(expected=[-3]), "is no version"),
        (_of(expected=[-9]), "is no version"),
        (_of(event_counts=[2]), "do not add up"),
        (_of(event_counts=[0]), "how many events"),
        (_of(data=[]), "how many events"),
        (_of(event_ids=[b"short"]), "not an identifier"),
        (_of(event_ids=[bytes(16)]), "not an identifier"),
        (_of(event_types=[""]), "type is missing"),
        (_of(data=[bytes(2 << 20)]), "Maximum Append Size"),
        (_of(timeout_ms=-1), "EXPIRED"),
        (pb.AppendContinuouslyRequest(number=1, timeout_ms=5_000), "do not add up"),
    ],
)
async def test_what_is_not_whole_is_refused_by_its_number_and_the_call_goes_on(
    client: kurrent.AsyncKurrentDBClient, request_: pb.AppendContinuouslyRequest, words: str
) -> None:
    async with _raw(client) as (write, read):
        await write(request_)
        refused = await read()
        assert (refused.number, refused.WhichOneof("outcome")) == (1, "refused")
        assert words in refused.refused
        await write(_of(number=2))
        assert (await read()).number == 2


@asynccontextmanager
async def _raw(
    client: kurrent.AsyncKurrentDBClient,
) -> AsyncIterator[tuple[Callable[..., Any], Callable[..., Any]]]:
    """The call, by its messages."""
    await client.connect()
    inner: Any = client
    opened = inner.connection._grpc_channel.stream_stream(  # noqa: SLF001 - there is no other way
        "/hefu.eventstore.v1.AppendsService/AppendContinuously",
        request_serializer=pb.AppendContinuouslyRequest.SerializeToString,
        response_deserializer=pb.AppendContinuouslyResponse.FromString,
    )(credentials=inner._call_credentials)  # noqa: SLF001 - as above
    yield opened.write, opened.read
    opened.cancel()


async def test_a_server_that_does_not_know_the_call_says_so_once(category: str) -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("localhost:0")
    await server.start()
    client = kurrent.AsyncKurrentDBClient(f"kdb://localhost:{port}?Tls=false")
    call = AppendsCall(client)

    assert call.is_known
    with pytest.raises(CallBroken):
        await call.append([append(f"{category}-1", NO_STREAM)])

    assert not call.is_known
    await call.close()
    await client.close()
    await server.stop(None)
