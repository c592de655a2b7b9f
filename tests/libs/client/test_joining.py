"""Calls made together travel together; each has its own answer, whatever happens to the others."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import grpc
import pytest

from libs.client.errors import HefuError, Unanswered
from libs.client.joining import Joiner
from libs.decider import FieldViolation


@dataclass
class Peer:
    """Answers each item with its double, when it is let; a negative one is refused."""

    calls: list[list[int]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    failures: list[Exception] = field(default_factory=list)
    begun: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    busy: dict[int, int] = field(default_factory=dict)

    async def send(self, items: Sequence[int]) -> Sequence[tuple[str, int]]:
        self.calls.append(list(items))
        self.begun.put_nowait(len(items))
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        if 666 in items:
            raise HefuError("FIELD_INVALID", "", [FieldViolation("commands[0].x", "bad")])
        return [self._answer(item) for item in items]

    def _answer(self, item: int) -> tuple[str, int]:
        if self.busy.get(item, 0):
            self.busy[item] -= 1
            return "QUEUE_FULL", 0
        return ("BALANCE_TOO_LOW", 0) if item < 0 else ("", 2 * item)


def joiner(peer: Peer, **bounds: float) -> Joiner[int, tuple[str, int]]:
    return Joiner(peer.send, lambda result: result[0], **bounds)  # type: ignore[arg-type]


def lost(code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


async def started(peer: Peer, calls: int) -> None:
    async with asyncio.timeout(30):
        for _ in range(calls):
            await peer.begun.get()


async def test_calls_made_together_are_one_call() -> None:
    peer = Peer()
    peer.gate.set()
    joined = joiner(peer)
    assert await asyncio.gather(*(joined.submit(n) for n in range(5))) == [
        ("", 2 * n) for n in range(5)
    ]
    assert peer.calls == [[0, 1, 2, 3, 4]]


async def test_a_lone_call_leaves_at_once_and_what_comes_meanwhile_is_the_next_batch() -> None:
    peer = Peer()
    joined = joiner(peer, in_flight_max=1)
    first = asyncio.create_task(joined.submit(1))
    await started(peer, 1)
    rest = [asyncio.create_task(joined.submit(n)) for n in (2, 3, 4)]
    await asyncio.sleep(0)
    peer.gate.set()
    await asyncio.gather(first, *rest)
    assert peer.calls == [[1], [2, 3, 4]]


async def test_no_batch_is_larger_than_its_bound_and_several_are_in_flight() -> None:
    peer = Peer()
    joined = joiner(peer, batch_max=3, in_flight_max=2)
    asked = [asyncio.create_task(joined.submit(n)) for n in range(8)]
    await started(peer, 2)
    assert peer.calls == [[0, 1, 2], [3, 4, 5]]
    peer.gate.set()
    await asyncio.gather(*asked)
    assert peer.calls[2:] == [[6, 7]]


async def test_a_refused_item_hurts_only_itself() -> None:
    peer = Peer()
    peer.gate.set()
    joined = joiner(peer)
    answers = await asyncio.gather(*(joined.submit(n) for n in (1, -1, 2)))
    assert answers == [("", 2), ("BALANCE_TOO_LOW", 0), ("", 4)]


async def test_an_item_that_spoils_the_whole_call_hurts_only_itself() -> None:
    peer = Peer()
    peer.gate.set()
    joined = joiner(peer)
    answers = await asyncio.gather(
        *(joined.submit(n) for n in (1, 2, 666, 3)), return_exceptions=True
    )
    assert answers[:2] == [("", 2), ("", 4)]
    assert isinstance(answers[2], HefuError)
    assert answers[3] == ("", 6)


async def test_a_refusal_that_is_no_items_fault_is_everybodys() -> None:
    peer = Peer(failures=[lost(grpc.StatusCode.PERMISSION_DENIED)])
    peer.gate.set()
    joined = joiner(peer)
    answers = await asyncio.gather(*(joined.submit(n) for n in (1, 2)), return_exceptions=True)
    assert [getattr(each, "reason", "") for each in answers] == ["PERMISSION_DENIED"] * 2
    assert len(peer.calls) == 1


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
async def test_a_call_without_an_answer_is_sent_again_with_the_same_items(
    code: grpc.StatusCode,
) -> None:
    peer = Peer(failures=[lost(code)])
    peer.gate.set()
    joined = joiner(peer)
    assert await asyncio.gather(*(joined.submit(n) for n in (1, 2))) == [("", 2), ("", 4)]
    assert peer.calls == [[1, 2], [1, 2]]


async def test_only_items_refused_for_the_moment_are_sent_again() -> None:
    peer = Peer(busy={2: 1})
    peer.gate.set()
    joined = joiner(peer)
    assert await asyncio.gather(*(joined.submit(n) for n in (1, 2, 3))) == [
        ("", 2),
        ("", 4),
        ("", 6),
    ]
    assert peer.calls == [[1, 2, 3], [2]]


async def test_patience_ends_with_the_outcome_unknown() -> None:
    peer = Peer(failures=[lost() for _ in range(100)])
    peer.gate.set()
    joined = joiner(peer, patience_s=0.2)
    with pytest.raises(Unanswered):
        await joined.submit(1)


async def test_a_caller_who_leaves_takes_nobody_along() -> None:
    peer = Peer()
    joined = joiner(peer)
    stays, leaves = (asyncio.create_task(joined.submit(n)) for n in (1, 2))
    await started(peer, 1)
    leaves.cancel()
    peer.gate.set()
    assert await stays == ("", 2)


async def test_closing_tells_whoever_waits_that_nothing_is_known() -> None:
    peer = Peer()
    joined = joiner(peer, in_flight_max=1)
    asked = [asyncio.create_task(joined.submit(n)) for n in (1,)]
    await started(peer, 1)
    asked.append(asyncio.create_task(joined.submit(2)))
    await asyncio.sleep(0)
    await joined.close()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in answers] == [Unanswered, Unanswered]


async def one_by_one(
    joined: Joiner[int, tuple[str, int]], count: int
) -> list[asyncio.Task[object]]:
    made: list[asyncio.Task[object]] = []
    for n in range(count):
        made.append(asyncio.create_task(joined.submit(n)))
        for _ in range(5):
            await asyncio.sleep(0)
    return made


async def test_what_comes_one_by_one_during_a_call_leaves_together_after_it() -> None:
    peer = Peer()
    made = await one_by_one(joiner(peer, apart_after_s=1_000.0), 10)
    peer.gate.set()
    await asyncio.wait_for(asyncio.gather(*made), 30)

    assert peer.calls == [[0], list(range(1, 10))]


async def test_a_call_that_lasts_does_not_hold_up_what_comes_after_it() -> None:
    peer = Peer()
    made = await one_by_one(joiner(peer, apart_after_s=0.001), 3)
    await started(peer, 2)
    peer.gate.set()
    await asyncio.wait_for(asyncio.gather(*made), 30)

    assert peer.calls[0] == [0]
    assert len(peer.calls) >= 2
