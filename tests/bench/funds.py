"""Funds under load: a registrar's confirmations booked, and every holding valued anew.

`confirmations` books rows through the service's own desk into a store that is given; with a durable
one each row is two durable appends. `revaluation` reads holdings page by page as the API does.
"""

import asyncio
import gc
import resource
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, cast

import orjson
from sqlalchemy import Connection, insert

from libs.decider import Asked, Cause
from libs.event_store import EventStore
from libs.fund_arithmetic import (
    FeeBand,
    FeeMethod,
    FundType,
    InvestorKind,
    Scales,
    subscribe,
    value_of,
)
from libs.ids import derived_id, named_id
from libs.kurrent_store import KurrentStore
from libs.money import Money
from libs.read_model import Database
from libs.service import GC_THRESHOLDS
from libs.suitability import InvestorClass, RiskLevel
from services.funds import queries, tables
from services.funds.aggregates import Aggregates
from services.funds.booking_desk import Answer, BookingDesk
from services.funds.breaking import Breaking
from services.funds.domain import fund as funds
from services.funds.domain import order as fund_orders
from services.funds.domain import order_lifecycle as life
from services.funds.domain.holding_lifecycle import Holding
from services.funds.domain.investor import ClassRecorded, Investor
from services.funds.domain.order import Command, Place, Record
from services.funds.domain.order_placing import Setting
from services.funds.domain.order_terms import Confirmation, Subscription, Terms
from services.funds.domain.product import Dealing, FeeTable, FundTerms, RegisterModel
from services.funds.expecting import Expecting
from services.funds.serials import serial_of
from services.funds.shapes import shape_of
from tests.bench.measuring import Measured, cpu_s_of
from tests.servers import EventStoreServer, identities

CONFIRMATIONS, HOLDINGS = 5_000, 200_000
# What must come under 60 s, and under 30 s.
CONFIRMATIONS_FULL, HOLDINGS_FULL = 100_000, 1_000_000
_T, _CONFIRM, _NAV, _MINOR = date(2026, 9, 24), date(2026, 9, 28), 10_025, 1_000_000
_CODE, _TA, _CURRENCY = "BENCH1", "BENCH", "CNY"
_PAGE, _KIB = 50_000, 1024
# Rows of one confirmation file.
_ROWS = 15_000
_LOT, _LOTS_AT_ONCE = 500, 3
_WALLET = str(named_id("bench wallet"))
_PROFILE = ClassRecorded(InvestorClass.C4, InvestorKind.PERSON, date(2027, 1, 1), "v1", "bench")


def terms() -> FundTerms:
    """A fund at 0.8 % in front."""
    table = FeeTable(date(2020, 1, 1), FeeMethod.OUTSIDE, (FeeBand(0, 8_000),))
    return FundTerms(
        _CODE,
        "Bench",
        _TA,
        _CURRENCY,
        FundType.MIXED,
        RiskLevel.R3,
        RegisterModel.LOOK_THROUGH,
        Dealing(("XSHG",), "Asia/Shanghai"),
        (table,),
    )


async def measured(
    folder: Path, tell: Callable[[str], None], *, is_full: bool
) -> AsyncIterator[Measured]:
    """Both, into a durable store of their own and a database on disk; `tell` how far it is."""
    server = EventStoreServer(
        folder / "fund-store", identities(folder / "fund-identities") / "eventstore"
    )
    server.start()
    try:
        async with KurrentStore.open(server.uri) as store:
            count = CONFIRMATIONS_FULL if is_full else CONFIRMATIONS
            yield await confirmations(store, count, server.pid, tell)
    finally:
        server.stop()
    yield await revaluation(folder, HOLDINGS_FULL if is_full else HOLDINGS)


@contextmanager
def _collecting_as_a_service() -> Iterator[None]:
    """The collector looks as often as it does in a service's process."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order of the day, and whose it is."""

    order_id: str
    investor_id: str


