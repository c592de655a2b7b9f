"""What a service tells an operator, and a read model rebuilt on demand."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from sqlalchemy import Column, MetaData, String, Table

from hefu.operations.v1 import operations_pb2 as pb
from hefu.operations.v1.operations_pb2_grpc import OperationsServiceStub
from libs.auth import Verifier
from libs.event_store import NO_STREAM, NewEvent, StoredEvent
from libs.grpc_errors import reason_of
from libs.grpc_server import serve
from libs.memory_store import MemoryStore
from libs.operations import OPERATIONS_POLICY, OperationsServicer
from libs.projection import Projection
from libs.read_model import Database, Put, ReadModel, Write
from tests.libs.served import channel_of, identities

if TYPE_CHECKING:
    from hefu.operations.v1.operations_pb2_grpc import OperationsServiceAsyncStub

METADATA = MetaData()
NAMES = Table("names", METADATA, Column("id", String, primary_key=True), Column("name", String))


def _project(event: StoredEvent) -> Iterable[Write]:
    yield Put(NAMES, {"id": str(event.id), "name": event.data.decode()})


MODEL = ReadModel("names", 1, "things", ("thing-",), METADATA, _project)


@dataclass(frozen=True)
class Relay:
    name: str = "relay"
    position: int = 3
    is_caught_up: bool = False
    parked: int = 2

    def head(self) -> int:
        return 9


@asynccontextmanager
async def _operations(tmp_path: Path) -> "AsyncIterator[OperationsServiceAsyncStub]":
    folder = identities(tmp_path)
    store, database = MemoryStore(), Database.open("sqlite://")
    for name in (b"one", b"two"):
        event = NewEvent(uuid4(), "Named", name)
        await store.append(f"thing-{name.decode()}", [event], NO_STREAM)
    projection = Projection(MODEL, database, store)
    await projection.prepare()
    servicer = OperationsServicer("things", [projection], [Relay()], database, store)
    verifier = Verifier(tmp_path / "authority" / "token.pub")
    async with (
        serve(
            0, [servicer.binding()], OPERATIONS_POLICY, folder / "accounts", verifier=verifier
        ) as serving,
        channel_of(tmp_path, serving, "operator") as channel,
    ):
        yield OperationsServiceStub(channel)
    database.close()


async def test_followers_tell_how_far_behind_they_are(tmp_path: Path) -> None:
    async with _operations(tmp_path) as stub:
        status = await stub.GetStatus(pb.GetStatusRequest())

    relay = status.followers[1]
    assert status.service == "things"
    assert [follower.name for follower in status.followers] == ["projection:names", "relay"]
    assert (relay.position, relay.head_position, relay.parked_streams) == (3, 9, 2)
    assert not relay.is_caught_up


async def test_read_models_are_listed_with_their_tables(tmp_path: Path) -> None:
    async with _operations(tmp_path) as stub:
        found = await stub.ListReadModels(pb.ListReadModelsRequest())

    assert [(model.name, list(model.tables)) for model in found.read_models] == [
        ("names", ["names"])
    ]


async def test_a_replay_tells_its_progress_and_swaps_what_it_rebuilt(tmp_path: Path) -> None:
    async with _operations(tmp_path) as stub:
        head = 1 << 40
        request = pb.ReplayReadModelRequest(name="names", to_position=head, swap=True)
        answers = [answer async for answer in stub.ReplayReadModel(request)]
        again = [answer async for answer in stub.ReplayReadModel(request)]

    assert answers[-1].is_done
    assert answers[-1].is_swapped
    assert answers[-1].events == 2
    assert again[-1].rows_compared == 2
    assert again[-1].rows_different == 0


async def test_a_read_model_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    async with _operations(tmp_path) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stub.ReplayReadModel(pb.ReplayReadModelRequest(name="other")):
                pass

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert reason_of(caught.value) == "READ_MODEL_UNKNOWN"
    assert "names" in str(caught.value.details())
