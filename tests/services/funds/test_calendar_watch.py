"""A calendar that ends is told of sixty days before, once for each end."""

from datetime import date

from services.funds.breaking import Breaking, break_id_of
from services.funds.calendar_watch import CalendarWatch
from services.funds.domain import breaks
from services.funds.parts import Parts
from tests.services.funds.scripted import set_up
from tests.services.funds.worlds import World, at

PLACE = "XSHG/2026-12-31"


def watch_of(world: World, parts: Parts) -> CalendarWatch:
    def clock() -> int:
        return world.now_us

    breaking = Breaking(parts.aggregates, clock)
    return CalendarWatch(parts.aggregates, parts.database, breaking, clock)


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
