"""The recommendations service, put together."""

import asyncio
import contextlib
import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TypeAlias

from libs.bus import Bus
from libs.clock import Clock, system_clock
from libs.decider import Streams
from libs.event_store import EventStore
from libs.grpc_client import open_channel
from libs.grpc_server import serve
from libs.inbox import Inbox
from libs.operations import OPERATIONS_POLICY, OperationsServicer
from libs.process import ProcessDriver
from libs.projection import Behind, Projection
from libs.read_model import Database
from libs.relay import Relay
from libs.service import foundation, run
from libs.subject_keys import SubjectKeys
from services.recommendations import watching
from services.recommendations.accepting import Accepting
from services.recommendations.advising import Advice
from services.recommendations.api.feeds import FeedApi
from services.recommendations.api.policy import POLICY
from services.recommendations.api.recommendations import RecommendationsApi
from services.recommendations.clients import Funds, GrpcFunds
from services.recommendations.codec import (
    feed_codec,
    investor_codec,
    proposal_codec,
    release_codec,
)
from services.recommendations.constructing import Portfolios
from services.recommendations.construction.worker import Solver, Worker
from services.recommendations.domain import proposal as what
from services.recommendations.domain.feed import feed
from services.recommendations.domain.investor import investor
from services.recommendations.domain.proposal import PlaceOrder, next_step, proposal
from services.recommendations.domain.release import release
from services.recommendations.investors import Investors
from services.recommendations.measuring import Measuring
from services.recommendations.ranking.serving import Artifacts
from services.recommendations.reactions import (
    Expiring,
    HearingFunds,
    HearingOwn,
    Ordering,
    Sweeping,
)
from services.recommendations.releases import Releases
from services.recommendations.rows import funds as funds_rows
from services.recommendations.rows import own as own_rows
from services.recommendations.rows import payments as payments_rows
from services.recommendations.settings import RecommendationsSettings
from services.recommendations.shelf import Loader, Shelf, no_more, no_news
from services.recommendations.under_way import UnderWay

Driver: TypeAlias = ProcessDriver[what.Command, what.State, what.Event, PlaceOrder]

ROWS_WITHIN_S = 10.0
# A thread that writes rows leaves the processor to the answers after so long at most; the
# interpreter's own 5 ms are a quarter of what an answer may take.
SWITCH_S = 0.001
# Proposals kept in memory, some 30 kB and two hundred objects each: few are asked for again. What
# stays is walked by the collector, also where as much goes: then it comes seldom, to all of them.
PROPOSALS_KEPT = 32
# The collector walks few objects at a time; 50,000 took 10 of the 20 ms of a list.
GC_THRESHOLDS = (5_000, 10, 50)


@dataclass(frozen=True, slots=True)
class Recommendations:
    """All parts, at rest until they run."""

    advice: Advice
    portfolios: Portfolios
    api: RecommendationsApi
    feeds: FeedApi
    projections: Sequence[Projection]
    inboxes: Sequence[Inbox]
    relay: Relay
    driver: Driver
    sweeping: Sweeping
    shelf: Shelf
    worker: Solver
    keys: SubjectKeys
    operations: OperationsServicer

    async def prepare(self) -> None:
        """Tables and keys, the catalogue as far as it was heard, and the crowd."""
        await self.keys.prepare()
        for projection in self.projections:
            await projection.prepare()
        await self.shelf.refresh()
        await self.shelf.count()

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            for projection in self.projections:
                group.create_task(projection.run())
            for inbox in self.inboxes:
                group.create_task(inbox.run())
            group.create_task(self.relay.run())
            group.create_task(self.driver.run())
            group.create_task(self.sweeping.run())
            group.create_task(self.shelf.run())
            group.create_task(self._warm())

    async def _warm(self) -> None:
        """The optimisers are imported once there is a fund at all, before anybody asks."""
        await self.shelf.has_funds.wait()
        await self.worker.warm()


