"""From one service's store over the bus to another's commands, whatever the bus does."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from libs import positions
from libs.bus import BusRefuses, BusUnavailable, Delivered, Message, nowhere
from libs.event_store import NO_STREAM, EventStore, StoredEvent
from libs.hearing import hear, position_of, to_event, to_message
from libs.inbox import Inbox
from libs.memory_bus import MemoryBus
from libs.memory_store import MemoryStore
from libs.read_model import Database
from libs.relay import Relay
from libs.transient import Unavailable
from tests.events import event, fill, number_of

SOURCE = "payments"
PREFIXES = ("payment-",)


@pytest.fixture
def database() -> Iterator[Database]:
    opened = Database.open("sqlite://")
    yield opened
    opened.close()


@asynccontextmanager
async def running(*works: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run all until left; a failure of one fails the test."""
    tasks = [asyncio.ensure_future(work()) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            with suppress(asyncio.CancelledError):
                task.result()


class Heard:
    """What a service's reaction was given, and what it meets."""

    def __init__(self) -> None:
        self.events: list[StoredEvent] = []
        self.failures: dict[int, list[Exception]] = {}
        self.changed = asyncio.Condition()

    async def react(self, events: Sequence[StoredEvent]) -> None:
        for one in events:
            failures = self.failures.get(number_of(one))
            if failures:
                raise failures.pop(0)
        async with self.changed:
            self.events.extend(events)
            self.changed.notify_all()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(lambda: len({e.id for e in self.events}) >= count)


def inbox(heard: Heard, store: EventStore, bus: MemoryBus, database: Database) -> Inbox:
    return Inbox(
        "settlement",
        SOURCE,
        PREFIXES,
        store=store,
        bus=bus,
        database=database,
        react=heard.react,
        retry_first_s=0.001,
    )


async def messages(bus: MemoryBus) -> list[Delivered]:
    return list(bus._source(SOURCE).messages)  # noqa: SLF001 - what is on the bus


async def stored(store: EventStore) -> list[StoredEvent]:
    return [each async for each in store.read_all(PREFIXES)]


class Reads(MemoryStore):
    """The same events, and what was asked for."""

    def __init__(self, of: MemoryStore) -> None:
        super().__init__()
        self.__dict__.update(of.__dict__)
        self.asked: list[int | None] = []

    async def read_all(
        self, prefixes: Sequence[str], after: int | None = None, *, only: str = ""
    ) -> AsyncIterator[StoredEvent]:
        self.asked.append(after)
        async for each in super().read_all(prefixes, after, only=only):
            yield each


async def until_on_bus(bus: MemoryBus, count: int) -> None:
    async with asyncio.timeout(30):
        while len(await messages(bus)) < count:  # noqa: ASYNC110 - a bus tells nobody
            await asyncio.sleep(0)


async def relayed(relay: Relay, position: int) -> None:
    async with asyncio.timeout(30):
        await relay.wait_for(position)


async def test_an_event_is_on_the_bus_as_it_is_in_the_store() -> None:
    store = MemoryStore()
    await store.append("payment-1", [event(1, actor="a", traceparent="00-ab-cd-01")], NO_STREAM)
    (there,) = await stored(store)

    message = to_message(SOURCE, there, 77, 55)

    assert to_event(message) == there
    assert message.id == str(there.id)
    assert message.subject == "hefu.payments.payment.Counted"
    assert message.headers["traceparent"] == "00-ab-cd-01"
    assert message.headers["Hefu-Previous"] == "77"
    assert message.headers["Hefu-Previous-Of-Name"] == "55"
    assert message.headers["ce-id"] == str(there.id)


async def test_all_is_carried_in_order_each_naming_the_one_before() -> None:
    store, bus = MemoryStore(), MemoryBus()
    await fill(store, "payment", 1_200)
    await fill(store, "other", 5)
    relay = Relay(SOURCE, PREFIXES, store, bus)

    async with running(relay.run):
        await relayed(relay, (await stored(store))[-1].position)

    on_bus = await messages(bus)
    assert [to_event(d.message) for d in on_bus] == await stored(store)
    chain = [int(d.message.headers["Hefu-Previous"]) for d in on_bus]
    assert chain == [0, *(position_of(d.message) for d in on_bus[:-1])]


async def test_what_is_nobody_elses_business_stays_in_and_leaves_no_gap() -> None:
    store, bus = MemoryStore(), MemoryBus(idle_s=0.01)
    for number, kind in enumerate(["Told", "Own", "Told", "Own"]):
        one = event(number)._replace(type=f"test.{kind}")
        await store.append(f"payment-{number}", [one], NO_STREAM)
    relay = Relay(SOURCE, PREFIXES, store, bus, kept_in=frozenset({"Own"}))

    async with running(relay.run):
        await relayed(relay, await store.head())

    assert [number_of(to_event(d.message)) for d in await messages(bus)] == [0, 2]
    reads, heard = Reads(store), list[StoredEvent]()
    async for batch in hear(SOURCE, "one", PREFIXES, None, store=reads, bus=bus):
        heard.extend(batch.events)
        if len(heard) >= 2:
            break
    assert [number_of(e) for e in heard] == [0, 2]
    assert not reads.asked


async def test_a_relay_that_starts_again_goes_on_after_the_last_on_the_bus() -> None:
    store, bus = MemoryStore(), MemoryBus()
    for _ in range(3):
        relay = Relay(SOURCE, PREFIXES, store, bus)
        position = await fill(store, f"payment-{random.random()}", 50)  # noqa: S311 - a name
        async with running(relay.run):
            await relayed(relay, position)

    assert [to_event(d.message) for d in await messages(bus)] == await stored(store)


async def test_two_relays_carry_each_event_once() -> None:
    store, bus = MemoryStore(), MemoryBus()
    relays = [Relay(SOURCE, PREFIXES, store, bus, standby_s=0.05) for _ in range(2)]
    async with running(*(relay.run for relay in relays)):
        for round_ in range(10):
            position = await fill(store, f"payment-{round_}", 20)
            waiting = [asyncio.create_task(relay.wait_for(position)) for relay in relays]
            # Either of the two may be the one.
            done, left = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert done
            for task in left:
                task.cancel()

    assert [to_event(d.message) for d in await messages(bus)] == await stored(store)


async def test_the_second_relay_takes_over_when_the_first_is_gone() -> None:
    store, bus = MemoryStore(), MemoryBus()
    first, second = (Relay(SOURCE, PREFIXES, store, bus, standby_s=0.05) for _ in range(2))
    async with running(second.run):
        async with running(first.run):
            await fill(store, "payment-a", 50)
        position = await fill(store, "payment-b", 50)
        await relayed(second, position)

    assert [to_event(d.message) for d in await messages(bus)] == await stored(store)


class Refusing(MemoryBus):
    """A bus that is there, and takes nothing until its stream is made anew."""

    is_broken = False

    async def publish(self, source: str, messages: Sequence[Message], expected_last: int) -> int:
        if self.is_broken:
            raise BusRefuses("the disk is gone")
        return await super().publish(source, messages, expected_last)

    async def renew(self, source: str) -> None:
        self.is_broken = False
        await super().renew(source)


async def test_a_bus_that_takes_nothing_any_more_is_made_anew_and_filled() -> None:
    store, bus = MemoryStore(), Refusing()
    relay = Relay(SOURCE, PREFIXES, store, bus)
    async with running(relay.run):
        await relayed(relay, await fill(store, "payment-a", 50))
        bus.is_broken = True
        await relayed(relay, await fill(store, "payment-b", 50))

    assert [to_event(d.message) for d in await messages(bus)] == await stored(store)


async def test_facts_are_heard_once_and_in_order(database: Database) -> None:
    store, bus, heard = MemoryStore(), MemoryBus(idle_s=0.05), Heard()
    async with running(
        Relay(SOURCE, PREFIXES, store, bus).run, inbox(heard, store, bus, database).run
    ):
        for round_ in range(5):
            await fill(store, f"payment-{round_}", 100)
            await fill(store, "journal", 3) if round_ == 0 else None
        await heard.until(500)

    assert heard.events == await stored(store)


async def test_without_any_bus_facts_come_from_the_store(database: Database) -> None:
    store, bus, heard = MemoryStore(), MemoryBus(idle_s=0.05), Heard()
    async with running(inbox(heard, store, bus, database).run):
        await fill(store, "payment", 100)
        await heard.until(100)

    assert heard.events == await stored(store)


async def test_a_bus_lost_in_the_middle_is_filled_again_and_nothing_is_heard_twice(
    database: Database,
) -> None:
    store, bus, heard = MemoryStore(), MemoryBus(idle_s=0.05), Heard()
    relay = Relay(SOURCE, PREFIXES, store, bus)
    async with running(relay.run, inbox(heard, store, bus, database).run):
        for round_ in range(6):
            await fill(store, f"payment-{round_}", 40)
            await heard.until(40 * round_ + 20)
            bus.lose(SOURCE)
        position = await fill(store, "payment-last", 10)
        await heard.until(250)
        await relayed(relay, position)

    assert heard.events == await stored(store)
    assert [to_event(d.message) for d in await messages(bus)] == await stored(store)


async def test_an_inbox_that_starts_again_goes_on_where_it_was(database: Database) -> None:
    store, bus = MemoryStore(), MemoryBus(idle_s=0.05)
    await fill(store, "payment-a", 30)
    first = Heard()
    async with running(
        Relay(SOURCE, PREFIXES, store, bus).run, inbox(first, store, bus, database).run
    ):
        await first.until(30)
        await fill(store, "payment-b", 20)
        await first.until(50)
    kept = await kept_position(database)
    await fill(store, "payment-c", 20)
    second = Heard()
    left = [each for each in await stored(store) if each.position > kept]
    async with running(inbox(second, store, bus, database).run):
        await second.until(len(left))

    # What had its effect just before the end may have it once more; nothing is left out.
    assert first.events[-21].position <= kept <= first.events[-1].position
    assert second.events == left


async def kept_position(database: Database) -> int:
    """The position in the inbox's table."""
    found = await database.read(lambda c: c.execute(select(positions.inboxes.c.position)).scalar())
    return int(found or 0)


async def test_what_is_away_is_waited_for_and_parks_nothing(database: Database) -> None:
    store, bus, heard = MemoryStore(), MemoryBus(idle_s=0.05), Heard()
    heard.failures[3] = [Unavailable("away"), TimeoutError("slow"), ConnectionError("reset")]
    one = inbox(heard, store, bus, database)
    async with running(one.run):
        await fill(store, "payment", 6)
        await heard.until(6)

    assert one.parked == 0
    assert [number_of(e) for e in heard.events] == list(range(6))


async def test_a_poison_event_parks_its_stream_and_the_rest_goes_on(database: Database) -> None:
    store, bus, heard = MemoryStore(), MemoryBus(idle_s=0.05), Heard()
    heard.failures[100] = [ValueError("cannot be understood")] * 1_000
    one = inbox(heard, store, bus, database)
    async with running(one.run):
        await store.append("payment-bad", [event(1), event(100), event(2)], NO_STREAM)
        await fill(store, "payment-good", 5)
        await heard.until(6)
        await store.append("payment-bad", [event(3)], 2)
        await store.append("payment-fine", [event(4)], NO_STREAM)
        await heard.until(7)
        await store.append("payment-last", [event(5)], NO_STREAM)
        await heard.until(8)
        rows = await database.read(lambda c: c.execute(select(positions.parked)).all())

    assert one.parked == 1
    assert Counter(e.stream for e in heard.events)["payment-bad"] == 1
    (row,) = rows
    assert (row.follower, row.stream, row.revision) == ("inbox:settlement", "payment-bad", 1)
    assert row.waiting == 2
    assert "cannot be understood" in row.reason


async def test_a_parked_stream_goes_on_once_it_is_understood(database: Database) -> None:
    store, bus, heard = MemoryStore(), MemoryBus(idle_s=0.05), Heard()
    heard.failures[100] = [ValueError("cannot be understood")] * 1_000
    await store.append("payment-bad", [event(1), event(100), event(2)], NO_STREAM)
    await store.append("payment-good", [event(9)], NO_STREAM)
    async with running(inbox(heard, store, bus, database).run):
        await heard.until(2)
        await store.append("payment-last", [event(8)], NO_STREAM)
        await heard.until(3)
    heard.failures.clear()

    again = inbox(heard, store, bus, database)
    async with running(again.run):
        await heard.until(5)

    assert [number_of(e) for e in heard.events if e.stream == "payment-bad"] == [1, 100, 2]


class Disorderly(MemoryBus):
    """A bus that repeats, loses, reorders and breaks off, as its plan says."""

    def __init__(self, plan: random.Random) -> None:
        super().__init__(idle_s=0.01)
        self._plan = plan

    async def consume(
        self,
        source: str,
        consumer: str,
        *,
        only: str = "",
        reached: Callable[[], int] = nowhere,
    ) -> AsyncIterator[Sequence[Delivered]]:
        given: list[Delivered] = []
        async for batch in super().consume(source, consumer, only=only, reached=reached):
            given.extend(batch)
            mixed = [d for d in batch if self._plan.random() > 0.3]
            mixed += self._plan.sample(given, min(len(given), 5))
            self._plan.shuffle(mixed)
            cut = self._plan.randint(0, len(mixed))
            yield mixed[:cut]
            yield mixed[cut:]
            if self._plan.random() < 0.2:
                raise BusUnavailable("broken off")


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_whatever_a_bus_does_each_fact_is_heard_once_and_in_order(seed: int) -> None:
    async def run() -> None:
        plan = random.Random(seed)  # noqa: S311 - a plan, not a secret
        store, bus = MemoryStore(), Disorderly(plan)
        heard: list[StoredEvent] = []

        async def listen() -> None:
            async for batch in hear(SOURCE, "one", PREFIXES, None, store=store, bus=bus):
                heard.extend(batch.events)
                if len(heard) >= 60:
                    return

        async with running(Relay(SOURCE, PREFIXES, store, bus).run):
            listening = asyncio.create_task(listen())
            for n in range(20):
                await fill(store, f"payment-{n}", plan.randint(1, 3))
                await fill(store, f"other-{n}", plan.randint(0, 2) or 1)
            missing = 60 - len(await stored(store))
            await fill(store, "payment-x", missing) if missing > 0 else None
            await asyncio.wait_for(listening, 30)

        assert heard == await stored(store)

    asyncio.run(run())


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_who_hears_one_type_hears_all_of_it_whatever_a_bus_does(seed: int) -> None:
    async def run() -> None:
        plan = random.Random(seed)  # noqa: S311 - a plan, not a secret
        store, bus = MemoryStore(), Disorderly(plan)
        heard: list[StoredEvent] = []

        async def fill_up(kind: str, names: Sequence[str]) -> None:
            for name in names:
                one = event(1)._replace(type=f"test.{kind}")
                await store.append(f"payment-{kind}-{name}", [one], NO_STREAM)

        async def listen() -> None:
            feed = hear(SOURCE, "one", PREFIXES, None, store=store, bus=bus, only="test.Wanted")
            async for batch in feed:
                heard.extend(batch.events)
                if len(heard) >= 40:
                    return

        listening = asyncio.create_task(listen())
        for part in range(4):
            # Each time another relay: it does not know where the last of a name lies.
            relay = Relay(SOURCE, PREFIXES, store, bus)
            async with running(relay.run):
                for n in range(10):
                    await fill_up("Wanted", [f"{part}-{n}"])
                    others = range(plan.randint(0, 3))
                    await fill_up("Other", [f"{part}-{n}-{other}" for other in others])
                await relayed(relay, (await stored(store))[-1].position)
                if plan.random() < 0.3:
                    bus.lose(SOURCE)
        await asyncio.wait_for(listening, 30)

        assert heard == [e for e in await stored(store) if e.type == "test.Wanted"]

    asyncio.run(run())


async def test_what_a_bus_lost_is_missed_though_another_relay_carries_what_follows() -> None:
    store, bus = MemoryStore(), MemoryBus(idle_s=0.01)
    for number in range(3):
        one = event(number)._replace(type="test.Wanted")
        done = await store.append(f"payment-{number}", [one], NO_STREAM)
        relay = Relay(SOURCE, PREFIXES, store, bus)
        async with running(relay.run):
            await relayed(relay, done.position)
    del bus._source(SOURCE).messages[1]  # noqa: SLF001 - it is lost
    heard: list[StoredEvent] = []
    async for batch in hear(
        SOURCE, "one", PREFIXES, None, store=store, bus=bus, only="test.Wanted"
    ):
        heard.extend(batch.events)
        if len(heard) >= 3:
            break

    assert [number_of(e) for e in heard] == [0, 1, 2]


async def test_who_hears_one_type_asks_neither_bus_nor_store_for_others() -> None:
    store, bus = MemoryStore(), MemoryBus(idle_s=0.01)
    kinds = ["Wanted", "Other", "Other", "Wanted", "Other", "Wanted"]
    for number, kind in enumerate(kinds):
        one = event(number)._replace(type=f"test.{kind}")
        await store.append(f"payment-{number}", [one], NO_STREAM)
    async with running(Relay(SOURCE, PREFIXES, store, bus).run):
        await until_on_bus(bus, len(kinds))
    reads = Reads(store)
    heard: list[StoredEvent] = []
    async for batch in hear(
        SOURCE, "one", PREFIXES, None, store=reads, bus=bus, only="test.Wanted"
    ):
        heard.extend(batch.events)
        if len(heard) >= 3:
            break

    assert [number_of(e) for e in heard] == [0, 3, 5]
    assert not reads.asked


async def test_what_does_not_concern_a_listener_is_passed_over_and_counts_as_heard() -> None:
    store, bus = MemoryStore(), MemoryBus(idle_s=0.05)
    relay = Relay(SOURCE, PREFIXES, store, bus)
    async with running(relay.run):
        head = await fill(store, "payment", 6)
        await relayed(relay, head)
        (last,) = [each for each in await stored(store) if each.position == head]
        feed = hear(
            SOURCE,
            "one",
            PREFIXES,
            None,
            store=store,
            bus=bus,
            concerns=lambda message: message.headers["ce-subject"] == last.stream,
        )
        async with asyncio.timeout(30), aclosing(feed):
            batch = await anext(feed)

    assert (list(batch.events), batch.position) == ([last], head)


async def test_a_message_of_a_stream_not_wanted_is_passed_over() -> None:
    store, bus = MemoryStore(), MemoryBus(idle_s=0.05)
    await fill(store, "payment", 3)
    await fill(store, "standing_order", 3)
    relay = Relay(SOURCE, ("payment-", "standing_order-"), store, bus)
    heard: list[StoredEvent] = []
    async with running(relay.run):
        async for batch in hear(SOURCE, "one", ("standing_order-",), None, store=store, bus=bus):
            heard.extend(batch.events)
            if len(heard) >= 3:
                break

    assert {e.stream.partition("-")[0] for e in heard} == {"standing_order"}
