"""Otlp: spans and metrics of calls, by OpenTelemetry's own SDK and OTLP exporter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, TracerProvider

from polyport.observing import Event, Observer
from polyport_otel.attributes import Value, of_span, operation_of
from polyport_otel.content import of_content
from polyport_otel.instruments import Instruments

SCOPE = "polyport"
#: How long a flush may take, in milliseconds.
FLUSH_MS = 10_000


class Otlp(Observer):
    """Sends a span and measurements of each call to an OTLP/HTTP endpoint.

    `endpoint` is the base that `/v1/traces` and `/v1/metrics` stand below; without one, OpenTelemetry's own variables
    hold (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME ...). `content=True` puts what was
    asked and answered into the spans. `tracer_provider` and `meter_provider` are your own, where you have set
    OpenTelemetry up. A span stands below the one that was current where the call was made.

    https://opentelemetry.io/docs/specs/otlp/#otlphttp
    """

    def __init__(
        self,
        endpoint: str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        content: bool | None = None,
        service_name: str | None = None,
        traces: bool = True,
        metrics: bool = True,
        metrics_interval: float = 60.0,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self.content = content_of(content)
        self._own: list[SdkTracerProvider | SdkMeterProvider] = []
        resource = Resource.create({"service.name": service_name} if service_name else None)
        if traces and tracer_provider is None:
            exporter = OTLPSpanExporter(endpoint=_below(endpoint, "/v1/traces"), headers=_plain(headers))
            made = SdkTracerProvider(resource=resource, shutdown_on_exit=False)
            made.add_span_processor(BatchSpanProcessor(exporter))
            self._own.append(made)
            tracer_provider = made
        if metrics and meter_provider is None:
            metering = OTLPMetricExporter(endpoint=_below(endpoint, "/v1/metrics"), headers=_plain(headers))
            reader = PeriodicExportingMetricReader(metering, export_interval_millis=metrics_interval * 1000)
            measured = SdkMeterProvider([reader], resource=resource, shutdown_on_exit=False)
            self._own.append(measured)
            meter_provider = measured
        self._tracer = tracer_provider.get_tracer(SCOPE) if tracer_provider is not None else None
        self._instruments = Instruments(meter_provider.get_meter(SCOPE)) if meter_provider is not None else None
        self._flushed = [one for one in (tracer_provider, meter_provider) if hasattr(one, "force_flush")]

    @property
    def tracer(self) -> Tracer | None:
        """What makes the spans, for more of them around calls; None without traces."""
        return self._tracer

    def capture(self) -> Context:
        """Take the caller's context: the span that is current there becomes the parent."""
        return contexts.get_current()

    def on_success(self, event: Event) -> None:
        """Send a call that was answered."""
        self._send(event)

    def on_failure(self, event: Event) -> None:
        """Send a call that failed."""
        self._send(event)

    def _attributes(self, event: Event) -> dict[str, Value]:
        said = of_content(event) if self.content else {}
        return {**of_span(event), **said, **self.own_attributes(event)}

    def own_attributes(self, event: Event) -> dict[str, Value]:
        """Return attributes that a receiver wants beside those of the conventions."""
        return {}

    def _send(self, event: Event) -> None:
        if self._tracer is not None:
            span = self._tracer.start_span(
                f"{operation_of(event)} {event.model}".strip(),
                context=event.captured if isinstance(event.captured, Context) else Context(),
                kind=SpanKind.CLIENT,
                attributes=self._attributes(event),
                start_time=_nanoseconds(event.started),
            )
            if event.error is not None:
                span.set_status(Status(StatusCode.ERROR, event.error.message or event.error.kind))
            span.end(_nanoseconds(event.ended))
        if self._instruments is not None:
            self._instruments.record(event)

    def flush(self) -> None:
        """Send what is held back."""
        provider: Any
        for provider in self._flushed:
            provider.force_flush(FLUSH_MS)

    def close(self) -> None:
        """Send what is held back, and end the threads; providers of yours go on."""
        while self._own:
            self._own.pop().shutdown()


def content_of(given: bool | None) -> bool:
    """Return whether content is sent: only where it was said to be, here or for all installed observers."""
    from polyport.observing.callbacks import content_allowed

    return content_allowed() if given is None else given


def _below(endpoint: str | None, path: str) -> str | None:
    """Return a signal's address; None leaves it to OpenTelemetry's variables."""
    if endpoint is None:
        return None
    bare = endpoint.rstrip("/")
    return bare if bare.endswith(path) else bare + path


def _plain(headers: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if headers is None else dict(headers)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
