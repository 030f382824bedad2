"""The metrics of the GenAI conventions.

https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-metrics.md (read 2026-11-23)
"""

from __future__ import annotations

from opentelemetry.metrics import Meter

from polyport.observing import Event
from polyport_otel.attributes import of_metric, sides

#: The boundaries that the conventions ask for.
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)


class Instruments:
    """The histograms, and a counter of what calls cost, for which the conventions have no word."""

    def __init__(self, meter: Meter) -> None:
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "GenAI operation duration.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._first = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "Time to receive the first chunk of a stream.",
            explicit_bucket_boundaries_advisory=FIRST,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )
        self._cost = meter.create_counter("polyport.client.cost", "USD", "What calls cost.")

    def record(self, event: Event) -> None:
        """Record a call. What the cache answered used nothing."""
        attributes = of_metric(event)
        if event.latency is not None:
            self._duration.record(event.latency, attributes)
        if event.time_to_first_content is not None:
            self._first.record(event.time_to_first_content, attributes)
        if event.cache_hit:
            return
        for side, count in sides(event.usage).items():
            self._tokens.record(count, {**attributes, "gen_ai.token.type": side})
        if event.cost:
            self._cost.add(event.cost, attributes)
