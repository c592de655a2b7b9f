"""A registrar that does not answer by its confirm date is late, by the clock, until it does."""

from datetime import date

from hefu.funds.v1 import events_pb2
from hefu.funds.v1 import funds_pb2 as pb
from services.funds.domain.breaks import BreakType, Standing
from services.funds.parts import Parts
from tests.services.funds.conftest import Served
from tests.services.funds.dealing import DAY, FEE, UNITS, cut_off, day_of, place
from tests.services.funds.scripted import Scripted, T, set_up
from tests.services.funds.served import bring_to_market, clock, deliver, sent_to_the_registrar
from tests.services.funds.test_differences import standing
from tests.services.funds.worlds import TA, World, at

DUE = "2026-09-28 15:00"


async def look(world: World, parts: Parts, text: str) -> list[Standing]:
    """The time goes on, the day is looked at; what stands."""
    world.now_us = at(text)
    parts.ta_days.wake(f"{TA}-{T}")
    await parts.ta_days.settle()
    return await standing(parts)


async def test_a_confirmation_that_is_not_here_on_its_day_is_late_until_it_comes() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await place(world, parts)
        await cut_off(world, parts)
        (order,) = registrar.orders()
        await registrar.hand_in(parts, {"07": [registrar.price()]})
        await world.until(DAY, "TaDayFileApplied")

        assert await look(world, parts, "2026-09-28 14:59") == []
        found = await look(world, parts, DUE)
        again = await look(world, parts, "2026-09-28 18:00")

        assert {each.terms.type for each in found} == {BreakType.LATE}
        assert [each.terms.description for each in found] == [
            "file 04 was due by 2026-09-28",
            "file 05 was due by 2026-09-28",
        ]
        assert found[0].terms.ours == "1 orders sent"
        assert again == found
        late = await day_of(parts)
        assert [each.file_type.value for each in late.late] == ["04", "05"]

        rows = {"04": [registrar.bought(order, UNITS, FEE)], "05": [registrar.balance(UNITS)]}
        await registrar.hand_in(parts, rows)
        await world.until_order(1, "Settled")
        assert await standing(parts) == []
        assert (await day_of(parts)).late == ()
        closed = (await parts.aggregates.breaks.load(found[0].terms.break_id)).state
    assert isinstance(closed, Standing)
    assert closed.cause == "it has arrived"


async def test_a_registrar_that_never_took_our_orders_is_late_too() -> None:
    world = World()
    Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await place(world, parts)
        world.link.is_away = True
        world.now_us = at("2026-09-24 15:00")
        await parts.fund_days.cut_off(TA, T, "operator")
        await world.until(DAY, "TaDayOrdersBatched")

        found = await look(world, parts, DUE)

    assert sorted(each.terms.description[:7] for each in found) == ["file 04", "file 05", "file 07"]


async def test_after_a_start_what_is_late_is_told_once() -> None:
    world = World()
    Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await place(world, parts)
        await cut_off(world, parts)
        await look(world, parts, DUE)
    async with world.funds() as parts:
        found = await look(world, parts, "2026-09-29 09:00")
        streams = [f"fund_break-{each.terms.break_id}" for each in found]
        told = [await world.events(stream) for stream in streams]
    assert told == [["FundBreakFound"]] * 3


async def test_operators_see_what_is_late_and_that_it_has_come(served: Served) -> None:
    await bring_to_market(served)
    registrar, order = await sent_to_the_registrar(served)
    await deliver(served, registrar, {"07": [registrar.price()]})
    await clock(served, DUE)
    await served.world.until_many("fund_break-", "FundBreakFound", 2)

    asked = pb.GetTaDayRequest(ta_id=TA, trade_date=T.isoformat())
    day = (await served.operator.GetTaDay(asked)).ta_day
    listing = pb.ListFundBreaksRequest(ta_id=TA, open_only=True)
    listing.min_position = await served.world.store.head()
    breaks = (await served.operator.ListFundBreaks(listing)).breaks

    assert list(day.late_files) == ["04", "05"]
    assert {each.type for each in breaks} == {events_pb2.BREAK_TYPE_LATE}
    assert {date.fromisoformat(each.trade_date) for each in breaks} == {T}

    rows = {"04": [registrar.bought(order, UNITS, FEE)], "05": [registrar.balance(UNITS)]}
    await deliver(served, registrar, rows)
    await served.world.until_many("fund_break-", "FundBreakClosed", 2)
    listing.min_position = await served.world.store.head()
    assert list((await served.operator.ListFundBreaks(listing)).breaks) == []
