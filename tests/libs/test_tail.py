"""One subscription serves all followers, each at its own pace, and forgets what is old."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from uuid import uuid4

import pytest

from libs import tail as tail_module
from libs.event_store import CaughtUp, Followed, StoredEvent
from libs.tail import Missed, Tail


def event(position: int) -> StoredEvent:
    return StoredEvent(uuid4(), "T", b"{}", {}, "payment-1", position, position, 0)


class Source:
    """A subscription that says what it is given, and counts how often it is opened."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[Followed] = asyncio.Queue()
        self.opened = 0

    async def follow(
        self, _prefixes: Sequence[str], _after: int | None
    ) -> AsyncGenerator[Sequence[Followed], None]:
        self.opened += 1
        while True:
            yield [await self.said.get()]

    def say(self, *items: Followed) -> None:
        for item in items:
            self.said.put_nowait(item)


async def take(tail: Tail, position: int, count: int) -> list[Followed]:
    found: list[Followed] = []
    async with aclosing(tail.since(position)) as lots:
        async for lot in lots:
            found.extend(lot)
            if len(found) >= count:
                break
    assert len(found) == count
    return found


async def test_followers_share_one_subscription_and_each_hears_all() -> None:
    source = Source()
    tail = Tail(("payment-",), None, source.follow)
    source.say(event(10), event(20), CaughtUp(), event(30))
    early = await take(tail, 0, 4)
    late = await take(tail, 10, 3)
    assert [type(item) for item in early] == [StoredEvent, StoredEvent, StoredEvent, CaughtUp]
    assert [item.position for item in late if isinstance(item, StoredEvent)] == [20, 30]
    assert source.opened == 1
    await tail.close()


async def test_a_follower_that_waits_hears_what_comes() -> None:
    source = Source()
    tail = Tail(("payment-",), None, source.follow)
    waiting = asyncio.create_task(take(tail, 0, 2))
    source.say(CaughtUp(), event(10))
    found = await waiting
    assert {type(item) for item in found} == {CaughtUp, StoredEvent}
    await tail.close()


async def test_what_is_not_kept_any_more_is_missed_not_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tail_module, "KEPT_ITEMS_MAX", 3)
    source = Source()
    tail = Tail(("payment-",), None, source.follow)
    source.say(event(10))
    reading = tail.since(0)
    assert [item.position for item in await anext(reading) if isinstance(item, StoredEvent)] == [10]
    source.say(*(event(position) for position in range(20, 70, 10)))
    with pytest.raises(Missed):
        await take(tail, 0, 6)
    with pytest.raises(Missed):
        await anext(reading)
    with pytest.raises(Missed):
        await take(tail, 20, 1)
    assert [item.position for item in await take(tail, 30, 3) if isinstance(item, StoredEvent)] == [
        40,
        50,
        60,
    ]
    await tail.close()


def test_a_tail_covers_what_begins_as_its_own_do() -> None:
    tail = Tail(("payment-", "bank_"), None, Source().follow)
    assert tail.covers(("payment-",))
    assert tail.covers(("bank_transfer-", "payment-"))
    assert not tail.covers(("settlement-",))
