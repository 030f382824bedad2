"""A chat request as the body of Converse.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from polyport.errors import BadRequestError
from polyport.flow import Flow
from polyport.types.chat import ChatRequest
from polyport.types.schema import Schema
from polyport_anthropic.schema import constrain
from polyport_anthropic.tools import ANSWER_TOOL
from polyport_bedrock import facts
from polyport_bedrock.names import Name, named
from polyport_bedrock.settings import extras
from polyport_bedrock.thinking import thinking
from polyport_bedrock.tools import Toolbox
from polyport_bedrock.turns import Turns

Body = dict[str, Any]

#: Parameters that Converse does not have, and why.
UNSUPPORTED: dict[str, str] = {
    "n": "Bedrock gives one answer a request; ask n times",
    "presence_penalty": "Converse has no penalties",
    "frequency_penalty": "Converse has no penalties",
    "logit_bias": "Converse takes no bias on tokens",
    "logprobs": "Converse gives no log probabilities",
    "top_logprobs": "Converse gives no log probabilities",
    "seed": "Converse's sampling cannot be seeded",
    "modalities": "Converse answers in text",
    "audio": "Converse does not speak",
    "prediction": "Bedrock has no predicted outputs",
    "store": "Bedrock logs what the account's settings say",
    "verbosity": "Converse has no verbosity; say it in the prompt",
}
#: And those that change nothing of the answer, whose absence is only recorded.
HINTS: dict[str, str] = {
    "user": "Bedrock is not told about users; request_metadata={...} goes into its logs",
    "safety_identifier": "Bedrock is not told about users; request_metadata={...} goes into its logs",
    "prompt_cache_key": "Bedrock caches by prefix; mark it with cache_control",
}
#: Values that ask for what happens anyway: leaving them out loses nothing.
NEUTRAL: dict[str, Any] = {
    "n": 1, "presence_penalty": 0, "frequency_penalty": 0, "logit_bias": {}, "logprobs": False, "top_logprobs": 0,
    "modalities": ["text"], "store": False, "verbosity": "medium", "metadata": {},
}  # fmt: skip
#: Fields of Converse's own, by the names that keyword arguments may have for them.
OWN: dict[str, str] = {
    "guardrail_config": "guardrailConfig", "performance_config": "performanceConfig",
    "request_metadata": "requestMetadata", "prompt_variables": "promptVariables", "output_config": "outputConfig",
    "inference_config": "inferenceConfig", "tool_config": "toolConfig",
    "additional_model_request_fields": "additionalModelRequestFields",
    "additional_model_response_field_paths": "additionalModelResponseFieldPaths",
}  # fmt: skip
TIERS = {"default": "default", "standard": "default", "flex": "flex", "priority": "priority", "reserved": "reserved"}
JSON_ONLY = "Answer with one JSON object and nothing else: no words around it, no code fence."


def to_body(request: ChatRequest) -> Flow[Body]:
    """Return the body; files that Bedrock cannot fetch are fetched on the way.

    What Converse lacks, renames or limits is recorded on the request. Raises UnsupportedParamsError for what cannot
    be had, unless `drop_params=True`.
    """
    turns = Turns(request)
    body = render(request, turns)
    yield from turns.media.inline()
    return body


def render(request: ChatRequest, turns: Turns) -> Body:
    """Return the body without the files that `turns.media.inline` fetches."""
    name = named(request)
    for turn in request.conversation:
        turns.add(turn)
    if not turns.messages:
        raise BadRequestError("Bedrock needs a message of the user's besides the instructions at $.messages")
    body: Body = {"messages": turns.messages}
    if turns.system:
        body["system"] = turns.system
    for parameter, value in request.given().items():
        _parameter(parameter, value, request, body)
    toolbox = Toolbox(request, name, turns.called)
    own, output = thinking(request, name)
    _merge(body, "additionalModelRequestFields", {**own, **toolbox.fields, **_top_k(request, name)})
    _merge(body, "outputConfig", output)
    _merge(body, "toolConfig", toolbox.config)
    if request.schema is not None:
        _answer_in(request.schema, request, name, body)
    _extra(request, body)
    return body


def _parameter(name: str, value: Any, request: ChatRequest, body: Body) -> None:
    if name in NEUTRAL and value == NEUTRAL[name]:
        return
    if name in UNSUPPORTED:
        request.unsupported(name, UNSUPPORTED[name])
    elif name in HINTS:
        request.adapt(name, "dropped", HINTS[name])
    elif name in RENDER:
        RENDER[name](value, request, body)


def _inference(name: str, field: str) -> Callable[[Any, ChatRequest, Body], None]:
    def render(value: Any, request: ChatRequest, body: Body) -> None:
        model = named(request)
        if facts.is_claude(model) and name in facts.of_claude(model).unsupported:
            if value != 1:
                request.unsupported(name, f"{request.model} has no sampling parameters")
            return
        if value > 1:
            request.adapt(name, "clamped", f"Converse's goes from 0 to 1, not to {value}")
            value = 1
        _merge(body, "inferenceConfig", {field: value})

    return render


def _limit(_value: int, request: ChatRequest, body: Body) -> None:
    _merge(body, "inferenceConfig", {"maxTokens": request.token_limit})


def _stop(_value: Any, request: ChatRequest, body: Body) -> None:
    _merge(body, "inferenceConfig", {"stopSequences": request.stops})


def _tier(value: str, request: ChatRequest, body: Body) -> None:
    if value in TIERS:
        body["serviceTier"] = {"type": TIERS[value]}
    elif value != "auto":
        request.unsupported("service_tier", f"Bedrock has no {value!r}, only {', '.join(TIERS)}")


def _metadata(value: dict[str, Any], _request: ChatRequest, body: Body) -> None:
    if not all(isinstance(inner, str) for inner in value.values()):
        raise BadRequestError("Bedrock's request metadata holds text only at $.metadata")
    _merge(body, "requestMetadata", value)


#: Parameters with a counterpart of their own; messages, tools, thinking and formats are translated as wholes.
RENDER: dict[str, Callable[[Any, ChatRequest, Body], None]] = {
    "temperature": _inference("temperature", "temperature"),
    "top_p": _inference("top_p", "topP"),
    "max_tokens": _limit,
    "max_completion_tokens": _limit,
    "stop": _stop,
    "service_tier": _tier,
    "metadata": _metadata,
}


def _top_k(request: ChatRequest, name: Name) -> Body:
    """Return `top_k` where each vendor has it. https://docs.aws.amazon.com/nova/latest/userguide/using-converse-api.html"""
    if request.top_k is None:
        return {}
    if facts.is_claude(name) and "top_k" in facts.of_claude(name).unsupported:
        request.unsupported("top_k", f"{request.model} has no sampling parameters")
        return {}
    if facts.is_nova(name):
        return {"inferenceConfig": {"topK": request.top_k}}
    return {"k": request.top_k} if name.vendor == "cohere" else {"top_k": request.top_k}


