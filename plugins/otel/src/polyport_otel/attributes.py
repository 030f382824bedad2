"""An event in the words of OpenTelemetry's GenAI conventions.

https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-spans.md, by the names of
opentelemetry-semantic-conventions 0.66b2 (read 2026-11-23). What they have no word for begins with `polyport.`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from polyport.observing import Event

Value: TypeAlias = str | bool | int | float | Sequence[str]
Attributes: TypeAlias = dict[str, Value]

#: Our operation -> gen_ai.operation.name. Others go by their own name, as the conventions allow.
OPERATIONS = {
    "chat": "chat",
    "respond": "chat",
    "create_message": "chat",
    "complete_text": "text_completion",
    "embed": "embeddings",
}
#: A prefix -> gen_ai.provider.name, where the two differ.
PROVIDERS = {
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "mistral": "mistral_ai",
    "xai": "x_ai",
    "watsonx": "ibm.watsonx.ai",
}
#: A parameter -> its attribute.
PARAMETERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "dimensions": "gen_ai.embeddings.dimension.count",
}
#: A bucket of tokens -> the side that it is counted on: input includes what the cache served and took.
INPUT = frozenset(
    {"input", "cached_input", "cache_write", "audio_input", "image_input", "video_input", "cached_audio_input",
     "cached_image_input"}
)  # fmt: skip
OUTPUT = frozenset({"output", "reasoning", "audio_output", "image_output"})
PARTS = {
    "cached_input": "gen_ai.usage.cache_read.input_tokens",
    "cache_write": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
}


def operation_of(event: Event) -> str:
    """Return `gen_ai.operation.name`."""
    return OPERATIONS.get(event.operation, event.operation)


def provider_of(event: Event) -> str:
    """Return `gen_ai.provider.name`."""
    return PROVIDERS.get(event.provider, event.provider)


def sides(usage: Mapping[str, int]) -> dict[str, int]:
    """Return the tokens of each side that has any: input, output."""
    found = {"input": INPUT, "output": OUTPUT}
    return {side: total for side, names in found.items() if (total := sum(usage.get(name, 0) for name in names))}


def of_metric(event: Event) -> dict[str, Value]:
    """Return the attributes that a measurement has."""
    found: Attributes = {
        "gen_ai.operation.name": operation_of(event),
        "gen_ai.provider.name": provider_of(event),
        "gen_ai.request.model": event.model,
    }
    if event.answered_by:
        found["gen_ai.response.model"] = event.answered_by
    if event.error is not None:
        found["error.type"] = event.error.kind
    return found


def of_span(event: Event) -> dict[str, Value]:
    """Return the attributes of a call's span, but for its content."""
    found = of_metric(event) | _asked(event) | _answered(event) | _used(event) | _told(event)
    return {name: value for name, value in found.items() if value is not None}


def _asked(event: Event) -> dict[str, Any]:
    request = event.request
    found: dict[str, Any] = {
        attribute: request[name] for name, attribute in PARAMETERS.items() if isinstance(request.get(name), int | float)
    }
    if event.stream:
        found["gen_ai.request.stream"] = True
    stop = request.get("stop") or request.get("stop_sequences")
    if stop:
        found["gen_ai.request.stop_sequences"] = [stop] if isinstance(stop, str) else [str(one) for one in stop]
    if isinstance(request.get("n"), int) and request["n"] != 1:
        found["gen_ai.request.choice.count"] = request["n"]
    if isinstance(request.get("encoding_format"), str):
        found["gen_ai.request.encoding_formats"] = [request["encoding_format"]]
    return found


def _answered(event: Event) -> dict[str, Any]:
    response = event.response or {}
    return {
        "gen_ai.response.id": response.get("id") or None,
        "gen_ai.response.finish_reasons": event.finish_reasons or None,
        "gen_ai.response.time_to_first_chunk": event.time_to_first_content,
    }


def _used(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = {f"gen_ai.usage.{side}_tokens": count for side, count in sides(event.usage).items()}
    return found | {PARTS[bucket]: count for bucket, count in event.usage.items() if bucket in PARTS}


def _told(event: Event) -> dict[str, Any]:
    adapted = [f"{one.parameter} {one.action}: {one.why}" for one in event.adaptations]
    return {
        "polyport.call.id": event.id,
        "polyport.function": event.function,
        "polyport.group": event.group or None,
        "polyport.deployment": event.deployment or None,
        "polyport.attempts": event.attempts,
        "polyport.cache_hit": event.cache_hit,
        "polyport.complete": event.complete,
        "polyport.cost_usd": event.cost,
        "polyport.provider_cost_usd": event.provider_cost,
        "polyport.request_id": event.request_id or None,
        "polyport.adaptations": adapted or None,
        "polyport.withheld": event.withheld or None,
        "polyport.tags": event.tags or None,
        "user.id": event.user,
        "http.response.status_code": event.error.status if event.error is not None else None,
        **{f"polyport.metadata.{name}": str(value) for name, value in event.metadata.items() if name != "tags"},
    }
