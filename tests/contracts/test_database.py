"""What every database does with read models: the same rows on each."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import JSON, BigInteger, Column, MetaData, Row, Table, Text, func, select

from libs.event_store import StoredEvent, StoreUnavailable
from libs.memory_store import MemoryStore
from libs.projection import Behind, Projection
from libs.read_model import (
    Added,
    Database,
    Erase,
    Patch,
    PatchRows,
    Put,
    PutRows,
    ReadModel,
    Write,
    apply,
)
from libs.replay import ReplayProgress, replay
from tests.events import event, fill, number_of

metadata = MetaData()
rows = Table(
    "rows",
    metadata,
    Column("id", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),
    Column("note", Text),
    Column("more", JSON),
)
totals = Table(
    "totals",
    metadata,
    Column("day", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)


def project(stored: StoredEvent) -> Sequence[Write]:
    number = number_of(stored)
    if number == 13:
        raise ValueError("thirteen cannot be projected")
    kind = "even" if number % 2 == 0 else "odd"
    return [
        Put(rows, {"id": stored.stream, "n": number, "more": {"revision": stored.revision}}),
        Patch(totals, {"day": "all", "kind": kind}, {"n": totals.c.n + 1}),
    ]


def model(category: str, version: int = 1) -> ReadModel:
    return ReadModel("counts", version, "test", (f"{category}-",), metadata, project)


async def all_of(database: Database, table: Table) -> Sequence[Row[Any]]:
    ordered = select(table).order_by(*table.primary_key.columns)
    return await database.read(lambda c: c.execute(ordered).all())


async def begin_totals(database: Database) -> None:
    await database.write(
        lambda c: apply(
            c, [Put(totals, {"day": "all", "kind": k, "n": 0}) for k in ("even", "odd")]
        )
    )


@asynccontextmanager
async def running(projection: Projection) -> AsyncIterator[None]:
    task = asyncio.create_task(projection.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_row_put_again_takes_the_place_of_the_first(database: Database) -> None:
    await database.write(metadata.create_all)

    await database.write(lambda c: apply(c, [Put(rows, {"id": "a", "n": 1, "note": "x"})]))
    await database.write(
        lambda c: apply(c, [Put(rows, {"id": "a", "n": 2, "more": [1, {"b": 2}]})])
    )

    assert [tuple(row) for row in await all_of(database, rows)] == [("a", 2, None, [1, {"b": 2}])]


async def test_text_is_ordered_by_its_code_points(database: Database) -> None:
    await database.write(metadata.create_all)
    names = ["b", "B", "a", "Ä", "ä", "_", "符", "合", "1", "é", "z"]

    await database.write(lambda c: apply(c, [Put(rows, {"id": i, "n": 1}) for i in names]))

    assert [row.id for row in await all_of(database, rows)] == sorted(names)


async def test_a_patch_may_count_and_other_expressions_are_as_good(database: Database) -> None:
    await database.write(metadata.create_all)
    key = {"day": "d", "kind": "k"}

    await database.write(
        lambda c: apply(
            c,
            [
                Put(totals, {**key, "n": 10}),
                Patch(totals, key, {"n": Added(2)}),
                Patch(totals, key, {"n": totals.c.n + 3}),
                Patch(totals, key, {"n": totals.c.n - 1}),
                Patch(totals, key, {"n": totals.c.n * 2 + 1}),
                Patch(totals, {"day": "d"}, {"n": totals.c.n + 1}),
                Patch(totals, {"day": "none", "kind": "k"}, {"n": 1}),
            ],
        )
    )

    assert [row.n for row in await all_of(database, totals)] == [30]


async def test_amounts_up_to_eight_bytes_are_exact(database: Database) -> None:
    await database.write(metadata.create_all)
    amounts = [2**63 - 1, -(2**63), 2**53 + 1, 0]

    await database.write(
        lambda c: apply(c, [Put(rows, {"id": str(i), "n": n}) for i, n in enumerate(amounts)])
    )

    assert [row.n for row in await all_of(database, rows)] == amounts


async def test_a_failed_write_leaves_nothing(database: Database) -> None:
    await database.write(metadata.create_all)

    with pytest.raises(Exception, match=r"(?i)null"):
        await database.write(
            lambda c: apply(
                c, [Put(rows, {"id": "a", "n": 1}), Put(totals, {"day": "d", "kind": "k"})]
            )
        )

    assert await all_of(database, rows) == []


async def test_a_column_that_is_not_there_is_named(database: Database) -> None:
    await database.write(metadata.create_all)

    with pytest.raises(ValueError, match="nonsense"):
        await database.write(lambda c: apply(c, [Put(rows, {"id": "a", "n": 1, "nonsense": 1})]))


_KEYS = st.sampled_from(["a", "b", "c"])
_WRITES = st.one_of(
    st.builds(lambda k, n: Put(rows, {"id": k, "n": n}), _KEYS, st.integers(0, 9)),
    st.builds(lambda k, n: Put(totals, {"day": k, "kind": k, "n": n}), _KEYS, st.integers(0, 9)),
    st.builds(lambda k, n: Patch(rows, {"id": k}, {"n": n}), _KEYS, st.integers(0, 9)),
    st.builds(lambda k: Patch(rows, {"id": k}, {"n": rows.c.n + 1}), _KEYS),
    st.builds(lambda k: Patch(rows, {"id": k}, {"note": "seen", "n": rows.c.n - 2}), _KEYS),
    st.builds(lambda k: Patch(rows, {"id": k}, {"n": rows.c.n * 3}), _KEYS),
    st.builds(lambda k, n: Patch(rows, {"id": k}, {"n": Added(n)}), _KEYS, st.integers(-3, 3)),
    st.builds(lambda k: Patch(totals, {"day": k}, {"n": totals.c.n + 7}), _KEYS),
    st.builds(
        lambda ks, n: PutRows(rows, [(k, n, "of many", None) for k in ks]),
        st.lists(_KEYS, max_size=2),
        st.integers(0, 9),
    ),
    st.builds(
        lambda ks, n: PutRows(totals, [(k, "a", n + at) for at, k in enumerate(ks)]),
        st.lists(_KEYS, max_size=4),
        st.integers(0, 9),
    ),
    st.builds(
        lambda ks, n: PatchRows(rows, ("n",), [(n, k) for k in ks]),
        st.lists(_KEYS, max_size=2),
        st.integers(0, 9),
    ),
    st.builds(
        lambda k, kind, n: PatchRows(totals, ("n",), [(n, k, kind)]),
        _KEYS,
        _KEYS,
        st.integers(0, 9),
    ),
    st.builds(lambda k: Erase(rows, {"id": k}), _KEYS),
    st.builds(lambda n: Erase(rows, {"n": n}), st.integers(0, 3)),
    st.builds(lambda k: Erase(totals, {"day": k, "kind": k}), _KEYS),
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(_WRITES, max_size=25))
def test_joined_writes_come_out_as_one_after_the_other(
    database: Database, writes: Sequence[Write]
) -> None:
    async def outcome(groups: Sequence[Sequence[Write]]) -> Sequence[Any]:
        await database.write(metadata.drop_all)
        await database.write(metadata.create_all)
        for group in groups:
            await database.write(lambda c, group=group: apply(c, group))  # type: ignore[misc]
        return [[tuple(row) for row in await all_of(database, table)] for table in (rows, totals)]

    async def both() -> None:
        assert await outcome([writes]) == await outcome([[write] for write in writes])

    asyncio.run(both())


async def test_of_rows_with_one_key_that_come_together_the_last_stays(database: Database) -> None:
    await database.write(metadata.create_all)
    given = [("b", "x", 1), ("a", "x", 2), ("b", "y", 3), ("b", "x", 4), ("a", "x", 5)]

    await database.write(lambda c: apply(c, [PutRows(totals, given), PutRows(totals, given[:1])]))

    found = [tuple(row) for row in await all_of(database, totals)]
    assert found == [("a", "x", 5), ("b", "x", 1), ("b", "y", 3)]


async def test_twenty_thousand_rows_are_written_in_seconds(database: Database) -> None:
    await database.write(metadata.create_all)
    writes: list[Write] = [
        Put(rows, {"id": str(n % 15_000), "n": n, "more": {"a": n}}) for n in range(20_000)
    ]

    async with asyncio.timeout(20):
        for start in range(0, len(writes), 1_000):
            part = writes[start : start + 1_000]
            await database.write(lambda c, part=part: apply(c, part))  # type: ignore[misc]

    counted = await database.read(lambda c: c.execute(select(func.count()).select_from(rows)))
    assert counted.scalar_one() == 15_000


async def test_rows_and_position_go_on_after_a_restart(database: Database, category: str) -> None:
    store = MemoryStore()
    first = Projection(model(category), database, store)
    await first.prepare()
    await begin_totals(database)
    position = await fill(store, category, 10)
    async with running(first):
        await first.wait_for(position)

    position = await fill(store, f"{category}-x", 4)
    second = Projection(model(category), database, store)
    async with running(second):
        await second.wait_for(position)

    assert [row.n for row in await all_of(database, totals)] == [7, 7]
    assert len(await all_of(database, rows)) == 14


async def test_another_version_is_made_from_the_first_event(
    database: Database, category: str
) -> None:
    store = MemoryStore()
    position = await fill(store, category, 5)
    old = Projection(model(category), database, store)
    async with running(old):
        await old.wait_for(position)
    await database.write(lambda c: apply(c, [Put(rows, {"id": "left over", "n": 0})]))

    new = Projection(model(category, version=2), database, store)
    async with running(new):
        await new.wait_for(position)

    assert "left over" not in [row.id for row in await all_of(database, rows)]
    assert len(await all_of(database, rows)) == 5


async def test_rows_of_another_store_are_made_again(database: Database, category: str) -> None:
    """A folder that outlived its store, or a store that was put back from an old backup."""
    lost, other = MemoryStore(), MemoryStore()
    position = await fill(lost, f"{category}-lost", 5)
    old = Projection(model(category), database, lost)
    async with running(old):
        await old.wait_for(position)
    # The other store has come further, so its positions say nothing.
    position = await fill(other, category, 8)

    new = Projection(model(category), database, other)
    async with running(new):
        await new.wait_for(position)

    there = {row.id for row in await all_of(database, rows)}
    assert there == {event.stream async for event in other.read_all([category])}


async def test_rows_of_an_empty_store_are_none(database: Database, category: str) -> None:
    lost = MemoryStore()
    position = await fill(lost, category, 5)
    old = Projection(model(category), database, lost)
    async with running(old):
        await old.wait_for(position)

    new = Projection(model(category), database, MemoryStore())
    await new.prepare()

    assert new.position == 0
    assert await all_of(database, rows) == []


async def test_rows_of_this_store_stay_when_it_does_not_answer_at_once(
    database: Database, category: str
) -> None:
    class Waking(MemoryStore):
        """Does not answer the first time it is read."""

        is_awake = False

        async def read(self, stream: str, from_revision: int = 0) -> AsyncIterator[StoredEvent]:
            if not self.is_awake:
                self.is_awake = True
                raise StoreUnavailable
            async for stored in super().read(stream, from_revision):
                yield stored

    store = Waking()
    position = await fill(store, category, 5)
    first = Projection(model(category), database, store)
    async with running(first):
        await first.wait_for(position)
    await database.write(lambda c: apply(c, [Put(rows, {"id": "kept", "n": 0})]))
    store.is_awake = False

    second = Projection(model(category), database, store)
    await second.prepare()

    assert second.position == position
    assert "kept" in [row.id for row in await all_of(database, rows)]


async def test_a_position_of_another_streams_event_is_reached_too(
    database: Database, category: str
) -> None:
    store = MemoryStore()
    projection = Projection(model(category), database, store)
    async with running(projection):
        other = await store.append(f"other-{uuid.uuid4()}", [event()], -1)

        await projection.wait_for(other.position)

    assert projection.position >= other.position


async def test_what_is_not_reached_in_time_is_behind(database: Database, category: str) -> None:
    store = MemoryStore()
    projection = Projection(model(category), database, store)
    await projection.prepare()
    position = await fill(store, category, 1)

    with pytest.raises(Behind):
        await projection.wait_for(position, timeout_s=0.3)


async def test_an_event_that_cannot_be_projected_parks_its_stream_alone(
    database: Database, category: str
) -> None:
    store = MemoryStore()
    projection = Projection(model(category), database, store)
    await store.append(f"{category}-bad", [event(1), event(13), event(3)], -1)
    position = (await store.append(f"{category}-good", [event(2)], -1)).position

    async with running(projection):
        # An alarm is written with its trace, which takes its time.
        await projection.wait_for(position, timeout_s=30.0)
        assert projection.parked == 1
        later = await store.append(f"{category}-bad", [event(5)], 2)
        await projection.wait_for(later.position)

    assert {row.id: row.n for row in await all_of(database, rows)} == {
        f"{category}-bad": 1,
        f"{category}-good": 2,
    }


async def replayed(
    database: Database,
    store: MemoryStore,
    read_model: ReadModel,
    *,
    to_position: int = 0,
    swap: bool = False,
) -> ReplayProgress:
    """The result of a replay in small batches."""
    told = [
        each
        async for each in replay(
            read_model, database, store, to_position=to_position, swap=swap, batch=7
        )
    ]
    assert [each.is_done for each in told] == [False] * (len(told) - 1) + [True]
    return told[-1]


async def test_a_replay_gives_the_live_rows(database: Database, category: str) -> None:
    store = MemoryStore()
    projection = Projection(model(category), database, store)
    position = await fill(store, category, 12, each=1)
    async with running(projection):
        await projection.wait_for(position)

        result = await replayed(database, store, model(category))

    assert (result.rows_different, result.rows_compared, result.events) == (0, 12, 12)
    assert result.position == position
    assert result.is_compared
    assert not result.is_swapped


async def test_a_replay_names_each_row_that_differs_and_a_swap_repairs_them(
    database: Database, category: str
) -> None:
    store = MemoryStore()
    projection = Projection(model(category), database, store)
    position = await fill(store, category, 5)
    async with running(projection):
        await projection.wait_for(position)
        await database.write(
            lambda c: apply(
                c,
                [
                    Put(rows, {"id": "forged", "n": 1}),
                    Erase(rows, {"id": f"{category}-1"}),
                    Patch(rows, {"id": f"{category}-2"}, {"n": 99, "note": "forged"}),
                ],
            )
        )

        found = await replayed(database, store, model(category))
        swapped = await replayed(database, store, model(category), swap=True)
        after = await replayed(database, store, model(category))
        later = await store.append(f"{category}-9", [event(9)], -1)
        await projection.wait_for(later.position)

    assert {(d.key, d.kind, d.columns) for d in found.differences} == {
        (f"id={category}-1", "MISSING_IN_LIVE", ()),
        (f"id={category}-2", "DIFFERS", ("n", "note")),
        ("id=forged", "MISSING_IN_SHADOW", ()),
    }
    assert swapped.is_swapped
    assert after.rows_different == 0
    assert [row.n for row in await all_of(database, rows)] == [0, 1, 2, 3, 4, 9]


async def test_a_replay_beside_a_model_that_goes_on_compares_at_one_position(
    database: Database, category: str
) -> None:
    store = MemoryStore()
    projection = Projection(model(category), database, store)
    await fill(store, category, 12)

    async def keep_on() -> None:
        for number in range(14, 200):
            await store.append(f"{category}-more-{number}", [event(number)], -1)
            await asyncio.sleep(0)

    async with running(projection):
        adding = asyncio.create_task(keep_on())
        results = [await replayed(database, store, model(category)) for _ in range(5)]
        await adding

    assert [each.rows_different for each in results] == [0] * 5


async def test_a_replay_to_an_earlier_position_compares_nothing(
    database: Database, category: str
) -> None:
    store = MemoryStore()
    projection = Projection(model(category), database, store)
    early = await fill(store, category, 3)
    position = await fill(store, f"{category}-more", 3)
    async with running(projection):
        await projection.wait_for(position)

        result = await replayed(database, store, model(category), to_position=early)

    assert (result.events, result.position, result.is_compared) == (3, early, False)
