"""Feeds over gRPC: a batch is digested, judged beside what is known, and taken once."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from hefu.recommendations.v1 import recommendations_pb2 as pb
from hefu.recommendations.v1 import recommendations_pb2_grpc
from libs.auth import current_caller
from libs.clock import Clock
from libs.decider import Cause, Streams
from libs.grpc_server import Binding
from libs.projection import Projection
from libs.read_model import Database
from services.recommendations import queries, watching
from services.recommendations.api.messages import entries_from_wire
from services.recommendations.codec import as_message
from services.recommendations.domain import feed
from services.recommendations.shelf import Shelf

if TYPE_CHECKING:
    import grpc

PAGE_SIZE: Final = 100
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
FeedStreams: TypeAlias = Streams[feed.Publish, feed.Batch, feed.Event]


class FeedApi(recommendations_pb2_grpc.FeedServiceServicer):
    def __init__(
        self, streams: FeedStreams, own: Projection, database: Database, shelf: Shelf, clock: Clock
    ) -> None:
        self._streams = streams
        self._own = own
        self._database = database
        self._shelf = shelf
        self._clock = clock

    def binding(self) -> Binding:
        add = recommendations_pb2_grpc.add_FeedServiceServicer_to_server
        return Binding(add, self, "hefu.recommendations.v1.FeedService")

    async def PublishPrices(
        self, request: pb.PublishPricesRequest, _context: "Context"
    ) -> pb.PublishPricesResponse:
        return pb.PublishPricesResponse(**await self._take(request, feed.Price, request.prices))

    async def PublishFactorScores(
        self, request: pb.PublishFactorScoresRequest, _context: "Context"
    ) -> pb.PublishFactorScoresResponse:
        return pb.PublishFactorScoresResponse(
            **await self._take(request, feed.Score, request.scores)
        )

    async def PublishViews(
        self, request: pb.PublishViewsRequest, _context: "Context"
    ) -> pb.PublishViewsResponse:
        return pb.PublishViewsResponse(**await self._take(request, feed.View, request.views))

    async def PublishFundFacts(
        self, request: pb.PublishFundFactsRequest, _context: "Context"
    ) -> pb.PublishFundFactsResponse:
        return pb.PublishFundFactsResponse(
            **await self._take(request, feed.FundFact, request.facts)
        )

    async def ListQuarantined(
        self, request: pb.ListQuarantinedRequest, _context: "Context"
    ) -> pb.ListQuarantinedResponse:
        await self._own.wait_for(request.min_position)
        position = self._own.position
        size = request.page_size or PAGE_SIZE
        rows = await self._database.read(lambda c: watching.quarantine(c, request.source, size))
        entries: list[dict[str, Any]] = [
            {
                "batch_id": row.batch_id,
                "source": row.source,
                "taken_us": row.taken_us,
                "item": {
                    "ordinal": row.ordinal,
                    "instrument": row.instrument,
                    "value": row.value,
                    "reason": f"QUARANTINE_REASON_{row.reason}",
                    "description": row.description,
                },
            }
            for row in rows
        ]
        return pb.ListQuarantinedResponse(
            entries=[pb.QuarantinedEntry(**entry) for entry in entries], position=position
        )

    async def _take(
        self,
        request: Any,  # noqa: ANN401 - a batch of any kind
        kind: type[feed.Entry],
        messages: Sequence[Any],
    ) -> dict[str, Any]:
        await self._shelf.refresh()
        entries = entries_from_wire(kind, messages)
        catalogue = self._shelf.catalogue
        now_us = self._clock()
        last: Mapping[str, str] = {}
        if kind is feed.Price:
            # A batch is judged beside the last one, so that one must be in the rows.
            await self._own.wait_for(await self._head())
            names = [entry.instrument for entry in entries if isinstance(entry, feed.Price)]
            last = await self._database.read(lambda c: queries.last_prices(c, names))
        command = feed.Publish(
            request.batch_id,
            request.source,
            kind,
            entries,
            hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest(),
            lambda name: catalogue.find(name) is not None,
            datetime.fromtimestamp(now_us // 1_000_000, UTC).date().isoformat(),
            now_us,
            last,
        )
        cause = Cause(f"{request.batch_id}/PUBLISH", actor=current_caller().name)
        done = await self._streams.transact(request.batch_id, command, cause, is_new=True)
        taken = done.state.taken
        if taken is None:
            raise AssertionError("a batch that was taken is there")
        return {
            "taken": len(entries) - len(taken.quarantined),
            "quarantined": [as_message(item) for item in taken.quarantined],
            "position": done.position,
        }

    async def _head(self) -> int:
        """Position of the newest event of ours that the rows know to be missing."""
        return self._own.head()
