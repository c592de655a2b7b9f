"""Calls that last: each message on one stands for a call of its own, and is served like one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError

from libs.cancelling import end
from libs.grpc_errors import Refused

# So many messages of a call are taken at a time; the next wait with their sender, and so do all of
# them where it does not read what it is answered.
UNDER_WAY_MAX = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """A message: its number, how long its caller waits, its trace, and the request it stands for.

    `fault`: why it is refused whatever it asks for.
    """

    number: int
    timeout_s: float
    headers: Mapping[str, str]
    raw: bytes
    fault: Refused | None = None


class Lasting(Protocol):
    """How the messages of a method are read and answered, each as a call of another method."""

    @property
    def method(self) -> str:
        """The method that each message stands for, without its service."""

    def asked(self, raw: bytes) -> Asked:
        """A message from its bytes. Raises `DecodeError`."""

    def answered(self, number: int, response: bytes) -> bytes:
        """The answer to a message, from the bytes of the other method's response."""

    def refused(self, number: int, refused: Refused) -> bytes:
        """The answer to a message that is refused."""


class LastingCall:
    """One such call, from its opening to its end."""

    def __init__(
        self,
        lasting: Lasting,
        context: Any,  # noqa: ANN401 - grpc's contexts are typed by message
        take: Callable[[Asked], Awaitable[bytes]],
    ) -> None:
        self._lasting = lasting
        self._context = context
        self._take = take
        self._room = asyncio.Semaphore(UNDER_WAY_MAX)
        self._turn = asyncio.Lock()
        self._answering: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[None] | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def serve(self, admit: Callable[[], object]) -> None:
        """Take messages until their sender is done or this is stopped, and answer what was taken.

        `admit` is asked before each and raises where nothing more may be taken from this caller.
        """
        self._reading = asyncio.create_task(self._read(admit))
        try:
            await asyncio.wait({self._reading})
            if self._answering:
                await asyncio.wait(set(self._answering))
            if not self._reading.cancelled():
                self._reading.result()
        finally:
            # Where the sender has gone. What was begun is completed; nobody hears of it here.
            await end([self._reading, *self._answering])
            self.ended.set_result(None)

    def stop(self) -> None:
        """Take no more messages."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self, admit: Callable[[], object]) -> None:
        while True:
            await self._room.acquire()
            raw = await self._context.read()
            if raw is grpc.aio.EOF:
                return
            admit()
            try:
                asked = self._lasting.asked(raw)
            except DecodeError as error:
                # It has no number to be answered by.
                raise Refused("MESSAGE_MALFORMED", "the message cannot be read") from error
            task = asyncio.create_task(self._answer(asked))
            self._answering.add(task)
            task.add_done_callback(self._answered)

    async def _answer(self, asked: Asked) -> None:
        answer = await self._take(asked)
        async with self._turn:
            await self._context.write(answer)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        self._room.release()
        if not task.cancelled():
            task.exception()  # asked for: who left without the answer asks again
