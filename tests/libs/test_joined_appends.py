"""Appends made together travel together, and each gets the answer that is true for it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from libs.event_store import (
    NO_STREAM,
    Appended,
    AppendFailed,
    Denied,
    NewEvent,
    OutcomeUnknown,
    TooLarge,
    WrongVersion,
)
from libs.joined_appends import Append, CannotJoin, Conflicts, JoinedAppends
from libs.memory_store import MemoryStore
from tests.events import event


class Server:
    """All or nothing over several streams, as the real one does it; and what it does amiss."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.calls: list[list[str]] = []
        self.faults: list[Exception | str] = []
        self.joins = True

    async def send(self, group: Sequence[Append]) -> Sequence[Appended]:
        self.calls.append([append.stream for append in group])
        await asyncio.sleep(0.001)  # a call takes a while: others gather meanwhile
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Exception):
            raise fault
        if not self.joins and len(group) > 1:
            raise CannotJoin("one by one")
        conflicts = {}
        known = 0
        for append in group:
            last = await self.store.read_last(append.stream)
            revision = last.revision if last else NO_STREAM
            ids = {each.id async for each in self.store.read(append.stream)}
            is_known = all(each.id in ids for each in append.events)
            known += is_known
            if revision != append.expected and (not is_known or known < len(group)):
                conflicts[append.stream] = revision
        if known == len(group):
            conflicts = {}
        if conflicts:
            raise Conflicts(conflicts)
        done = [await self.store.append(a.stream, a.events, a.expected) for a in group]
        if fault == "lost after":
            raise OutcomeUnknown("sent")
        return done


@asynccontextmanager
async def joined(server: Server) -> AsyncIterator[JoinedAppends]:
    appends = JoinedAppends(server.send, resend_first_s=0.0)
    yield appends
    await appends.close()


