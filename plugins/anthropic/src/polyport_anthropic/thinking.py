"""How hard to think: `reasoning_effort` and `thinking` as each generation of models takes them.

Until 4.5 a model is given a budget of tokens; from 4.6 it decides for itself, guided by an effort; 4.7 and later
refuse a budget. https://platform.claude.com/docs/en/build-with-claude/thinking
"""

from __future__ import annotations

from typing import Any

from polyport.errors import BadRequestError
from polyport.types.chat import ChatRequest
from polyport_anthropic.facts import facts

#: OpenAI's efforts in rising order. "none" is not an effort but turns thinking off.
EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")
#: What an effort is worth to a model that is given a budget, in tokens. 1024 is the least the API takes.
BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32768}
LEAST_BUDGET = 1024
#: How a model is told not to think before it answers, best first.
OFF = ("disabled", "between_tools")


def thinking(request: ChatRequest, limit: int) -> dict[str, Any]:
    """Return the fields `thinking` and `output_config` that the request's wishes come to; `limit` is its max_tokens."""
    if request.thinking is not None:
        return {"thinking": _native(request, request.thinking), **_effort_alone(request)}
    if request.reasoning_effort is None:
        return {}
    if request.reasoning_effort == "none":
        return _off(request)
    effort = _known(request.reasoning_effort)
    if "thinking.adaptive" in facts(request.model).supports:
        # Newer models think in silence unless asked for a summary, and reasoning_content would be empty.
        # https://platform.claude.com/docs/en/build-with-claude/thinking#controlling-thinking-display
        return {
            "thinking": {"type": "adaptive", "display": "summarized"},
            "output_config": {"effort": _level(request, effort)},
        }
    if "thinking.enabled" in facts(request.model).supports:
        return _budget(request, effort, limit)
    request.unsupported("reasoning_effort", f"{request.model} does not think before it answers")
    return {}


def _known(effort: str) -> str:
    if effort not in EFFORTS:
        raise BadRequestError(f"{effort!r} is no effort at $.reasoning_effort; there are none, {', '.join(EFFORTS)}")
    return effort


def _level(request: ChatRequest, effort: str) -> str:
    """Return the nearest effort the model has."""
    supports = facts(request.model).supports
    level = "low" if effort == "minimal" else effort
    if level in ("xhigh", "max") and f"effort.{level}" not in supports:
        level = "max" if level == "xhigh" and "effort.max" in supports else "high"
    if level != effort:
        request.adapt("reasoning_effort", "clamped", f"{request.model} has no {effort!r}; the nearest is {level!r}")
    return level


def _budget(request: ChatRequest, effort: str, limit: int) -> dict[str, Any]:
    """Return a budget for the effort that leaves at least half of `max_tokens` for the answer."""
    budget = min(BUDGETS[effort], limit // 2)
    if budget < LEAST_BUDGET:
        request.unsupported(
            "reasoning_effort", f"thinking takes {LEAST_BUDGET} tokens or more, and max_tokens={limit} leaves no room"
        )
        return {}
    request.adapt("reasoning_effort", "emulated", f"{request.model} takes a budget instead: {budget} tokens")
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _off(request: ChatRequest) -> dict[str, Any]:
    supports = facts(request.model).supports
    if "thinking" not in supports and "thinking.disabled" not in supports:
        return {}  # a model that never thinks does as asked
    way = next((way for way in OFF if f"thinking.{way}" in supports), None)
    if way is None:
        request.unsupported("reasoning_effort", f"{request.model} always thinks; 'low' is the least")
        return {}
    return {"thinking": {"type": way}}


def _native(request: ChatRequest, given: dict[str, Any]) -> dict[str, Any]:
    """Return `thinking` as given; a budget turns into adaptive thinking where a model takes none."""
    supports = facts(request.model).supports
    if given.get("type") == "enabled" and "thinking.enabled" not in supports and "thinking.adaptive" in supports:
        request.adapt("thinking", "emulated", f"{request.model} takes no budget_tokens and decides by itself")
        return {"type": "adaptive", "display": given.get("display") or "summarized"}
    return given


def _effort_alone(request: ChatRequest) -> dict[str, Any]:
    """Return the effort given beside an explicit `thinking`."""
    if request.reasoning_effort in (None, "none"):
        return {}
    if "effort" not in facts(request.model).supports:
        request.unsupported("reasoning_effort", f"{request.model} takes either thinking or an effort, not both")
        return {}
    return {"output_config": {"effort": _level(request, _known(str(request.reasoning_effort)))}}
