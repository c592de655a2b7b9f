"""What a data company tells of the sample funds: facts, and real prices before the first day."""

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

from hefu.recommendations.v1 import events_pb2
from hefu.recommendations.v1 import recommendations_pb2 as pb
from libs.cli.fund_setup import SetUpFailed
from libs.client.calls import patiently
from libs.fund_samples import PAR, SampleFund
from libs.ids import named_id, new_id

if TYPE_CHECKING:
    from hefu.recommendations.v1.recommendations_pb2_grpc import FeedServiceAsyncStub

SOURCE: Final = "sample-data"
# What most strategies ask for is a year; these are sessions.
HISTORY_DAYS: Final = 300
_NAV_PLACES: Final = 4
_AGAIN_S: Final = 0.2
_PATIENCE_S: Final = 60.0


async def tell_of(
    feeds: "FeedServiceAsyncStub", samples: Sequence[SampleFund], first: date
) -> None:
    """Tell advice of the funds and of their prices before `first`; again, it is the same.

    Raises `SetUpFailed` where advice does not hear of the funds' publication.
    """
    await _facts(feeds, samples)
    sessions = [day for day in _priced(samples).history().days if day < first][-HISTORY_DAYS:]
    for fund in samples:
        batch = pb.PublishPricesRequest(
            batch_id=str(named_id(SOURCE, fund.code, first.isoformat())),
            source=SOURCE,
            prices=_prices(fund, sessions),
        )
        if batch.prices:
            await patiently(lambda batch=batch: feeds.PublishPrices(batch))  # type: ignore[misc]


async def _facts(feeds: "FeedServiceAsyncStub", samples: Sequence[SampleFund]) -> None:
    oldest = _priced(samples).history().days[0]
    facts = [
        events_pb2.FundFact(
            instrument=fund.code,
            manager=f"House of {fund.name}",
            theme=fund.source.partition(":")[2] or fund.source,
            inception_date=oldest.isoformat(),
        )
        for fund in samples
    ]
    unheard: list[str] = []
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                request = pb.PublishFundFactsRequest(
                    batch_id=str(new_id()), source=SOURCE, facts=facts
                )
                answer = await patiently(lambda: feeds.PublishFundFacts(request))  # noqa: B023 - awaited here
                unheard = [item.instrument for item in answer.quarantined]
                if not unheard:
                    return
                # Funds that were not heard of yet are set apart: another process is on its way.
                await asyncio.sleep(_AGAIN_S)
    except TimeoutError:
        raise SetUpFailed(f"advice has not heard of {', '.join(unheard)}") from None


def _priced(samples: Sequence[SampleFund]) -> SampleFund:
    return next(fund for fund in samples if not fund.is_money_market)


def _prices(fund: SampleFund, sessions: Sequence[date]) -> list[events_pb2.PricePoint]:
    history = None if fund.is_money_market else fund.history()
    navs = [(day, PAR if history is None else history.on(day)) for day in sessions]
    return [
        events_pb2.PricePoint(instrument=fund.code, date=day.isoformat(), price=_decimal(nav))
        for day, nav in navs
        if nav is not None
    ]


def _decimal(nav: int) -> str:
    whole, rest = divmod(nav, 10**_NAV_PLACES)
    return f"{whole}.{rest:0{_NAV_PLACES}d}"
