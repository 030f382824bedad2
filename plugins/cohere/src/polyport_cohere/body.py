"""A chat request as the body of POST /v2/chat. https://docs.cohere.com/reference/chat"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from polyport.types.chat import ChatRequest
from polyport.types.schema import Schema
from polyport_cohere.thinking import thinking
from polyport_cohere.tools import tools
from polyport_cohere.turns import Turns

Body = dict[str, Any]

#: Parameters that Cohere does not have, and why.
UNSUPPORTED: dict[str, str] = {
    "n": "Cohere gives one answer a request; ask n times",
    "logit_bias": "Cohere takes no bias on tokens",
    "top_logprobs": "Cohere tells the log probabilities of the tokens it chose only",
    "modalities": "Cohere answers in text only",
    "audio": "Cohere's chat does not speak",
    "prediction": "Cohere has no predicted outputs",
    "store": "Cohere stores no completions",
    "verbosity": "Cohere has no verbosity; say it in the prompt",
    "service_tier": "Cohere has no tiers; `priority=` (0 is the highest) says who waits when it is busy",
    "web_search_options": "Cohere does not search the web; give it a tool, or `documents=[...]`",
}
#: And those that change nothing of the answer, whose absence is only recorded.
HINTS: dict[str, str] = {
    "user": "Cohere is not told about users",
    "safety_identifier": "Cohere is not told about users",
    "prompt_cache_key": "Cohere caches by itself",
    "metadata": "Cohere keeps no metadata",
}
#: Values that ask for what happens anyway: leaving them out loses nothing.
NEUTRAL: dict[str, Any] = {
    "n": 1, "logit_bias": {}, "top_logprobs": 0, "modalities": ["text"], "store": False, "verbosity": "medium",
    "service_tier": "auto", "metadata": {}, "logprobs": False,
}  # fmt: skip
#: Parameters with a counterpart: its name, and its bounds where Cohere has some.
RENAMED: dict[str, str] = {
    "temperature": "temperature", "seed": "seed", "logprobs": "logprobs", "top_p": "p", "top_k": "k",
    "presence_penalty": "presence_penalty", "frequency_penalty": "frequency_penalty",
}  # fmt: skip
BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0, 2), "top_p": (0.01, 0.99), "top_k": (0, 500), "presence_penalty": (0, 1),
    "frequency_penalty": (0, 1),
}  # fmt: skip
MOST_STOPS = 5
#: A format and tools or documents exclude each other. https://docs.cohere.com/docs/structured-outputs
INSTEAD = "Answer with one JSON object and nothing else: no words around it, no code fence."
SCHEMA = " It fits this JSON schema: "


def to_body(request: ChatRequest) -> Body:
    """Return the body. What Cohere lacks, renames or limits is recorded on the request.

    Keyword arguments that are Cohere's own (`documents`, `citation_options`, `safety_mode` ...) go in as they are.
    Raises UnsupportedParamsError for what cannot be had, unless `drop_params=True`.
    """
    turns = Turns(request)
    for turn in request.conversation:
        turns.add(turn)
    turns.show()
    body: Body = {"model": request.model, "messages": turns.messages}
    if request.stream:
        body["stream"] = True
    for name, value in request.given().items():
        _parameter(name, value, request, body)
    if request.token_limit is not None:
        body["max_tokens"] = request.token_limit
    body |= tools(request)
    if (made := thinking(request)) is not None:
        body["thinking"] = made
    body |= request.extra
    if turns.documents:
        body["documents"] = [*(body.get("documents") or []), *turns.documents]
    if request.schema is not None:
        _answer_in(request.schema, request, body)
    return body


def _parameter(name: str, value: Any, request: ChatRequest, body: Body) -> None:
    if name in NEUTRAL and value == NEUTRAL[name]:
        return
    if name in UNSUPPORTED:
        request.unsupported(name, UNSUPPORTED[name])
    elif name in HINTS:
        request.adapt(name, "dropped", HINTS[name])
    elif name in RENAMED:
        body[RENAMED[name]] = _within(name, value, request)
    elif name in RENDER:
        RENDER[name](request, body)


def _within(name: str, value: Any, request: ChatRequest) -> Any:
    """Return the value, or the nearest that Cohere takes."""
    if name not in BOUNDS:
        return value
    least, most = BOUNDS[name]
    if least <= value <= most:
        return value
    request.adapt(name, "clamped", f"Cohere's goes from {least} to {most}, not to {value}")
    return min(max(value, least), most)


def _stop(request: ChatRequest, body: Body) -> None:
    stops = request.stops
    if len(stops) > MOST_STOPS:
        request.adapt("stop", "clamped", f"Cohere stops at {MOST_STOPS} sequences at most, the first ones here")
    body["stop_sequences"] = stops[:MOST_STOPS]


#: Parameters that are more than a renamed value; messages, tools, thinking and formats are translated as wholes.
RENDER: dict[str, Callable[[ChatRequest, Body], None]] = {"stop": _stop}


def _answer_in(schema: Schema, request: ChatRequest, body: Body) -> None:
    """Ask for an answer in JSON: by the format, or in words where the format is not to be had."""
    if "tools" in body or body.get("documents"):
        _ask_for_json(schema, request, body)
        return
    body["response_format"] = {"type": "json_object"}
    if schema.value is not None:
        body["response_format"]["json_schema"] = schema.value


def _ask_for_json(schema: Schema, request: ChatRequest, body: Body) -> None:
    request.adapt(
        "response_format",
        "emulated",
        "Cohere takes no format beside tools or documents; an instruction asks for it",
    )
    told = INSTEAD if schema.value is None else INSTEAD + SCHEMA + msgspec.json.encode(schema.value).decode()
    body["messages"] = [{"role": "system", "content": told}, *body["messages"]]
