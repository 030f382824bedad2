"""OpenTelemetry: one span a call and the metrics of the GenAI conventions, over OTLP to where you look at them."""

from polyport_otel.helicone import Helicone
from polyport_otel.observer import Otlp
from polyport_otel.presets import Datadog, Langfuse, Lunary, Mlflow

__all__ = ["Datadog", "Helicone", "Langfuse", "Lunary", "Mlflow", "Otlp"]
