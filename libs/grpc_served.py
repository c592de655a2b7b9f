"""A call served, or a message that stands for one: its span, its duration, its line in the log."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import grpc
from opentelemetry import context as trace_context
from opentelemetry.trace import SpanKind, StatusCode, get_current_span, set_span_in_context

from libs.decider import trace_headers
from libs.grpc_errors import REASONS, Refused, to_error
from libs.telemetry import current_headers, get_logger, meter, parent_of, tracer

OURS = grpc.StatusCode.INTERNAL

log = get_logger()
_duration = meter.create_histogram("rpc.server.call.duration", unit="s", description="Served calls")


@dataclass(slots=True)
class Served:
    """What is told of a call when it ends."""

    method: str
    started_s: float
    caller: str = ""
    code: grpc.StatusCode = grpc.StatusCode.OK
    reason: str = ""


def begin(method: str, metadata: Iterable[tuple[str, str | bytes]], caller: str = "") -> Served:
    """A call of a method begins, in the trace of its metadata."""
    # Each call has a task and so a context of its own: nothing set here needs to be taken back.
    headers = {k: v for k, v in metadata or () if isinstance(v, str)}
    span = tracer.start_span(method[1:], parent_of(headers), kind=SpanKind.SERVER)
    trace_context.attach(set_span_in_context(span))
    trace_headers.set(current_headers())
    return Served(method, time.perf_counter(), caller)


def told(served: Served, error: Exception) -> Refused | None:
    """What the caller may know of it; None: nothing, and it is logged."""
    refused = to_error(error)
    if refused is None:
        served.code = OURS
        log.error("call_failed", method=served.method, caller=served.caller, exc_info=error)
    else:
        served.code = REASONS.get(refused.reason, grpc.StatusCode.FAILED_PRECONDITION)
        served.reason = refused.reason
    return refused


def end(served: Served) -> None:
    """It has ended, in the task that began it."""
    took_s = time.perf_counter() - served.started_s
    span = get_current_span()
    span.set_attribute("rpc.response.status_code", served.code.name)
    if served.code is OURS:
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
