"""`python -m tests.bench.advice`: lists for 1,000,000 investors and 5,000 funds, and portfolios.

The service is whole, behind gRPC, in a process of its own, over the embedded event store in
another: every answer is durable before it is given. All investors have a holding in the rows; those
that ask, drawn among all, have their streams in the store, and the service has heard them and
forgotten them before it is measured: who asks for the first time is read from the store. One caller
asks one question after another; then lists are asked for at a pace, whether answered or not.
"""

import argparse
import asyncio
import gc
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import uvloop
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from sqlalchemy import Connection, insert

from hefu.recommendations.v1 import recommendations_pb2 as pb
from hefu.recommendations.v1 import recommendations_pb2_grpc as grpc_pb
from hefu.type.v1.money_pb2 import Money
from libs import telemetry
from libs.auth import Verifier
from libs.authority import Identity, establish
from libs.clock import system_clock
from libs.decider import Cause
from libs.event_store import NO_STREAM, NewEvent
from libs.grpc_client import open_channel
from libs.grpc_server import serve
from libs.ids import new_id
from libs.kurrent_store import KurrentStore
from libs.memory_bus import MemoryBus
from libs.read_model import Database
from libs.relay import Relay
from libs.suitability import InvestorClass
from services.recommendations.__main__ import GC_THRESHOLDS, SWITCH_S, Recommendations, build
from services.recommendations.api.policy import POLICY
from services.recommendations.construction.worker import Worker
from services.recommendations.domain import investor_lifecycle as life
from services.recommendations.rows import funds as rows
from services.recommendations.shelf import LOOK_EVERY_S
from tests.bench.measuring import Measured, Processes, percentiles_ms
from tests.servers import EventStoreServer
from tests.services.recommendations.worlds import FundHouse

INVESTORS = 1_000_000
FUNDS = 5_000
ASKERS = 2_000
LISTS = 1_500
# Of the rate of one caller, the pace at which lists are asked for without waiting.
PACE = 0.7
PORTFOLIOS = 100
# Facts of funds whose way into a list's features is timed.
TOLD = 20
PURCHASES = 1_000_000
WARM = 100
PRICED_DAYS = 760
# Funds with a whole history: what portfolios are made of.
PRICED = 60
PORTFOLIO_OF = 50
# Who holds all funds of a portfolio, in lots of different ages, too much of some.
HOLDERS = 40
REBALANCES = 60
LOTS_MOST = 4
NEIGHBOURS = 20
# The service's method that answers lists.
LISTED = "list_in_bytes"
KINDS = ("EQUITY", "MIXED", "INDEX", "BOND", "ETF", "MONEY_MARKET")
LEVELS = {"EQUITY": 4, "MIXED": 3, "INDEX": 3, "BOND": 2, "ETF": 3, "MONEY_MARKET": 1}
_BATCH = 50_000


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
            "fee_tables": [
                {
                    "front": [{"rate": str(500 + n % 1_000)}],
                    "redemption": [
                        {"rate": "15000"},
                        {"from_days": "7", "rate": "5000"},
                        {"from_days": str(180 + n % 400)},
                    ],
                    "discount": "100000",
                }
            ],
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
    _held_by_all(connection)
    lots = list(_lots(today))
    connection.execute(insert(rows.facts), lots)


def _lots(today: date) -> Iterator[dict[str, object]]:
    """A few of each fund; every fifth fund is a large part of what is held."""
    rng = random.Random(11)  # noqa: S311 - repeatable, not secret
    midnight_us = int(datetime(today.year, today.month, today.day, tzinfo=UTC).timestamp()) * 10**6
    for h in range(HOLDERS):
        for n in range(PORTFOLIO_OF):
            for k in range(rng.randint(1, LOTS_MOST)):
                bought_us = midnight_us - rng.randint(1, 700) * life.DAY_US
                yield {
                    "event_id": f"lot{h}/{n}/{k}",
                    "investor_id": f"holder{h}",
                    "code": f"{n:06d}",
                    "kind": "SHARES",
                    "amount": rng.randint(100_000, 400_000) * (6 if n % 5 == h % 5 else 1),
                    "business_us": bought_us,
                    "recorded_us": bought_us,
                    "position": 0,
                }


def _holdings() -> Iterator[tuple[object, ...]]:
    for n in range(INVESTORS):
        yield f"h{n}", f"i{n}", f"{n * 7 % FUNDS:06d}", "SHARES", 100_000, 1, 1, 0


