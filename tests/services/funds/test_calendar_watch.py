"""A calendar that ends is told of sixty days before, once for each end."""

from datetime import date

import pytest

from libs.decider import Rejected
from services.funds import days
from services.funds.breaking import Breaking, break_id_of
from services.funds.calendar_watch import CalendarWatch
from services.funds.domain import breaks
from services.funds.parts import Parts
from tests.services.funds.dealing import order_of, place
from tests.services.funds.scripted import set_up
from tests.services.funds.worlds import World, at

PLACE = "XSHG/2026-12-31"


def watch_of(world: World, parts: Parts) -> CalendarWatch:
    def clock() -> int:
        return world.now_us

    breaking = Breaking(parts.aggregates, clock)
    return CalendarWatch(parts.aggregates, parts.database, breaking, parts.calendars, clock)


async def test_sixty_days_before_its_end_a_calendar_is_a_break() -> None:
    world = World()
    break_id = break_id_of(breaks.BreakType.CALENDAR_ENDING, PLACE)
    async with world.funds() as parts:
        await set_up(parts)
        watch = watch_of(world, parts)

        world.now_us = at("2026-10-31 23:00")
        assert await watch.look() == []
        world.now_us = at("2026-11-01 00:01")
        (calendar,) = await watch.look()
        world.now_us = at("2026-12-30 12:00")
        assert len(await watch.look()) == 1

        assert (calendar.name, calendar.known_until) == ("XSHG", date(2026, 12, 31))
        assert await world.events(f"fund_break-{break_id}") == ["FundBreakFound"]
        state = (await parts.aggregates.breaks.load(break_id)).state
    assert isinstance(state, breaks.Standing)
    assert "publish its days" in state.terms.description


LATER = (date(2027, 1, 4), date(2027, 1, 5))
PROPOSAL = "019b0000-0000-7000-8000-000000000001"


async def test_past_the_end_orders_are_refused_until_two_operators_have_published_its_days() -> (
    None
):
    world = World()
    world.now_us = at("2026-12-31 14:00")
    async with world.funds() as parts:
        await set_up(parts)
        with pytest.raises(Rejected, match="CALENDAR_UNKNOWN"):
            await place(world, parts)

        await parts.calendars.propose(PROPOSAL, "XSHG", LATER[-1], LATER, "olga")
        with pytest.raises(Rejected, match="APPROVER_IS_MAKER"):
            await parts.calendars.approve("XSHG", PROPOSAL, "olga")
        with pytest.raises(Rejected, match="CALENDAR_UNKNOWN"):
            await place(world, parts)
        await parts.calendars.approve("XSHG", PROPOSAL, "petr")
        await place(world, parts)
        accepted = (await order_of(parts)).accepted
    assert accepted is not None
    assert (accepted.trade_date, accepted.confirm_date) == (date(2026, 12, 31), LATER[0])


async def test_published_days_are_found_again_after_a_start_and_by_no_other_system() -> None:
    world = World()
    async with world.funds() as parts:
        await parts.calendars.propose(PROPOSAL, "XSHG", LATER[-1], LATER, "olga")
        await parts.calendars.approve("XSHG", PROPOSAL, "petr")
    async with world.funds():
        assert days.calendar_of("XSHG").known_until == LATER[-1]
    async with World().funds():
        assert days.calendar_of("XSHG").known_until == date(2026, 12, 31)


async def test_an_exchange_nobody_knows_is_refused() -> None:
    async with World().funds() as parts:
        with pytest.raises(Rejected, match="CALENDAR_UNKNOWN"):
            await parts.calendars.look("XXXX")
