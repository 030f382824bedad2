"""How hard to think: `reasoning_effort` and `thinking` as each vendor's models take them.

https://docs.aws.amazon.com/bedrock/latest/userguide/inference-reasoning.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from polyport.errors import BadRequestError
from polyport.types.chat import ChatRequest
from polyport_anthropic import thinking as anthropic
from polyport_anthropic.facts import max_tokens
from polyport_bedrock import facts
from polyport_bedrock.names import Name

Fields = dict[str, Any]
#: Efforts that models with three of them know -> those that are nearest.
THREE = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


def thinking(request: ChatRequest, name: Name) -> tuple[Fields, Fields]:
    """Return (fields of the model's own, fields of Converse's `outputConfig`) for the request's wishes."""
    if request.thinking is None and request.reasoning_effort is None:
        return {}, {}
    if facts.is_claude(name):
        asked = replace(request, model=name.base)
        limit = request.token_limit if request.token_limit is not None else max_tokens(name.base)
        made = anthropic.thinking(asked, limit)
        return {k: v for k, v in made.items() if k != "output_config"}, made.get("output_config", {})
    if request.thinking is not None:
        request.unsupported("thinking", f"{name.id} is not Anthropic's; reasoning_effort is for all models that reason")
    if request.reasoning_effort is None:
        return {}, {}
    return _effort(request, name, request.reasoning_effort), {}


def _effort(request: ChatRequest, name: Name, effort: str) -> Fields:
    render = next((render for start, render in RENDER.items() if name.base.startswith(start)), None)
    if render is None:
        if effort != "none":
            request.unsupported("reasoning_effort", f"{name.id} does not take one")
        return {}
    if effort != "none" and effort not in THREE:
        raise BadRequestError(f"{effort!r} is no effort at $.reasoning_effort; there are none, {', '.join(THREE)}")
    level = THREE.get(effort)
    if level is not None and level != effort:
        request.adapt("reasoning_effort", "clamped", f"{name.id} has no {effort!r}; the nearest is {level!r}")
    return render(request, level)


def _nova(_request: ChatRequest, level: str | None) -> Fields:
    """Return extended thinking. https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html"""
    if level is None:
        return {"reasoningConfig": {"type": "disabled"}}
    return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}


def _always(field: str) -> Callable[[ChatRequest, str | None], Fields]:
    def render(request: ChatRequest, level: str | None) -> Fields:
        if level is None:
            request.unsupported("reasoning_effort", "this model always reasons; 'low' is the least")
            return {}
        return {field: level}

    return render


#: How a model's name begins -> what its effort is called. The last two were seen in recorded traffic (2026-11-22).
RENDER: dict[str, Callable[[ChatRequest, str | None], Fields]] = {
    "amazon.nova-2": _nova,
    "openai.gpt-oss": _always("reasoning_effort"),
    "qwen.qwen3": _always("reasoning_config"),
}