def _held_by_all(connection: Connection) -> None:
    """Past the statement builder: a million rows of one shape."""
    names = "event_id, investor_id, code, kind, amount, business_us, recorded_us, position"
    statement = f"INSERT INTO {rows.facts.name} ({names}) VALUES ({', '.join('?' * 8)})"  # noqa: S608 - our own names
    holdings = _holdings()
    while batch := list(islice(holdings, _BATCH)):
        connection.exec_driver_sql(statement, batch)


async def _introduce(parts: Recommendations, names: Sequence[str]) -> None:
    """Streams of those that will ask; their answers are events, as the service would store them."""
    now_us = system_clock()
    until_us = now_us + 300 * life.DAY_US

    async def one(n: int, name: str) -> None:
        found = InvestorClass.C5 if name.startswith("holder") else InvestorClass(3 + n % 4)
        events: list[life.Event] = [
            life.Registered(name, (), "wallet", now_us),
            life.ClassAssigned(found, (), until_us, "2026-1", now_us),
            life.ConsentGiven("c", life.ADVICE, now_us),
        ]
        streams = parts.advice.investors.streams
        cause = Cause(name)
        await streams._append(name, events, -1, cause, is_guess=False)  # noqa: SLF001 - history, not a command

    for start in range(0, len(names), 200):
        part = names[start : start + 200]
        await asyncio.gather(*(one(start + n, name) for n, name in enumerate(part)))


# ---- the service, in a process of its own


@dataclass
class Timing:
    """How long the service itself worked on each kind of call, from message to reply."""

    taken: dict[str, HdrHistogram] = field(default_factory=dict)

    def around(self, api: object, name: str) -> None:
        """Time a call of an API from now on."""
        call = getattr(api, name)

        async def timed(*asked: object) -> object:
            begun = time.perf_counter()
            try:
                return await call(*asked)
            finally:
                taken_us = int((time.perf_counter() - begun) * 1_000_000)
                self.taken[name].record_value(max(1, taken_us))

        self.taken[name] = _histogram()
        setattr(api, name, timed)

    def told(self) -> dict[str, tuple[float, float, float]]:
        """p50, p99, p99.9 by call since the last time this was asked."""
        found = {name: percentiles_ms(each) for name, each in self.taken.items()}
        self.taken = {name: _histogram() for name in self.taken}
        return found


def _histogram() -> HdrHistogram:
    return HdrHistogram(1, 60_000_000, 3)