def _merge(body: Body, name: str, more: Body) -> None:
    if more:
        body[name] = {**body.get(name, {}), **more}


# --- answers in JSON ---


def _answer_in(schema: Schema, request: ChatRequest, name: Name, body: Body) -> None:
    """Ask for an answer in JSON: natively, by a tool that has to be called, or by asking."""
    if schema.value is None:
        _ask_for_json(request, body, JSON_ONLY, "Converse has no mode for free JSON; an instruction asks for it")
    elif facts.structured(name):
        _natively(schema, schema.value, request, name, body)
    elif name.vendor in facts.FORCED | facts.SOME:
        _answer_by_tool(schema, request, name, body)
    else:
        said = msgspec.json.encode(schema.value).decode()
        why = f"{name.id} has neither schemas nor forced tools; an instruction asks for the schema"
        _ask_for_json(request, body, f"{JSON_ONLY} It fits this JSON schema: {said}", why)


def _natively(schema: Schema, value: Body, request: ChatRequest, name: Name, body: Body) -> None:
    """Ask by `outputConfig`. https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html"""
    if facts.is_claude(name):
        value, told = constrain(value)
        if told:
            request.adapt("response_format", "emulated", f"{', '.join(told)} are told to the model, not enforced")
    inner = {"schema": msgspec.json.encode(value).decode(), "name": schema.name}
    if schema.description:
        inner["description"] = schema.description
    _merge(body, "outputConfig", {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": inner}}})


def _ask_for_json(request: ChatRequest, body: Body, instruction: str, why: str) -> None:
    request.adapt("response_format", "emulated", why)
    body["system"] = [*body.get("system", []), {"text": instruction}]


def _answer_by_tool(schema: Schema, request: ChatRequest, name: Name, body: Body) -> None:
    """Offer a tool whose input is the answer, and force it where nothing else may be called and nothing thinks."""
    request.adapt("response_format", "emulated", f"{name.id} answers in JSON by calling a tool")
    described = schema.description or "Gives the final answer. Call it once, with the whole answer."
    answer = {"name": ANSWER_TOOL, "description": described, "inputSchema": {"json": schema.value}}
    config = body.get("toolConfig", {})
    fields = body.get("additionalModelRequestFields", {})
    thinks = fields.get("thinking", {}).get("type") == "enabled" or "reasoningConfig" in fields
    made = {**config, "tools": [*config.get("tools", []), {"toolSpec": answer}]}
    if "tools" not in config and not thinks:
        made["toolChoice"] = {"tool": {"name": ANSWER_TOOL}} if name.vendor in facts.FORCED else {"any": {}}
    elif "toolChoice" not in config and not thinks:
        made["toolChoice"] = {"any": {}}
    body["toolConfig"] = made


# --- what Converse has and OpenAI has not ---


def _extra(request: ChatRequest, body: Body) -> None:
    """Put Converse's own keyword arguments where they belong; what is the model's own goes to the model."""
    fields: Body = {}
    betas: list[str] = []
    for given, value in extras(request).items():
        name = OWN.get(given, given)
        if given in ("betas", "anthropic_beta"):
            betas += [value] if isinstance(value, str) else list(value)
        elif name == "guardrailConfig" and isinstance(value, dict):
            _merge(body, name, _guardrail(value, bool(request.stream)))
        elif name in OWN.values():
            _put(body, name, value)
        else:
            fields[given] = value
    _merge(body, "additionalModelRequestFields", {**({"anthropic_beta": betas} if betas else {}), **fields})


def _put(body: Body, name: str, value: Any) -> None:
    if isinstance(value, dict):
        _merge(body, name, value)
    else:
        body[name] = value


def _guardrail(value: Body, stream: bool) -> Body:
    """Return a guardrail's config; how it reads a stream is for streams only."""
    return {name: inner for name, inner in value.items() if stream or name != "streamProcessingMode"}
