"""What every call passes: who, may they, how long, is it well formed; one outcome, told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from libs.auth import Caller, Unauthenticated, set_caller
from libs.grpc_callers import Identify
from libs.grpc_errors import Refused, grpc_status
from libs.grpc_lasting import Asked, Lasting, LastingCall
from libs.grpc_served import OURS, Served, begin, end, told
from libs.validation import drops_unknown_fields, shape_violations

# A caller may wait this long for one answer; it is told to come back after that.
DEADLINE_CAP_S = 120.0
_HEALTH = "/grpc.health.v1.Health/"

Plain = TypeVar("Plain")

# Until when the call in hand must be answered (event loop time), and the task that serves it: work
# it leaves behind has its own time.
_deadline: ContextVar[tuple[asyncio.Task[Any] | None, float] | None] = ContextVar(
    "deadline", default=None
)


@dataclass(frozen=True, slots=True)
class Quick(Generic[Plain]):
    """A way for requests of a method whose messages would cost more than their work.

    `read` takes a request from its bytes where it surely is well-formed; else None: then it is
    read, checked and served the general way. `serve` answers the response's bytes.
    """

    read: Callable[[bytes], Plain | None]
    serve: Callable[[Plain], Awaitable[bytes]]


Rules = Mapping[str, frozenset[str]]  # "/hefu.payments.v1.PaymentsService/GetPayment" -> who may


def time_left_s() -> float | None:
    """What is left of the deadline of the call in hand; None outside of one."""
    found = _deadline.get()
    if found is None or found[0] is not asyncio.current_task():
        return None
    return found[1] - asyncio.get_running_loop().time()


class Edge(grpc.aio.ServerInterceptor):
    """The one interceptor. Handlers are wrapped once a method, not once a call."""

    def __init__(
        self,
        rules: Rules,
        identify: Identify,
        max_running: int,
        quick: Mapping[str, Quick[Any]] | None = None,
        lasting: Mapping[str, Lasting] | None = None,
    ) -> None:
        self._rules = rules
        self._quick = quick or {}
        self._lasting = lasting or {}
        self._identify = identify
        self._max_running = max_running
        self._wrapped: dict[str, Any] = {}
        self._running: set[asyncio.Task[Any]] = set()
        self._open: set[LastingCall] = set()
        self._is_draining = False

    async def drain(self, within_s: float) -> None:
        """Take nothing new; return once what was taken is answered, or after this time."""
        self._is_draining = True
        for call in self._open:
            call.stop()
        left = [*self._running, *(call.ended for call in self._open)]
        if left:
            await asyncio.wait(left, timeout=within_s)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:  # noqa: ANN401 - grpc's handlers are typed by message
        """The wrapped handler of a method; None where there is no such method."""
        method = str(handler_call_details.method)
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None or method.startswith(_HEALTH):
                return handler
            if handler.request_streaming:
                lasting = self._lasting[method]
                stands_for = f"{method.rpartition('/')[0]}/{lasting.method}"
                asks: Any = type(handler_call_details)  # grpc takes its own class alone
                handler = await continuation(asks(stands_for, ()))
                wrapped = self._for_messages(method, stands_for, lasting, handler)
            else:
                wrapped = self._wrap(method, handler)
            self._wrapped[method] = wrapped
        return wrapped

    def _wrap(self, method: str, handler: Any) -> Any:  # noqa: ANN401 - as above
        # Requests arrive as bytes, so that what cannot be read is refused like any other mistake.
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._streaming(method, handler), None, _in_bytes(handler.response_serializer)
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(method, handler), None, _in_bytes(handler.response_serializer)
        )

    def _unary(
        self,
        method: str,
        handler: Any,  # noqa: ANN401
    ) -> Callable[[bytes, Any], Awaitable[Message | bytes]]:
        work = self._work(method, handler)

        async def serve(raw: bytes, context: Any) -> Message | bytes:  # noqa: ANN401
            served = begin(method, context.invocation_metadata())
            try:
                left_s = self._admit(served, context)
                return await self._finish(work(raw, context), left_s)
            except Exception as error:  # noqa: BLE001 - the edge: nothing may leave it unmapped
                await self._refuse(served, context, error)
            finally:
                _end_soon(served)

        return serve

    def _work(
        self,
        method: str,
        handler: Any,  # noqa: ANN401
    ) -> Callable[[bytes, Any], Awaitable[Message | bytes]]:
        """How a request in bytes is served: quickly where it can be, else the general way."""
        quick = self._quick.get(method)

        def work(raw: bytes, context: Any) -> Awaitable[Message | bytes]:  # noqa: ANN401
            plain = None if quick is None else quick.read(raw)
            if quick is not None and plain is not None:
                return quick.serve(plain)
            found: Awaitable[Message] = handler.unary_unary(_read(handler, raw), context)
            return found

        return work

    def _for_messages(
        self,
        method: str,
        stands_for: str,
        lasting: Lasting,
        handler: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        work, in_bytes = self._work(stands_for, handler), _in_bytes(handler.response_serializer)

        async def serve(_requests: Any, context: Any) -> None:  # noqa: ANN401
            served = begin(method, context.invocation_metadata())

            async def take(asked: Asked) -> bytes:
                message = begin(stands_for, asked.headers.items(), served.caller)
                try:
                    self._take_up(asked.fault)
                    left_s = min(asked.timeout_s, DEADLINE_CAP_S)
                    reply = await self._finish(work(asked.raw, context), left_s)
                    return lasting.answered(asked.number, in_bytes(reply))
                except Exception as error:  # noqa: BLE001 - the edge: nothing may leave it unmapped
                    refused = told(message, error) or Refused(OURS.name, "internal error")
                    return lasting.refused(asked.number, refused)
                finally:
                    _end_soon(message)

            call = LastingCall(lasting, context, take)
            try:
                self._admit(served, context, stands_for, is_streaming=True)
                # One that was refused never ends: a stop would wait for it.
                self._open.add(call)
                await call.serve(lambda: self._name(served, context))
            except Exception as error:  # noqa: BLE001 - as above
                await self._refuse(served, context, error)
            finally:
                self._open.discard(call)
                end(served)

        return grpc.stream_stream_rpc_method_handler(serve, None, None)

    def _streaming(
        self,
        method: str,
        handler: Any,  # noqa: ANN401
    ) -> Callable[[bytes, Any], AsyncIterator[Message]]:
        async def serve(raw: bytes, context: Any) -> AsyncIterator[Message]:  # noqa: ANN401
            served = begin(method, context.invocation_metadata())
            try:
                self._admit(served, context, is_streaming=True)
                request = _read(handler, raw)
                async with aclosing(handler.unary_stream(request, context)) as replies:
                    async for reply in replies:
                        yield reply
            except Exception as error:  # noqa: BLE001 - as above
                await self._refuse(served, context, error)
            finally:
                end(served)

        return serve

    def _admit(
        self,
        served: Served,
        context: Any,  # noqa: ANN401
        *also: str,
        is_streaming: bool = False,
    ) -> float:
        caller = self._name(served, context)
        for method in (served.method, *also):
            allowed = self._rules[method]
            if caller.role not in allowed and served.caller not in allowed:
                raise Refused("PERMISSION_DENIED", f"{served.caller} may not call {method}")
        left_s = context.time_remaining()
        if left_s is None:
            raise Refused("DEADLINE_MISSING", "every call needs a deadline")
        self._take_up()
        if not is_streaming:
            left_s = min(left_s, DEADLINE_CAP_S)
        set_caller(caller)
        return float(left_s)

    def _name(self, served: Served, context: Any) -> Caller:  # noqa: ANN401
        try:
            caller = self._identify(context)
        except Unauthenticated as error:
            raise Refused("UNAUTHENTICATED", str(error)) from error
        served.caller = f"{caller.role}:{caller.name}"
        return caller

    def _take_up(self, fault: Refused | None = None) -> None:
        if fault is not None:
            raise fault
        if self._is_draining:
            raise Refused("SHUTTING_DOWN", "send the same again")
        if len(self._running) >= self._max_running:
            raise Refused("QUEUE_FULL", "too much is under way; send the same again later")

    async def _finish(self, work: Awaitable[Message | bytes], left_s: float) -> Message | bytes:
        # At the caller's deadline grpc cancels between two awaits. The work goes on by itself then,
        # so that it is complete or never began; the caller learns of it by asking again.
        task = asyncio.ensure_future(_with_deadline(work, left_s))
        self._running.add(task)
        task.add_done_callback(self._done)
        async with asyncio.timeout(left_s):
            return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # asked for, so that nobody complains where the caller has left

    async def _refuse(self, served: Served, context: Any, error: Exception) -> NoReturn:  # noqa: ANN401
        if isinstance(error, grpc.aio.AbortError):
            served.code = grpc.StatusCode(context.code()) if context.code() else OURS
            raise error
        refused = told(served, error)
        if refused is None:
            await context.abort(OURS, "internal error")
        else:
            await context.abort_with_status(grpc_status(refused))
        raise AssertionError("abort raises")


def _end_soon(served: Served) -> None:
    """Tell of it a turn later, once its answer is on its way; what runs then has our context."""
    asyncio.get_running_loop().call_soon(end, served)


async def _with_deadline(work: Awaitable[Message | bytes], left_s: float) -> Message | bytes:
    until_s = asyncio.get_running_loop().time() + left_s
    before = _deadline.set((asyncio.current_task(), until_s))
    try:
        return await work
    finally:
        # A task named by its own context is a ring: with its reply it would wait for the collector.
        _deadline.reset(before)


def _in_bytes(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """What a quick way answers, or one of a frequent method, is in bytes already."""
    return lambda reply: reply if isinstance(reply, bytes) else serialize(reply)


def _read(handler: Any, raw: bytes) -> Message:  # noqa: ANN401
    try:
        request: Message = handler.request_deserializer(raw)
    except (DecodeError, ValueError) as error:
        raise Refused("MESSAGE_MALFORMED", "the message cannot be read") from error
    fault = fault_of(request)
    if fault is not None:
        raise fault
    return request


def fault_of(request: Message) -> Refused | None:
    """Why a message is refused for its shape; None where it is well-formed."""
    if drops_unknown_fields(request):
        text = "the message has fields that this version does not know"
        return Refused("FIELD_NOT_ALLOWED", text)
    violations = shape_violations(request)
    if violations:
        first = violations[0]
        return Refused("FIELD_INVALID", f"{first.field}: {first.description}", violations)
    return None
