"""A list takes an investor's state from the rows only where they lack nothing."""

from uuid import uuid4

import pytest

from libs.decider import Cause, Rejected, Streams
from libs.memory_store import MemoryStore
from libs.projection import Projection
from libs.read_model import Database, apply
from libs.suitability import InvestorClass, RiskLevel
from services.recommendations.codec import investor_codec
from services.recommendations.domain import investor as who
from services.recommendations.domain import investor_lifecycle as life
from services.recommendations.domain.investor import investor
from services.recommendations.domain.preferences import Preferences
from services.recommendations.investors import Investors, of_rows
from services.recommendations.known_facts import Upto, known_of
from services.recommendations.rows import fund_money, own, payments
from tests.services.recommendations.domain.sheets import DAY_US, NOW_US

C3 = InvestorClass.C3
SCORES = life.Scores(30_000_000, 20_000_000, 10_000_000, C3, C3, C3)
WARNED = ("000006", RiskLevel.R4, C3)
HISTORY: tuple[life.Event, ...] = (
    life.Registered("anna", ("a1",), "wallet", NOW_US),
    life.Submitted("r1", "2026-1", b"sealed", "digest", SCORES, (), NOW_US),
    life.ClassAssigned(C3, ("LOWER_OF_TWO",), NOW_US + DAY_US, "2026-1", NOW_US),
    life.ConsentGiven("r2", life.ADVICE, NOW_US),
    life.PreferencesSet("r3", Preferences(24, wanted_themes=("科技",)), NOW_US),
    life.Blocked("r4", "court", "olga", NOW_US),
    life.Unblocked("r5", "olga", NOW_US),
    life.WarningShown("r6", *WARNED, NOW_US),
)


@pytest.fixture
def investors() -> Investors:
    store, database = MemoryStore(), Database.open("sqlite://")
    rows = Projection(own.model, database, store)
    return Investors(Streams(store, "investor", investor, investor_codec), rows)


async def recorded(investors: Investors, *commands: who.Command) -> int:
    """The position of the last of them."""
    position = 0
    for command in commands:
        done = await investors.transact("anna", command, Cause(str(uuid4())))
        position = done.position
    return position


def forget_states(investors: Investors) -> None:
    """As where many others have asked since."""
    investors.streams._known.clear()  # noqa: SLF001 - what eviction does


async def test_rows_tell_of_an_investor_what_the_store_tells(investors: Investors) -> None:
    streams = investors.streams
    await streams._append("anna", HISTORY, -1, Cause("h"), is_guess=False)  # noqa: SLF001 - history, not a command
    stored = [event async for event in streams.store.read("investor-anna")]
    database = Database.open("sqlite://")

    def work(connection: object) -> tuple[life.State, int]:
        for metadata in (own.metadata, fund_money.metadata, payments.metadata):
            metadata.create_all(connection)  # type: ignore[arg-type]
        apply(connection, (write for event in stored for write in own.project(event)))  # type: ignore[arg-type]
        return of_rows(known_of(connection, "anna", Upto(0, 0, 0, NOW_US)).events)  # type: ignore[arg-type]

    found, revision = await database.write(work)
    known = (await streams.load("anna")).state

    assert revision == len(HISTORY) - 1
    assert isinstance(found, life.Investor)
    assert isinstance(known, life.Investor)
    assert life.class_at(found, NOW_US) is C3
    for name in ("caller", "profile", "preferences", "has_consent", "blocked_cause"):
        assert getattr(found, name) == getattr(known, name)
    assert found.scores is None


async def test_rows_are_asked_once_they_have_what_was_recorded(investors: Investors) -> None:
    position = await recorded(
        investors,
        who.Register("anna", (), "wallet", NOW_US),
        who.SetConsent("c", is_given=True, now_us=NOW_US),
    )
    forget_states(investors)
    investors.own.is_caught_up = True

    investors.own.position = position - 1
    assert not investors.are_in_rows("anna")
    assert investors.are_in_rows("bert")

    investors.own.position = position
    assert investors.are_in_rows("anna")


async def test_rows_that_still_come_or_stopped_at_an_event_tell_nothing(
    investors: Investors,
) -> None:
    assert not investors.are_in_rows("anna")
    investors.own.is_caught_up = True
    assert investors.are_in_rows("anna")

    investors.own._parked.add("investor-bert")  # noqa: SLF001 - as after an event it cannot take
    assert not investors.are_in_rows("anna")


async def test_what_was_refused_changes_nothing_of_whom_is_asked(investors: Investors) -> None:
    investors.own.is_caught_up = True
    with pytest.raises(Rejected):
        await recorded(investors, who.SetConsent("c", is_given=True, now_us=NOW_US))

    assert investors.are_in_rows("anna")


async def test_who_may_have_been_recorded_is_asked_of_the_store(investors: Investors) -> None:
    await recorded(investors, who.Register("anna", (), "wallet", NOW_US))
    forget_states(investors)
    investors.own.is_caught_up = True
    investors.own.position = await investors.streams.store.head()
    assert investors.are_in_rows("anna")

    class Cut(Exception):
        """The answer of the store was not heard."""

    async def cut(_: str) -> None:
        raise Cut

    investors.streams.origin_of = cut
    with pytest.raises(Cut):
        await recorded(investors, who.SetConsent("c", is_given=True, now_us=NOW_US))
    investors.streams.origin_of = None
    assert not investors.are_in_rows("anna")

    await investors.load("anna")
    forget_states(investors)
    assert investors.are_in_rows("anna")
