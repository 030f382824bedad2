"""Prometheus: counters and histograms of calls, in a registry of their own.

https://prometheus.io/docs/practices/naming/ and https://prometheus.github.io/client_python/
"""

from __future__ import annotations

import os
import time

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.exposition import generate_latest

from polyport.observing import Event, Observer
from polyport_prometheus.labels import Bounded
from polyport_prometheus.metrics import Metrics

__all__ = ["Prometheus"]

PORT, ADDRESS = "POLYPORT_PROMETHEUS_PORT", "POLYPORT_PROMETHEUS_ADDRESS"
#: A call whose end was never told (its event was dropped) counts as going on no longer than this, in seconds.
LONGEST_CALL = 3600.0


class Prometheus(Observer):
    """Counts calls. `port` serves them at `/metrics`; without one, `metrics()` gives them to a server of yours.

    `registry` is your own, where these are to stand beside other metrics.
    """

    content = False

    def __init__(
        self,
        port: int | None = None,
        address: str | None = None,
        *,
        registry: CollectorRegistry | None = None,
        max_models: int = 200,
        max_deployments: int = 200,
    ) -> None:
        self.registry = registry or CollectorRegistry()
        self._metrics = Metrics(self.registry)
        self._models, self._deployments = Bounded(max_models), Bounded(max_deployments)
        self._going_on: dict[str, tuple[float, tuple[str, str]]] = {}
        port = port if port is not None else int(os.environ.get(PORT) or 0) or None
        self._server = None
        if port is not None:
            self._server = start_http_server(port, address or os.environ.get(ADDRESS, "127.0.0.1"), self.registry)

    @property
    def port(self) -> int | None:
        """The port that is served; None where nothing is. Asked for as 0, it is one that was free."""
        return None if self._server is None else int(self._server[0].server_port)

    def metrics(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    # --- what is told ---

    def on_start(self, event: Event) -> None:
        """Count a call as going on."""
        labels = (event.operation, event.provider)
        self._going_on[event.id] = (time.monotonic(), labels)
        self._metrics.in_flight.labels(*labels).inc()

    def on_success(self, event: Event) -> None:
        """Count a call that was answered."""
        self._count(event)

    def on_failure(self, event: Event) -> None:
        """Count a call that failed."""
        labels = self._count(event)
        kind = event.error.kind if event.error is not None else "unknown"
        self._metrics.errors.labels(*labels, kind).inc()

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            server, thread = self._server
            self._server = None
            server.shutdown()
            server.server_close()
            thread.join()

    def _count(self, event: Event) -> tuple[str, str, str, str]:
        metrics = self._metrics
        model = self._models.bound(event.model)
        labels = (event.operation, event.provider, model)
        placed = (*labels, self._deployments.bound(event.deployment or ""))
        self._ended(event)
        metrics.requests.labels(*placed).inc()
        if event.attempts > 1:
            metrics.retries.labels(*placed).inc(event.attempts - 1)
        if event.latency is not None:
            metrics.duration.labels(*labels).observe(event.latency)
        if event.time_to_first_content is not None:
            metrics.first.labels(*labels).observe(event.time_to_first_content)
        if event.cache_hit:  # what it says it used was used when it was asked for the first time
            metrics.hits.labels(*labels).inc()
            return placed
        for bucket, count in event.usage.items():
            metrics.tokens.labels(*labels, bucket).inc(count)
        if event.cost:
            metrics.cost.labels(*placed).inc(event.cost)
        if not event.complete and event.error is None:
            metrics.left.labels(*labels).inc()
        return placed

    def _ended(self, event: Event) -> None:
        found = self._going_on.pop(event.id, None)
        if found is not None:
            self._metrics.in_flight.labels(*found[1]).dec()
        while self._going_on:
            oldest = next(iter(self._going_on))
            begun, labels = self._going_on[oldest]
            if time.monotonic() - begun < LONGEST_CALL:
                break
            del self._going_on[oldest]
            self._metrics.in_flight.labels(*labels).dec()
