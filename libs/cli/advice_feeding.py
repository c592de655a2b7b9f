"""A sample data company: facts of the sample funds, and their real prices of the days before."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hefu.recommendations.v1 import events_pb2
from hefu.recommendations.v1 import recommendations_pb2 as pb
from libs.cli.advice_rankers import address_of
from libs.cli.connections import RUN_DIR, told
from libs.cli.terminal import console, refuse
from libs.client.calls import patiently
from libs.client.recommendations import RecommendationsClient
from libs.fund_samples import PAR, SampleFund, load_samples
from libs.grpc_client import open_channel
from libs.ids import named_id, new_id

if TYPE_CHECKING:
    from hefu.recommendations.v1.recommendations_pb2_grpc import FeedServiceAsyncStub

SOURCE = "sample"
# Sessions before the first one played, and points in one batch.
DAYS = 300
BATCH_POINTS = 5_000
# Funds that were not heard of yet are told again for so long.
WITHIN_S = 60.0
_AGAIN_S = 0.2
_INCEPTION = "2005-01-03"


def feed(
    before: Annotated[str, typer.Argument(help="First day played: prices up to it, yyyy-mm-dd.")],
    days: Annotated[int, typer.Option(help="So many sessions.", min=1, max=2_000)] = DAYS,
    run_dir: Annotated[Path, typer.Option(help="Where the system keeps its files.")] = RUN_DIR,
) -> None:
    """Send facts and earlier prices of the sample funds, as a data company would."""
    try:
        first = date.fromisoformat(before)
    except ValueError:
        refuse(f"{before!r} is no date, yyyy-mm-dd")

    async def work() -> int:
        operator = run_dir / "identities" / "operator"
        async with open_channel(address_of(run_dir), operator) as channel:
            sent, apart = await fed(RecommendationsClient(channel).feeds, first, days)
        console.print(f"{sent:,} prices of sessions before {first} taken, {apart} set apart")
        return 0

    raise typer.Exit(told(work))


async def fed(feeds: "FeedServiceAsyncStub", first: date, days: int = DAYS) -> tuple[int, int]:
    """Prices taken, and set apart. Facts are told until all funds are known."""
    samples = load_samples()
    async with asyncio.timeout(WITHIN_S):
        while (await _facts(feeds, samples)).quarantined:  # noqa: ASYNC110 - another process
            await asyncio.sleep(_AGAIN_S)
    taken, apart = 0, 0
    points = list(_prices(samples, first, days))
    for start in range(0, len(points), BATCH_POINTS):
        batch = pb.PublishPricesRequest(
            # The same prices again are the same batch, which is taken once.
            batch_id=str(named_id("sample-prices", first.isoformat(), str(days), str(start))),
            source=SOURCE,
            prices=points[start : start + BATCH_POINTS],
        )
        answer = await patiently(lambda each=batch: feeds.PublishPrices(each))  # type: ignore[misc]
        taken += answer.taken
        apart += len(answer.quarantined)
    return taken, apart


async def _facts(
    feeds: "FeedServiceAsyncStub", samples: Sequence[SampleFund]
) -> pb.PublishFundFactsResponse:
    known = [
        events_pb2.FundFact(
            instrument=fund.code,
            manager=f"House {number}",
            theme=fund.source.partition(":")[2],
            inception_date=_INCEPTION,
        )
        for number, fund in enumerate(samples)
    ]
    request = pb.PublishFundFactsRequest(batch_id=str(new_id()), source=SOURCE, facts=known)
    return await patiently(lambda: feeds.PublishFundFacts(request))


def _prices(
    samples: Sequence[SampleFund], first: date, days: int
) -> Iterator[events_pb2.PricePoint]:
    """Of the last sessions before the first day; money funds stand at par."""
    histories = {fund.code: fund.history() for fund in samples if not fund.is_money_market}
    sessions = sorted({day for each in histories.values() for day in each.days if day < first})
    for day in sessions[-days:]:
        for fund in samples:
            nav = PAR if fund.is_money_market else histories[fund.code].on(day)
            if nav is not None:
                price = f"{nav // PAR}.{nav % PAR:04d}"
                yield events_pb2.PricePoint(instrument=fund.code, date=day.isoformat(), price=price)
