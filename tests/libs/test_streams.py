"""The one loop that reads, folds, decides and appends: exactly once, whatever happens around it."""

import asyncio
import uuid
from collections.abc import Iterator, Mapping, Sequence

import pytest
import stamina
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.decider import Asked, Cause, Decided, Rejected, Streams, Transacted, trace_headers
from libs.event_store import (
    Appended,
    Busy,
    Denied,
    EventStore,
    NewEvent,
    OutcomeUnknown,
)
from libs.memory_store import MemoryStore
from tests.libs.counting import Codec, Reach, Reason, State, counter


@pytest.fixture(autouse=True)
def _without_waiting() -> Iterator[None]:
    """Retries as many as ever, without the waits between them."""
    stamina.set_testing(True, attempts=60)
    yield
    stamina.set_testing(False)


class Faulty(MemoryStore):
    """A store whose answers get lost, before or after the append, as told."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__()
        self._faults = list(faults)
        self.sent = 0

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        self.sent += 1
        fault = self._faults.pop(0) if self._faults else "none"
        await asyncio.sleep(0)
        if fault == "lost before":
            raise OutcomeUnknown("not sent")
        if fault == "busy":
            raise Busy("later")
        done = await super().append(stream, events, expected)
        await asyncio.sleep(0)
        if fault == "lost after":
            raise OutcomeUnknown("sent")
        return done


class Held(MemoryStore):
    """A store that takes its time until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        self.reached.set()
        await self.go.wait()
        return await super().append(stream, events, expected)


def streams(store: EventStore) -> Streams[Reach, State, str]:
    return Streams(store, "counter", counter, Codec())


async def stored(store: EventStore, id_: str) -> list[str]:
    return [event.data.decode() async for event in store.read(f"counter-{id_}")]


async def test_the_same_command_twice_records_nothing_the_second_time() -> None:
    store = MemoryStore()
    counters = streams(store)

    first = await counters.transact("a", Reach(3), Cause("c"), is_new=True)
    again = await counters.transact("a", Reach(3), Cause("c"), is_new=True)

    assert (first.state.total, len(first.events), first.revision) == (3, 3, 2)
    assert (again.state, again.events, again.position) == (first.state, (), first.position)
    assert len(await stored(store, "a")) == 3


async def test_a_thousand_equal_commands_at_once_record_it_once() -> None:
    store = MemoryStore()
    counters = streams(store)

    done = await asyncio.gather(
        *(
            counters.transact(str(n % 10), Reach(add="pay"), Cause(f"{n}"), is_new=True)
            for n in range(1_000)
        )
    )

    assert sum(len(each.events) for each in done) == 10
    assert {each.state.total for each in done} == {1}
    assert [await stored(store, str(n)) for n in range(10)] == [["pay"]] * 10


async def test_two_processes_that_race_record_each_command_once() -> None:
    store = MemoryStore()
    first, second = streams(store), streams(store)

    await asyncio.gather(
        *(
            process.transact("a", Reach(add=f"key {n}"), Cause(f"{n}"), is_new=True)
            for n in range(4)
            for process in (first, second)
        )
    )

    assert sorted(await stored(store, "a")) == [f"key {n}" for n in range(4)]


async def test_a_refusal_records_nothing_and_is_of_what_is_there() -> None:
    store = MemoryStore()
    await streams(store).transact("a", Reach(5), Cause("c"))

    with pytest.raises(Rejected) as refused:
        await streams(store).transact("a", Reach(2), Cause("d"), is_new=True)

    assert refused.value.reason is Reason.GOES_BACK
    assert len(await stored(store, "a")) == 5


async def test_what_was_created_in_an_earlier_life_is_seen_as_it_stands() -> None:
    store = MemoryStore()
    earlier = streams(store)
    await earlier.transact("a", Reach(add="created"), Cause("create"), is_new=True)
    await earlier.transact("a", Reach(add="sent to the bank"), Cause("send"))

    later = await streams(store).transact("a", Reach(add="created"), Cause("create"), is_new=True)

    assert later.events == ()
    assert later.state.keys == {"created", "sent to the bank"}


