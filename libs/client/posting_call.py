"""One long call for commands: a message for many of them, where a call for them costs thrice."""

import asyncio
from contextlib import suppress
from typing import Any, Final

import grpc

from hefu.accounts.v1 import accounts_pb2 as pb
from libs.asking import unless_ours
from libs.cancelling import end
from libs.client.errors import HefuError, refusal_of
from libs.decider import FieldViolation
from libs.telemetry import current_headers

_METHOD: Final = "/hefu.accounts.v1.AccountsService/PostCommandsContinuously"
# So long after a call broke, commands go by calls of their own.
BEGIN_AGAIN_S: Final = 1.0
# After so long the next call is begun: with a token of that time, on the connection of that time.
LASTS_S: Final = 300.0
# The service says first that a message's time has passed.
_GRACE_S: Final = 1.0
_MILLIS: Final = 1_000


class CallBroken(Exception):
    """What has become of these commands is not known: send the same by a call of its own."""


class PostingCall:
    """Begun with the first message, again when it has lasted, and some time after it broke."""

    def __init__(self, channel: grpc.aio.Channel, lasts_s: float = LASTS_S) -> None:
        self._begin: Any = channel.stream_stream(  # grpc's calls are typed by message
            _METHOD, response_deserializer=pb.PostCommandsContinuouslyResponse.FromString
        )
        self._lasts_s = lasts_s
        self._line: _Line | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._not_before_s = 0.0

    async def post(self, commands: bytes, timeout_s: float) -> pb.PostCommandsResponse:
        """The answer to a `PostCommandsRequest` in its bytes.

        Raises `HefuError` where it was refused, `CallBroken` where that is not known.
        """
        line = self._line_now()
        try:
            async with asyncio.timeout(timeout_s + _GRACE_S):
                answer = await line.ask(commands, timeout_s)
        except TimeoutError:
            await line.end()
            raise CallBroken(f"no answer within {timeout_s} s") from None
        if answer.HasField("refused"):
            raise _error_of(answer.refused)
        return answer.answered

    async def close(self) -> None:
        """End the call; what was not answered is not known."""
        await end(self._ending)
        if self._line is not None:
            await self._line.end()

    def _line_now(self) -> "_Line":
        now_s = asyncio.get_running_loop().time()
        line = self._line
        if line is not None and line.is_open:
            if now_s < line.begun_s + self._lasts_s:
                return line
            self._retire(line)
        elif now_s < self._not_before_s:
            raise CallBroken("it broke a moment ago")
        self._not_before_s = now_s + BEGIN_AGAIN_S
        self._line = _Line(self._begin(), now_s)
        return self._line

    def _retire(self, line: "_Line") -> None:
        task = asyncio.get_running_loop().create_task(line.finish())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


class _Line:
    """One call, from its beginning to its end."""

    def __init__(self, call: Any, begun_s: float) -> None:  # noqa: ANN401 - as above
        self.begun_s = begun_s
        self.is_open = True
        self._call = call
        self._waiting: dict[int, asyncio.Future[pb.PostCommandsContinuouslyResponse]] = {}
        self._last = 0
        self._turn = asyncio.Lock()
        self._hearing = asyncio.get_running_loop().create_task(self._hear())

    async def ask(self, commands: bytes, timeout_s: float) -> pb.PostCommandsContinuouslyResponse:
        """The answer to one message. Raises `CallBroken`."""
        self._last = number = self._last + 1
        answer: asyncio.Future[pb.PostCommandsContinuouslyResponse]
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        message = pb.PostCommandsContinuouslyRequest(
            number=number,
            timeout_ms=int(timeout_s * _MILLIS),
            post_commands_request=commands,
            **current_headers(),
        ).SerializeToString()
        try:
            async with self._turn:
                await self._write(message)
            return await answer
        finally:
            del self._waiting[number]

    async def finish(self) -> None:
        """Send nothing more; the call ends when all is answered."""
        async with self._turn:
            with suppress(Exception):
                await self._call.done_writing()
        await asyncio.wait({self._hearing})

    async def end(self) -> None:
        """End it now."""
        self.is_open = False
        self._call.cancel()
        await end([self._hearing])

    async def _write(self, message: bytes) -> None:
        if not self.is_open:
            raise CallBroken("it has ended")
        try:
            await self._call.write(message)
        except asyncio.CancelledError as error:
            # Where the call was ended meanwhile, gRPC says so of its messages, too.
            raise CallBroken(unless_ours(error)) from error
        except Exception as error:
            self.is_open = False
            raise CallBroken(f"{type(error).__name__}: {error}") from error

    async def _hear(self) -> None:
        reason = "the service ended it"
        try:
            async for response in self._call:
                answer = self._waiting.get(response.number)
                if answer is not None and not answer.done():
                    answer.set_result(response)
        except Exception as error:  # noqa: BLE001 - whatever ended it, the commands are sent again
            reason = f"{type(error).__name__}: {error}"
        finally:
            self.is_open = False
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(CallBroken(reason))
                    answer.exception()  # who waited may be gone already


def _error_of(refused: pb.MessageRefusal) -> HefuError:
    violations = [FieldViolation(each.field, each.description) for each in refused.violations]
    return refusal_of(refused.reason, refused.description, violations)
