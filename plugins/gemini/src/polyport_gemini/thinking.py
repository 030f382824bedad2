"""How hard to think: `reasoning_effort` and `thinking` as each generation of models takes them.

Models of generation 2.5 are given a budget of tokens, later ones a level.
https://ai.google.dev/gemini-api/docs/thinking and https://cloud.google.com/vertex-ai/generative-ai/docs/thinking
"""

from __future__ import annotations

from typing import Any

from polyport.errors import BadRequestError
from polyport.types.chat import ChatRequest
from polyport_gemini.facts import takes_budget, takes_levels

#: OpenAI's efforts -> the level of the same name, or the nearest that every model has.
LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH", "max": "HIGH"}
#: OpenAI's efforts -> tokens; 24576 is the most that a Flash model of generation 2.5 takes.
BUDGETS = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}


def thinking(request: ChatRequest) -> dict[str, Any]:
    """Return the `thinkingConfig` that the request's wishes come to; empty where it has none."""
    if request.thinking is not None:
        return _given(request, request.thinking)
    effort = request.reasoning_effort
    if effort is None:
        return {}
    if effort == "none":
        return _off(request, "reasoning_effort")
    if effort not in LEVELS:
        raise BadRequestError(f"{effort!r} is no effort at $.reasoning_effort; there are none, {', '.join(LEVELS)}")
    if takes_levels(request.model):
        return {"thinkingLevel": _level(request, effort), "includeThoughts": True}
    if takes_budget(request.model):
        budget = BUDGETS[effort]
        request.adapt("reasoning_effort", "emulated", f"{request.model} takes a budget instead: {budget} tokens")
        return {"thinkingBudget": budget, "includeThoughts": True}
    request.unsupported("reasoning_effort", f"{request.model} does not think before it answers")
    return {}


def _level(request: ChatRequest, effort: str) -> str:
    level = LEVELS[effort]
    if level == "MINIMAL" and "pro" in request.model:  # only Flash models know it
        level = "LOW"
    if level.lower() != effort:
        why = f"{request.model} has no {effort!r}; the nearest is {level.lower()!r}"
        request.adapt("reasoning_effort", "clamped", why)
    return level


def _off(request: ChatRequest, parameter: str) -> dict[str, Any]:
    if takes_levels(request.model):
        level = "LOW" if "pro" in request.model else "MINIMAL"
        request.adapt(parameter, "clamped", f"{request.model} always thinks; {level.lower()!r} is the least")
        return {"thinkingLevel": level}
    if not takes_budget(request.model):
        return {}  # a model that never thinks does as asked
    if "pro" in request.model:
        request.adapt(parameter, "clamped", f"{request.model} always thinks; 128 tokens are the least")
        return {"thinkingBudget": 128}
    return {"thinkingBudget": 0}


def _given(request: ChatRequest, given: dict[str, Any]) -> dict[str, Any]:
    """Return Anthropic's `thinking`, or Gemini's own config, as Gemini takes it."""
    kind = given.get("type")
    if kind is None:
        return given
    if kind == "disabled":
        return _off(request, "thinking")
    budget = given.get("budget_tokens")
    if kind == "enabled" and isinstance(budget, int):
        request.adapt("thinking", "renamed", "budget_tokens is thinkingBudget here")
        return {"thinkingBudget": budget, "includeThoughts": True}
    if request.reasoning_effort in LEVELS and takes_levels(request.model):
        return {"thinkingLevel": _level(request, str(request.reasoning_effort)), "includeThoughts": True}
    return {"includeThoughts": True}
