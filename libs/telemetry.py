"""What a process tells about itself: JSON lines, spans that travel as W3C headers, and metrics."""

import logging
import sys
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, cast

import orjson
import structlog
from opentelemetry import context, metrics, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from libs.decider import trace_headers

# Only these keys reach a log line. Never names of people, account numbers, amounts or payloads.
ALLOWED_KEYS = frozenset(
    """
    event level time service trace_id span_id exception
    address attempt attempts bank_id batch_id break_id caller code command_id consumer count
    deadline_ms duration_ms error event_id event_type events exit_code follower gap head host id
    inbox legs manners message_id message_type method model operation page pages peer pid port
    position process projection payment_id reason replica revision role round rows run_dir sequence
    settlement_id shard signal size_bytes source state statement_id step stream subject table
    transfer_id uetr version waited_s window_id business_date items expected actual
    advance_id breaks calendar days_left known_until parts plan_id snapshot ta_day task entries
    """.split()  # noqa: SIM905 - a table of words reads better than a column of quotes
)
_TEXT_MAX = 2_000
# A collector that is away holds up no end.
SHUTDOWN_S = 2.0
_SAMPLED_RATIO = 1.0
_W3C = TraceContextTextMapPropagator()
# Without local variables: those hold payloads and secrets.
_EXCEPTIONS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
)
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}

tracer = trace.get_tracer("hefu")
meter = metrics.get_meter("hefu")


def setup(
    service: str, *, log_level: str = "INFO", metrics_port: int = 0, otlp_endpoint: str = ""
) -> None:
    """Start logs, traces and metrics. They leave the process only where an endpoint is named."""
    _set_up_logs(service, log_level)
    resource = Resource({"service.name": service})
    _set_up_traces(resource, otlp_endpoint)
    if metrics_port or otlp_endpoint:
        # Imported late: a process without a page starts quicker.
        from libs.telemetry_metrics import set_up_metrics  # noqa: PLC0415

        set_up_metrics(resource, metrics_port, otlp_endpoint)


def shutdown() -> None:
    """Send what is still held back; give up after `SHUTDOWN_S`."""
    sending = threading.Thread(target=_shut_down, daemon=True)
    sending.start()
    sending.join(SHUTDOWN_S)


def _shut_down() -> None:
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        stop = getattr(provider, "shutdown", None)
        if stop is not None:
            stop()


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """A logger: `log.info("payment_closed", payment_id=...)`. Keys not allowed are dropped."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())


@contextmanager
def span(
    name: str,
    *,
    headers: Mapping[str, str] | None = None,
    linked: Mapping[str, str] | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
) -> Iterator[Span]:
    """Work as a span: it continues the trace in `headers`, or begins one that links to `linked`'s.

    Meanwhile `libs.decider.trace_headers` holds its headers, so events and messages carry them on.
    """
    parent = parent_of(headers) if headers is not None else None
    if linked is not None:
        parent = context.Context()
    links = [Link(found)] if linked is not None and (found := span_context(linked)).is_valid else []
    with tracer.start_as_current_span(name, parent, kind=kind, links=links) as started:
        token = trace_headers.set(current_headers())
        try:
            yield started
        finally:
            trace_headers.reset(token)


def parent_of(headers: Mapping[str, str]) -> context.Context:
    """The context that continues the trace in these headers."""
    return _W3C.extract(headers, context.Context())


def current_headers() -> dict[str, str]:
    """W3C headers of the work in hand; empty outside of a span."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier


def span_context(headers: Mapping[str, str]) -> trace.SpanContext:
    """Who sent these headers; invalid where they say nothing."""
    return trace.get_current_span(_W3C.extract(headers, context.Context())).get_span_context()


def _set_up_traces(resource: Resource, otlp_endpoint: str) -> None:
    if not otlp_endpoint:
        # Ids without recording: logs and events are still tied together.
        trace.set_tracer_provider(
            TracerProvider(sampler=ALWAYS_OFF, resource=resource, shutdown_on_exit=False)
        )
        return
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415 - as above
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above

    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(_SAMPLED_RATIO)),
        resource=resource,
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=otlp_endpoint)))
    trace.set_tracer_provider(provider)


def _set_up_logs(service: str, log_level: str) -> None:
    level = _LEVELS[log_level]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _add_trace,
            _EXCEPTIONS,
            _Allowed(service),
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", _Lines(sys.stdout.buffer))),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard module: the same lines, from warnings up.
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[_ToStructlog()], force=True)


def _add_trace(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ANN401 - structlog's own signature
    found = trace.get_current_span().get_span_context()
    if found.is_valid:
        line["trace_id"] = f"{found.trace_id:032x}"
        line["span_id"] = f"{found.span_id:016x}"
    return line


class _Lines:
    """Where log lines go. Nobody may be reading any more; work, and its orderly end, go on."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, line: bytes) -> None:
        with suppress(OSError):
            self._file.write(line)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()


class _Allowed:
    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _: Any, __: str, line: MutableMapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - as above
        kept = {k: _short(v) for k, v in line.items() if k in ALLOWED_KEYS}
        kept["service"] = self._service
        return kept


def _short(value: object) -> object:
    if isinstance(value, str):
        return value[:_TEXT_MAX].encode("utf-8", "replace").decode()
    return value


def _dumps(line: dict[str, Any], **_: object) -> bytes:
    return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS)


class _ToStructlog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        structlog.get_logger().log(
            record.levelno,
            "library_message",
            source=record.name,
            error=record.getMessage() if error is None else f"{record.getMessage()}: {error!r}",
        )