def build(  # noqa: PLR0913 - all that it stands on
    store: EventStore,
    bus: Bus,
    database: Database,
    keys_database: Database,
    funds: Funds,
    worker: Solver,
    *,
    clock: Clock = system_clock,
    follows_market: bool = False,
    load: Loader = no_more,
    has_news: Callable[[], bool] = no_news,
    watch_every_s: float = 2.0,
) -> Recommendations:
    proposals = Streams(store, "proposal", proposal, proposal_codec, PROPOSALS_KEPT)
    releases = Releases(Streams(store, "release", release, release_codec))
    keys = SubjectKeys(keys_database)
    # Rows of what was answered follow when nobody waits for an answer, or for them.
    own = Projection(
        own_rows.model,
        database,
        store,
        is_busy=lambda: advice.is_busy,
    )
    investors = Investors(Streams(store, "investor", investor, investor_codec), own)
    heard = Projection(funds_rows.model, database, store, bus=bus)
    paid = Projection(payments_rows.model, database, store, bus=bus)
    shelf = Shelf(
        database, heard, own, clock, follows_market=follows_market, load=load, has_news=has_news
    )
    advice = Advice(investors, proposals, database, own, paid, shelf, releases, clock)
    under_way = UnderWay(own, heard, database, store)
    portfolios = Portfolios(advice, worker, under_way)
    expiring = Expiring(proposals, clock)
    measuring = Measuring(proposals, shelf, database, clock)

    async def open_ids() -> Sequence[str]:
        with suppress(Behind):
            await own.wait_for(await store.head(), ROWS_WITHIN_S)
        return await database.read(watching.ordering)

    ordering = Ordering(shelf, funds)
    driver: Driver = ProcessDriver(
        proposals,
        next_step,
        ordering.perform,
        open_ids,
        concurrency=64,
        watch_every_s=watch_every_s,
    )
    hearing_own = HearingOwn(investors, expiring, own, database, funds, keys, clock)
    hearing_funds = HearingFunds(expiring, own, database, store)
    inboxes = [
        Inbox(
            "recommendations-own",
            "recommendations",
            (own_rows.INVESTOR,),
            store=store,
            bus=bus,
            database=database,
            react=hearing_own.react,
        ),
        Inbox(
            "recommendations-funds",
            "funds",
            ("fund-",),
            store=store,
            bus=bus,
            database=database,
            react=hearing_funds.react,
        ),
    ]
    relay = Relay(
        "recommendations",
        (own_rows.INVESTOR, own_rows.PROPOSAL),
        store,
        bus,
        kept_in=frozenset({"ShadowAnswered"}),  # nobody saw it
    )
    accepting = Accepting(advice, expiring, heard, store, under_way, clock)
    api = RecommendationsApi(advice, portfolios, accepting, keys, driver.wake, clock)
    feeds = FeedApi(Streams(store, "feed_batch", feed, feed_codec), own, database, shelf, clock)
    projections = (own, heard, paid)
    return Recommendations(
        advice,
        portfolios,
        api,
        feeds,
        projections,
        inboxes,
        relay,
        driver,
        Sweeping(investors, expiring, measuring, database, clock),
        shelf,
        worker,
        keys,
        OperationsServicer("recommendations", projections, [relay, *inboxes], database, store),
    )


async def main(settings: RecommendationsSettings) -> None:
    sys.setswitchinterval(SWITCH_S)
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(foundation(settings))
        to_funds = await stack.enter_async_context(open_channel(settings.funds, on.identity_dir))
        keys_database = stack.enter_context(contextlib.closing(Database.open(settings.keys_url)))
        worker = stack.enter_context(contextlib.closing(Worker(settings.solve_within_s)))
        artifacts = Artifacts(settings.artifacts_dir)
        parts = build(
            on.store,
            on.bus,
            on.database,
            keys_database,
            GrpcFunds(to_funds),
            worker,
            follows_market=settings.clock == "simulated",
            load=artifacts,
            has_news=artifacts.look,
        )
        await parts.prepare()
        # Catalogue, crowd and rankings live on: the collector need not walk them at every turn.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        serving = serve(
            settings.port,
            [parts.api.binding(), parts.feeds.binding(), parts.operations.binding()],
            {**POLICY, **OPERATIONS_POLICY},
            on.identity_dir,
            verifier=on.verifier,
            host=settings.host,
        )
        stack.push_async_callback(parts.advice.close)
        # The server is the inner one: it drains while the read models still move.
        async with asyncio.TaskGroup() as tasks, serving:
            tasks.create_task(parts.run())
            await asyncio.get_running_loop().create_future()  # until we are told to stop


if __name__ == "__main__":
    run(main, RecommendationsSettings)
