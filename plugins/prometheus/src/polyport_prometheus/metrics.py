"""The metrics that there are."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily

from polyport.observing import shared

PLACE = ("operation", "provider", "model")
#: Seconds: from an answer out of the cache to a model that reasons for minutes.
DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
FIRSTS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Dropped:
    """Reads at each scrape how many events were dropped."""

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Give the counter."""
        what = "Events that were dropped because observers were too slow"
        yield CounterMetricFamily("polyport_events_dropped", what, value=shared().dropped)


class Metrics:
    """Every metric, in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        placed = (*PLACE, "deployment")
        self.requests = Counter("polyport_requests", "Calls that are over", placed, registry=registry)
        self.errors = Counter("polyport_errors", "Calls that failed", (*placed, "error"), registry=registry)
        self.retries = Counter("polyport_retries", "Attempts beyond the first", placed, registry=registry)
        self.cost = Counter("polyport_cost_usd", "What calls cost", placed, registry=registry)
        self.tokens = Counter("polyport_tokens", "Tokens, in disjoint buckets", (*PLACE, "bucket"), registry=registry)
        self.hits = Counter("polyport_cache_hits", "Calls that the cache answered", PLACE, registry=registry)
        self.left = Counter("polyport_streams_left_early", "Streams whose reader left", PLACE, registry=registry)
        self.duration = Histogram(
            "polyport_request_duration_seconds", "From the call to its end", PLACE, buckets=DURATIONS, registry=registry
        )
        self.first = Histogram(
            "polyport_time_to_first_token_seconds",
            "From the call to a stream's first content",
            PLACE,
            buckets=FIRSTS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "polyport_in_flight", "Calls that are going on", ("operation", "provider"), registry=registry
        )
        registry.register(Dropped())
