"""A span of each request, where an observer of OpenTelemetry is among `callbacks`: the caller's trace goes on here.

    settings: {callbacks: [otel]}        # and OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME ... in the environment

caller's span (traceparent) -> this span, of kind SERVER -> the spans of calls to providers, which the observer makes.
Whether a trace is kept is the caller's decision, where it came with one. Without such an observer nothing is paid.
https://www.w3.org/TR/trace-context/ and https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any

from polyport.errors import PluginError
from polyport.observing.callbacks import OBSERVERS, installed
from polyport.plugins import find
from polyport_gateway.app import ASGI
from polyport_gateway.config import Config
from polyport_gateway.exchange import Scope
from polyport_gateway.gate import Admission, Asked, Outcome

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

#: Headers that a trace comes in.
CARRIED = (b"traceparent", b"tracestate", b"baggage")


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the part, which is found at no address."""

    def follow(_: Config | None, config: Config) -> None:
        tracer = tracer_of(config.options)
        gateway.app.tracing = None if tracer is None else Tracing(tracer)
        taps = [one for one in gateway.app.taps if one is not tap]
        gateway.app.taps = taps if tracer is None else [*taps, tap]

    follow(None, gateway.config)
    gateway.app.following.append(follow)
    return {}


def tracer_of(options: Mapping[str, Any]) -> Any:
    """Return the tracer of the first observer that has one; None where none has."""
    lists = [options.get(name) or () for name in ("callbacks", "success_callback", "failure_callback")]
    names = [name for given in lists for name in ([given] if isinstance(given, str) else given)]
    for name in names:
        observer = installed(name) if isinstance(name, str) and find(OBSERVERS, name) else name
        tracer = getattr(observer, "tracer", None)
        if tracer is not None:
            return tracer
    return None


class Tracing:
    """Puts a span around a request."""

    def __init__(self, tracer: Any) -> None:
        try:
            from opentelemetry import propagate, trace
        except ImportError as error:
            raise PluginError("Tracing needs opentelemetry: pip install polyport-otel") from error
        self._tracer, self._extract, self._kind = tracer, propagate.extract, trace.SpanKind.SERVER
        self._use = trace.use_span

    async def __call__(self, scope: Scope, exchange: Awaitable[None]) -> None:
        """Run a request in a span below its caller's."""
        carried = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in CARRIED}
        span = self._tracer.start_span(
            scope["method"],
            context=self._extract(carried),
            kind=self._kind,
            attributes={
                "http.request.method": scope["method"],
                "url.path": scope["path"],
                "url.scheme": scope.get("scheme", "http"),
                "network.protocol.version": scope.get("http_version", "1.1"),
            },
        )
        with self._use(span, end_on_exit=True, record_exception=False):
            await exchange


def tap(asked: Asked | None, admission: Admission | None, outcome: Outcome) -> None:
    """Say in the span of a request how it went. No content, and no key, is in it."""
    from opentelemetry.trace import Status, StatusCode, get_current_span  # only where somebody traces

    span = get_current_span()
    if not span.is_recording():
        return
    if asked is not None:
        span.update_name(f"{asked.method} {asked.path}")
        span.set_attributes({"http.route": asked.path, "polyport.operation": asked.operation})
        if asked.model and outcome.provider:
            span.set_attribute("gen_ai.request.model", asked.model)
    if admission is not None:
        caller = admission.caller
        span.set_attributes({"polyport.caller": caller.id, "polyport.team": caller.team})
    span.set_attributes(
        {
            "http.response.status_code": outcome.status,
            "polyport.request_id": outcome.request_id,
            "polyport.attempts": outcome.attempts,
            "polyport.cache_hit": outcome.cache_hit,
        }
    )
    if outcome.nano is not None:
        span.set_attribute("polyport.cost_usd", outcome.nano / 1e9)
    if outcome.status >= 400:
        span.set_attribute("error.type", outcome.code or outcome.error or str(outcome.status))
    if outcome.status >= 500:  # of a server's span, what a caller did wrong is no error
        span.set_status(Status(StatusCode.ERROR))
