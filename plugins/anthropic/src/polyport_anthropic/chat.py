"""A chat request as the body of POST /v1/messages. https://platform.claude.com/docs/en/api/messages

Nothing here knows which host the body is for: other doors to Claude (Vertex, Bedrock) use `to_messages` too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polyport.errors import BadRequestError
from polyport.types.chat import ChatRequest
from polyport.types.messages import MessagesRequest
from polyport.types.schema import Schema
from polyport_anthropic.facts import UNKNOWN_MAX_TOKENS, facts, is_known, max_tokens
from polyport_anthropic.schema import constrain
from polyport_anthropic.thinking import thinking
from polyport_anthropic.tools import ANSWER_TOOL, tool_choice, tools
from polyport_anthropic.turns import Turns, compact

#: Parameters that Anthropic does not have, and why.
UNSUPPORTED: dict[str, str] = {
    "n": "Anthropic gives one answer a request; ask n times",
    "presence_penalty": "Anthropic has no penalties",
    "frequency_penalty": "Anthropic has no penalties",
    "logit_bias": "Anthropic does not show its tokens",
    "logprobs": "Anthropic gives no log probabilities",
    "top_logprobs": "Anthropic gives no log probabilities",
    "seed": "Anthropic's sampling cannot be seeded",
    "modalities": "Claude answers in text only",
    "audio": "Claude does not speak",
    "prediction": "Anthropic has no predicted outputs",
    "store": "Anthropic stores no completions",
    "verbosity": "Anthropic has no verbosity; say it in the prompt",
    "prompt_cache_key": "Anthropic caches by prefix; mark it with cache_control",
}
#: Values that ask for what happens anyway: leaving them out loses nothing.
NEUTRAL: dict[str, Any] = {
    "n": 1, "presence_penalty": 0, "frequency_penalty": 0, "logit_bias": {}, "logprobs": False, "top_logprobs": 0,
    "modalities": ["text"], "store": False, "verbosity": "medium", "temperature": 1, "top_p": 1,
}  # fmt: skip
#: OpenAI's service tiers -> Anthropic's. https://platform.claude.com/docs/en/api/service-tiers
TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
#: What the API version of 2026-10-21 removed; only models up to 4.6 take them.
SAMPLING = ("temperature", "top_p", "top_k")
JSON_ONLY = "Answer with one JSON object and nothing else: no words around it, no code fence."

Body = dict[str, Any]


def to_messages(request: ChatRequest) -> Body:
    """Return the body. Parameters that Anthropic lacks, renames or limits are recorded on the request.

    Raises UnsupportedParamsError for what cannot be had, unless `drop_params=True`.
    """
    turns = Turns(request)
    for turn in request.conversation:
        turns.add(turn)
    if not turns.messages:
        raise BadRequestError("Anthropic needs a message of the user's besides the instructions at $.messages")
    limit = request.token_limit if request.token_limit is not None else default_max_tokens(request)
    body: Body = {"model": request.model, "max_tokens": limit}
    if turns.system:
        body["system"] = compact(turns.system)
    body["messages"] = [{"role": turn["role"], "content": compact(turn["content"])} for turn in turns.messages]
    for name, value in request.given().items():
        _parameter(name, value, request, body)
    if made := tools(request):
        body["tools"] = made
        if (choice := tool_choice(request, made)) is not None:
            body["tool_choice"] = choice
    _merge(body, thinking(request, limit))
    if request.schema is not None:
        _answer_in(request.schema, request, body)
    _merge(body, {name: value for name, value in request.extra.items() if name != "betas"})
    return body


def default_max_tokens(request: ChatRequest | MessagesRequest) -> int:
    """Return the limit for a request that names none, which Anthropic insists on: the most the model can answer."""
    if not is_known(request.model):
        why = f"Anthropic insists on a limit; {UNKNOWN_MAX_TOKENS} is safe where nothing is known of {request.model!r}"
        request.adapt("max_tokens", "emulated", why)
    return max_tokens(request.model)


def _parameter(name: str, value: Any, request: ChatRequest, body: Body) -> None:
    if name in UNSUPPORTED:
        if value != NEUTRAL.get(name):
            request.unsupported(name, UNSUPPORTED[name])
    elif name in RENDER:
        RENDER[name](value, request, body)


def _sampling(name: str) -> Callable[[Any, ChatRequest, Body], None]:
    def render(value: Any, request: ChatRequest, body: Body) -> None:
        if name in facts(request.model).unsupported:
            if value != NEUTRAL.get(name):
                request.unsupported(name, f"{request.model} has no sampling parameters")
            return
        if name == "temperature" and value > 1:
            request.adapt(name, "clamped", f"Anthropic's goes from 0 to 1, not to {value}")
            value = 1
        body[name] = value

    return render


def _stop(_value: Any, request: ChatRequest, body: Body) -> None:
    body["stop_sequences"] = request.stops


def _user_id(name: str) -> Callable[[Any, ChatRequest, Body], None]:
    def render(value: Any, request: ChatRequest, body: Body) -> None:
        if body.setdefault("metadata", {}).setdefault("user_id", value) != value:
            request.adapt(name, "dropped", "Anthropic's metadata has room for one user_id, and another was given")

    return render


def _metadata(value: dict[str, Any], request: ChatRequest, body: Body) -> None:
    if "user_id" in value:
        _user_id("metadata")(value["user_id"], request, body)
    if value.keys() - {"user_id"}:
        request.unsupported("metadata", "Anthropic's metadata holds a user_id and nothing else")


def _service_tier(value: str, request: ChatRequest, body: Body) -> None:
    if value not in TIERS:
        request.unsupported("service_tier", f"Anthropic has no {value!r}, only {', '.join(TIERS)}")
        return
    body["service_tier"] = TIERS[value]


def _stream(value: bool, _request: ChatRequest, body: Body) -> None:
    if value:
        body["stream"] = True


#: Parameters with a counterpart of their own; messages, tools, thinking and formats are translated as wholes.
RENDER: dict[str, Callable[[Any, ChatRequest, Body], None]] = {
    "stream": _stream,
    "stop": _stop,
    "user": _user_id("user"),
    "safety_identifier": _user_id("safety_identifier"),
    "metadata": _metadata,
    "service_tier": _service_tier,
    **{name: _sampling(name) for name in SAMPLING},
}


def _merge(body: Body, more: dict[str, Any]) -> None:
    """Add fields; `output_config` and `metadata` have several authors."""
    for name, value in more.items():
        known = body.get(name)
        body[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value


def _answer_in(schema: Schema, request: ChatRequest, body: Body) -> None:
    """Ask for an answer in JSON: natively, or by a tool that has to be called, or by asking."""
    if schema.value is None:
        _ask_for_json(request, body, JSON_ONLY)
    elif "structured_output" in facts(request.model).supports:
        value, told = constrain(schema.value)
        if told:
            request.adapt("response_format", "emulated", f"{', '.join(told)} are told to the model, not enforced")
        _merge(body, {"output_config": {"format": {"type": "json_schema", "schema": value}}})
    else:
        _answer_by_tool(schema, request, body)


def _ask_for_json(request: ChatRequest, body: Body, instruction: str) -> None:
    request.adapt("response_format", "emulated", "Anthropic has no mode for free JSON; an instruction asks for it")
    system = body.get("system", [])
    known = [{"type": "text", "text": system}] if isinstance(system, str) else system
    body["system"] = compact([*known, {"type": "text", "text": instruction}])


def _answer_by_tool(schema: Schema, request: ChatRequest, body: Body) -> None:
    """Offer a tool whose input is the answer, and force it where nothing else may be called and nothing thinks."""
    request.adapt("response_format", "emulated", f"{request.model} answers in JSON by calling a tool")
    described = schema.description or "Gives the final answer. Call it once, with the whole answer."
    answer = {"name": ANSWER_TOOL, "description": described, "input_schema": schema.value}
    alone = "tools" not in body and body.get("thinking", {}).get("type") != "enabled"
    body["tools"] = [*body.get("tools", []), answer]
    if alone:
        body["tool_choice"] = {"type": "tool", "name": ANSWER_TOOL}
    elif "tool_choice" not in body and "thinking" not in body:
        body["tool_choice"] = {"type": "any"}