@pytest.mark.parametrize("faults", [["lost before"], ["lost after"], ["busy", "lost after"]])
async def test_an_unknown_outcome_is_sent_again_until_it_is_known(faults: list[str]) -> None:
    store = Faulty(faults)
    counters = streams(store)

    done = await counters.transact("a", Reach(add="pay"), Cause("c"), is_new=True)

    assert done.state.total == 1
    assert store.sent == len(faults) + 1
    assert await stored(store, "a") == ["pay"]


@pytest.mark.parametrize("fault", ["none", "lost before", "lost after", "busy"])
async def test_each_of_many_is_answered_by_itself(fault: str) -> None:
    store = Faulty(["none", fault])
    counters = streams(store)
    await counters.transact("known", Reach(3), Cause("k"))
    await streams(store).transact("unread", Reach(2), Cause("u"))

    first, more, back, same, unread = await counters.record_each(
        [
            Asked("new", Reach(1), Cause("a"), is_new=True),
            Asked("known", Reach(5), Cause("b")),
            Asked("known", Reach(4), Cause("c")),
            Asked("new", Reach(1), Cause("a"), is_new=True),
            Asked("unread", Reach(4), Cause("d")),
        ]
    )

    assert isinstance(first, Transacted)
    assert isinstance(more, Transacted)
    assert isinstance(same, Transacted)
    assert isinstance(unread, Transacted)
    assert isinstance(back, Rejected)
    assert (list(first.events), list(same.events)) == (["step 0"], [])
    assert [more.state.total, unread.state.total] == [5, 4]
    assert await stored(store, "new") == ["step 0"]
    assert await stored(store, "known") == [f"step {n}" for n in range(5)]
    assert (await counters.load("known")).revision == 4


async def test_of_many_those_where_others_were_faster_are_decided_again() -> None:
    store = MemoryStore()
    slow, fast = streams(store), streams(store)
    await slow.transact("a", Reach(1), Cause("c"))
    await fast.transact("a", Reach(2), Cause("d"))
    await fast.transact("b", Reach(add="theirs"), Cause("e"))

    done = await slow.record_each(
        [
            Asked("a", Reach(3), Cause("f")),
            Asked("b", Reach(add="ours"), Cause("g"), is_new=True),
            Asked("c", Reach(1), Cause("h"), is_new=True),
        ]
    )

    assert [each.revision for each in done if isinstance(each, Transacted)] == [2, 1, 0]
    assert await stored(store, "a") == ["step 0", "step 1", "step 2"]
    assert await stored(store, "b") == ["theirs", "ours"]


async def test_what_hinders_some_of_many_is_asked_before_any_is_appended() -> None:
    store = MemoryStore()
    counters = streams(store)
    for id_ in ("free", "hindered"):
        await counters.transact(id_, Reach(1), Cause(id_))
    await streams(store).transact("unread", Reach(1), Cause("u"))
    told: list[tuple[int, int, Sequence[str]]] = []
    ids = ("free", "hindered", "unread", "unread", "free")

    async def first(decided: Sequence[Decided[State, str]]) -> Mapping[int, Exception]:
        told.extend(
            [
                (each.number, each.state.total, await stored(store, ids[each.number]))
                for each in decided
            ]
        )
        return {each.number: Denied("no") for each in decided if each.number == 1}

    done = await counters.record_each(
        [Asked(id_, Reach(2), Cause("b")) for id_ in ids], first=first
    )

    assert [type(each) for each in done] == [Transacted, Denied, Transacted, Transacted, Transacted]
    assert told == [(n, 1, ["step 0"]) for n in range(3)]
    assert await stored(store, "hindered") == ["step 0"]
    assert await stored(store, "free") == await stored(store, "unread") == ["step 0", "step 1"]


async def test_what_may_not_be_appended_fails_alone_and_leaves_no_belief_behind() -> None:
    class Choosy(MemoryStore):
        async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
            if stream == "counter-barred" and expected >= 0:
                raise Denied("no")
            return await super().append(stream, events, expected)

    store = Choosy()
    counters = streams(store)
    for id_ in ("barred", "free"):
        await counters.transact(id_, Reach(1), Cause(id_))

    barred, free = await counters.record_each(
        [Asked("barred", Reach(2), Cause("b")), Asked("free", Reach(2), Cause("f"))]
    )

    assert isinstance(barred, Denied)
    assert isinstance(free, Transacted)
    assert counters.known("barred") is None
    assert await stored(store, "free") == ["step 0", "step 1"]


