"""`python -m tests.bench.advice`: lists for 1,000,000 investors and 5,000 funds, and portfolios.

The service is whole, behind gRPC, over the embedded event store as its own process: every answer is
durable before it is given. All investors have a holding in the rows; those that ask, drawn among
all, have their streams in the store.
"""

import asyncio
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson
from sqlalchemy import Connection, Table, insert

from hefu.recommendations.v1 import recommendations_pb2 as pb
from hefu.recommendations.v1 import recommendations_pb2_grpc as grpc_pb
from hefu.type.v1.money_pb2 import Money
from libs import telemetry
from libs.auth import Verifier
from libs.authority import Identity, establish
from libs.clock import system_clock
from libs.decider import Cause
from libs.grpc_client import open_channel
from libs.grpc_server import serve
from libs.ids import new_id
from libs.kurrent_store import KurrentStore
from libs.memory_bus import MemoryBus
from libs.read_model import Database
from libs.suitability import InvestorClass
from services.recommendations.__main__ import Recommendations, build
from services.recommendations.api.policy import POLICY
from services.recommendations.construction.worker import Worker
from services.recommendations.domain import investor as who
from services.recommendations.rows import funds as rows
from tests.servers import EventStoreServer
from tests.services.recommendations.worlds import FundHouse

INVESTORS = 1_000_000
FUNDS = 5_000
ASKERS = 2_000
LISTS = 3_000
PORTFOLIOS = 100
PRICED_DAYS = 760
# Funds with a whole history: what portfolios are made of.
PRICED = 60
NEIGHBOURS = 20
KINDS = ("EQUITY", "MIXED", "INDEX", "BOND", "ETF", "MONEY_MARKET")
LEVELS = {"EQUITY": 4, "MIXED": 3, "INDEX": 3, "BOND": 2, "ETF": 3, "MONEY_MARKET": 1}
_BATCH = 50_000


@dataclass(frozen=True, slots=True)
class Timed:
    """Latencies of one kind of call, milliseconds."""

    name: str
    calls: int
    p50_ms: float
    p99_ms: float
    most_ms: float


def _funds() -> Iterator[tuple[dict[str, object], int]]:
    for n in range(FUNDS):
        kind = KINDS[n % len(KINDS)]
        code = f"{n:06d}"
        terms = {
            "code": code,
            "name": f"Fund {code}",
            "ta_id": f"TA{n % 90:02d}",
            "currency": "CNY",
            "fund_type": f"FUND_TYPE_{kind}",
            "dealing": {"calendars": ["XSHG"]},
            "fee_tables": [{"front": [{"rate": str(500 + n % 1_000)}], "discount": "100000"}],
            "limits": {"first_minor": "1000", "top_up_minor": "1000"},
            "share_scale": "2",
        }
        row = {
            "code": code,
            "terms": orjson.dumps(terms).decode(),
            "status": "FUND_STATUS_OPEN",
            "level": LEVELS[kind],
            "nav_scale": 4,
            "published_us": 0,
            "position": n + 1,
            "nav_position": n + 1,
        }
        yield row, PRICED_DAYS if n < PRICED else 2


def _navs(code: str, days: Sequence[str], n: int) -> Iterator[dict[str, object]]:
    for d, day in enumerate(days):
        wave = 0.04 * math.sin(d / (3 + n % 7)) + 0.02 * math.sin(d * d % (11 + n))
        yield {
            "code": code,
            "nav_date": day,
            "position": d,
            "event_id": f"{code}{d}",
            "nav": round(10_000 * (1 + 0.0003 * d + wave)),
            "accumulated_nav": 0,
            "income_per_10k": 5_000,
            "recorded_us": 0,
        }


def _weekdays(today: date, count: int) -> list[str]:
    found: list[str] = []
    day = today
    while len(found) < count:
        if day.weekday() < 5:
            found.append(day.isoformat())
        day -= timedelta(days=1)
    return found[::-1]


def _fill(connection: Connection, today: date) -> None:
    """A catalogue, prices, and a holding for each of all investors."""
    days = _weekdays(today, PRICED_DAYS)
    old = (today - timedelta(days=2_000)).isoformat()
    funds = list(_funds())
    connection.execute(insert(rows.funds), [row for row, _ in funds])
    connection.execute(insert(rows.sessions), [{"day": day} for day in days])
    for n, (row, count) in enumerate(funds):
        own = days[-count:] if count > 2 else [old, days[-1]]
        connection.execute(insert(rows.navs), list(_navs(str(row["code"]), own, n)))
    _in_batches(connection, rows.facts, _holdings())


def _holdings() -> Iterator[dict[str, object]]:
    for n in range(INVESTORS):
        yield {
            "event_id": f"h{n}",
            "investor_id": f"i{n}",
            "code": f"{n * 7 % FUNDS:06d}",
            "kind": "SHARES",
            "amount": 100_000,
            "business_us": 1,
            "recorded_us": 1,
            "position": 0,
        }


def _in_batches(connection: Connection, table: Table, found: Iterator[dict[str, object]]) -> None:
    batch: list[dict[str, object]] = []
    for row in found:
        batch.append(row)
        if len(batch) == _BATCH:
            connection.execute(insert(table), batch)
            batch = []
    if batch:
        connection.execute(insert(table), batch)


