"""The real event store and bus, killed, paused and robbed of their disk, under work."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import pytest
import stamina
from nats.js import api

from libs import kurrent_store
from libs.bus import POSITION, BusUnavailable, Fenced, Message
from libs.cancelling import end
from libs.decider import Cause, Streams
from libs.event_store import NO_STREAM, StoredEvent, StoreUnavailable
from libs.feed import Batch, batches
from libs.hearing import hear, to_event
from libs.kurrent_store import KurrentStore
from libs.memory_store import MemoryStore
from libs.nats_bus import NatsBus
from libs.relay import Relay
from tests.events import event, fill, followed_until
from tests.libs.counting import Codec, Reach, counter
from tests.servers import EventStoreServer, NatsServer


@pytest.fixture
def own_store(identity_folder: Path, tmp_path: Path) -> Iterator[EventStoreServer]:
    """A server of this test's own, to be mistreated."""
    server = EventStoreServer(tmp_path / "store", identity_folder / "eventstore")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_nats(identity_folder: Path, tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path / "nats", identity_folder / "nats")
    server.start()
    yield server
    server.kill()


async def in_thread(work: object) -> None:
    assert callable(work)
    await asyncio.to_thread(work)


async def test_commands_made_while_the_store_is_killed_are_recorded_exactly_once(
    own_store: EventStoreServer,
) -> None:
    stamina.set_active(True)
    async with KurrentStore.open(own_store.uri) as store:
        counters = Streams(store, "counter", counter, Codec())
        commands = [
            asyncio.create_task(
                counters.transact(str(n % 40), Reach(add=f"{n}"), Cause(f"{n}"), is_new=True)
            )
            for n in range(400)
        ]
        await commands[0]
        for _ in range(2):
            await in_thread(own_store.kill)
            await in_thread(own_store.start)
            await asyncio.wait(commands, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(*commands)

        recorded = [each.data.decode() async for each in store.read_all(("counter-",))]

    assert sorted(recorded, key=int) == [f"{n}" for n in range(400)]


async def test_a_follower_outlives_the_store_and_misses_nothing(
    own_store: EventStoreServer,
) -> None:
    async with KurrentStore.open(own_store.uri) as store:
        await fill(store, "a", 50)
        async with aclosing(store.follow(("a",))) as items:  # type: ignore[type-var]
            given = list(await followed_until(items, 50, also_caught_up=True))
            await in_thread(own_store.kill)
            await in_thread(own_store.start)
            await fill(store, "ab", 50)
            given += await followed_until(items, 50)

        stored = [each async for each in store.read_all(("a",))]

    assert [each for each in given if isinstance(each, StoredEvent)] == stored


@pytest.mark.full
async def test_a_follower_notices_a_store_that_says_nothing_any_more(
    own_store: EventStoreServer,
) -> None:
    async with KurrentStore.open(own_store.uri) as store:
        await fill(store, "a", 1)
        async with aclosing(store.follow(("a",))) as items:  # type: ignore[type-var]
            await followed_until(items, 1, also_caught_up=True)
            own_store.pause()
            waiting = asyncio.create_task(followed_until(items, 1))
            # Long enough for it to have given the connection up.
            await asyncio.wait([waiting], timeout=3 * kurrent_store.SILENCE_S)
            own_store.resume()
            await fill(store, "ab", 1)

            given = await asyncio.wait_for(waiting, 60)

    assert any(isinstance(each, StoredEvent) for each in given)


async def test_reads_of_a_store_that_is_away_are_answered_unavailable(
    own_store: EventStoreServer,
) -> None:
    async with KurrentStore.open(own_store.uri) as store:
        await store.append("a-1", [event()], NO_STREAM)
        await in_thread(own_store.kill)

        with pytest.raises(StoreUnavailable):
            await store.read_last("a-1")
        with pytest.raises(StoreUnavailable):
            [each async for each in store.read("a-1")]


@asynccontextmanager
async def carried(
    server: NatsServer, identity_folder: Path, heard: list[StoredEvent], store: MemoryStore
) -> AsyncIterator[Relay]:
    """A relay at one end of the bus and a listener at the other."""
    source = f"s{uuid.uuid4().hex}"
    async with (
        NatsBus.open(server.address, identity_folder / "payments", "payments") as ours,
        NatsBus.open(server.address, identity_folder / "accounts", "accounts") as theirs,
    ):
        relay = Relay(source, ("payment-",), store, ours)

        async def listen() -> None:
            async for batch in hear(source, "one", ("payment-",), None, store=store, bus=theirs):
                heard.extend(batch.events)
                if batch.position >= await store.head() and is_over.is_set():
                    return

        is_over = asyncio.Event()
        tasks = [asyncio.create_task(relay.run()), asyncio.create_task(listen())]
        yield relay
        last = await ours.last(source)
        assert last is not None
        assert to_event(last.message) == [e async for e in store.read_all(("payment-",))][-1]
        is_over.set()
        await tasks[1]
        tasks[0].cancel()
        await asyncio.wait(tasks)
        with suppress(asyncio.CancelledError):
            tasks[0].result()


@pytest.mark.parametrize("how", ["killed", "killed and its disk lost"])
async def test_a_bus_that_was_killed_is_gone_on_with(
    own_nats: NatsServer, identity_folder: Path, how: str
) -> None:
    store, heard = MemoryStore(), list[StoredEvent]()
    async with carried(own_nats, identity_folder, heard, store) as relay, asyncio.timeout(60):
        await relay.wait_for(await fill(store, "payment-a", 300))
        await in_thread(own_nats.kill)
        if how != "killed":
            own_nats.lose_disk()
        position = await fill(store, "payment-b", 300)
        await in_thread(own_nats.start)
        await relay.wait_for(position)

    assert heard == [each async for each in store.read_all(("payment-",))]


def placed(source: str, positions: Sequence[int]) -> list[Message]:
    subject = f"hefu.{source}.payment.Counted"
    return [Message(uuid.uuid4().hex, subject, {POSITION: str(each)}, b"{}") for each in positions]


async def test_a_bus_that_forgot_a_consumer_brings_it_nothing_it_had(
    own_nats: NatsServer, identity_folder: Path
) -> None:
    source, taken, is_published = f"s{uuid.uuid4().hex}", [-1], False
    async with (
        NatsBus.open(own_nats.address, identity_folder / "payments", "payments") as bus,
        asyncio.timeout(60),
    ):
        last = await bus.publish(source, placed(source, range(300)), 0)
        async for batch in bus.consume(source, "one", reached=lambda: taken[-1]):
            taken.extend(int(each.message.headers[POSITION]) for each in batch)
            if taken[-1] == 299 and not is_published:
                await in_thread(own_nats.kill)
                await in_thread(own_nats.start)
                is_published = True
            if not batch:
                with suppress(BusUnavailable, Fenced):
                    await bus.publish(source, placed(source, [300]), last)
            if taken[-1] == 300:
                break

    assert taken == list(range(-1, 301))


async def test_a_consumer_that_is_set_up_otherwise_is_made_anew(
    own_nats: NatsServer, identity_folder: Path
) -> None:
    source = f"s{uuid.uuid4().hex}"
    async with (
        NatsBus.open(own_nats.address, identity_folder / "payments", "payments") as bus,
        asyncio.timeout(60),
    ):
        await bus.publish(source, placed(source, range(10)), 0)
        earlier = api.ConsumerConfig(durable_name="one", ack_policy=api.AckPolicy.ALL)
        server = bus._stream_api  # noqa: SLF001 - what an earlier program left behind
        await server.add_consumer(f"HEFU_{source.upper()}", earlier)
        taken: list[int] = []
        async for batch in bus.consume(source, "one", reached=lambda: 6):
            taken += [int(each.message.headers[POSITION]) for each in batch]
            if len(taken) >= len([7, 8, 9]):
                break

        found = await server.consumer_info(f"HEFU_{source.upper()}", "one")

    assert taken == [7, 8, 9]
    assert found.config.mem_storage


@pytest.mark.full
async def test_a_bus_whose_disk_is_taken_away_while_it_runs_heals_by_itself(
    own_nats: NatsServer, identity_folder: Path
) -> None:
    store, heard = MemoryStore(), list[StoredEvent]()
    async with carried(own_nats, identity_folder, heard, store) as relay, asyncio.timeout(100):
        await relay.wait_for(await fill(store, "payment-a", 300))
        own_nats.lose_disk()
        # More than one of its blocks: it has to make a new file where there is no folder.
        for round_ in range(20):
            page = event(round_)
            large = type(page)(page.id, page.type, b"x" * 900_000, {}, is_json=False)
            done = await store.append(f"payment-large-{round_}", [large], NO_STREAM)
        await relay.wait_for(done.position)

    assert heard == [each async for each in store.read_all(("payment-",))]


async def test_a_follower_under_load_ends_whenever_it_is_told(
    event_store_server: EventStoreServer, category: str
) -> None:
    async with KurrentStore.open(event_store_server.uri) as store:
        await fill(store, category, 1_000)
        for wait_s in (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3):
            feed = batches(store, (f"{category}-",), None)
            reading = asyncio.create_task(_read_slowly(feed))
            await asyncio.wait([reading], timeout=wait_s)

            async with asyncio.timeout(10):
                await end([reading])
                await feed.aclose()


async def _read_slowly(feed: AsyncGenerator[Batch, None]) -> None:
    async with aclosing(feed):
        async for _ in feed:
            await asyncio.Event().wait()
