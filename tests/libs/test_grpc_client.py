"""Channels: a deadline on every call, our token and trace, one server demanded by name."""

import asyncio
from pathlib import Path

import grpc
import pytest

from hefu.operations.v1 import operations_pb2 as pb
from hefu.operations.v1.operations_pb2_grpc import OperationsServiceStub
from libs.auth import Verifier
from libs.decider import trace_headers
from libs.failure import StartFailed
from libs.grpc_client import open_channel
from libs.grpc_edge import time_left_s
from libs.grpc_server import serve
from libs.telemetry import span
from tests.libs.served import POLICY, Operations, channel_of, identities, served


async def test_a_call_without_a_deadline_gets_the_channels(tmp_path: Path) -> None:
    left: list[float | None] = []

    async def look() -> pb.GetStatusResponse:
        left.append(time_left_s())
        return pb.GetStatusResponse()

    async with (
        served(tmp_path, Operations(look)) as serving,
        channel_of(tmp_path, serving, "operator", timeout_s=7.0) as channel,
    ):
        await OperationsServiceStub(channel).GetStatus(pb.GetStatusRequest())

    assert left[0] is not None
    assert 5.0 < left[0] <= 7.5


async def test_what_is_left_of_a_deadline_is_handed_on(tmp_path: Path) -> None:
    left: list[float | None] = []

    async def look() -> pb.GetStatusResponse:
        left.append(time_left_s())
        return pb.GetStatusResponse()

    async with (
        served(tmp_path / "inner", Operations(look)) as inner,
        channel_of(tmp_path / "inner", inner, "operator") as onward,
    ):

        async def ask() -> pb.GetStatusResponse:
            return await OperationsServiceStub(onward).GetStatus(pb.GetStatusRequest())

        async with (
            served(tmp_path / "outer", Operations(ask)) as outer,
            channel_of(tmp_path / "outer", outer, "operator") as channel,
        ):
            stub = OperationsServiceStub(channel)
            await stub.GetStatus(pb.GetStatusRequest(), timeout=3)

    assert left[0] is not None
    assert left[0] <= 3.0


async def test_work_left_behind_by_a_call_has_its_own_time(tmp_path: Path) -> None:
    seen: list[float | None] = []
    looked = asyncio.Event()

    async def behind() -> None:
        seen.append(time_left_s())
        looked.set()

    kept: list[asyncio.Task[None]] = []

    async def leave() -> pb.GetStatusResponse:
        kept.append(asyncio.create_task(behind()))
        return pb.GetStatusResponse()

    async with (
        served(tmp_path, Operations(leave)) as serving,
        channel_of(tmp_path, serving, "operator") as channel,
    ):
        await OperationsServiceStub(channel).GetStatus(pb.GetStatusRequest())
        await looked.wait()

    assert seen == [None]


async def test_a_trace_goes_from_caller_to_server(tmp_path: Path) -> None:
    seen: list[str] = []

    async def look() -> pb.GetStatusResponse:
        seen.append(trace_headers.get()["traceparent"].split("-")[1])
        return pb.GetStatusResponse()

    trace_id = "0af7651916cd43dd8448eb211c80319c"
    async with (
        served(tmp_path, Operations(look)) as serving,
        channel_of(tmp_path, serving, "operator") as channel,
    ):
        with span("ask", headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}):
            await OperationsServiceStub(channel).GetStatus(pb.GetStatusRequest())

    assert seen == [trace_id]


@pytest.mark.parametrize(("demanded", "is_served"), [("CD", True), ("EF", False)])
async def test_a_server_is_demanded_by_its_identity(
    tmp_path: Path, demanded: str, *, is_served: bool
) -> None:
    folder = identities(tmp_path)
    async with serve(0, [Operations().binding()], POLICY, folder / "bank-CD", mutual=True) as s:
        identity = f"hefu://bank/{demanded}"
        async with channel_of(
            tmp_path, s, "settlement", mutual=True, server_identity=identity
        ) as channel:
            call = OperationsServiceStub(channel).GetStatus(pb.GetStatusRequest(), timeout=30)
            if is_served:
                await call
            else:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_server_that_is_restarted_is_found_again(tmp_path: Path) -> None:
    async with served(tmp_path, Operations()) as serving:
        port = serving.bound_port
    async with open_channel(f"localhost:{port}", tmp_path / "identities" / "operator") as channel:
        stub = OperationsServiceStub(channel)
        call = asyncio.ensure_future(stub.GetStatus(pb.GetStatusRequest(), timeout=30))
        await asyncio.wait([call], timeout=0.3)
        async with serve(
            port,
            [Operations().binding()],
            POLICY,
            tmp_path / "identities" / "accounts",
            verifier=Verifier(tmp_path / "authority" / "token.pub"),
        ):
            answer = await call

    assert answer.service == "operator"


async def test_on_a_bank_link_nothing_is_sent_twice(tmp_path: Path) -> None:
    async def fail() -> pb.GetStatusResponse:
        raise ConnectionRefusedError

    servicer = Operations(fail)
    folder = identities(tmp_path)
    async with (
        serve(0, [servicer.binding()], POLICY, folder / "bank-CD", mutual=True) as serving,
        channel_of(tmp_path, serving, "settlement", mutual=True) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await OperationsServiceStub(channel).GetStatus(pb.GetStatusRequest())

    assert len(servicer.callers) == 1


@pytest.mark.parametrize("mutual", [True, False])
async def test_without_an_identity_there_is_no_channel(tmp_path: Path, *, mutual: bool) -> None:
    with pytest.raises(StartFailed, match="hefu up"):
        open_channel("localhost:1", tmp_path, mutual=mutual)