async def test_a_failed_append_leaves_no_belief_behind() -> None:
    class Deaf(MemoryStore):
        is_deaf = False

        async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
            if self.is_deaf:
                raise Denied("no")
            return await super().append(stream, events, expected)

    store = Deaf()
    counters = streams(store)
    await counters.transact("a", Reach(1), Cause("c"))
    store.is_deaf = True
    with pytest.raises(Denied):
        await counters.transact("a", Reach(2), Cause("d"))
    store.is_deaf = False
    await store.append("counter-a", [NewEvent(uuid.uuid4(), "t", b"of others")], 0)

    assert (await counters.load("a")).state.keys == {"step 0", "of others"}


async def test_a_cancelled_caller_does_not_cancel_the_append() -> None:
    store = Held()
    counters = streams(store)
    caller = asyncio.create_task(counters.transact("a", Reach(add="pay"), Cause("c"), is_new=True))
    await store.reached.wait()

    caller.cancel()
    await asyncio.wait([caller])
    behind = asyncio.create_task(counters.transact("a", Reach(add="pay"), Cause("c"), is_new=True))
    store.go.set()
    done = await behind

    assert caller.cancelled()
    assert done.events == ()
    assert done.revision == 0
    assert await stored(store, "a") == ["pay"]


async def test_metadata_tells_why_and_carries_the_trace() -> None:
    store = MemoryStore()
    trace_headers.set({"traceparent": "00-1-2-01"})

    await streams(store).transact("a", Reach(1), Cause("command", "correlation", "", "operator"))

    last = await store.read_last("counter-a")
    assert last is not None
    assert dict(last.metadata) == {
        "command_id": "command",
        "correlation_id": "correlation",
        "actor": "operator",
        "traceparent": "00-1-2-01",
    }


async def test_other_data_under_the_same_command_is_another_event() -> None:
    store = MemoryStore()
    await streams(store).transact("a", Reach(add="one"), Cause("c"))
    await streams(store).transact("b", Reach(add="two"), Cause("c"))

    ids = [event.id async for event in store.read_all(("counter-",))]

    assert len(set(ids)) == 2


_FAULTS = st.lists(st.sampled_from(["none", "lost before", "lost after", "busy"]), max_size=12)
_COMMANDS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=12)


@settings(max_examples=60)
@given(_FAULTS, _COMMANDS)
def test_whatever_is_lost_each_command_is_recorded_exactly_once(
    faults: list[str], commands: list[tuple[int, int]]
) -> None:
    async def run() -> None:
        store = Faulty(faults)
        processes = [streams(store), streams(store)]
        await asyncio.gather(
            *(
                processes[process].transact("a", Reach(add=f"{key}"), Cause(f"{key}"), is_new=True)
                for process, key in commands
            )
        )

        events = await stored(store, "a")
        assert sorted(events) == sorted({f"{key}" for _, key in commands})
        for process in processes:
            known = await process.transact("a", Reach(add=events[0]), Cause("x"))
            assert known.state.keys == set(events) or known.revision < len(events) - 1

    asyncio.run(run())


async def test_what_must_come_first_is_done_before_the_events_are_there() -> None:
    store = MemoryStore()
    seen: list[tuple[State, Sequence[str], list[str]]] = []

    async def first(state: State, events: Sequence[str]) -> None:
        seen.append((state, events, await stored(store, "a")))

    counters = streams(store)
    for _ in range(2):  # of a repeat nothing is recorded, so nothing comes first
        done = await counters.record("a", Reach(2), Cause("reach two"), first=first)

    assert [before for _, _, before in seen] == [[]]
    assert list(seen[0][1]) == await stored(store, "a")
    assert done.events == ()


async def test_what_could_not_be_done_first_is_not_recorded() -> None:
    store = MemoryStore()

    async def first(_: State, __: Sequence[str]) -> None:
        raise Rejected(Reason.GOES_BACK)

    with pytest.raises(Rejected):
        await streams(store).record("a", Reach(2), Cause("reach two"), first=first)
    assert await stored(store, "a") == []