async def _introduce(parts: Recommendations, names: Sequence[str]) -> None:
    """Streams of those that will ask; their answers are events, as the service would store them."""
    now_us = system_clock()
    until_us = now_us + 300 * who.DAY_US

    async def one(n: int, name: str) -> None:
        found = InvestorClass(3 + n % 4)
        events: list[who.Event] = [
            who.Registered(name, (), "wallet", now_us),
            who.ClassAssigned(found, (), until_us, "2026-1", now_us),
            who.ConsentGiven("c", who.ADVICE, now_us),
        ]
        streams = parts.advice.investors
        cause = Cause(name)
        await streams._append(name, events, -1, cause, is_guess=False)  # noqa: SLF001 - history, not a command

    for start in range(0, len(names), 200):
        part = names[start : start + 200]
        await asyncio.gather(*(one(start + n, name) for n, name in enumerate(part)))


async def _timed(name: str, calls: Sequence[Callable[[], Awaitable[object]]], warm: int) -> Timed:
    for call in calls[:warm]:
        await call()
    found = []
    for call in calls[warm:]:
        at = time.perf_counter()
        await call()
        found.append((time.perf_counter() - at) * 1_000)
    cuts = statistics.quantiles(found, n=100)
    return Timed(name, len(found), round(cuts[49], 2), round(cuts[98], 2), round(max(found), 2))


async def measure(folder: Path) -> Mapping[str, object]:
    """Everything set up, then one caller that asks one question after another."""
    rng = random.Random(7)  # noqa: S311 - repeatable, not secret
    today = datetime.fromtimestamp(system_clock() // 1_000_000, UTC).date()
    askers = [f"i{n}" for n in rng.sample(range(INVESTORS), ASKERS)]
    run_dir = folder / "run"
    establish(run_dir, [Identity(name) for name in ("recommendations", "wallet")])
    async with AsyncExitStack() as stack:
        server = EventStoreServer(folder / "store", run_dir / "identities" / "recommendations")
        stack.callback(server.stop)
        server.start()
        store = await stack.enter_async_context(KurrentStore.open(server.uri))
        database = stack.enter_context(closing(Database.open(f"sqlite:///{folder}/rows.sqlite")))
        keys = stack.enter_context(closing(Database.open("sqlite://")))
        worker = stack.enter_context(closing(Worker(60.0)))
        parts = build(store, MemoryBus(), database, keys, FundHouse(), worker)
        for projection in parts.projections:
            await projection.prepare()
        begun = time.perf_counter()
        await database.write(lambda c: _fill(c, today))
        await parts.prepare()
        await _introduce(parts, askers)
        filled_s = time.perf_counter() - begun
        running = asyncio.create_task(parts.run())
        stack.callback(running.cancel)
        await worker.warm()
        serving = serve(
            0,
            [parts.api.binding(), parts.feeds.binding()],
            POLICY,
            run_dir / "identities" / "recommendations",
            verifier=Verifier(run_dir / "authority" / "token.pub"),
        )
        bound = await stack.enter_async_context(serving)
        channel = open_channel(f"localhost:{bound.bound_port}", run_dir / "identities" / "wallet")
        stub: grpc_pb.RecommendationsServiceAsyncStub = grpc_pb.RecommendationsServiceStub(
            await stack.enter_async_context(channel)
        )
        lists = [_list(stub, rng.choice(askers)) for _ in range(LISTS)]
        folios = [_portfolio(stub, rng.choice(askers[3::4])) for _ in range(PORTFOLIOS)]
        found = [
            await _timed("ListRecommendations", lists, 200),
            await _timed("ProposePortfolio of 50 candidates", folios, 5),
        ]
        return {
            "investors": INVESTORS,
            "funds": FUNDS,
            "filled_s": round(filled_s, 1),
            "calls": [
                {
                    "name": t.name,
                    "calls": t.calls,
                    "p50_ms": t.p50_ms,
                    "p99_ms": t.p99_ms,
                    "most_ms": t.most_ms,
                }
                for t in found
            ],
        }


def _list(
    stub: "grpc_pb.RecommendationsServiceAsyncStub", name: str
) -> Callable[[], Awaitable[object]]:
    async def call() -> object:
        request = pb.ListRecommendationsRequest(investor_id=name, proposal_id=str(new_id()))
        return await stub.ListRecommendations(request)

    return call


def _portfolio(
    stub: "grpc_pb.RecommendationsServiceAsyncStub", name: str
) -> Callable[[], Awaitable[object]]:
    codes = [f"{n:06d}" for n in range(PRICED)]

    async def call() -> object:
        request = pb.ProposePortfolioRequest(
            investor_id=name,
            proposal_id=str(new_id()),
            amount=Money(currency_code="CNY", minor_units=50_000_000),
            fund_codes=codes[:50],
        )
        return await stub.ProposePortfolio(request)

    return call


def main() -> None:
    """Measure and print."""
    telemetry.setup("bench", log_level="WARNING", metrics_port=0, otlp_endpoint="")
    with tempfile.TemporaryDirectory(prefix="hefu-advice-") as folder:
        found = asyncio.run(measure(Path(folder)))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
