"""Metrics on a page of loopback for Prometheus, and to a collector where one is named."""

from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import start_http_server

LOOPBACK = "127.0.0.1"


def set_up_metrics(resource: Resource, metrics_port: int, otlp_endpoint: str) -> None:
    """Serve the page (0: none) and start sending (empty: nowhere)."""
    readers: list[MetricReader] = []
    if metrics_port:
        readers.append(PrometheusMetricReader())
        # A page that cannot be had stops nothing: telemetry may fail, work goes on.
        try:
            start_http_server(metrics_port, addr=LOOPBACK)
        except OSError:
            readers.clear()
    if otlp_endpoint:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415 - heavy
            OTLPMetricExporter,
        )
        from opentelemetry.sdk.metrics.export import (  # noqa: PLC0415 - as above
            PeriodicExportingMetricReader,
        )

        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=otlp_endpoint)))
    metrics.set_meter_provider(MeterProvider(readers, resource=resource, shutdown_on_exit=False))
