"""Text said: text-to-speech. https://huggingface.co/docs/inference-providers/tasks"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyport.dialects.openai import Wire
from polyport.flow import Flow, HttpReply, HttpRequest, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.types.audio import Binary, SpeechRequest
from polyport_huggingface.asked import Asked, Sent, prediction
from polyport_huggingface.hub import OWN, Served, serve
from polyport_huggingface.reading import Route, own, read_bytes, read_fal, read_replicate

TASK = "text-to-speech"
#: Providers whose speech is OpenAI's, with a voice, a format and a speed; and where.
COMPATIBLE: Mapping[str, str] = {"together": "v1/audio/speech", "deepinfra": "v1/openai/audio/speech"}
#: Those that answer with the sound itself.
AT_ONCE = frozenset({OWN, *COMPATIBLE})


def _plain(asked: Asked) -> dict[str, Any]:
    return {"inputs": asked.text, **({"parameters": asked.parameters} if asked.parameters else {})}


def _fal(asked: Asked, served: Served) -> Sent:
    return Sent(served.at(served.id), {"text": asked.text, **asked.parameters})


def _replicate(asked: Asked, served: Served) -> Sent:
    return prediction(served, {"text": asked.text, **asked.parameters})


def _compatible(asked: Asked, served: Served) -> Sent:
    body = {"input": asked.text, **asked.parameters, "model": served.id}
    return Sent(served.at(COMPATIBLE[served.provider]), body)


SPEAK: Mapping[str, Route] = {
    OWN: Route(own(_plain), read_bytes),
    "fal-ai": Route(_fal, read_fal),
    "replicate": Route(_replicate, read_replicate),
    "together": Route(_compatible, read_bytes),
    "deepinfra": Route(_compatible, read_bytes),
}


class HubSpeech(Wire):
    """Text said by whoever serves the model."""

    @hookimpl
    def speak(self, request: SpeechRequest) -> Flow[Binary | Streaming[bytes]]:
        """Say text; streamed, as it comes, or from where the provider put it."""
        served = yield from serve(self, request, TASK, SPEAK)
        asked = Asked(request=request, text=request.input, parameters=parameters(request, served.provider))
        route = SPEAK[served.provider]
        sent = route.send(asked, served)
        stream = bool(request.stream) and served.provider in AT_ONCE
        reply: HttpReply = yield self.post(sent.path, json=sent.body, headers=sent.headers, stream=stream)
        if stream:
            return Streaming(reply, Raw())
        found = route.read(reply)[0]
        if request.stream:
            return Streaming((yield HttpRequest(method="GET", url=found.url, unsigned=True, stream=True)), Raw())
        upload = yield from found.upload()
        return Binary(content=upload.read(), content_type=upload.content_type)


def parameters(request: SpeechRequest, provider: str) -> dict[str, Any]:
    """Return the parameters by the provider's names; what it has not is refused."""
    made: dict[str, Any] = {}
    for name in ("voice", "response_format", "speed", "instructions", "stream_format"):
        value = getattr(request, name)
        if value is None:
            continue
        if name in TAKEN.get(provider, ()):
            made[name] = value
        else:
            request.unsupported(name, f"{provider} takes none; pass the model's own parameters")
    return {**made, **request.extra}


_OPENAIS = frozenset({"voice", "response_format", "speed"})
#: What each provider takes by OpenAI's names.
TAKEN: Mapping[str, frozenset[str]] = {
    "together": _OPENAIS,
    "deepinfra": _OPENAIS,
    "fal-ai": frozenset({"voice"}),
    "replicate": frozenset({"voice"}),
}