class Held(Server):
    """Answers its first call when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.gate = asyncio.Event(), asyncio.Event()

    async def send(self, group: Sequence[Append]) -> Sequence[Appended]:
        is_first = not self.calls
        done = await super().send(group)
        if is_first:
            self.begun.set()
            await self.gate.wait()
        return done


async def during_a_call(server: Held, apart_after_s: float, count: int) -> None:
    """Appends that come one after another while the first call is under way."""
    appends = JoinedAppends(server.send, apart_after_s=apart_after_s)
    made = [asyncio.create_task(appends.append("first", [event()], NO_STREAM))]
    async with asyncio.timeout(30):
        await server.begun.wait()
        for n in range(count):
            made.append(asyncio.create_task(appends.append(f"s-{n}", [event()], NO_STREAM)))
            for _ in range(5):
                await asyncio.sleep(0)
        if apart_after_s < 1:
            await asyncio.gather(*made[1:])
        server.gate.set()
        await asyncio.gather(*made)
    await appends.close()


async def test_what_comes_one_by_one_during_a_call_leaves_together_after_it() -> None:
    server = Held()
    await during_a_call(server, 1_000.0, 20)

    assert [len(call) for call in server.calls] == [1, 20]


async def test_a_call_that_lasts_does_not_hold_up_what_comes_after_it() -> None:
    server = Held()
    await during_a_call(server, 0.001, 3)

    assert sum(map(len, server.calls)) == 4


async def test_what_comes_during_a_call_goes_with_the_next() -> None:
    server = Server()
    async with joined(server) as appends:
        await asyncio.gather(*(appends.append(f"s-{n}", [event()], NO_STREAM) for n in range(200)))

    assert len(server.calls) <= 4
    assert all(len(call) == len(set(call)) for call in server.calls)


async def test_one_stream_is_once_in_a_call_and_in_order() -> None:
    server = Server()
    async with joined(server) as appends:
        done = await asyncio.gather(*(appends.append("s", [event()], n - 1) for n in range(10)))

    assert [each.revision for each in done] == list(range(10))
    assert all(call == ["s"] for call in server.calls)


async def test_a_call_holds_no_more_than_its_bytes() -> None:
    server = Server()
    half = NewEvent(event().id, "t", b"x" * 400_000)
    async with joined(server) as appends:
        await asyncio.gather(
            *(
                appends.append(f"s-{n}", [NewEvent(event().id, "t", half.data)], NO_STREAM)
                for n in range(10)
            )
        )

    assert max(len(call) for call in server.calls) == 2


async def test_too_large_is_told_before_it_is_sent() -> None:
    server = Server()
    async with joined(server) as appends:
        with pytest.raises(TooLarge):
            await appends.append("s", [NewEvent(event().id, "t", b"x" * (1 << 20))], NO_STREAM)

    assert server.calls == []


async def test_an_unknown_outcome_sends_the_very_same_call_again() -> None:
    server = Server()
    server.faults = ["lost after", OutcomeUnknown("not sent")]
    async with joined(server) as appends:
        await asyncio.gather(*(appends.append(f"s-{n}", [event()], NO_STREAM) for n in range(5)))

    assert server.calls == [[f"s-{n}" for n in range(5)]] * 3


async def test_conflicts_are_of_their_streams_alone() -> None:
    server = Server()
    for n in range(3):
        await server.store.append(f"s-{n}", [event()], NO_STREAM)
    async with joined(server) as appends:
        done = await asyncio.gather(
            *(appends.append(f"s-{n}", [event()], NO_STREAM) for n in range(6)),
            return_exceptions=True,
        )

    assert [isinstance(each, WrongVersion) for each in done] == [True] * 3 + [False] * 3
    assert isinstance(done[0], WrongVersion)
    assert (done[0].expected, done[0].actual) == (NO_STREAM, 0)


async def test_what_was_stored_before_is_no_conflict() -> None:
    server = Server()
    known = [event()]
    first = await server.store.append("known", known, NO_STREAM)
    async with joined(server) as appends:
        done = await asyncio.gather(
            appends.append("known", known, NO_STREAM), appends.append("new", [event()], NO_STREAM)
        )

    assert done[0] == first


async def test_a_server_that_cannot_join_is_asked_once_and_then_one_by_one() -> None:
    server = Server()
    server.joins = False
    async with joined(server) as appends:
        for start in (0, 50):
            await asyncio.gather(
                *(appends.append(f"s-{start + n}", [event()], NO_STREAM) for n in range(50))
            )

    assert sum(len(call) > 1 for call in server.calls) == 1


async def test_many_given_at_once_leave_in_one_call_and_each_has_its_own_answer() -> None:
    server = Server()
    await server.store.append("taken", [event()], NO_STREAM)
    async with joined(server) as appends:
        huge = [NewEvent(event().id, "t", b"x" * (1 << 20))]
        free, taken, large = await appends.append_each(
            [("free", [event()], NO_STREAM), ("taken", [event()], NO_STREAM), ("big", huge, -1)]
        )
    assert server.calls[0] == ["free", "taken"]
    assert isinstance(free, Appended)
    assert isinstance(taken, WrongVersion)
    assert isinstance(large, TooLarge)


async def test_what_one_may_not_do_does_not_refuse_the_others() -> None:
    server = Server()
    server.faults = [Denied("one of these is not yours")]
    async with joined(server) as appends:
        done = await asyncio.gather(
            *(appends.append(f"s-{n}", [event()], NO_STREAM) for n in range(3))
        )

    assert len(done) == 3


async def test_a_store_that_stays_away_leaves_all_unknown() -> None:
    server = Server()
    server.faults = [OutcomeUnknown("away")] * 1_000
    async with joined(server) as appends:
        done = await asyncio.gather(
            *(appends.append(f"s-{n}", [event()], NO_STREAM) for n in range(3)),
            return_exceptions=True,
        )

    assert all(isinstance(each, OutcomeUnknown) for each in done)


async def test_closing_answers_who_still_waits() -> None:
    server = Server()
    appends = JoinedAppends(server.send)
    waiting = asyncio.create_task(appends.append("s", [event()], NO_STREAM))
    await asyncio.sleep(0)

    await appends.close()

    with pytest.raises(AppendFailed):
        await waiting
