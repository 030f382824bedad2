"""How hard to think: `reasoning_effort` and `thinking` as Cohere takes them. https://docs.cohere.com/docs/reasoning

A model that can think does so unless told otherwise, and as long as it likes; a budget of tokens bounds it.
"""

from __future__ import annotations

from typing import Any

from polyport.errors import BadRequestError
from polyport.types.chat import ChatRequest
from polyport_cohere.facts import thinks

#: What an effort is worth in tokens; None is without a bound, which Cohere recommends.
BUDGETS: dict[str, int | None] = {
    "minimal": 500, "low": 2048, "medium": 8192, "high": None, "xhigh": None, "max": None
}  # fmt: skip
OFF = {"type": "disabled"}


def thinking(request: ChatRequest) -> dict[str, Any] | None:
    """Return the field `thinking`; None where nothing is to be said of it."""
    if request.thinking is not None:
        return _native(request, request.thinking)
    effort = request.reasoning_effort
    if effort is None:
        return None
    if effort != "none" and effort not in BUDGETS:
        raise BadRequestError(f"{effort!r} is no effort at $.reasoning_effort; there are none, {', '.join(BUDGETS)}")
    if not thinks(request.model):
        if effort != "none":  # a model that never thinks does as asked
            request.unsupported("reasoning_effort", f"{request.model} does not think before it answers")
        return None
    if effort == "none":
        return OFF
    budget = _fitting(BUDGETS[effort], request.token_limit)
    told = "no bound" if budget is None else f"{budget} tokens"
    request.adapt("reasoning_effort", "emulated", f"Cohere takes a budget instead: {told}")
    return {"type": "enabled"} if budget is None else {"type": "enabled", "token_budget": budget}


def _fitting(budget: int | None, limit: int | None) -> int | None:
    """Return a budget that leaves at least half of `max_tokens` for the answer: thoughts count, too."""
    return budget if budget is None or limit is None else max(min(budget, limit // 2), 1)


def _native(request: ChatRequest, given: dict[str, Any]) -> dict[str, Any]:
    """Return `thinking` as given; what Anthropic calls it is translated."""
    made = {name: value for name, value in given.items() if name not in ("budget_tokens", "display")}
    if "budget_tokens" in given:
        made.setdefault("token_budget", given["budget_tokens"])
    if made.get("type") == "adaptive":
        request.adapt("thinking", "emulated", "Cohere's models think as long as they like unless a budget is given")
        made["type"] = "enabled"
    return made
