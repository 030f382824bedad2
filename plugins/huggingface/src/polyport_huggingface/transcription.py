"""Speech written down: automatic-speech-recognition.

https://huggingface.co/docs/inference-providers/tasks/automatic-speech-recognition
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from polyport.dialects.openai import Wire
from polyport.dialects.openai_wire import to_form
from polyport.errors import InvalidResponseError
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.remote import fetch
from polyport.types.audio import Segment, Transcription, TranscriptionRequest
from polyport_huggingface.asked import prediction
from polyport_huggingface.hub import OWN, Served, serve
from polyport_huggingface.reading import finished_prediction

TASK = "automatic-speech-recognition"
KNOWN = frozenset({OWN, "fal-ai", "replicate", "deepinfra"})
FORMATS = frozenset({"json", "text", "verbose_json"})
REFUSED: Mapping[str, str] = {
    "include": "models give no log probabilities here",
    "diarize": "speakers are not told apart",
    "chunking_strategy": "the provider cuts audio by itself",
    "stream": "transcripts come whole",
}
#: Parameters that only some providers have by OpenAI's names.
TAKEN: Mapping[str, frozenset[str]] = {
    OWN: frozenset({"temperature", "timestamp_granularities"}),
    "deepinfra": frozenset({"temperature", "timestamp_granularities", "language", "prompt"}),
}


class HubTranscription(Wire):
    """Speech written down by whoever serves the model."""

    @hookimpl
    def transcribe(self, request: TranscriptionRequest) -> Flow[Transcription | str]:
        """Write down speech."""
        _refuse(request)
        served = yield from serve(self, request, TASK, KNOWN)
        for name in TAKEN["deepinfra"] - TAKEN.get(served.provider, frozenset()):
            if getattr(request, name) is not None:
                request.unsupported(name, f"{served.provider} takes none; pass the model's own parameters")
        reply: HttpReply = yield from SEND[served.provider](self, request, served)
        made = (yield from _read_prediction(reply)) if served.provider == "replicate" else _read(reply)
        made.keep(reply.content)
        return made.text if request.response_format == "text" else made

    def _own(self, request: TranscriptionRequest, served: Served) -> Flow[HttpReply]:
        """Send the file as it is where nothing is to be said of it, else as base64 with the parameters."""
        path = served.path or served.at(f"models/{served.id}")
        upload, given = request.upload, parameters(request)
        if given or request.options.extra_body:
            body = {"inputs": base64.b64encode(upload.read()).decode(), "parameters": given}
            reply: HttpReply = yield self.post(path, json=body)
        else:
            headers = {"content-type": upload.content_type}
            reply = yield self.request("POST", path, content=upload.read(), headers=headers)
        return reply

    def _fal(self, request: TranscriptionRequest, served: Served) -> Flow[HttpReply]:
        body = {"audio_url": request.upload.data_url(), **request.extra}
        reply: HttpReply = yield self.post(served.at(served.id), json=body)
        return reply

    def _replicate(self, request: TranscriptionRequest, served: Served) -> Flow[HttpReply]:
        sent = prediction(served, {"audio": request.upload.data_url(), **request.extra})
        reply: HttpReply = yield self.post(sent.path, json=sent.body, headers=sent.headers)
        return reply

    def _deepinfra(self, request: TranscriptionRequest, served: Served) -> Flow[HttpReply]:
        given = {name: value for name, value in request.given().items() if name not in {"file", *REFUSED}}
        if given.get("response_format") == "text":
            given["response_format"] = "json"
        form = to_form({"file": request.upload, **given, **request.extra, "model": served.id})
        reply: HttpReply = yield self.post(served.at("v1/openai/audio/transcriptions"), form=form)
        return reply


SEND = {
    OWN: HubTranscription._own,
    "fal-ai": HubTranscription._fal,
    "replicate": HubTranscription._replicate,
    "deepinfra": HubTranscription._deepinfra,
}


def _refuse(request: TranscriptionRequest) -> None:
    for name, why in REFUSED.items():
        if getattr(request, name):
            request.unsupported(name, why)
    if request.response_format not in (None, *FORMATS):
        request.unsupported("response_format", f"there are {', '.join(sorted(FORMATS))}")
    if "word" in (request.timestamp_granularities or ()):
        request.unsupported("timestamp_granularities", "times are those of segments")


def parameters(request: TranscriptionRequest) -> dict[str, Any]:
    """Return the parameters in Hugging Face's words."""
    made: dict[str, Any] = {}
    if request.response_format == "verbose_json" or request.timestamp_granularities:
        made["return_timestamps"] = True
    if request.temperature is not None:
        made["generation_parameters"] = {"temperature": request.temperature}
    return {**made, **request.extra}


class _Chunk(msgspec.Struct):
    text: str = ""
    timestamp: tuple[float | None, float | None] = (None, None)


class _Heard(msgspec.Struct):
    text: str
    chunks: list[_Chunk] | None = None
    segments: list[Segment] | None = None
    language: str | None = None
    duration: float | None = None


def _read(reply: HttpReply) -> Transcription:
    """Return what a reply says was said; chunks are segments."""
    heard: _Heard = decode(reply, _Heard)
    segments = heard.segments
    if heard.chunks is not None:
        segments = [_segment(number, chunk) for number, chunk in enumerate(heard.chunks)]
    return Transcription(text=heard.text, segments=segments, language=heard.language, duration=heard.duration)


def _segment(number: int, chunk: _Chunk) -> Segment:
    start = chunk.timestamp[0] or 0.0
    end = chunk.timestamp[1]  # the last one may have none
    return Segment(id=number, start=start, end=max(start, end) if end is not None else start, text=chunk.text)


def _read_prediction(reply: HttpReply) -> Flow[Transcription]:
    """Return the text that a prediction of Replicate's holds, by whichever name its model has for it."""
    output = finished_prediction(reply).output
    if isinstance(output, list) and output:
        output = output[0]
    if isinstance(output, str):
        return Transcription(text=output)
    said = output if isinstance(output, dict) else {}
    for name in ("transcription", "translation", "text"):
        if isinstance(said.get(name), str):
            return Transcription(text=said[name])
    if isinstance(said.get("txt_file"), str):
        upload = yield from fetch(said["txt_file"])
        return Transcription(text=upload.read().decode("utf-8", "replace"))
    raise InvalidResponseError("The prediction's output holds no transcript.", body=reply.content)
