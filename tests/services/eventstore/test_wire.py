"""What the Python client never sends: raw calls over the wire."""

import asyncio
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2

from services.eventstore.protocol import SupportedMethods, gossip, shared, status, streams
from tests.services.eventstore.server_process import PASSWORD, ServerProcess

STREAMS = "/event_store.client.streams.Streams"
FEATURES = "/event_store.client.server_features.ServerFeatures/GetSupportedMethods"
PERSISTENT = "/event_store.client.persistent_subscriptions.PersistentSubscriptions"
METADATA = (
    ("authorization", "Basic " + b64encode(f"operator:{PASSWORD}".encode()).decode()),
    ("requires-leader", "true"),
)
TEXT = {"type": "Cut", "content-type": "application/json"}


@pytest_asyncio.fixture
async def channel(server: ServerProcess) -> AsyncIterator[grpc.aio.Channel]:
    credentials = grpc.ssl_channel_credentials(server.identity.certificate.read_bytes())
    async with grpc.aio.secure_channel(f"localhost:{server.port}", credentials) as opened:
        yield opened


def name(stream: str) -> shared.StreamIdentifier:
    return shared.StreamIdentifier(stream_name=stream.encode())


async def append(channel: grpc.aio.Channel, *requests: streams.AppendReq) -> streams.AppendResp:
    call = channel.stream_unary(
        f"{STREAMS}/Append",
        request_serializer=streams.AppendReq.SerializeToString,
        response_deserializer=streams.AppendResp.FromString,
    )
    answer: streams.AppendResp = await call(iter(requests), metadata=METADATA, timeout=10)
    return answer


def proposed(**more: Any) -> streams.AppendReq:  # noqa: ANN401 - fields of a message
    fields: dict[str, Any] = {
        "id": shared.UUID(string=str(uuid.uuid4())),
        "metadata": TEXT,
        "data": b"{}",
        **more,
    }
    return streams.AppendReq(proposed_message=streams.AppendReq.ProposedMessage(**fields))


def options(stream: str, **expected: Any) -> streams.AppendReq:  # noqa: ANN401 - as above
    return streams.AppendReq(
        options=streams.AppendReq.Options(stream_identifier=name(stream), **expected)
    )


async def test_append_answers_success_and_wrong_version_as_messages(
    channel: grpc.aio.Channel, stream: str
) -> None:
    created = await append(
        channel, options(stream, no_stream=shared.Empty()), proposed(), proposed()
    )
    assert created.success.current_revision == 1
    assert created.success.position.commit_position > 0
    refused = (
        await append(channel, options(stream, revision=7), proposed())
    ).wrong_expected_version
    assert (refused.current_revision, refused.current_revision_20_6_0) == (1, 1)
    assert (refused.expected_revision, refused.expected_revision_20_6_0) == (7, 7)


