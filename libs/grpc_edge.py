"""What every call passes: who, may they, how long, is it well formed; one outcome, told."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from opentelemetry import context as trace_context
from opentelemetry.trace import SpanKind, StatusCode, get_current_span, set_span_in_context

from libs.auth import Caller, Unauthenticated, Verifier, caller_of_peer, set_caller
from libs.decider import trace_headers
from libs.grpc_errors import REASONS, Refused, grpc_status, to_error
from libs.telemetry import current_headers, get_logger, meter, parent_of, tracer
from libs.validation import drops_unknown_fields, shape_violations

# A caller may wait this long for one answer; it is told to come back after that.
DEADLINE_CAP_S = 120.0
_SAN = "x509_subject_alternative_name"
_BEARER = "Bearer "
_HEALTH = "/grpc.health.v1.Health/"
_OURS = grpc.StatusCode.INTERNAL

Asked = TypeVar("Asked")

log = get_logger()
_duration = meter.create_histogram("rpc.server.call.duration", unit="s", description="Served calls")

# Until when the call in hand must be answered (event loop time), and the task that serves it: work
# it leaves behind has its own time.
_deadline: ContextVar[tuple[asyncio.Task[Any] | None, float] | None] = ContextVar(
    "deadline", default=None
)

Identify = Callable[[Any], Caller]


@dataclass(frozen=True, slots=True)
class Quick(Generic[Asked]):
    """A way for requests of a method whose messages would cost more than their work.

    `read` takes a request from its bytes where it surely is well-formed; else None: then it is
    read, checked and served the general way. `serve` answers the response's bytes.
    """

    read: Callable[[bytes], Asked | None]
    serve: Callable[[Asked], Awaitable[bytes]]


Rules = Mapping[str, frozenset[str]]  # "/hefu.payments.v1.PaymentsService/GetPayment" -> who may


def time_left_s() -> float | None:
    """What is left of the deadline of the call in hand; None outside of one."""
    found = _deadline.get()
    if found is None or found[0] is not asyncio.current_task():
        return None
    return found[1] - asyncio.get_running_loop().time()


def by_token(verifier: Verifier) -> Identify:
    """Callers by the bearer token in their metadata."""

    def identify(context: Any) -> Caller:  # noqa: ANN401 - grpc's contexts are typed by message
        found = [v for k, v in context.invocation_metadata() or () if k == "authorization"]
        if len(found) != 1 or not isinstance(found[0], str) or not found[0].startswith(_BEARER):
            raise Unauthenticated("one bearer token is needed")
        return verifier.verify(found[0][len(_BEARER) :])

    return identify


def by_certificate(context: Any) -> Caller:  # noqa: ANN401 - as above
    """Callers by the URI in their client certificate."""
    names = context.auth_context().get(_SAN, ())
    return caller_of_peer(tuple(name.decode("utf-8", "replace") for name in names))


@dataclass(slots=True)
class _Served:
    method: str
    started_s: float
    caller: str = ""
    code: grpc.StatusCode = grpc.StatusCode.OK
    reason: str = ""


class Edge(grpc.aio.ServerInterceptor):
    """The one interceptor. Handlers are wrapped once a method, not once a call."""

    def __init__(
        self,
        rules: Rules,
        identify: Identify,
        max_running: int,
        quick: Mapping[str, Quick[Any]] | None = None,
    ) -> None:
        self._rules = rules
        self._quick = quick or {}
        self._identify = identify
        self._max_running = max_running
        self._wrapped: dict[str, Any] = {}
        self.running: set[asyncio.Task[Any]] = set()
        self.is_draining = False

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
            wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Any) -> Any:  # noqa: ANN401 - as above
        # Requests arrive as bytes, so that what cannot be read is refused like any other mistake.
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._streaming(method, handler), None, handler.response_serializer
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(method, handler), None, _in_bytes(handler.response_serializer)
        )

    def _unary(
        self,
        method: str,
        handler: Any,  # noqa: ANN401
    ) -> Callable[[bytes, Any], Awaitable[Message | bytes]]:
        quick = self._quick.get(method)

        async def serve(raw: bytes, context: Any) -> Message | bytes:  # noqa: ANN401
            served = self._begin(method, context)
            try:
                left_s = self._admit(served, context)
                asked = None if quick is None else quick.read(raw)
                work: Awaitable[Message | bytes]
                if quick is None or asked is None:
                    work = handler.unary_unary(_read(handler, raw), context)
                else:
                    work = quick.serve(asked)
                return await self._finish(work, left_s)
            except Exception as error:  # noqa: BLE001 - the edge: nothing may leave it unmapped
                await self._refuse(served, context, error)
            finally:
                self._end(served)

        return serve

    def _streaming(
        self,
        method: str,
        handler: Any,  # noqa: ANN401
    ) -> Callable[[bytes, Any], AsyncIterator[Message]]:
        async def serve(raw: bytes, context: Any) -> AsyncIterator[Message]:  # noqa: ANN401
            served = self._begin(method, context)
            try:
                self._admit(served, context, is_streaming=True)
                request = _read(handler, raw)
                async with aclosing(handler.unary_stream(request, context)) as replies:
                    async for reply in replies:
                        yield reply
            except Exception as error:  # noqa: BLE001 - as above
                await self._refuse(served, context, error)
            finally:
                self._end(served)

        return serve

    def _begin(self, method: str, context: Any) -> _Served:  # noqa: ANN401
        # Each call has a task and so a context of its own: nothing set here needs to be taken back.
        metadata = {k: v for k, v in context.invocation_metadata() or () if isinstance(v, str)}
        span = tracer.start_span(method[1:], parent_of(metadata), kind=SpanKind.SERVER)
        trace_context.attach(set_span_in_context(span))
        trace_headers.set(current_headers())
        return _Served(method, time.perf_counter())

    def _admit(
        self,
        served: _Served,
        context: Any,  # noqa: ANN401
        *,
        is_streaming: bool = False,
    ) -> float:
        try:
            caller = self._identify(context)
        except Unauthenticated as error:
            raise Refused("UNAUTHENTICATED", str(error)) from error
        served.caller = f"{caller.role}:{caller.name}"
        allowed = self._rules[served.method]
        if caller.role not in allowed and served.caller not in allowed:
            raise Refused("PERMISSION_DENIED", f"{served.caller} may not call {served.method}")
        left_s = context.time_remaining()
        if left_s is None:
            raise Refused("DEADLINE_MISSING", "every call needs a deadline")
        if self.is_draining:
            raise Refused("SHUTTING_DOWN", "send the same again")
        if len(self.running) >= self._max_running:
            raise Refused("QUEUE_FULL", "too much is under way; send the same again later")
        if not is_streaming:
            left_s = min(left_s, DEADLINE_CAP_S)
        set_caller(caller)
        return float(left_s)

    async def _finish(self, work: Awaitable[Message | bytes], left_s: float) -> Message | bytes:
        # At the caller's deadline grpc cancels between two awaits. The work goes on by itself then,
        # so that it is complete or never began; the caller learns of it by asking again.
        task = asyncio.ensure_future(_with_deadline(work, left_s))
        self.running.add(task)
        task.add_done_callback(self._done)
        async with asyncio.timeout(left_s):
            return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self.running.discard(task)
        if not task.cancelled():
            task.exception()  # asked for, so that nobody complains where the caller has left

    async def _refuse(self, served: _Served, context: Any, error: Exception) -> NoReturn:  # noqa: ANN401
        if isinstance(error, grpc.aio.AbortError):
            served.code = grpc.StatusCode(context.code()) if context.code() else _OURS
            raise error
        refused = to_error(error)
        if refused is None:
            served.code = _OURS
            log.error("call_failed", method=served.method, caller=served.caller, exc_info=error)
            await context.abort(_OURS, "internal error")
        else:
            served.code = REASONS.get(refused.reason, grpc.StatusCode.FAILED_PRECONDITION)
            served.reason = refused.reason
            await context.abort_with_status(grpc_status(refused))
        raise AssertionError("abort raises")

    def _end(self, served: _Served) -> None:
        took_s = time.perf_counter() - served.started_s
        span = get_current_span()
        span.set_attribute("rpc.response.status_code", served.code.name)
        if served.code is _OURS:
            span.set_status(StatusCode.ERROR)
        span.end()
        _duration.record(
            took_s, {"rpc.method": served.method[1:], "rpc.response.status_code": served.code.name}
        )
        tell = log.debug if served.code is grpc.StatusCode.OK else log.info
        tell(
            "call_served",
            method=served.method,
            caller=served.caller,
            code=served.code.name,
            reason=served.reason,
            duration_ms=round(took_s * 1_000, 2),
        )


async def _with_deadline(work: Awaitable[Message | bytes], left_s: float) -> Message | bytes:
    _deadline.set((asyncio.current_task(), asyncio.get_running_loop().time() + left_s))
    return await work


def _in_bytes(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """What a quick way answers is in bytes already."""
    return lambda reply: reply if isinstance(reply, bytes) else serialize(reply)


def _read(handler: Any, raw: bytes) -> Message:  # noqa: ANN401
    try:
        request: Message = handler.request_deserializer(raw)
    except (DecodeError, ValueError) as error:
        raise Refused("MESSAGE_MALFORMED", "the message cannot be read") from error
    if drops_unknown_fields(request):
        raise Refused("FIELD_NOT_ALLOWED", "the message has fields that this version does not know")
    violations = shape_violations(request)
    if violations:
        first = violations[0]
        raise Refused("FIELD_INVALID", f"{first.field}: {first.description}", violations)
    return request
