"""What every service answers to an operator: how far behind it is, and read models rebuilt."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol, cast

import grpc
from opentelemetry.metrics import CallbackOptions, Observation

from hefu.operations.v1 import operations_pb2 as pb
from hefu.operations.v1 import operations_pb2_grpc
from libs.event_store import EventStore
from libs.grpc_errors import Refused
from libs.grpc_server import Binding
from libs.projection import Projection
from libs.read_model import Database
from libs.replay import ReplayProgress, replay
from libs.telemetry import meter

if TYPE_CHECKING:
    from libs.grpc_server import Policy

SERVICE = "hefu.operations.v1.OperationsService"
# Beside a service's own policy: `{**POLICY, **OPERATIONS_POLICY}`.
OPERATIONS_POLICY: "Policy" = {
    f"OperationsService/{method}": frozenset({"operator"})
    for method in ("GetStatus", "ListReadModels", "ReplayReadModel")
}


class Follower(Protocol):
    """What follows something: a projection, an inbox, a relay."""

    @property
    def name(self) -> str:
        """`projection:payments`, `relay`, `inbox:settlement`."""
        ...

    @property
    def position(self) -> int:
        """Where it is."""
        ...

    @property
    def is_caught_up(self) -> bool:
        """Whether it has nothing left to do."""
        ...

    @property
    def parked(self) -> int:
        """Streams set aside because of an event that could not be taken."""
        ...

    def head(self) -> int:
        """Position of the newest event it should reach."""
        ...


class OperationsServicer(operations_pb2_grpc.OperationsServiceServicer):
    """Of one service. `followers`: relay and inboxes; projections count by themselves."""

    def __init__(
        self,
        service: str,
        projections: Sequence[Projection],
        followers: Sequence[Follower],
        database: Database,
        store: EventStore,
    ) -> None:
        self._service = service
        self._projections = {projection.model.name: projection for projection in projections}
        self._followers: list[Follower] = [*projections, *followers]
        self._database = database
        self._store = store
        self._replaying: set[str] = set()
        meter.create_observable_gauge(
            "hefu.follower.lag",
            callbacks=[self._lags],
            description="Positions between a follower and the newest event it should reach",
        )

    def _lags(self, _: CallbackOptions) -> Iterator[Observation]:
        for follower in self._followers:
            behind = 0 if follower.is_caught_up else follower.head() - follower.position
            yield Observation(max(behind, 0), {"follower": follower.name})

    async def GetStatus(  # noqa: N802 - the name is the proto's
        self, _request: pb.GetStatusRequest, _context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.GetStatusResponse:
        """How far each follower is behind."""
        return pb.GetStatusResponse(
            service=self._service,
            version=_version(),
            followers=[
                pb.Follower(
                    name=follower.name,
                    position=follower.position,
                    head_position=follower.head(),
                    is_caught_up=follower.is_caught_up,
                    parked_streams=follower.parked,
                )
                for follower in self._followers
            ],
        )

    async def ListReadModels(  # noqa: N802 - as above
        self, _request: pb.ListReadModelsRequest, _context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.ListReadModelsResponse:
        """The read models that can be replayed."""
        return pb.ListReadModelsResponse(
            read_models=[
                pb.ReadModel(
                    name=name,
                    position=projection.position,
                    tables=sorted(projection.model.metadata.tables),
                )
                for name, projection in sorted(self._projections.items())
            ]
        )

    async def ReplayReadModel(  # noqa: N802 - as above
        self, request: pb.ReplayReadModelRequest, _context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[pb.ReplayReadModelResponse]:
        """Rebuild one, compare, swap if asked; progress as it goes."""
        projection = self._projections.get(request.name)
        if projection is None:
            known = ", ".join(sorted(self._projections)) or "none"
            raise Refused("READ_MODEL_UNKNOWN", f"{self._service} has {known}")
        if request.name in self._replaying:
            raise Refused("REPLAY_IN_PROGRESS", f"{request.name} is being replayed already")
        self._replaying.add(request.name)
        try:
            steps = replay(
                projection.model,
                self._database,
                self._store,
                to_position=request.to_position,
                swap=request.swap,
            )
            # Closed at once where the operator leaves: the shadow goes with it.
            async with aclosing(cast("AsyncGenerator[ReplayProgress, None]", steps)) as progressing:
                async for progress in progressing:
                    yield _to_wire(progress)
        finally:
            self._replaying.discard(request.name)

    def binding(self) -> Binding:
        """As `serve` takes it; its policy is `OPERATIONS_POLICY`."""
        add: Callable[[Any, grpc.aio.Server], None] = (
            operations_pb2_grpc.add_OperationsServiceServicer_to_server
        )
        return Binding(add, self, SERVICE)


def _to_wire(progress: ReplayProgress) -> pb.ReplayReadModelResponse:
    return pb.ReplayReadModelResponse(
        events=progress.events,
        position=progress.position,
        to_position=progress.to_position,
        is_done=progress.is_done,
        rows_compared=progress.rows_compared,
        rows_different=progress.rows_different,
        differences=[
            pb.RowDifference(table=row.table, key=row.key, kind=row.kind, columns=row.columns)
            for row in progress.differences
        ],
        is_swapped=progress.is_swapped,
    )


def _version() -> str:
    try:
        return version("hefu")
    except PackageNotFoundError:  # run from a tree that was never installed
        return "0"