async def confirmations(
    store: EventStore,
    count: int = CONFIRMATIONS,
    store_pid: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Measured:
    """Book the confirmations of a day; the orders are with the registrar before the clock runs."""
    aggregates = Aggregates.over(store)
    await priced(aggregates)
    run = str(named_id("bench", str(time.time_ns()), at_ms=1_700_000_000_000))
    orders = [Ordered(str(derived_id(run, "order", n)), f"bench:{run}:{n}") for n in range(count)]
    await at_registrar(
        aggregates, orders, lambda done: tell(f"{done:,} of {count:,} orders placed")
    )
    answers = answers_to(orders)
    with closing(Database.open("sqlite://")) as database:
        await database.write(tables.own.create_all)
        breaking = Breaking(aggregates, _now)
        desk = BookingDesk(
            aggregates, Expecting(aggregates), breaking, database, _now, lambda _: None
        )
        before_s = cpu_s_of(store_pid) if store_pid is not None else 0.0
        with _collecting_as_a_service():
            begun, cpu = time.perf_counter(), time.process_time()
            booked = breaks = 0
            for start in range(0, count, _ROWS):
                done = await desk.book(_TA, answers[start : start + _ROWS])
                booked, breaks = booked + done.booked, breaks + done.breaks
                tell(f"{booked:,} of {count:,} confirmations booked")
            lasted, used = time.perf_counter() - begun, time.process_time() - cpu
        store_s = cpu_s_of(store_pid) - before_s if store_pid is not None else 0.0
    if (booked, breaks) != (count, 0):
        raise AssertionError(f"{booked} booked and {breaks} breaks of {count}")
    return Measured(
        "fund-confirmations",
        f"{count:,} confirmations booked",
        count / lasted,
        server_cpu_s=(used + store_s) / count * 1_000,
        cpu_by_process={
            "funds": used / count * 1_000,
            "eventstore": store_s / count * 1_000,
        },
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB,
        items=count,
        note=f"{lasted:.1f} s",
    )


async def revaluation(folder: Path, count: int = HOLDINGS) -> Measured:
    """Value every holding at the newest price, page by page, as a list of holdings does."""
    with closing(Database.open(f"sqlite:///{folder}/holdings.sqlite")) as database:
        await database.write(tables.own.create_all)
        await _held(database, count)
        scales, valued, total = Scales(), 0, 0
        after: tuple[str, str] = ("", "")
        begun, cpu = time.perf_counter(), time.process_time()
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        while True:
            page = partial(queries.holdings_page, investor_id="", fund_code="")
            rows = await database.read(partial(page, after=after, size=_PAGE))
            total += sum(value_of(row.shares, row.nav, scales) for row in rows)
            valued += len(rows)
            if len(rows) < _PAGE:
                break
            after = rows[-1].investor_id, rows[-1].fund_code
        lasted, used = time.perf_counter() - begun, time.process_time() - cpu
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    if valued != count or not total:
        raise AssertionError(f"{valued} of {count} holdings were valued")
    return Measured(
        "fund-revaluation",
        f"{count:,} holdings valued",
        count / lasted,
        server_cpu_s=used / count * 1_000,
        peak_mib=grown_kib / _KIB,
        items=count,
        note=f"{lasted:.1f} s",
    )


def _now() -> int:
    return 1_790_000_000_000_000


async def priced(aggregates: Aggregates) -> None:
    """The fund, and its price of the day."""
    cause = Cause("bench")
    await aggregates.funds.transact(_CODE, funds.Publish(terms(), "bench"), cause)
    nav = funds.PublishNav(funds.Nav(_T, _NAV), "bench")
    await aggregates.funds.transact(_CODE, nav, cause)


async def at_registrar(
    aggregates: Aggregates, orders: Sequence[Ordered], tell: Callable[[int], None] = lambda _: None
) -> None:
    """Orders as they stand when the registrar has them, at hand as they are after its receipt.

    Each is decided from its placing on as it is in a day, and stored with one append, not six.
    """
    setting = Setting(
        (await aggregates.funds.load(_CODE)).state, Holding(), Investor(_PROFILE), _T, _T
    )
    # Whatever is at hand there is at hand here: only what is asked at once differs.
    decider: Any = replace(fund_orders.order, decide=cast("Any", _decide_all))
    lives: Any = replace(aggregates.orders, decider=decider)
    lots = iter([orders[at : at + _LOT] for at in range(0, len(orders), _LOT)])
    done = 0

    async def work() -> None:
        nonlocal done
        for lot in lots:
            asked = [
                Asked(
                    each.order_id,
                    _asked(each, setting),
                    Cause(f"{each.order_id}/begun"),
                    is_new=True,
                )
                for each in lot
            ]
            for told in await lives.record_each(asked):
                if isinstance(told, Exception):
                    raise told
            done += len(lot)
            tell(done)

    async with asyncio.TaskGroup() as group:
        for _ in range(_LOTS_AT_ONCE):
            group.create_task(work())


def _decide_all(commands: Sequence[Command], order: life.Order) -> Sequence[life.Event]:
    """What an order's own decider says to one command after the other."""
    events: list[life.Event] = []
    for command in commands:
        more = fund_orders.order.decide(command, order)
        order = fund_orders.order.fold(order, more)
        events += more
    return events


def _asked(order: Ordered, setting: Setting) -> Sequence[Command]:
    kind = Subscription(_CODE, Money(_CURRENCY, _MINOR))
    asked = Terms(order.investor_id, _WALLET, kind)
    serial = serial_of(order.order_id)
    return [
        Place(order.order_id, asked, "wallet", _now(), serial, setting),
        Record(life.MoneyHeld(1)),
        Record(life.Funded(2, _now())),
        Record(life.Accepted(_T, _CONFIRM, _CONFIRM, _now(), _now())),
        Record(life.Batched("BENCH-2026-09-24-03-001", 1)),
        Record(life.Received()),
    ]


def answers_to(orders: Sequence[Ordered]) -> list[Answer]:
    """The registrar's rows about them, which agree with the price of the day."""
    bought = subscribe(_MINOR, _NAV, terms().front_end_on(_T), terms().scales)
    return [
        Answer(
            order.order_id,
            order.investor_id,
            Confirmation(
                f"S{number:019d}",
                "122",
                _CODE,
                _T,
                _CONFIRM,
                _NAV,
                bought.shares,
                _MINOR,
                bought.fee,
                register_date=_CONFIRM,
                file_key=f"BENCH-2026-09-24-04-{number // _ROWS + 1:03d}",
                row=number % _ROWS + 1,
            ),
        )
        for number, order in enumerate(orders)
    ]


async def _held(database: Database, count: int) -> None:
    fund = {
        "code": _CODE,
        "ta_id": _TA,
        "kind": "MIXED",
        "risk_level": 3,
        "status": "OPEN",
        "version": 1,
        "currency": _CURRENCY,
        "terms": orjson.dumps(shape_of(FundTerms).to_json(terms())).decode(),
        "nav_date": _T.isoformat(),
        "nav": _NAV,
    }
    await database.write(lambda c: c.execute(insert(tables.funds), fund))
    for start in range(0, count, _PAGE):
        rows = [
            {
                "investor_id": f"bench:{number:08d}",
                "fund_code": _CODE,
                "shares": 100_000 + number,
                "cost_minor": 100_000,
                "income_minor": 0,
                "realised_minor": 0,
                "mode": "",
                "bucket": 0,
                "accrued_until": "",
            }
            for number in range(start, min(start + _PAGE, count))
        ]
        await database.write(partial(_insert, rows))


def _insert(rows: Sequence[Mapping[str, object]], connection: Connection) -> None:
    connection.execute(insert(tables.holdings), rows)
