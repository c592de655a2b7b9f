"""Funds and payments that tell facts, an optimiser on a thread, a service that may die."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import orjson

from libs.clock import system_clock
from libs.event_store import NO_STREAM, NewEvent
from libs.memory_bus import MemoryBus
from libs.memory_store import MemoryStore
from libs.read_model import Database
from libs.relay import Relay
from libs.suitability import InvestorClass
from libs.transient import Unavailable
from services.recommendations.__main__ import Recommendations, build
from services.recommendations.clients import Funds, Order, Refused
from services.recommendations.construction import construct as _heavy  # noqa: F401 - imported once, outside any deadline
from services.recommendations.construction.problem import Problem, Quotes
from services.recommendations.construction.worker import Constructed, Solver, SolverAway, solve
from services.recommendations.domain.questionnaire_2026 import QUESTIONNAIRE
from services.recommendations.shelf import Loader, no_more

DAY_US = 86_400_000_000
_BEGUN_US = system_clock() // 1_000_000 * 1_000_000
# A little after anything a test stores: the store keeps its own time, and a fact counts from then.
NOW_US = _BEGUN_US + 3_600_000_000
# That of what is stored: in the last hour before midnight nothing may be of a day still to come.
TODAY = datetime.fromtimestamp(_BEGUN_US // 1_000_000, UTC).date()
WALLET_ACCOUNT = "01900000-0000-7000-8000-0000000000a1"


def proposal_id(number: int) -> str:
    return f"019a9000-0000-7000-8000-{number:012x}"


@dataclass
class FundHouse(Funds):
    """Takes orders and classes; `refusals` by fund code; `away` answers nobody.

    What is sold brings its money at once, but for the funds in `unpaid`.
    """

    orders: dict[str, Order] = field(default_factory=dict)
    classes: dict[str, tuple[InvestorClass, str, str]] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    unpaid: set[str] = field(default_factory=set)
    is_away: bool = False
    told: asyncio.Event = field(default_factory=asyncio.Event)

    async def place(self, order: Order) -> Refused | None:
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("funds are away")
        if order.fund_code in self.refusals:
            return Refused(self.refusals[order.fund_code])
        assert self.orders.setdefault(order.order_id, order) == order
        return None

    async def has_paid(self, order_id: str) -> bool | None:
        await asyncio.sleep(0)
        return None if self.orders[order_id].fund_code in self.unpaid else True

    async def record_class(
        self, investor_id: str, found: InvestorClass, valid_until: str, version: str
    ) -> Refused | None:
        await asyncio.sleep(0)
        self.classes[investor_id] = found, valid_until, version
        self.told.set()
        return None


@dataclass
class ThreadSolver(Solver):
    """The worker's own function on a thread; `is_away` is a process that died."""

    is_away: bool = False
    problems: list[Problem] = field(default_factory=list)

    async def solve(self, problem: Problem, quotes: Sequence[Quotes]) -> Constructed:
        if self.is_away:
            raise SolverAway("died")
        self.problems.append(problem)
        return await asyncio.to_thread(solve, problem, tuple(quotes))

    async def warm(self) -> None:
        """Warm as it is."""


