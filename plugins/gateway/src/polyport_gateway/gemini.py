"""Gemini's interface: generateContent and streamGenerateContent. https://ai.google.dev/api/generate-content

What of a request has no place in a chat of another vendor goes to models that speak Gemini's dialect, and is refused
by its path for all others, not left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from polyport.border import Call
from polyport.errors import BadRequestError
from polyport.flow import Flow
from polyport.operations import Operation
from polyport_gateway import replies
from polyport_gateway.gate import Admission
from polyport_gateway.gemini_answers import Pieces, to_response
from polyport_gateway.gemini_contents import parts_text, to_messages
from polyport_gateway.running import Running
from polyport_gateway.surface import Answer, Events, Problem, Surface

#: https://cloud.google.com/apis/design/errors#handling_errors
STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED",
    413: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 502: "UNAVAILABLE", 503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}  # fmt: skip
MODES = {"AUTO": "auto", "ANY": "required", "NONE": "none"}
#: Numbers and lists of `generationConfig` -> parameters of a chat.
PLAIN = {
    "temperature": "temperature", "topP": "top_p", "topK": "top_k", "maxOutputTokens": "max_tokens",
    "stopSequences": "stop", "candidateCount": "n", "seed": "seed", "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty", "responseLogprobs": "logprobs", "logprobs": "top_logprobs",
}  # fmt: skip
#: What only Gemini has, beside and in `generationConfig`, and its tools: given to models of its dialect as it is.
OWN = frozenset({"cachedContent", "safetySettings", "labels", "serviceTier", "modelArmorConfig"})
OWN_CONFIG = frozenset({
    "audioTimestamp", "audioTranscriptionConfig", "enableAffectiveDialog", "enableEnhancedCivicAnswers", "imageConfig",
    "mediaResolution", "modelSelectionConfig", "routingConfig", "speechConfig", "translationConfig",
})  # fmt: skip
OWN_TOOLS = frozenset({
    "codeExecution", "computerUse", "enterpriseWebSearch", "fileSearch", "googleMaps", "googleSearch",
    "googleSearchRetrieval", "urlContext",
})  # fmt: skip
EFFORTS = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}


class Gemini(Surface):
    """What the official `google-genai` SDKs talk to; one for whole answers, one for streams."""

    name = "gemini"
    relays = "gemini"
    plans = True

    def __init__(self, *, stream: bool = False) -> None:
        self._stream = stream

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the chat that a request is; `foreign` names what only Gemini has. Raises BadRequestError."""
        if self._stream and fields.get("alt") != "sse":
            raise BadRequestError("Streams are sent as server-sent events here: add ?alt=sse")
        chat: dict[str, Any] = {"model": fields["model"]}
        system: list[dict[str, Any]] = []
        foreign: list[str] = []
        for name, value in camels(fields).items():
            if name == "contents":
                chat["messages"] = to_messages(value, foreign)
            elif name == "systemInstruction":
                system = [{"role": "system", "content": parts_text(value, "$.systemInstruction")}]
            elif name in SECTIONS:
                chat |= SECTIONS[name](value, foreign)
            elif name in OWN:
                chat[name] = value
                foreign.append(f"$.{name}")
            elif name not in ("model", "alt"):
                raise BadRequestError(f"$.{name} has no place here; leave it out")
        chat["messages"] = system + chat.get("messages", [])
        if foreign:
            chat["foreign"] = foreign
        return chat | {"stream": True} if self._stream else chat

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call. Raises BadRequestError where something is asked for that only Gemini has of others."""
        self._demand_own(running, fields)
        asked = {name: value for name, value in fields.items() if name != "foreign"}
        if not asked.get("stream"):
            return running.router.plan(operation.function, **asked)
        asked["stream_options"] = {"include_usage": True}
        return running.router.plan(operation.function, relay=self.relays, **asked)

    def _demand_own(self, running: Running, fields: Mapping[str, Any]) -> None:
        """Raise BadRequestError where only Gemini has what is asked for, and others answer for the model."""
        foreign = fields.get("foreign")
        if foreign and not running.speaks(self.relays, fields["model"]):
            raise BadRequestError(
                f"{foreign[0]} has no place in a chat of every vendor; leave it out, or ask a model of Gemini's"
            )

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the completion as a GenerateContentResponse."""
        came = result.relayed_as(self.relays)
        return Answer(replies.encode(to_response(result)) if came is None else came)

    def events(self, operation: Operation, fields: Mapping[str, Any], headers: Mapping[str, str]) -> Events:
        """Return how a stream is written: every event is a response."""
        return GeminiEvents()

    def problem(self, problem: Problem) -> dict[str, Any]:
        """Return the body of an error."""
        status = STATUSES.get(problem.status) or ("INTERNAL" if problem.status >= 500 else "INVALID_ARGUMENT")
        return {"error": {"code": problem.status, "message": problem.message, "status": status}}

    def models(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the list of models. https://ai.google.dev/api/models"""
        return {"models": [self.model(name) for name in names]}

    def model(self, name: str) -> dict[str, Any]:
        """Return what is told of one model."""
        methods = ["generateContent", "streamGenerateContent", "countTokens", "embedContent"]
        return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}


class GeminiEvents(Events):
    """Chunks as responses; a call of a function comes whole, when it is."""

    def __init__(self) -> None:
        self._pieces = Pieces()

    def chunk(self, chunk: Any) -> bytes:
        """Return the event, or nothing for a chunk that only adds to a call."""
        response = self._pieces.response(chunk)
        return b"" if response is None else replies.event(response)


