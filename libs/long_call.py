"""A call to the store that lasts: a message each for what would cost a call each."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import grpc
import kurrentdbclient as kurrent

from libs.asking import unless_ours
from libs.cancelling import end

ANSWER_S: Final = 5.0
# So long after the call broke, its messages go by calls of their own.
BEGIN_AGAIN_S: Final = 1.0


class CallBroken(Exception):
    """Whether it is stored is not known: send the same by a call of its own."""


class LongCall:
    """Begun with the first message, and again some time after it broke. Answers come in any order.

    `begin` opens it with the client's connection, metadata and credentials; `number_of` tells
    which message an answer is for.
    """

    def __init__(
        self,
        client: kurrent.AsyncKurrentDBClient,
        begin: Callable[[Any, Any, Any], Any],
        number_of: Callable[[Any], int],
    ) -> None:
        self._client = client
        self._open = begin
        self._number_of = number_of
        # Whether the server knows such calls at all, as far as it has said.
        self.is_known = True
        self._call: Any = None  # grpc's calls are typed by message
        self._hearing: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last = 0
        self._turn = asyncio.Lock()
        self._not_before_s = 0.0

    async def ask(self, make: Callable[[int], Any]) -> Any:  # noqa: ANN401 - as the call is
        """The answer to the message that is made of its number. Raises `CallBroken`."""
        self._last = number = self._last + 1
        request = make(number)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_S):
                async with self._turn:
                    await self._send(request)
                return await answer
        except TimeoutError:
            await self.close()
            raise CallBroken(f"no answer within {ANSWER_S} s") from None
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """End the call; what was not answered is not known."""
        call, hearing = self._call, self._hearing
        self._call = self._hearing = None
        if call is not None:
            with suppress(Exception):
                call.cancel()
        if hearing is not None:
            await end([hearing])

    async def _send(self, request: Any) -> None:  # noqa: ANN401 - as the call is
        if self._call is None:
            await self._begin()
        try:
            await self._call.write(request)
        except asyncio.CancelledError as error:
            # Where the call was ended meanwhile, gRPC says so of its messages, too.
            raise CallBroken(unless_ours(error)) from error
        except Exception as error:
            self._judge(error)
            await self.close()
            raise CallBroken(f"{type(error).__name__}: {error}") from error

    def _judge(self, error: Exception) -> None:
        if isinstance(error, grpc.RpcError):
            known: Any = error  # an asynchronous one, which has a code
            self.is_known &= known.code() is not grpc.StatusCode.UNIMPLEMENTED

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._not_before_s:
            raise CallBroken("it broke a moment ago")
        self._not_before_s = loop.time() + BEGIN_AGAIN_S
        client: Any = self._client
        try:
            await client.connect()
            # The client has such a call for one append at a time only, made anew for each.
            told = client._call_metadata, client._call_credentials  # noqa: SLF001 - as above
            metadata = client.connection.streams._metadata(told[0], requires_leader=True)  # noqa: SLF001 - as above
            self._call = self._open(client.connection, metadata, told[1])
        except Exception as error:
            raise CallBroken(f"{type(error).__name__}: {error}") from error
        self._hearing = asyncio.create_task(self._hear(self._call))

    async def _hear(self, call: Any) -> None:  # noqa: ANN401 - grpc's calls are typed by message
        reason = "the store ended it"
        try:
            async for response in call:
                answer = self._waiting.get(self._number_of(response))
                if answer is not None and not answer.done():
                    answer.set_result(response)
        except Exception as error:  # noqa: BLE001 - whatever ended it, the messages are sent again
            reason = f"{type(error).__name__}: {error}"
            self._judge(error)
        finally:
            if self._call is call:
                self._call = None
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(CallBroken(reason))
                    answer.exception()  # who waited may have given up already
