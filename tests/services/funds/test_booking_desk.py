"""The booking desk: rows in lots, one after another for an investor, and booked once."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing

import pytest

from libs.decider import Cause
from libs.event_store import Appended, Denied, NewEvent
from libs.ids import derived_id, named_id
from libs.memory_store import MemoryStore
from libs.read_model import Database
from services.funds import tables
from services.funds.aggregates import Aggregates, holding_id
from services.funds.booking_desk import LOT, BookingDesk
from services.funds.breaking import Breaking, about, break_id_of
from services.funds.domain import breaks
from services.funds.domain import order_lifecycle as life
from services.funds.domain.breaks import BreakType
from services.funds.domain.holding import AddLot
from services.funds.expecting import Expecting
from tests.bench.funds import Ordered, answers_to, at_registrar, priced

TA, CODE, NOW = "BENCH", "BENCH1", 1_790_000_000_000_000
PARENT = str(named_id("desk", at_ms=1_700_000_000_000))


class Refusing(MemoryStore):
    """A store that takes nothing of some streams while it is told so."""

    barred = ""
    told: Callable[[], None] = staticmethod(lambda: None)

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        self.told()
        if self.barred and stream.startswith(self.barred):
            raise Denied("not now")
        return await super().append(stream, events, expected)


@asynccontextmanager
async def desk_over(store: MemoryStore) -> AsyncIterator[BookingDesk]:
    aggregates = Aggregates.over(store)
    await priced(aggregates)
    with closing(Database.open("sqlite://")) as database:
        await database.write(tables.own.create_all)
        breaking = Breaking(aggregates, lambda: NOW)
        yield BookingDesk(
            aggregates, Expecting(aggregates), breaking, database, lambda: NOW, lambda _: None
        )


def orders_of(investors: Sequence[str]) -> list[Ordered]:
    return [Ordered(str(derived_id(PARENT, "o", n)), each) for n, each in enumerate(investors)]


async def test_an_investors_rows_are_booked_in_the_files_order_among_many_others() -> None:
    async with desk_over(MemoryStore()) as desk:
        orders = orders_of(["often" if n % 9 == 0 else f"i{n}" for n in range(2 * LOT)])
        await at_registrar(desk.aggregates, orders)
        answers = answers_to(orders)

        done = await desk.book(TA, answers)

        held = (await desk.aggregates.holdings.load(holding_id("often", CODE))).state
        stages = [(await desk.aggregates.orders.load(each.order_id)).state for each in orders]
    assert (done.booked, done.breaks) == (2 * LOT, 0)
    assert list(held.bookings) == [each.row.row_id for each in answers[::9]]
    assert all(isinstance(s, life.Begun) and s.stage is life.Stage.CONFIRMED for s in stages)


async def test_units_that_were_booked_before_a_crash_are_not_booked_again() -> None:
    store = Refusing()
    orders = orders_of(["a", "b", "a"])
    async with desk_over(store) as desk:
        await at_registrar(desk.aggregates, orders)
        store.barred = "fund_order-"
        with pytest.raises(ExceptionGroup, match="unhandled") as failed:
            await desk.book(TA, answers_to(orders))
        store.barred = ""
    assert failed.group_contains(Denied)
    before = await kinds_of(store, "holding-a-BENCH1")

    async with desk_over(store) as desk:
        done = await desk.book(TA, answers_to(orders))
        again = await desk.book(TA, answers_to(orders))

    assert before == ["hefu.funds.v1.HoldingLotAdded"]
    assert await kinds_of(store, "holding-a-BENCH1") == before * 2
    assert await kinds_of(store, "holding-b-BENCH1") == before
    told = await kinds_of(store, f"fund_order-{orders[0].order_id}")
    assert [each for each in told if each.endswith("Confirmed")] == [
        "hefu.funds.v1.FundOrderConfirmed"
    ]
    assert (done.booked, done.breaks, done.cash) == (again.booked, again.breaks, again.cash)


async def test_the_desk_is_busy_while_it_books_and_not_after_it_failed() -> None:
    store, seen = Refusing(), set[bool]()
    orders = orders_of(["a", "b"])
    async with desk_over(store) as desk:
        await at_registrar(desk.aggregates, orders)
        store.told = lambda: seen.add(desk.is_busy)
        await desk.book(TA, answers_to(orders)[:1])
        store.barred = "holding-"
        with pytest.raises(ExceptionGroup, match="unhandled"):
            await desk.book(TA, answers_to(orders)[1:])
        is_busy = desk.is_busy
    assert (seen, is_busy) == ({True}, False)


async def test_a_row_whose_units_cannot_be_booked_is_a_break_and_hinders_no_other() -> None:
    store = MemoryStore()
    orders = orders_of(["a", "b"])
    row = answers_to(orders)[0].row
    other = AddLot(
        orders[0].order_id, row.row_id, 7, row.confirm_date, row.confirm_date, 7, row.nav
    )
    async with desk_over(store) as desk:
        await at_registrar(desk.aggregates, orders)
        await desk.aggregates.holdings.transact(holding_id("a", CODE), other, Cause("other"))

        done = await desk.book(TA, answers_to(orders))

        break_id = break_id_of(BreakType.AMOUNT_DIFF, f"{row.row_id}/{row.file_key}")
        found = (await desk.aggregates.breaks.load(break_id)).state
        left = (await desk.aggregates.orders.load(orders[0].order_id)).state
    assert (done.booked, done.breaks) == (1, 1)
    assert isinstance(found, breaks.Standing)
    assert found.terms.description.startswith("ROW_DIFFERS")
    assert isinstance(left, life.Begun)
    assert left.stage is life.Stage.TA_RECEIVED


async def test_a_row_that_comes_late_ends_the_break_of_its_order_and_no_other() -> None:
    orders = orders_of(["a", "b"])
    answers = answers_to(orders)
    day = answers[0].row.trade_date
    places = [f"{each.order_id}/{day}" for each in orders]
    ids = [break_id_of(BreakType.MISSING_AT_TA, place) for place in places]
    async with desk_over(MemoryStore()) as desk:
        await at_registrar(desk.aggregates, orders)
        for place in places:
            await desk.breaking.find(BreakType.MISSING_AT_TA, place, about(TA, day))

        await desk.book(TA, answers[:1], ids)

        states = [(await desk.aggregates.breaks.load(id_)).state for id_ in ids]
    assert [isinstance(s, breaks.Standing) and s.is_closed for s in states] == [True, False]


async def kinds_of(store: MemoryStore, stream: str) -> list[str]:
    return [event.type async for event in store.read(stream)]