async def serving(folder: Path, uri: str, askers: Sequence[str]) -> None:
    """Fill, serve, and tell timings for each line that comes in, until there is no more."""
    today = datetime.fromtimestamp(system_clock() // 1_000_000, UTC).date()
    run_dir = folder / "run"
    timing = Timing()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(KurrentStore.open(uri))
        database = stack.enter_context(closing(Database.open(f"sqlite:///{folder}/rows.sqlite")))
        keys = stack.enter_context(closing(Database.open("sqlite://")))
        worker = stack.enter_context(closing(Worker(60.0)))
        bus = MemoryBus()
        parts = build(store, bus, database, keys, FundHouse(), worker)
        for projection in parts.projections:
            await projection.prepare()
        begun = time.perf_counter()
        await database.write(lambda c: _fill(c, today))
        await parts.prepare()
        await _introduce(parts, [*askers, *(f"holder{h}" for h in range(HOLDERS))])
        filled_s = time.perf_counter() - begun
        for name in (LISTED, "ProposePortfolio"):
            timing.around(parts.api, name)
        # As the service's own beginning does.
        sys.setswitchinterval(SWITCH_S)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        relay = Relay("funds", ("holding-",), store, bus)
        for each in (parts.run(), relay.run()):
            stack.callback(asyncio.create_task(each).cancel)
        await worker.warm()
        await _heard(parts, await store.head())
        parts.advice.investors.streams._known.clear()  # noqa: SLF001 - of a million few are in memory
        bindings = [parts.api.binding(), parts.feeds.binding()]
        verifier = Verifier(run_dir / "authority" / "token.pub")
        identity = run_dir / "identities" / "recommendations"
        bound = await stack.enter_async_context(
            serve(0, bindings, POLICY, identity, verifier=verifier)
        )
        _say({"port": bound.bound_port, "filled_s": round(filled_s, 1)})
        while await asyncio.to_thread(sys.stdin.readline):
            _say(timing.told())


async def _heard(parts: Recommendations, head: int) -> None:
    """Wait until nothing of what was set up is still to be done."""
    for projection in parts.projections:
        await projection.wait_for(head, 600.0)
    await parts.relay.wait_for(head)
    own, _ = parts.inboxes
    while own.position < head:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(LOOK_EVERY_S)


def _say(found: object) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


# ---- who asks


@dataclass
class Caller:
    """One wallet back end, and the service's process beside it."""

    stub: "grpc_pb.RecommendationsServiceAsyncStub"
    process: "subprocess.Popen[str]"
    askers: Sequence[str]
    rng: random.Random

    async def told(self) -> dict[str, Any]:
        """What the service took since the last time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return dict(json.loads(await asyncio.to_thread(self.process.stdout.readline)))

    async def list_funds(self, name: str = "") -> pb.Proposal:
        request = pb.ListRecommendationsRequest(
            investor_id=name or self.rng.choice(self.askers), proposal_id=str(new_id())
        )
        return (await self.stub.ListRecommendations(request)).proposal

    async def propose(self) -> pb.Proposal:
        request = pb.ProposePortfolioRequest(
            # Every fourth may hold all levels, so that all of the fifty are candidates.
            investor_id=self.rng.choice(self.askers[3::4]),
            proposal_id=str(new_id()),
            amount=Money(currency_code="CNY", minor_units=50_000_000),
            fund_codes=[f"{n:06d}" for n in range(PORTFOLIO_OF)],
        )
        return (await self.stub.ProposePortfolio(request)).proposal

    async def rebalance(self) -> pb.Proposal:
        """A little money comes in, so that nothing is weighed against what it gains."""
        request = pb.ProposePortfolioRequest(
            investor_id=f"holder{self.rng.randrange(HOLDERS)}",
            proposal_id=str(new_id()),
            amount=Money(currency_code="CNY", minor_units=500_000),
            is_rebalance=True,
            fund_codes=[f"{n:06d}" for n in range(PORTFOLIO_OF)],
        )
        return (await self.stub.ProposePortfolio(request)).proposal

    async def timed(
        self, key: str, name: str, method: str, call: Callable[[], Awaitable[object]], count: int
    ) -> list[Measured]:
        """One call after another: as the caller sees them, and as the service does."""
        for _ in range(min(WARM, count // 10)):
            await call()
        await self.told()
        processes = Processes({"advice": self.process.pid})
        before, histogram, begun = processes.cpu_s(), _histogram(), time.perf_counter()
        for _ in range(count):
            at = time.perf_counter()
            await call()
            histogram.record_value(max(1, int((time.perf_counter() - at) * 1_000_000)))
        lasted = time.perf_counter() - begun
        used = processes.cpu_s()["advice"] - before["advice"]
        found = await self.told()
        seen = Measured(
            f"{key}-caller",
            f"{name}, as the caller sees it",
            count / lasted,
            *percentiles_ms(histogram),
            server_cpu_s=used / count * 1_000,
            items=count,
        )
        p50, p99, p999 = found[method]
        at_service = Measured(
            f"{key}-service", f"{name}, at the service", count / lasted, p50, p99, p999, items=count
        )
        return [at_service, seen]

    async def paced(self, count: int, per_second: float) -> Measured:
        """Lists at a pace, whoever still waits: as the service sees them."""
        await self.told()
        begun = time.perf_counter()
        asked = []
        for n in range(count):
            await asyncio.sleep(max(0.0, begun + n / per_second - time.perf_counter()))
            asked.append(asyncio.create_task(self.list_funds()))
        await asyncio.gather(*asked)
        lasted = time.perf_counter() - begun
        p50, p99, p999 = (await self.told())[LISTED]
        name = f"list asked for {per_second:.0f} times a second whether answered, at the service"
        return Measured("advice-list-paced", name, count / lasted, p50, p99, p999, items=count)


async def _features_follow(caller: Caller, store: KurrentStore) -> Measured:
    """From a stored fact of funds to a list whose features count it."""
    histogram = _histogram()
    for n in range(TOLD):
        name = caller.askers[n]
        before = _held((await caller.list_funds(name)).issued.features)
        day = datetime.now(UTC).date().isoformat()
        body = {"order_id": "o", "row_id": str(uuid4()), "shares": "700", "confirm_date": day}
        data = orjson.dumps(body)
        event = NewEvent(uuid4(), "hefu.funds.v1.HoldingLotAdded", data)
        begun = time.perf_counter()
        await store.append(f"holding-{name}-000003", [event], NO_STREAM)
        while _held((await caller.list_funds(name)).issued.features) == before:
            pass
        histogram.record_value(int((time.perf_counter() - begun) * 1_000_000))
    name = "from a stored fact to a list whose features count it"
    return Measured("advice-features", name, 0.0, *percentiles_ms(histogram), items=TOLD)


def _held(features: Sequence[Any]) -> int:
    return next((each.value_millionths for each in features if each.name == "held_minor:CNY"), 0)


def _training(folder: Path) -> Measured:
    """As the command line trains: a process of its own."""
    module = ["-m", "services.recommendations.train", "--version", "bench@1"]
    drawn = ["--simulated", str(PURCHASES), "--investors", "100000", "--funds", "300"]
    begun, before_s = time.perf_counter(), _children_cpu_s()
    subprocess.run(
        [sys.executable, *module, *drawn, "--artifacts", str(folder / "artifacts")],
        check=True,
        capture_output=True,
    )
    lasted = time.perf_counter() - begun
    return Measured(
        "advice-train",
        f"training on {PURCHASES:,} purchases, {lasted:.0f} s in all",
        PURCHASES / lasted,
        server_cpu_s=(_children_cpu_s() - before_s) / PURCHASES * 1_000,
        items=PURCHASES,
    )


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def measured(folder: Path, told: Callable[[str], None] = lambda _: None) -> list[Measured]:
    """Everything set up, then one question after another; and a training."""
    rng = random.Random(7)  # noqa: S311 - repeatable, not secret
    askers = [f"i{n}" for n in rng.sample(range(INVESTORS), ASKERS)]
    run_dir = folder / "run"
    establish(run_dir, [Identity(name) for name in ("recommendations", "wallet")])
    identities = run_dir / "identities"
    async with AsyncExitStack() as stack:
        server = EventStoreServer(folder / "store", identities / "recommendations")
        stack.callback(server.stop)
        await asyncio.to_thread(server.start)
        process = stack.enter_context(_started())
        assert process.stdin is not None
        assert process.stdout is not None
        stack.callback(process.stdin.close)
        given = {"folder": str(folder), "uri": server.uri, "askers": askers}
        process.stdin.write(json.dumps(given) + "\n")
        process.stdin.flush()
        serving_at = json.loads(await asyncio.to_thread(process.stdout.readline))
        told(f"filled in {serving_at['filled_s']} s")
        store = await stack.enter_async_context(KurrentStore.open(server.uri))
        address = f"localhost:{serving_at['port']}"
        channel = await stack.enter_async_context(open_channel(address, identities / "wallet"))
        caller = Caller(grpc_pb.RecommendationsServiceStub(channel), process, askers, rng)
        of = f"{INVESTORS:,} investors, {FUNDS:,} funds"
        lists = await caller.timed(
            "advice-list", f"list for one of {of}", LISTED, caller.list_funds, LISTS
        )
        paced = await caller.paced(LISTS, PACE * lists[0].per_second)
        portfolios = await caller.timed(
            "advice-portfolio",
            f"portfolio of {PORTFOLIO_OF} funds",
            "ProposePortfolio",
            caller.propose,
            PORTFOLIOS,
        )
        rebalances = await caller.timed(
            "advice-rebalance",
            f"rebalance of {PORTFOLIO_OF} funds, each in lots",
            "ProposePortfolio",
            caller.rebalance,
            REBALANCES,
        )
        features = await _features_follow(caller, store)
    found = [*lists, paced, *portfolios, *rebalances, features]
    return [*found, await asyncio.to_thread(_training, folder)]


def _started() -> "subprocess.Popen[str]":
    """Ends when its standard input does."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.bench.advice", "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--serve", action="store_true", help="be the service; told on stdin of what"
    )
    telemetry.setup("bench", log_level="WARNING", metrics_port=0, otlp_endpoint="")
    if parser.parse_args().serve:
        given = json.loads(sys.stdin.readline())
        uvloop.run(serving(Path(given["folder"]), given["uri"], given["askers"]))
        return
    with tempfile.TemporaryDirectory(prefix="hefu-advice-") as folder:
        found = uvloop.run(measured(Path(folder), lambda line: print(line, file=sys.stderr)))  # noqa: T201 - a program
    for each in found:
        sys.stdout.write(json.dumps(asdict(each)) + "\n")


if __name__ == "__main__":
    main()