@dataclass
class Told:
    """Facts of other services, as they store them."""

    store: MemoryStore

    async def fund(self, code: str, level: int, kind: str, **more: object) -> None:
        """A fund in the catalogue, open."""
        terms = {
            "code": code,
            "name": f"Fund {code}",
            "ta_id": str(more.pop("ta_id", f"TA{code[-1]}")),
            "currency": "CNY",
            "fund_type": f"FUND_TYPE_{kind}",
            "risk_level": f"RISK_LEVEL_R{level}",
            "dealing": {"calendars": ["XSHG"], "time_zone": "Asia/Shanghai"},
            "fee_tables": [
                {
                    "effective_date": "2020-01-01",
                    "front": [{"rate": "1500"}],
                    "redemption": [{"rate": "15000"}, {"from_days": "7", "rate": "5000"}],
                    "discount": "100000",
                }
            ],
            "limits": {"first_minor": "1000", "top_up_minor": "1000"},
            "share_scale": "2",
            "nav_scale": "4",
            **more,
        }
        told: list[tuple[str, Mapping[str, object]]] = [
            ("FundPublished", {"terms": terms, "version": "1"}),
            ("FundStatusChanged", {"status": "FUND_STATUS_OPEN", "request_id": "r"}),
        ]
        await self.tell(f"fund-{code}", "funds", told, NO_STREAM)

    async def again(self, code: str, name: str, body: Mapping[str, object]) -> None:
        await self.tell(f"fund-{code}", "funds", [(name, body)])

    async def navs(self, code: str, days: int, until: date = TODAY, *, kind: str = "") -> None:
        """A price for each of the last weekdays: a wave of the fund's own, the same for ever."""
        seed = int(code, 36)
        found: list[tuple[str, Mapping[str, object]]] = []
        for n, day in enumerate(weekdays(days, until)):
            if kind == "MONEY_MARKET":
                nav = {"nav_date": day, "nav": "10000", "income_per_10k": str(5_000 + n % 50)}
            else:
                wave = 0.05 * math.sin(n / (3 + seed % 7)) + 0.03 * math.sin(n * n % (11 + seed))
                price = round(10_000 * (1 + 0.0003 * n + wave))
                nav = {"nav_date": day, "nav": str(price)}
            found.append(("FundNavPublished", {"nav": nav, "source": "test"}))
        for start in range(0, len(found), 500):
            await self.tell(f"fund-{code}", "funds", found[start : start + 500])

    async def lot(self, investor_id: str, code: str, shares: int, day: str = "2026-10-01") -> None:
        body = {"order_id": "o", "row_id": str(uuid4()), "shares": str(shares), "confirm_date": day}
        stream = f"holding-{investor_id}-{code}"
        await self.tell(stream, "funds", [("HoldingLotAdded", body)])

    async def order(self, investor_id: str, code: str, minor: int, class_name: str) -> str:
        order_id = str(uuid4())
        terms = {
            "investor_id": investor_id,
            "wallet_account_id": WALLET_ACCOUNT,
            "subscription": {
                "fund_code": code,
                "amount": {"currency_code": "CNY", "minor_units": str(minor)},
            },
        }
        placed = {"order_id": order_id, "terms": terms, "place_us": str(NOW_US - DAY_US)}
        passed = {"investor_class": f"INVESTOR_CLASS_{class_name}"}
        events: list[tuple[str, Mapping[str, object]]] = [
            ("FundOrderPlaced", placed),
            ("FundOrderSuitabilityPassed", passed),
        ]
        await self.tell(f"fund_order-{order_id}", "funds", events, NO_STREAM)
        return order_id

    async def top_up(self, account_id: str, minor: int) -> None:
        id_ = str(uuid4())
        terms = {
            "amount": {"currency_code": "CNY", "minor_units": str(minor)},
            "top_up": {"wallet_account_id": account_id, "bank_id": "B", "bank_account": "1"},
        }
        asked = ("PaymentRequested", {"payment_id": id_, "terms": terms, "caller": "wallet"})
        await self.tell(f"payment-{id_}", "payments", [asked, ("PaymentCompleted", {})], NO_STREAM)

    async def tell(
        self,
        stream: str,
        service: str,
        events: Sequence[tuple[str, Mapping[str, object]]],
        expected: int | None = None,
    ) -> None:
        last = await self.store.read_last(stream)
        at = NO_STREAM if last is None else last.revision
        new = [
            NewEvent(uuid4(), f"hefu.{service}.v1.{name}", orjson.dumps(dict(body)))
            for name, body in events
        ]
        await self.store.append(stream, new, at if expected is None else expected)


def weekdays(count: int, until: date) -> Sequence[str]:
    found: list[str] = []
    day = until
    while len(found) < count:
        if day.weekday() < 5:
            found.append(day.isoformat())
        day -= timedelta(days=1)
    return found[::-1]