# --- the sections of a request ------------------------------------------------------------------------------------


def camels(given: Any, path: str = "$") -> dict[str, Any]:
    """Return a message of Google's JSON under its camelCase names; snake_case means the same there."""
    if not isinstance(given, dict):
        raise BadRequestError(f"Expected an object at {path}")
    return {_camel(name): value for name, value in given.items() if value is not None}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _generation(given: Any, foreign: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    config = camels(given, "$.generationConfig")
    schema = config.pop("responseJsonSchema", None) or config.pop("responseSchema", None)
    kind = config.pop("responseMimeType", None)
    if schema is not None:
        form = {"name": "response", "schema": to_schema(schema)}
        found["response_format"] = {"type": "json_schema", "json_schema": form}
    elif kind == "application/json":
        found["response_format"] = {"type": "json_object"}
    elif kind not in (None, "text/plain"):
        raise BadRequestError(f"{kind!r} is not text or JSON at $.generationConfig.responseMimeType")
    found |= _thinking(config.pop("thinkingConfig", None))
    modalities = config.pop("responseModalities", None)
    if modalities is not None:
        found["modalities"] = [str(one).lower() for one in modalities]
    for name, value in config.items():
        if name in OWN_CONFIG:
            foreign.append(f"$.generationConfig.{name}")
            found[name] = value
        elif name in PLAIN:
            found[PLAIN[name]] = value
        else:
            raise BadRequestError(f"$.generationConfig.{name} has no place here; leave it out")
    return found


def _thinking(given: Any) -> dict[str, Any]:
    """Return `reasoning_effort` for a level, `thinking` for a budget, of which 0 is none and -1 the model's own."""
    config = camels(given or {}, "$.generationConfig.thinkingConfig")
    if "thinkingLevel" in config:
        return {"reasoning_effort": EFFORTS.get(str(config["thinkingLevel"]).upper(), config["thinkingLevel"])}
    budget = config.get("thinkingBudget")
    if budget is None or budget == -1:
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget} if budget else {"type": "disabled"}}


def _tools(given: Any, foreign: list[str]) -> dict[str, Any]:
    tools: list[dict[str, Any]] = []
    found: dict[str, Any] = {}
    for place, one in enumerate(given if isinstance(given, list) else [given]):
        for name, value in camels(one, f"$.tools[{place}]").items():
            if name == "functionDeclarations":
                tools += [_tool(camels(declared)) for declared in value]
            elif name == "googleSearch" and not value:
                found["web_search_options"] = {}
            elif name in OWN_TOOLS:
                foreign.append(f"$.tools[{place}].{name}")
                tools.append({name: value})
            else:
                raise BadRequestError(f"$.tools[{place}].{name} is not among the tools that can be had here")
    return found | ({"tools": tools} if tools else {})


def _tool(declared: dict[str, Any]) -> dict[str, Any]:
    schema = declared.get("parametersJsonSchema") or declared.get("parameters")
    function = {"name": declared.get("name"), "description": declared.get("description")}
    parameters = {"parameters": to_schema(schema)} if schema else {}
    return {"type": "function", "function": {k: v for k, v in function.items() if v is not None} | parameters}


def _tool_config(given: Any, foreign: list[str]) -> dict[str, Any]:
    config = camels(given, "$.toolConfig")
    calling = camels(config.pop("functionCallingConfig", None) or {}, "$.toolConfig")
    foreign += [f"$.toolConfig.{name}" for name in config]
    return {**({"toolConfig": config} if config else {}), **_choice(calling)}


def _choice(calling: dict[str, Any]) -> dict[str, Any]:
    mode, names = calling.get("mode"), calling.get("allowedFunctionNames")
    if mode is None:
        return {}
    if mode not in MODES:
        raise BadRequestError(f"{mode!r} is none of {', '.join(MODES)} at $.toolConfig.functionCallingConfig.mode")
    if names and len(names) == 1 and mode == "ANY":
        return {"tool_choice": {"type": "function", "function": {"name": names[0]}}}
    if names:
        allowed = [{"type": "function", "function": {"name": name}} for name in names]
        choice = {"mode": MODES[mode], "tools": allowed}
        return {"tool_choice": {"type": "allowed_tools", "allowed_tools": choice}}
    return {"tool_choice": MODES[mode]}


def to_schema(given: Any) -> Any:
    """Return a Schema of Google's as JSON Schema: its types are in capitals, and `nullable` is a word of its own."""
    if isinstance(given, list):
        return [to_schema(inner) for inner in given]
    if not isinstance(given, dict):
        return given
    made: dict[str, Any] = {}
    for name, value in given.items():
        if name == "type" and isinstance(value, str):
            made[name] = value.lower()
        elif name in ("properties", "$defs", "defs") and isinstance(value, dict):
            made[name] = {key: to_schema(inner) for key, inner in value.items()}
        elif name not in ("nullable", "propertyOrdering", "property_ordering", "enum", "example", "default"):
            made["anyOf" if name == "any_of" else name] = to_schema(value)
        elif name in ("enum", "default"):
            made[name] = value
    if given.get("nullable") and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made


SECTIONS: dict[str, Callable[[Any, list[str]], dict[str, Any]]] = {
    "generationConfig": _generation,
    "tools": _tools,
    "toolConfig": _tool_config,
}