async def test_an_append_of_no_events_is_a_pure_check(
    channel: grpc.aio.Channel, stream: str
) -> None:
    absent = await append(channel, options(stream, no_stream=shared.Empty()))
    assert absent.success.WhichOneof("current_revision_option") == "no_stream"
    assert absent.success.WhichOneof("position_option") == "no_position"
    await append(channel, options(stream, any=shared.Empty()), proposed())
    assert (await append(channel, options(stream, revision=0))).success.current_revision == 0
    refused = await append(channel, options(stream, no_stream=shared.Empty()))
    assert refused.WhichOneof("result") == "wrong_expected_version"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"metadata": {"content-type": "application/json"}}, "type"),
        ({"metadata": {"type": "Cut"}}, "content-type"),
        ({"metadata": {"type": "Cut", "content-type": "text/html"}}, "content-type"),
        ({"id": shared.UUID(string=str(uuid.UUID(int=0)))}, "id"),
        ({"id": shared.UUID(string="not-an-id")}, "id"),
        ({"id": shared.UUID()}, "id"),
    ],
)
async def test_a_malformed_event_is_refused_with_its_field(
    channel: grpc.aio.Channel, stream: str, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await append(channel, options(stream, any=shared.Empty()), proposed(**fields))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in (refused.value.details() or "")


async def test_identifiers_come_back_in_the_form_that_was_asked_for(
    channel: grpc.aio.Channel, stream: str
) -> None:
    identity = uuid.UUID("f0000000-0000-0001-8000-000000000002")
    structured = shared.UUID(
        structured=shared.UUID.Structured(
            most_significant_bits=int.from_bytes(identity.bytes[:8], signed=True),
            least_significant_bits=int.from_bytes(identity.bytes[8:], signed=True),
        )
    )
    await append(channel, options(stream, any=shared.Empty()), proposed(id=structured))
    as_text = await read(channel, stream, string=shared.Empty())
    as_halves = await read(channel, stream, structured=shared.Empty())
    assert as_text[0].event.event.id.string == str(identity)
    assert as_halves[0].event.event.id == structured


async def read(
    channel: grpc.aio.Channel,
    stream: str,
    **uuid_option: Any,  # noqa: ANN401 - as above
) -> list[streams.ReadResp]:
    read_options = streams.ReadReq.Options
    request = streams.ReadReq(
        options=read_options(
            stream=read_options.StreamOptions(stream_identifier=name(stream), start=shared.Empty()),
            count=10,
            no_filter=shared.Empty(),
            uuid_option=read_options.UUIDOption(**uuid_option),
        )
    )
    call = channel.unary_stream(
        f"{STREAMS}/Read",
        request_serializer=streams.ReadReq.SerializeToString,
        response_deserializer=streams.ReadResp.FromString,
    )
    return [message async for message in call(request, metadata=METADATA, timeout=10)]


async def test_a_read_without_a_form_for_identifiers_is_refused(
    channel: grpc.aio.Channel, stream: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await read(channel, stream)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def batch(stream: str, correlation: str, *, is_final: bool = True) -> streams.BatchAppendReq:
    request = streams.BatchAppendReq(
        correlation_id=shared.UUID(string=correlation),
        options=streams.BatchAppendReq.Options(stream_identifier=name(stream)),
        is_final=is_final,
    )
    request.options.any.SetInParent()
    request.options.deadline.seconds = 315_576_000_000
    request.proposed_messages.add(
        id=shared.UUID(string=str(uuid.uuid4())), metadata=TEXT, data=b"{}"
    )
    return request


async def batch_append(
    channel: grpc.aio.Channel, *requests: streams.BatchAppendReq
) -> list[streams.BatchAppendResp]:
    call = channel.stream_stream(
        f"{STREAMS}/BatchAppend",
        request_serializer=streams.BatchAppendReq.SerializeToString,
        response_deserializer=streams.BatchAppendResp.FromString,
    )
    return [answer async for answer in call(iter(requests), metadata=METADATA, timeout=10)]


async def test_many_appends_share_one_call_and_each_is_answered(
    channel: grpc.aio.Channel, stream: str
) -> None:
    ids = [str(uuid.uuid4()) for _ in range(3)]
    answers = await batch_append(
        channel,
        batch(f"{stream}-0", ids[0], is_final=False),
        batch(f"{stream}-1", ids[1]),
        batch(f"{stream}-0", ids[0], is_final=False),
        batch(f"{stream}-2", ids[2]),
        batch(f"{stream}-0", ids[0]),
    )
    by_id = {answer.correlation_id.string: answer for answer in answers}
    assert [by_id[key].success.current_revision for key in ids] == [2, 0, 0]
    assert by_id[ids[0]].stream_identifier == name(f"{stream}-0")


async def test_an_append_without_time_is_answered_in_band(
    channel: grpc.aio.Channel, stream: str
) -> None:
    late = batch(stream, str(uuid.uuid4()))
    late.options.deadline.seconds = 0
    good = batch(stream, str(uuid.uuid4()))
    answers = {a.correlation_id.string: a for a in await batch_append(channel, late, good)}
    error: status.Status = answers[late.correlation_id.string].error
    assert (error.code, error.message) == (4, "Timeout")
    assert error.details.Is(shared.Timeout.DESCRIPTOR)
    assert answers[good.correlation_id.string].success.current_revision == 0


async def ask(channel: grpc.aio.Channel, method: str, answer: Any) -> Any:  # noqa: ANN401
    call = channel.unary_unary(
        method,
        request_serializer=shared.Empty.SerializeToString,
        response_deserializer=answer.FromString,
    )
    return await call(shared.Empty(), metadata=METADATA, timeout=10)


async def test_gossip_names_one_member_that_leads(
    channel: grpc.aio.Channel, server: ServerProcess
) -> None:
    answer = await ask(channel, "/event_store.client.gossip.Gossip/Read", gossip.ClusterInfo)
    (member,) = answer.members
    assert member.state == gossip.MemberInfo.Leader
    assert member.is_alive
    assert (member.http_end_point.address, member.http_end_point.port) == ("localhost", server.port)


async def test_the_features_name_each_call_in_lower_case(channel: grpc.aio.Channel) -> None:
    answer = await ask(channel, FEATURES, SupportedMethods)
    features = {(m.service_name, m.method_name): list(m.features) for m in answer.methods}
    assert answer.event_store_server_version == "26.1.0"
    assert features["event_store.client.streams.streams", "read"] == ["position", "events"]
    assert features["event_store.client.streams.streams", "batchappend"] == ["deadline_duration"]


async def test_health_needs_no_credentials_and_all_else_does(channel: grpc.aio.Channel) -> None:
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    answer = await check(health_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    anonymous: Any = channel.unary_unary("/event_store.client.gossip.Gossip/Read")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await anonymous(b"", timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_what_is_not_built_is_unimplemented(channel: grpc.aio.Channel) -> None:
    for method in (
        f"{PERSISTENT}/Create",
        f"{PERSISTENT}/RestartSubsystem",
        "/event_store.client.projections.Projections/Create",
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(channel, method, shared.Empty)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_many_callers_with_new_credentials_at_once_are_all_let_in(
    server: ServerProcess, stream: str
) -> None:
    clients = [server.client("writer") for _ in range(4)]
    await asyncio.gather(
        *(
            client.set_stream_metadata(f"{stream}-{n}", metadata={})
            for n, client in enumerate(clients)
        )
    )
    for client in clients:
        await client.close()