CATALOGUE = (
    ("000001", 1, "MONEY_MARKET"),
    ("000002", 2, "BOND"),
    ("000003", 2, "BOND"),
    ("000004", 3, "MIXED"),
    ("000005", 3, "INDEX"),
    ("000006", 4, "EQUITY"),
    ("000007", 5, "EQUITY"),
    ("000008", 2, "BOND"),
    ("000009", 3, "MIXED"),
)


@dataclass
class World:
    """What outlives a process of the service: the store, the bus, the keys, the funds."""

    store: MemoryStore = field(default_factory=MemoryStore)
    bus: MemoryBus = field(default_factory=lambda: MemoryBus(idle_s=0.02))
    keys: Database = field(default_factory=lambda: Database.open("sqlite://"))
    funds: FundHouse = field(default_factory=FundHouse)
    solver: ThreadSolver = field(default_factory=ThreadSolver)
    now_us: int = NOW_US
    load: Loader = no_more
    # As where the funds' clock is moved by an operator: today is the newest day of prices.
    follows_market: bool = False

    @property
    def told(self) -> Told:
        return Told(self.store)

    async def catalogue(self, days: int = 260, until: date = TODAY) -> None:
        for code, level, kind in CATALOGUE:
            await self.told.fund(code, level, kind)
            await self.told.navs(code, days, until, kind=kind)

    @asynccontextmanager
    async def service(self, database: Database | None = None) -> AsyncIterator[Recommendations]:
        """A process with an empty memory and a new database; killed at the end."""
        rows = database or Database.open("sqlite://")
        parts = build(
            self.store,
            self.bus,
            rows,
            self.keys,
            self.funds,
            self.solver,
            clock=lambda: self.now_us,
            load=self.load,
            follows_market=self.follows_market,
            watch_every_s=0.05,
        )
        await parts.prepare()
        relays = [
            Relay("funds", ("fund-", "fund_order-", "holding-", "plan-"), self.store, self.bus),
            Relay("payments", ("payment-",), self.store, self.bus),
        ]
        running = [asyncio.create_task(parts.run())]
        running += [asyncio.create_task(relay.run()) for relay in relays]
        try:
            await self.heard(parts)
            yield parts
        finally:
            await parts.advice.close()
            for each in running:
                each.cancel()
            for each in running:
                with suppress(asyncio.CancelledError):
                    await each
            rows.close()

    async def heard(self, parts: Recommendations) -> None:
        """Wait until everything stored is in the rows and on the shelf."""
        head = await self.store.head()
        for projection in parts.projections:
            await projection.wait_for(head, 20.0)
        await parts.shelf.refresh()
        await parts.shelf.count()

    async def names(self, stream: str) -> list[str]:
        return [event.type.rpartition(".")[2] async for event in self.store.read(stream)]

    async def until(self, stream: str, last: str, count: int = 1) -> list[str]:
        """Wait for an event, or for so many of its name; answer all there are."""
        async with asyncio.timeout(60):
            async for _ in self.store.follow((stream,)):
                found = await self.names(stream)
                if found.count(last) >= count:
                    return found
        raise AssertionError("a store is followed for ever")


# What comes to each class: chosen by hand from the questionnaire's own points.
def answers_for(wanted: InvestorClass) -> dict[str, str]:
    """A sheet that gives a class; found by taking for each item the option nearest to it."""
    share = {"C1": 0.05, "C2": 0.3, "C3": 0.5, "C4": 0.7, "C5": 1.0}[wanted.name]
    found: dict[str, str] = {}
    for item in QUESTIONNAIRE.items:
        options = [o for o in item.options if o.cap is None or share < 0.2] or list(item.options)
        options = [o for o in options if o.cap is None or int(o.cap.highest) > 1]
        best = max(o.points for o in item.options)
        found[item.key] = min(options, key=lambda o: abs(o.points - share * best)).key
    found |= {"goal": "growth", "horizon": "3_5", "legal_capacity": "full"}
    return found


def uuid7_like(number: int) -> str:
    return str(UUID(int=(0x019A9000 << 96) | (7 << 76) | (2 << 62) | number))
