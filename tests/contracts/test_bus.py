"""What every bus promises."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest

from libs.bus import Bus, Delivered, Fenced, Message


@pytest.fixture
def source() -> str:
    return f"s{uuid.uuid4().hex}"


def message(source: str, number: int, id_: str = "") -> Message:
    headers = {"Hefu-Position": str(number), "Hefu-Metadata": '{"actor":"a"}'}
    return Message(
        id_ or uuid.uuid4().hex, f"hefu.{source}.payment.Counted", headers, str(number).encode()
    )


async def consume(bus: Bus, source: str, consumer: str, count: int) -> Sequence[Delivered]:
    """Take so many, and acknowledge them."""
    taken: list[Delivered] = []
    async with aclosing(bus.consume(source, consumer)) as batches:  # type: ignore[type-var]
        async for batch in batches:
            if len(taken) >= count:
                break
            taken.extend(batch)
    return taken


async def first(batches: AsyncIterator[Sequence[Delivered]]) -> AsyncIterator[Sequence[Delivered]]:
    """Up to the first silence."""
    async for batch in batches:
        if not batch:
            return
        yield batch


async def test_a_new_source_has_no_last_message(bus: Bus, source: str) -> None:
    assert await bus.last(source) is None


async def test_what_was_published_comes_in_order_and_whole(bus: Bus, source: str) -> None:
    given = [message(source, number) for number in range(700)]

    last = await bus.publish(source, given[:1], 0)
    last = await bus.publish(source, given[1:], last)

    taken = await consume(bus, source, "one", 700)
    assert [(d.message.id, d.message.subject, d.message.data) for d in taken] == [
        (m.id, m.subject, m.data) for m in given
    ]
    assert [d.sequence for d in taken] == sorted({d.sequence for d in taken})
    assert taken[-1].sequence == last
    for delivered, one in zip(taken, given, strict=True):
        assert one.headers.items() <= dict(delivered.message.headers).items()


async def test_one_name_alone_comes_where_only_that_is_wanted(bus: Bus, source: str) -> None:
    given = [message(source, number) for number in range(6)]
    other = [each._replace(subject=f"hefu.{source}.payment.Other") for each in given[::2]]
    await bus.publish(source, [*other, *given[1::2]], 0)

    async with aclosing(bus.consume(source, "one", only="Counted")) as batches:  # type: ignore[type-var]
        taken: list[Delivered] = []
        async for batch in batches:
            taken.extend(batch)
            if len(taken) >= 3:
                break

    assert [d.message.id for d in taken] == [each.id for each in given[1::2]]


async def test_the_last_message_is_the_newest(bus: Bus, source: str) -> None:
    sequence = await bus.publish(source, [message(source, n) for n in range(3)], 0)

    last = await bus.last(source)

    assert last is not None
    assert (last.sequence, last.message.data) == (sequence, b"2")
    assert last.message.headers["Hefu-Position"] == "2"


@pytest.mark.parametrize("count", [1, 5])
async def test_a_publisher_that_does_not_know_the_last_message_is_fenced(
    bus: Bus, source: str, count: int
) -> None:
    await bus.publish(source, [message(source, 0)], 0)

    with pytest.raises(Fenced):
        await bus.publish(source, [message(source, n) for n in range(count)], 0)

    assert len(await consume(bus, source, "one", 1)) == 1


async def test_an_id_that_is_there_already_is_not_there_twice(bus: Bus, source: str) -> None:
    known = message(source, 1, "known")
    last = await bus.publish(source, [known], 0)

    last = await bus.publish(source, [message(source, 0), known, message(source, 2)], last)

    taken = await consume(bus, source, "one", 3)
    assert [d.message.data for d in taken] == [b"1", b"0", b"2"]
    assert taken[-1].sequence == last


async def test_each_consumer_hears_all_and_goes_on_where_it_was(bus: Bus, source: str) -> None:
    last = await bus.publish(source, [message(source, n) for n in range(4)], 0)
    await consume(bus, source, "one", 4)
    await bus.publish(source, [message(source, n) for n in range(4, 6)], last)

    again = await consume(bus, source, "one", 2)
    other = await consume(bus, source, "two", 6)

    assert [d.message.data for d in again] == [b"4", b"5"]
    assert len(other) == 6


@pytest.mark.parametrize("reached", [-1, 0, 2, 5, 99])
async def test_a_consumer_that_is_not_known_begins_behind_what_it_reached(
    bus: Bus, source: str, reached: int
) -> None:
    given = [message(source, number) for number in range(0, 12, 2)]
    await bus.publish(source, given, 0)

    async with aclosing(bus.consume(source, "one", reached=lambda: reached)) as batches:  # type: ignore[type-var]
        taken = [d.message.data async for batch in first(batches) for d in batch]

    assert taken == [each.data for each in given if int(each.headers["Hefu-Position"]) > reached]


async def test_a_consumer_that_is_known_goes_on_where_it_was_whatever_it_reached(
    bus: Bus, source: str
) -> None:
    last = await bus.publish(source, [message(source, n) for n in range(4)], 0)
    await consume(bus, source, "one", 4)
    await bus.publish(source, [message(source, n) for n in range(4, 6)], last)

    async with aclosing(bus.consume(source, "one", reached=lambda: 99)) as batches:  # type: ignore[type-var]
        taken = [d.message.data async for batch in first(batches) for d in batch]

    assert taken == [b"4", b"5"]


async def test_silence_is_told(bus: Bus, source: str) -> None:
    async with aclosing(bus.consume(source, "one")) as batches:  # type: ignore[type-var]
        assert list(await anext(batches)) == []


async def test_what_comes_while_waiting_is_given_at_once(bus: Bus, source: str) -> None:
    waiting = asyncio.create_task(consume(bus, source, "one", 1))
    await bus.publish(source, [message(source, 7)], 0)

    taken = await waiting

    assert [d.message.data for d in taken] == [b"7"]


async def test_a_renewed_source_begins_anew(bus: Bus, source: str) -> None:
    await bus.publish(source, [message(source, n) for n in range(3)], 0)

    await bus.renew(source)

    assert await bus.last(source) is None
    await bus.publish(source, [message(source, 9)], 0)
    assert [d.message.data for d in await consume(bus, source, "one", 1)] == [b"9"]


async def test_renewing_what_is_not_there_changes_nothing(bus: Bus, source: str) -> None:
    await bus.renew(source)

    assert await bus.last(source) is None


async def test_who_is_told_to_end_in_the_middle_of_a_call_ends(bus: Bus, source: str) -> None:
    """At whichever turn of the loop: also at the one in which the answer comes."""
    await bus.publish(source, [message(source, 0)], 0)

    for turns in range(2_000):
        asking = asyncio.create_task(bus.last(source))
        for _ in range(turns):
            await asyncio.sleep(0)
        was_done = not asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled() or was_done, f"told to end at turn {turns}, and it goes on"
        if was_done:
            break
