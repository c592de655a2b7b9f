"""Balances as of a position, a time and a value date are what adding up every leg gives."""

from bisect import bisect_right
from collections.abc import AsyncIterator
from contextlib import closing

import pytest
from sqlalchemy import Connection

from libs.memory_store import MemoryStore
from libs.read_model import Database, apply
from services.accounts.as_of import AsOf, at_position, at_time, by_value_date
from services.accounts.projections import ACCOUNTS_ENTRIES, metadata
from tests.services.accounts.desk import START_US
from tests.services.accounts.histories import History, Truth, folded, history
from tests.services.accounts.stored import store_pages

QUESTIONS = 200
QUESTIONS_FULL = 10_000


async def _rows(made: History) -> Database:
    store = MemoryStore()
    await store_pages(made.desk, store)
    database = Database.open("sqlite://")
    events = [event async for event in store.read_all(ACCOUNTS_ENTRIES.prefixes)]

    def fill(connection: Connection) -> None:
        metadata.create_all(connection)
        for event in events:
            apply(connection, ACCOUNTS_ENTRIES.project(event))

    await database.write(fill)
    return database


@pytest.fixture(scope="module")
def made() -> History:
    return history(seed=7, pages=60, per_page=8)


@pytest.fixture
async def database(made: History) -> AsyncIterator[Database]:
    with closing(await _rows(made)) as database:
        yield database


def _truth(found: AsOf | None) -> Truth:
    assert found is not None
    return Truth(found.posted, found.held, found.incoming, found.seq)


async def _ask(made: History, database: Database, questions: int) -> None:
    last, accounts, days = len(made.desk.pages) - 1, sorted(made.accounts), made.days

    def ask(connection: Connection) -> None:
        for _ in range(questions):
            account_id = made.draw.choice(accounts)
            position, day = made.draw.randint(0, last), made.draw.choice(days)
            dated = by_value_date(connection, account_id, day, position)
            exact = at_position(connection, account_id, position)
            assert _truth(dated) == folded(made, account_id, position, day)
            assert _truth(exact) == folded(made, account_id, position)
            assert exact is not None
            assert exact.position == position

    await database.read(ask)


async def test_random_positions_and_value_dates_are_as_a_fold_says(
    made: History, database: Database
) -> None:
    await _ask(made, database, QUESTIONS)


@pytest.mark.full
@pytest.mark.timeout(1_200)
async def test_ten_thousand_random_questions_are_as_a_fold_says() -> None:
    made = history(seed=11, pages=120, per_page=6)
    with closing(await _rows(made)) as database:
        await _ask(made, database, QUESTIONS_FULL)


async def test_a_time_is_the_last_page_written_by_then(made: History, database: Database) -> None:
    times = made.desk.times
    account_id = min(made.accounts)
    asked = [START_US - 1, *times, times[-1] + 1, *(time + 500_000 for time in times)]

    def ask(connection: Connection) -> list[AsOf | None]:
        return [at_time(connection, account_id, time_us) for time_us in asked]

    for time_us, found in zip(asked, await database.read(ask), strict=True):
        position = bisect_right(times, time_us) - 1
        assert found is not None
        assert found.position == position
        assert _truth(found) == folded(made, account_id, position)


async def test_the_last_page_is_meant_where_none_is_named(
    made: History, database: Database
) -> None:
    account_id = min(made.accounts)
    last = len(made.desk.pages) - 1

    found = await database.read(lambda c: at_position(c, account_id, None))
    beyond = await database.read(lambda c: at_position(c, account_id, last + 99))

    assert found == beyond
    assert found is not None
    assert found.position == last
    assert found.pages == last + 1


async def test_no_account_is_no_balance(database: Database) -> None:
    assert await database.read(lambda c: at_position(c, "nobody", 3)) is None
    assert await database.read(lambda c: by_value_date(c, "nobody", "2026-09-21", 3)) is None


async def test_an_account_was_nothing_before_it_was_opened(
    made: History, database: Database
) -> None:
    found = await database.read(lambda c: [at_position(c, id_, -1) for id_ in made.accounts])
    assert {_truth(one) for one in found} == {Truth(0, 0, 0, 0)}


async def test_late_value_dates_move_the_past_and_not_the_position(
    made: History, database: Database
) -> None:
    """Of an old position the answer is the same for ever, however late money is dated."""
    days, accounts = made.days, sorted(made.accounts)
    last = len(made.desk.pages) - 1

    def ask(connection: Connection) -> bool:
        dated = (
            (
                by_value_date(connection, id_, day, last // 2),
                by_value_date(connection, id_, day, last),
            )
            for id_ in accounts
            for day in days[::5]
        )
        return any(early and late and early.posted != late.posted for early, late in dated)

    assert await database.read(ask)
