"""A span of each request, where an observer of OpenTelemetry is among `callbacks`: the caller's trace goes on here.

    settings: {callbacks: [otel]}        # and OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME ... in the environment

caller's span (traceparent) -> this span, of kind SERVER -> the spans of calls to providers, of kind CLIENT, which the
observer makes; those of what passes through, and of each response of a realtime session, are made here, for observers
are not told of them. Providers are sent the trace, so that theirs can go on with it; the caller's `baggage` stays here.
Whether a trace is kept is the caller's decision, where it came with one. Without such an observer nothing is paid.
https://www.w3.org/TR/trace-context/ https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-spans.md
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any

from polyport.errors import PluginError
from polyport.observing.callbacks import OBSERVERS, installed
from polyport.plugins import find
from polyport_gateway import cohere_resources
from polyport_gateway.app import ASGI
from polyport_gateway.config import Config
from polyport_gateway.entries import WRITTEN
from polyport_gateway.exchange import Scope, Tap
from polyport_gateway.gate import Admission, Asked, Outcome
from polyport_gateway.resources import ROWS

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

#: Headers that a trace comes in.
CARRIED = (b"traceparent", b"tracestate", b"baggage")
#: Operations whose calls no observer is told of, and the one of them that is a session.
UNSEEN, SESSION = (
    frozenset({"passthrough", "realtime", *(row.name for row in (*ROWS, *cohere_resources.ROWS))}),
    "realtime",
)
#: Routes whose addresses are as many as there are requests -> how they are named.
ROUTES = {"passthrough": "/passthrough/{provider}/{path}"}
SWITCHED = 101


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the part, which is found at no address."""
    app = gateway.app
    mine: list[Tap] = []

    def follow(_: Config | None, config: Config) -> None:
        tracer = tracer_of(config.options)
        app.tracing = tracing = None if tracer is None else Tracing(tracer)
        app.taps = [one for one in app.taps if one not in mine]
        mine.clear()
        if tracing is not None:
            mine.append(tracing.tap)
            app.taps = [*app.taps, *mine]
            client = app.running.router.client
            client.headers = Carrying(client.headers)

    follow(None, gateway.config)
    app.following.append(follow)
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


class Carrying(dict[str, str]):
    """A client's headers, and the trace of whichever request they go out for: never twice the same."""

    __hash__ = None

    def items(self) -> Any:
        """Return what goes out now: the trace context and no baggage, which callers write for their own."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carried: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carried)
        return {**self, **carried}.items()

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True


class Tracing:
    """Puts a span around a request, and says in it how it went."""

    def __init__(self, tracer: Any) -> None:
        try:
            from opentelemetry import propagate, trace
        except ImportError as error:
            raise PluginError("Tracing needs opentelemetry: pip install polyport-otel") from error
        self._tracer, self._extract, self._kinds = tracer, propagate.extract, trace.SpanKind
        self._use, self._current = trace.use_span, trace.get_current_span
        self._fault = trace.Status(trace.StatusCode.ERROR)

    async def __call__(self, scope: Scope, exchange: Awaitable[None]) -> None:
        """Run a request, or a session, in a span below its caller's."""
        carried = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in CARRIED}
        method = scope.get("method", "GET")  # a WebSocket begins with one
        span = self._tracer.start_span(
            method,
            context=self._extract(carried),
            kind=self._kinds.SERVER,
            attributes={
                "http.request.method": method,
                "url.path": scope["path"],
                "url.scheme": scope.get("scheme", "http"),
                "network.protocol.version": scope.get("http_version", "1.1"),
            },
        )
        with self._use(span, end_on_exit=True, record_exception=False):
            await exchange

    def tap(self, asked: Asked | None, admission: Admission | None, outcome: Outcome) -> None:
        """Say in the span of a request how it went. No content, and no key, is in it."""
        span = self._current()
        if not span.is_recording():
            return
        if asked is not None:
            route = ROUTES.get(asked.operation, asked.path)
            span.update_name(f"{asked.method} {route}")
            span.set_attributes({"http.route": route, "polyport.operation": asked.operation})
            if asked.model and outcome.provider:
                span.set_attribute("gen_ai.request.model", asked.model)
        if admission is not None:
            caller = admission.caller
            span.set_attributes({"polyport.caller": caller.id, "polyport.team": caller.team})
        upgraded = asked is not None and asked.operation == SESSION and outcome.status < 400
        span.set_attributes(
            {
                "http.response.status_code": SWITCHED if upgraded else outcome.status,
                "polyport.request_id": outcome.request_id,
                "polyport.attempts": outcome.attempts,
                "polyport.cache_hit": outcome.cache_hit,
            }
        )
        if asked is not None and _is_unseen(asked, outcome):
            self._call(span, asked, outcome)
        else:
            span.set_attributes(_cost(outcome))
        self._fail(span, outcome, 500)  # of a server's span, what a caller did wrong is no error

    def _call(self, within: Any, asked: Asked, outcome: Outcome) -> None:
        """Make the span of a call that no observer is told of; it begins with what it belongs to, or later."""
        now = time.time_ns()
        begun = max(now - int(outcome.latency * 1e9), getattr(within, "start_time", None) or 0)
        attributes = {
            "gen_ai.operation.name": asked.operation,
            "gen_ai.provider.name": outcome.provider,
            "polyport.request_id": outcome.request_id,
            **({"gen_ai.request.model": outcome.model} if outcome.model else {}),
            **_used(outcome),
            **_cost(outcome),
        }
        span = self._tracer.start_span(
            f"{asked.operation} {outcome.model}".strip(),
            kind=self._kinds.CLIENT,
            attributes=attributes,
            start_time=begun,
        )
        self._fail(span, outcome, 400)
        span.end(now)

    def _fail(self, span: Any, outcome: Outcome, wrong: int) -> None:
        if outcome.status >= 400:
            span.set_attribute("error.type", outcome.code or outcome.error or str(outcome.status))
        if outcome.status >= wrong:
            span.set_status(self._fault)


def _is_unseen(asked: Asked, outcome: Outcome) -> bool:
    """Whether a provider was called of which no observer is told; a session's last turn asks for nothing."""
    idle = asked.operation == SESSION and outcome.status < 400 and not any(outcome.usage.values())
    return asked.operation in UNSEEN and bool(outcome.attempts) and not idle


def _cost(outcome: Outcome) -> dict[str, float]:
    return {} if outcome.nano is None else {"polyport.cost_usd": outcome.nano / 1e9}


def _used(outcome: Outcome) -> dict[str, int]:
    written = sum(count for bucket, count in outcome.usage.items() if bucket in WRITTEN)
    if not outcome.usage:
        return {}
    read = sum(outcome.usage.values()) - written
    return {"gen_ai.usage.input_tokens": read, "gen_ai.usage.output_tokens": written}
