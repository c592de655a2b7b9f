"""What every event store promises."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import pytest

from libs.event_store import (
    NO_STREAM,
    CaughtUp,
    Checkpoint,
    EventStore,
    NewEvent,
    StoredEvent,
    TooLarge,
    WrongVersion,
)
from tests.events import event, fill, followed_until, number_of


async def test_what_was_appended_is_read_back_as_it_was(store: EventStore, category: str) -> None:
    given = [
        NewEvent(uuid.uuid4(), "hefu.test.v1.Said", b'{"a":1}', {"actor": "Ó'Neill 符"}),
        NewEvent(uuid.uuid4(), "hefu.test.v1.Shown", bytes(range(256)), {}, is_json=False),
    ]

    done = await store.append(f"{category}-1", given, NO_STREAM)

    found = [each async for each in store.read(f"{category}-1")]
    assert [(e.id, e.type, e.data, dict(e.metadata), e.is_json) for e in found] == [
        (e.id, e.type, e.data, dict(e.metadata), e.is_json) for e in given
    ]
    assert [(e.stream, e.revision) for e in found] == [(f"{category}-1", 0), (f"{category}-1", 1)]
    assert found[0].position < found[1].position == done.position
    assert done.revision == 1
    assert found[0].recorded_us > 1_600_000_000_000_000


async def test_a_stream_is_read_from_a_revision(store: EventStore, category: str) -> None:
    await store.append(f"{category}-1", [event(n) for n in range(5)], NO_STREAM)

    found = [number_of(each) async for each in store.read(f"{category}-1", 3)]

    assert found == [3, 4]


async def test_a_stream_that_is_not_there_is_empty(store: EventStore, category: str) -> None:
    assert [each async for each in store.read(f"{category}-none")] == []
    assert await store.read_last(f"{category}-none") is None


async def test_the_newest_event_of_a_stream_is_its_last(store: EventStore, category: str) -> None:
    await store.append(f"{category}-1", [event(n) for n in range(3)], NO_STREAM)

    last = await store.read_last(f"{category}-1")

    assert last is not None
    assert (number_of(last), last.revision) == (2, 2)


@pytest.mark.parametrize("expected", [NO_STREAM, 0, 2, 7])
async def test_another_revision_than_expected_stores_nothing(
    store: EventStore, category: str, expected: int
) -> None:
    await store.append(f"{category}-1", [event(0), event(1)], NO_STREAM)

    with pytest.raises(WrongVersion) as refused:
        await store.append(f"{category}-1", [event(9)], expected)

    assert refused.value.stream == f"{category}-1"
    assert refused.value.actual == 1
    assert [number_of(each) async for each in store.read(f"{category}-1")] == [0, 1]


async def test_a_stream_that_is_not_there_is_at_no_revision(
    store: EventStore, category: str
) -> None:
    with pytest.raises(WrongVersion):
        await store.append(f"{category}-1", [event()], 0)


async def test_the_same_append_again_is_answered_as_the_first(
    store: EventStore, category: str
) -> None:
    first = [event(0), event(1)]
    done = await store.append(f"{category}-1", first, NO_STREAM)
    await store.append(f"{category}-1", [event(2)], 1)

    again = await store.append(f"{category}-1", first, NO_STREAM)

    assert again == done
    assert [number_of(each) async for each in store.read(f"{category}-1")] == [0, 1, 2]


async def test_an_append_of_nothing_is_a_mistake(store: EventStore, category: str) -> None:
    with pytest.raises(ValueError, match="without events"):
        await store.append(f"{category}-1", [], NO_STREAM)


async def test_more_than_a_mebibyte_is_too_large(store: EventStore, category: str) -> None:
    large = NewEvent(uuid.uuid4(), "hefu.test.v1.Large", b"x" * (1 << 20), {}, is_json=False)

    with pytest.raises(TooLarge):
        await store.append(f"{category}-1", [large], NO_STREAM)

    assert await store.read_last(f"{category}-1") is None


async def test_a_large_page_is_stored_and_comes_back_whole(
    store: EventStore, category: str
) -> None:
    page = NewEvent(uuid.uuid4(), "hefu.test.v1.Page", b"\x00\xff" * 450_000, {}, is_json=False)

    await store.append(f"{category}-1", [page], NO_STREAM)

    last = await store.read_last(f"{category}-1")
    assert last is not None
    assert last.data == page.data


async def test_only_one_of_many_writers_at_one_revision_wins(
    store: EventStore, category: str
) -> None:
    done = await asyncio.gather(
        *(store.append(f"{category}-1", [event(n)], NO_STREAM) for n in range(50)),
        return_exceptions=True,
    )

    winners = [each for each in done if not isinstance(each, BaseException)]
    assert len(winners) == 1
    assert all(isinstance(each, WrongVersion) for each in done if each not in winners)
    assert len([each async for each in store.read(f"{category}-1")]) == 1


async def test_a_conflict_is_the_conflict_of_its_own_stream_alone(
    store: EventStore, category: str
) -> None:
    await fill(store, f"{category}x", 20)

    done = await asyncio.gather(
        *(store.append(f"{category}x-{n}", [event()], NO_STREAM) for n in range(20)),
        *(store.append(f"{category}y-{n}", [event()], NO_STREAM) for n in range(20)),
        return_exceptions=True,
    )

    assert all(isinstance(each, WrongVersion) for each in done[:20])
    assert not any(isinstance(each, BaseException) for each in done[20:])


async def test_new_and_repeated_appends_made_together_all_succeed(
    store: EventStore, category: str
) -> None:
    known = [[event(n)] for n in range(10)]
    first = [await store.append(f"{category}-{n}", known[n], NO_STREAM) for n in range(10)]

    done = await asyncio.gather(
        *(store.append(f"{category}-{n}", known[n], NO_STREAM) for n in range(10)),
        *(store.append(f"{category}-{n}", [event(n)], NO_STREAM) for n in range(10, 20)),
    )

    assert [each.revision for each in done] == [0] * 20
    assert all(new.position >= old.position for new, old in zip(done, first, strict=False))
    assert len([e async for e in store.read_all((f"{category}-",))]) == 20


async def test_positions_rise_over_the_store_and_all_is_read_in_their_order(
    store: EventStore, category: str
) -> None:
    await fill(store, f"{category}a", 10, each=3)
    await fill(store, f"{category}b", 10)
    await fill(store, f"{category}c", 10)

    found = [each async for each in store.read_all((f"{category}a-", f"{category}c-"))]

    assert len(found) == 40
    assert [e.position for e in found] == sorted({e.position for e in found})
    assert {e.stream[: len(category) + 1] for e in found} == {f"{category}a", f"{category}c"}


async def test_one_type_alone_is_read_where_only_that_is_wanted(
    store: EventStore, category: str
) -> None:
    types = [f"{category}.Wanted", f"{category}.WantedNot", f"{category}.Other"] * 3
    for number, type_ in enumerate(types):
        stream = f"{category}{'ab'[number // 6]}-{number}"
        await store.append(stream, [event(number)._replace(type=type_)], NO_STREAM)

    found = [
        number_of(e) async for e in store.read_all((f"{category}a-",), only=f"{category}.Wanted")
    ]

    assert found == [0, 3]


async def test_reading_after_a_position_leaves_it_out(store: EventStore, category: str) -> None:
    for number in range(5):
        await store.append(f"{category}-{number}", [event(number)], NO_STREAM)
    third = [each async for each in store.read_all((f"{category}-",))][2]

    found = [number_of(e) async for e in store.read_all((f"{category}-",), third.position)]

    assert found == [3, 4]


async def test_the_head_is_the_position_of_the_newest_event(
    store: EventStore, category: str
) -> None:
    done = await store.append(f"{category}-1", [event()], NO_STREAM)

    assert await store.head() >= done.position
    assert [e async for e in store.read_all((f"{category}-",), await store.head())] == []


async def test_followers_get_history_then_the_word_that_it_is_over_then_what_comes(
    store: EventStore, category: str
) -> None:
    await fill(store, category, 30)

    async with aclosing(store.follow((f"{category}-",))) as items:  # type: ignore[type-var]
        history = await followed_until(items, 30, also_caught_up=True)
        await fill(store, f"{category}-more", 5)
        live = await followed_until(items, 5)

    assert isinstance(history[-1], CaughtUp)
    events = [each for each in (*history, *live) if isinstance(each, StoredEvent)]
    assert [e.position for e in events] == sorted({e.position for e in events})
    assert len(events) == 35


async def test_following_after_a_position_leaves_it_out(store: EventStore, category: str) -> None:
    await fill(store, category, 10)
    found = [each async for each in store.read_all((f"{category}-",))]

    after = found[6].position
    async with aclosing(store.follow((f"{category}-",), after)) as items:  # type: ignore[type-var]
        given = await followed_until(items, 3)

    assert [e.id for e in given if isinstance(e, StoredEvent)] == [e.id for e in found[7:]]


async def test_followers_are_told_how_far_events_of_others_were_considered(
    store: EventStore, category: str
) -> None:
    await fill(store, category, 1)
    last = await fill(store, f"{category}x", 300)

    reached = 0
    async with aclosing(store.follow((f"{category}-",))) as items:  # type: ignore[type-var]
        async for item in items:
            if isinstance(item, Checkpoint):
                reached = item.position
            if reached >= last:
                break

    assert reached >= last


async def test_only_the_newest_events_are_kept_where_so_told(
    store: EventStore, category: str
) -> None:
    await store.keep_last(f"{category}-1", 2)
    await store.append(f"{category}-1", [event(n) for n in range(5)], NO_STREAM)

    assert [number_of(each) async for each in store.read(f"{category}-1")] == [3, 4]
    assert (await store.append(f"{category}-1", [event(5)], 4)).revision == 5


async def test_a_cancelled_caller_does_not_take_others_along(
    store: EventStore, category: str
) -> None:
    tasks = [
        asyncio.create_task(store.append(f"{category}-{n}", [event(n)], NO_STREAM))
        for n in range(40)
    ]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()

    done = await asyncio.gather(*tasks, return_exceptions=True)

    assert not any(isinstance(each, BaseException) for each in done[1::2])


async def test_a_reader_that_is_told_to_end_while_it_lets_go_ends(
    store: EventStore, category: str
) -> None:
    """At whichever turn of the loop after the event that was enough for it."""
    # More than comes at once: there is something to let go of.
    await fill(store, category, 2_000)

    for turns in range(100):
        found = asyncio.Event()

        async def first(found: asyncio.Event) -> None:
            events = cast("AsyncGenerator[StoredEvent, None]", store.read_all([f"{category}-"]))
            async with aclosing(events):
                await anext(events)
                found.set()

        reading = asyncio.create_task(first(found))
        await found.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        was_done = not reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled() or was_done, f"told to end at turn {turns}, and it goes on"
        if was_done:
            break
