"""The server's edge: who may, how long, what shape; and what a refusal carries."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hefu.operations.v1 import operations_pb2 as pb
from hefu.operations.v1.operations_pb2_grpc import OperationsServiceStub
from libs.decider import FieldViolation, Rejected, trace_headers
from libs.event_store import OutcomeUnknown
from libs.failure import StartFailed
from libs.grpc_errors import reason_of, violations_of
from libs.grpc_server import CONCURRENT_MAX, serve
from tests.libs.served import (
    POLICY,
    Operations,
    bare_channel,
    channel_of,
    identities,
    served,
    token_of,
)

if TYPE_CHECKING:
    from hefu.operations.v1.operations_pb2_grpc import OperationsServiceAsyncStub

GET_STATUS = "/hefu.operations.v1.OperationsService/GetStatus"


class Reason(Enum):
    PAYMENT_STATE = auto()


@asynccontextmanager
async def _stub(
    tmp_path: Path, servicer: Operations, name: str = "operator"
) -> "AsyncIterator[OperationsServiceAsyncStub]":
    async with AsyncExitStack() as stack:
        serving = await stack.enter_async_context(served(tmp_path, servicer))
        channel = await stack.enter_async_context(channel_of(tmp_path, serving, name))
        yield OperationsServiceStub(channel)


async def _refusal(call: Awaitable[Any]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_caller_with_a_token_is_served_under_its_name(tmp_path: Path) -> None:
    async with _stub(tmp_path, Operations()) as stub:
        answer = await stub.GetStatus(pb.GetStatusRequest())

    assert answer.service == "operator"


async def test_a_call_that_was_answered_is_forgotten_without_the_collector(tmp_path: Path) -> None:
    seen: list[weakref.ref[asyncio.Task[Any]]] = []

    async def status() -> pb.GetStatusResponse:
        task = asyncio.current_task()
        assert task is not None
        seen.append(weakref.ref(task))
        return pb.GetStatusResponse(service="x" * 100_000)

    async with _stub(tmp_path, Operations(status)) as stub:
        gc.disable()
        try:
            for _ in range(5):
                await stub.GetStatus(pb.GetStatusRequest())
            # The newest may still be on its way out.
            alive = [task for task in seen[:-1] if task() is not None]
        finally:
            gc.enable()

    assert len(seen) == 5
    assert not alive


async def test_a_role_that_the_policy_does_not_name_is_refused(tmp_path: Path) -> None:
    async with _stub(tmp_path, Operations(), "wallet") as stub:
        error = await _refusal(stub.GetStatus(pb.GetStatusRequest()))

    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert reason_of(error) == "PERMISSION_DENIED"


@pytest.mark.parametrize(("name", "is_served"), [("settlement", True), ("payments", False)])
async def test_a_policy_may_name_one_service(tmp_path: Path, name: str, *, is_served: bool) -> None:
    async with _stub(tmp_path, Operations(), name) as stub:
        if is_served:
            await stub.GetStatus(pb.GetStatusRequest())
        else:
            error = await _refusal(stub.GetStatus(pb.GetStatusRequest()))
            assert reason_of(error) == "PERMISSION_DENIED"


@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer x.y.z", "Basic abc"])
async def test_a_caller_without_a_good_token_is_refused(tmp_path: Path, token: str) -> None:
    async with served(tmp_path, Operations()) as serving, bare_channel(tmp_path, serving) as bare:
        metadata = (("authorization", token),) if token else ()
        call = OperationsServiceStub(bare).GetStatus(
            pb.GetStatusRequest(), timeout=30, metadata=metadata
        )
        error = await _refusal(call)

    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_two_tokens_are_no_token(tmp_path: Path) -> None:
    async with served(tmp_path, Operations()) as serving, bare_channel(tmp_path, serving) as bare:
        metadata = (token_of(tmp_path, "wallet"), token_of(tmp_path, "operator"))
        call = OperationsServiceStub(bare).GetStatus(
            pb.GetStatusRequest(), timeout=30, metadata=metadata
        )
        error = await _refusal(call)

    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_call_without_a_deadline_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path, Operations()) as serving, bare_channel(tmp_path, serving) as bare:
        call = OperationsServiceStub(bare).GetStatus(
            pb.GetStatusRequest(), metadata=(token_of(tmp_path, "operator"),)
        )
        error = await _refusal(call)

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(error) == "DEADLINE_MISSING"


async def test_a_field_that_breaks_its_rule_is_named(tmp_path: Path) -> None:
    async with _stub(tmp_path, Operations()) as stub:
        call = stub.ReplayReadModel(pb.ReplayReadModelRequest(name="", to_position=-1))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(caught.value) == "FIELD_INVALID"
    assert [v.field for v in violations_of(caught.value)] == ["name", "to_position"]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x0a\x22\xff\xff", "MESSAGE_MALFORMED"),
        (b"\x0a\x02\xff\xfe", "FIELD_NOT_ALLOWED"),
        (b"\x78\x01", "FIELD_NOT_ALLOWED"),
    ],
)
async def test_bytes_that_are_no_such_message_are_refused(
    tmp_path: Path, raw: bytes, reason: str
) -> None:
    async with (
        served(tmp_path, Operations()) as serving,
        channel_of(tmp_path, serving, "operator") as channel,
    ):
        send: Any = channel.unary_unary(GET_STATUS)
        error = await _refusal(send(raw))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(error) == reason


async def test_text_that_is_not_utf_8_is_refused_and_not_internal(tmp_path: Path) -> None:
    replay = "/hefu.operations.v1.OperationsService/ReplayReadModel"
    async with (
        served(tmp_path, Operations()) as serving,
        channel_of(tmp_path, serving, "operator") as channel,
    ):
        send: Any = channel.unary_stream(replay)
        call = send(b"\x0a\x02\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()

    assert reason_of(caught.value) == "MESSAGE_MALFORMED"


async def test_a_rejection_carries_its_reason_and_its_fields(tmp_path: Path) -> None:
    async def reject() -> pb.GetStatusResponse:
        fields = [FieldViolation("state", "is PAID")]
        raise Rejected(Reason.PAYMENT_STATE, "it is paid \ud800", fields)

    async with _stub(tmp_path, Operations(reject)) as stub:
        error = await _refusal(stub.GetStatus(pb.GetStatusRequest()))

    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason_of(error) == "PAYMENT_STATE"
    assert violations_of(error) == (FieldViolation("state", "is PAID"),)


async def test_a_store_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    async def lose() -> pb.GetStatusResponse:
        raise OutcomeUnknown

    async with served(tmp_path, Operations(lose)) as serving, bare_channel(tmp_path, serving) as b:
        call = OperationsServiceStub(b).GetStatus(
            pb.GetStatusRequest(), timeout=30, metadata=(token_of(tmp_path, "operator"),)
        )
        error = await _refusal(call)

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert reason_of(error) == "STORE_UNAVAILABLE"


async def test_what_nobody_foresaw_is_internal_and_says_nothing(tmp_path: Path) -> None:
    async def fail() -> pb.GetStatusResponse:
        raise KeyError("the account of Jane Doe")

    async with _stub(tmp_path, Operations(fail)) as stub:
        error = await _refusal(stub.GetStatus(pb.GetStatusRequest()))

    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "internal error"


async def test_work_goes_on_when_its_caller_has_left(tmp_path: Path) -> None:
    may_end, has_ended = asyncio.Event(), asyncio.Event()

    async def work() -> pb.GetStatusResponse:
        await may_end.wait()
        has_ended.set()
        return pb.GetStatusResponse()

    async with _stub(tmp_path, Operations(work)) as stub:
        error = await _refusal(stub.GetStatus(pb.GetStatusRequest(), timeout=0.2))
        may_end.set()
        await asyncio.wait_for(has_ended.wait(), 5)

    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_stop_waits_for_the_work_under_way(tmp_path: Path) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def work() -> pb.GetStatusResponse:
        began.set()
        await may_end.wait()
        return pb.GetStatusResponse(service="done")

    async with AsyncExitStack() as stack:
        async with served(tmp_path, Operations(work)) as serving:
            channel = await stack.enter_async_context(channel_of(tmp_path, serving, "operator"))
            call = asyncio.ensure_future(
                OperationsServiceStub(channel).GetStatus(pb.GetStatusRequest())
            )
            await began.wait()
            asyncio.get_running_loop().call_later(0.1, may_end.set)
        answer = await call

    assert answer.service == "done"


async def test_a_stop_does_not_wait_for_streams(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        async with served(tmp_path, Operations()) as serving:
            channel = await stack.enter_async_context(channel_of(tmp_path, serving, "operator"))
            stream = OperationsServiceStub(channel).ReplayReadModel(
                pb.ReplayReadModelRequest(name="for ever")
            )
            first = await anext(aiter(stream))
            assert first.events == 0
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            async for _ in stream:
                pass


async def test_two_thousand_calls_at_once_are_all_answered(tmp_path: Path) -> None:
    async with _stub(tmp_path, Operations()) as stub:
        calls = (stub.GetStatus(pb.GetStatusRequest(), timeout=60) for _ in range(2_000))
        answers = await asyncio.gather(*calls)

    assert len(answers) == 2_000 < CONCURRENT_MAX


async def test_more_than_the_limit_is_told_to_come_later(tmp_path: Path) -> None:
    may_end = asyncio.Event()

    async def work() -> pb.GetStatusResponse:
        await may_end.wait()
        return pb.GetStatusResponse()

    async with (
        served(tmp_path, Operations(work), max_concurrent=2) as serving,
        channel_of(tmp_path, serving, "operator") as channel,
    ):
        stub = OperationsServiceStub(channel)
        calls = [asyncio.ensure_future(stub.GetStatus(pb.GetStatusRequest())) for _ in range(4)]
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        may_end.set()
        results = await asyncio.gather(*calls, return_exceptions=True)

    errors = [found for found in results if isinstance(found, grpc.aio.AioRpcError)]
    assert done
    assert {error.code() for error in errors} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert len(results) - len(errors) == 2


async def test_health_needs_no_caller(tmp_path: Path) -> None:
    async with served(tmp_path, Operations()) as serving, bare_channel(tmp_path, serving) as bare:
        check = health_pb2_grpc.HealthStub(bare).Check  # type: ignore[attr-defined]
        answer = await check(health_pb2.HealthCheckRequest())

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_the_trace_of_a_call_reaches_what_it_records(tmp_path: Path) -> None:
    seen: list[str] = []

    async def look() -> pb.GetStatusResponse:
        seen.append(trace_headers.get()["traceparent"])
        return pb.GetStatusResponse()

    async with served(tmp_path, Operations(look)) as serving, bare_channel(tmp_path, serving) as b:
        trace_id = "0af7651916cd43dd8448eb211c80319c"
        metadata = (
            token_of(tmp_path, "operator"),
            ("traceparent", f"00-{trace_id}-b7ad6b7169203331-01"),
        )
        stub = OperationsServiceStub(b)
        await stub.GetStatus(pb.GetStatusRequest(), timeout=30, metadata=metadata)

    assert seen[0].split("-")[1] == trace_id


async def test_a_bank_is_named_by_its_certificate(tmp_path: Path) -> None:
    servicer = Operations()
    folder = identities(tmp_path)
    async with (
        serve(0, [servicer.binding()], POLICY, folder / "settlement", mutual=True) as serving,
        channel_of(tmp_path, serving, "bank-CD", mutual=True) as channel,
    ):
        await OperationsServiceStub(channel).GetStatus(pb.GetStatusRequest())

    assert [(caller.role, caller.name) for caller in servicer.callers] == [("bank", "CD")]


async def test_a_mutual_server_meets_nobody_without_a_certificate(tmp_path: Path) -> None:
    folder = identities(tmp_path)
    async with (
        serve(0, [Operations().binding()], POLICY, folder / "settlement", mutual=True) as serving,
        bare_channel(tmp_path, serving) as bare,
    ):
        call = OperationsServiceStub(bare).GetStatus(pb.GetStatusRequest(), timeout=2)
        error = await _refusal(call)

    assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


async def test_a_certificate_of_another_authority_is_nobodys(tmp_path: Path) -> None:
    folder = identities(tmp_path / "ours")
    identities(tmp_path / "theirs")
    async with serve(0, [Operations().binding()], POLICY, folder / "settlement", mutual=True) as s:
        theirs = tmp_path / "theirs" / "identities" / "bank-CD"
        (theirs / "ca.pem").write_bytes((folder / "bank-CD" / "ca.pem").read_bytes())
        async with channel_of(tmp_path / "theirs", s, "bank-CD", mutual=True) as channel:
            call = OperationsServiceStub(channel).GetStatus(pb.GetStatusRequest(), timeout=2)
            error = await _refusal(call)

    assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({}, "has no policy"),
        ({**POLICY, "OperationsService/GetStatus": frozenset()}, "has no policy"),
        (
            {**POLICY, "OperationsService/DropEverything": frozenset({"operator"})},
            "not served here",
        ),
        ({**POLICY, "OperationsService/GetStatus": frozenset({"anybody"})}, "no role"),
    ],
)
async def test_a_server_whose_policy_is_not_whole_does_not_start(
    tmp_path: Path, policy: dict[str, frozenset[str]], said: str
) -> None:
    with pytest.raises(StartFailed, match=said):
        async with served(tmp_path, Operations(), policy):
            pass


async def test_a_server_that_knows_nobody_does_not_start(tmp_path: Path) -> None:
    folder = identities(tmp_path)
    with pytest.raises(StartFailed, match="tokens or client certificates"):
        async with serve(0, [Operations().binding()], POLICY, folder / "accounts"):
            pass


async def test_a_port_in_use_is_one_line_with_a_way_out(tmp_path: Path) -> None:
    folder = identities(tmp_path)
    async with served(tmp_path, Operations()) as serving:
        with pytest.raises(StartFailed, match=r"is in use.*PORT_OFFSET"):
            async with serve(
                serving.bound_port,
                [Operations().binding()],
                POLICY,
                folder / "settlement",
                mutual=True,
            ):
                pass


async def test_a_missing_certificate_is_one_line_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match=r"no certificate in .*hefu up"):
        async with serve(0, [Operations().binding()], POLICY, tmp_path, mutual=True):
            pass
