"""A call that lasts, against a caller that does not read what it is answered."""

import asyncio
from dataclasses import dataclass, field

import grpc

from libs.grpc_errors import Refused
from libs.grpc_lasting import UNDER_WAY_MAX, Asked, LastingCall


class Numbers:
    """Messages that are numbers in text."""

    method = "Echo"

    def asked(self, raw: bytes) -> Asked:
        return Asked(int(raw), 1.0, {}, raw)

    def answered(self, number: int, response: bytes) -> bytes:
        return b"%d:%b" % (number, response)

    def refused(self, number: int, refused: Refused) -> bytes:
        return f"{number}:{refused.reason}".encode()


@dataclass
class Wire:
    """So many messages come in; an answer goes out where there is room for it."""

    count: int
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    taken: int = 0
    answers: list[bytes] = field(default_factory=list)

    async def read(self) -> object:
        if self.taken == self.count:
            return grpc.aio.EOF
        self.taken += 1
        return b"%d" % self.taken

    async def write(self, answer: bytes) -> None:
        await self.room.acquire()
        self.answers.append(answer)


async def _idle() -> None:
    """Let everything run that can."""
    for _ in range(100):
        await asyncio.sleep(0)


async def _echo(asked: Asked) -> bytes:
    return asked.raw


async def test_a_caller_that_does_not_read_is_not_read_from_either() -> None:
    wire = Wire(5 * UNDER_WAY_MAX)
    serving = asyncio.create_task(LastingCall(Numbers(), wire, _echo).serve(lambda: None))

    await _idle()
    assert wire.taken == UNDER_WAY_MAX

    wire.room.release()
    await _idle()
    assert (wire.taken, len(wire.answers)) == (UNDER_WAY_MAX + 1, 1)

    for _ in range(wire.count):
        wire.room.release()
    await serving
    assert sorted(map(int, wire.answers)) == list(range(1, wire.count + 1))


async def test_a_stopped_call_ends_once_what_it_took_is_answered() -> None:
    wire = Wire(5 * UNDER_WAY_MAX)
    call = LastingCall(Numbers(), wire, _echo)
    serving = asyncio.create_task(call.serve(lambda: None))
    await _idle()

    call.stop()
    await _idle()
    assert not serving.done()
    for _ in range(UNDER_WAY_MAX):
        wire.room.release()
    await serving

    assert call.ended.done()
    assert len(wire.answers) == wire.taken == UNDER_WAY_MAX


async def test_a_caller_that_leaves_ends_the_call() -> None:
    wire = Wire(UNDER_WAY_MAX)
    call = LastingCall(Numbers(), wire, _echo)
    serving = asyncio.create_task(call.serve(lambda: None))
    await _idle()

    serving.cancel()
    await asyncio.wait({serving})

    assert serving.cancelled()
    assert call.ended.done()
    assert not wire.answers
