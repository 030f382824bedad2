"""A chat request as the body of `generateContent`. https://ai.google.dev/api/generate-content

Nothing here knows a host: `to_body` serves the Gemini API and Vertex AI, and whatever else is made of a chat.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polyport.errors import BadRequestError
from polyport.flow import Flow
from polyport.types.chat import ChatRequest
from polyport_gemini.contents import Contents
from polyport_gemini.door import Door
from polyport_gemini.naming import camel, camel_keys
from polyport_gemini.thinking import thinking
from polyport_gemini.tools import tool_config, tools

Body = dict[str, Any]

#: Parameters that Gemini does not have, and why.
UNSUPPORTED: dict[str, str] = {
    "logit_bias": "Gemini takes no bias on tokens",
    "prediction": "Gemini has no predicted outputs",
    "verbosity": "Gemini has no verbosity; say it in the prompt",
}
#: And those that change nothing of the answer, whose absence is only recorded.
HINTS: dict[str, str] = {
    "user": "Gemini is not told about users",
    "safety_identifier": "Gemini is not told about users",
    "prompt_cache_key": "Gemini caches by prefix; an explicit cache is cached_content=...",
    "metadata": "Gemini keeps no metadata; labels for the bill are labels={...}",
}
#: Values that ask for what happens anyway: leaving them out loses nothing.
NEUTRAL: dict[str, Any] = {"logit_bias": {}, "metadata": {}, "verbosity": "medium", "n": 1}
#: Parameters with a counterpart in the generation config.
CONFIG: dict[str, str] = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "n": "candidateCount",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "seed": "seed",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
#: Keyword arguments of Gemini's own (camelCase or snake_case) that belong into the generation config.
CONFIG_EXTRA = frozenset({
    "audioTimestamp", "audioTranscriptionConfig", "candidateCount", "enableAffectiveDialog",
    "enableEnhancedCivicAnswers", "imageConfig", "maxOutputTokens", "mediaResolution", "modelSelectionConfig",
    "responseJsonSchema", "responseLogprobs", "responseMimeType", "responseModalities", "responseSchema",
    "routingConfig", "speechConfig", "stopSequences", "thinkingConfig", "translationConfig",
})  # fmt: skip
#: And those that belong beside it. What is in neither goes into the body under its own name.
BODY_EXTRA = frozenset({
    "cachedContent", "continuationToken", "generationConfig", "labels", "modelArmorConfig", "safetySettings",
    "serviceTier", "store", "toolConfig",
})  # fmt: skip
#: OpenAI's service tiers -> Gemini's. https://ai.google.dev/gemini-api/docs/flex-inference
TIERS = {"default": "standard", "standard": "standard", "flex": "flex", "priority": "priority"}


def to_body(request: ChatRequest, door: Door) -> Flow[Body]:
    """Return the body; files that Google cannot fetch are fetched on the way.

    What Gemini lacks, renames or limits is recorded on the request. Raises UnsupportedParamsError for what cannot
    be had, unless `drop_params=True`.
    """
    contents = Contents(request, door)
    body = render(request, contents, door)
    yield from contents.media.inline()
    return body


def render(request: ChatRequest, contents: Contents, door: Door) -> Body:
    """Return the body without the files that `contents.media.inline` fetches."""
    for turn in request.conversation:
        contents.add(turn)
    if not contents.contents:
        raise BadRequestError("Gemini needs a message of the user's besides the instructions at $.messages")
    body: Body = {"contents": contents.contents}
    if contents.system:
        body["systemInstruction"] = {"parts": contents.system}
    made = tools(request)
    if made:
        body["tools"] = made
    if config := tool_config(request, made, door):
        body["toolConfig"] = config
    generation: Body = {}
    for name, value in request.given().items():
        _parameter(name, value, request, door, body, generation)
    if level := thinking(request):
        generation["thinkingConfig"] = level
    _extra(request, door, body, generation)
    if generation:
        body["generationConfig"] = generation
    return body


def _parameter(name: str, value: Any, request: ChatRequest, door: Door, body: Body, generation: Body) -> None:
    why = UNSUPPORTED.get(name) or door.unsupported.get(name)
    if name in NEUTRAL and value == NEUTRAL[name]:
        return
    if why is not None:
        request.unsupported(name, why)
    elif name in HINTS:
        request.adapt(name, "dropped", HINTS[name])
    elif name in CONFIG:
        generation[CONFIG[name]] = value
    elif name in RENDER:
        RENDER[name](value, request, generation)
    elif name == "store":
        body["store"] = value
    elif name == "service_tier" and door.tier_in_body:
        _tier(value, request, body)


def _tier(value: str, request: ChatRequest, body: Body) -> None:
    if value in TIERS:
        body["serviceTier"] = TIERS[value]
    elif value != "auto":
        request.unsupported("service_tier", f"Gemini has no {value!r}, only {', '.join(TIERS)}")


def _limit(_value: int, request: ChatRequest, generation: Body) -> None:
    generation["maxOutputTokens"] = request.token_limit


def _stop(_value: Any, request: ChatRequest, generation: Body) -> None:
    generation["stopSequences"] = request.stops


def _modalities(value: list[str], request: ChatRequest, generation: Body) -> None:
    if "audio" in value and len(value) > 1:
        request.adapt("modalities", "clamped", "Gemini answers in sound alone, or not in sound")
        value = ["audio"]
    generation["responseModalities"] = [name.upper() for name in value]


def _audio(value: dict[str, Any], request: ChatRequest, generation: Body) -> None:
    kind = value.get("format")
    if kind not in (None, "pcm16", "wav") or (kind == "wav" and request.stream):
        only = "pcm16" if request.stream else "wav or pcm16"
        request.unsupported("audio", f"Gemini speaks {only}, not {kind}")
    generation["speechConfig"] = speech_config(value.get("voice"))


def _format(_value: Any, request: ChatRequest, generation: Body) -> None:
    if (schema := request.schema) is not None:
        generation["responseMimeType"] = "application/json"
        if schema.value is not None:
            generation["responseJsonSchema"] = schema.value


#: Parameters that need more than another name; messages, tools and thinking are translated as wholes.
RENDER: dict[str, Callable[[Any, ChatRequest, Body], None]] = {
    "max_tokens": _limit,
    "max_completion_tokens": _limit,
    "stop": _stop,
    "modalities": _modalities,
    "audio": _audio,
    "response_format": _format,
}


def speech_config(voice: str | dict[str, Any] | None) -> Body:
    """Return the speech config for a voice: its name, OpenAI's `{"id": ...}`, or Gemini's own config as a dict.

    https://ai.google.dev/gemini-api/docs/speech-generation
    """
    if isinstance(voice, dict):
        if "id" in voice:
            return {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice["id"]}}}
        own: Body = camel_keys(voice)
        return own
    return {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}} if voice else {}


def _extra(request: ChatRequest, door: Door, body: Body, generation: Body) -> None:
    """Put Gemini's own keyword arguments where they belong; what is there already is joined."""
    for given, value in door.extras(request).items():
        name = camel(given)
        if name == "generationConfig" and isinstance(value, dict):
            _join(generation, camel_keys(value))
        elif name in CONFIG_EXTRA:
            _join(generation, camel_keys({name: value}))
        elif name in BODY_EXTRA:
            _join(body, camel_keys({name: value}))
        else:
            body[given] = value


def _join(whole: Body, more: Body) -> None:
    for name, value in more.items():
        known = whole.get(name)
        whole[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
