"""Transcription: a chat model listens, and writes down what it hears. https://ai.google.dev/gemini-api/docs/audio

Times and speakers are what the model says they are: it is asked for them in a JSON schema.
"""

from __future__ import annotations

import base64
from typing import Any, TypeAlias

import msgspec

from polyport.errors import InvalidResponseError
from polyport.flow import Flow, Streaming
from polyport.hookspecs import hookimpl
from polyport.types.audio import Segment, Transcription, TranscriptionEvent, TranscriptionRequest
from polyport.types.chat import ChatCompletion, ChatCompletionChunk
from polyport.types.usage import Usage
from polyport.wire.captions import FORMS, captions
from polyport_gemini.door import Door
from polyport_gemini.media import ALIASES
from polyport_gemini.naming import camel, camel_keys
from polyport_gemini.reply import to_completion
from polyport_gemini.stream import ContentEvents
from polyport_gemini.wire import ContentWire

Answer: TypeAlias = "Transcription | str | Streaming[TranscriptionEvent]"
WRITE = "Write down word for word what is said in this recording. Answer with the transcript and nothing else."
TRANSLATE = "Write down in English what is said in this recording. Answer with the translation and nothing else."
#: Formats that need to know when something was said.
TIMED = frozenset({"verbose_json", "srt", "vtt", "diarized_json"})
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "language": {"type": "string", "description": "ISO 639-1 code of the language that is spoken"},
        "segments": {
            "type": "array",
            "description": "The recording sentence by sentence, from its beginning to its end",
            "items": {
                "type": "object",
                "properties": {
                    "start": {"type": "number", "description": "Seconds from the start of the recording"},
                    "end": {"type": "number", "description": "Seconds from the start of the recording"},
                    "text": {"type": "string"},
                    "speaker": {"type": "string", "description": "A, B ... in order of their first words"},
                },
                "required": ["start", "end", "text"],
            },
        },
    },
    "required": ["language", "segments"],
}


class Transcriptions(ContentWire):
    """POST {model}:generateContent with a recording."""

    @hookimpl
    def transcribe(self, request: TranscriptionRequest) -> Flow[Answer]:
        """Write down speech, whole or in pieces."""
        body = to_listen_body(request, WRITE, self.door)
        if request.stream:
            if is_timed(request):
                request.unsupported("stream", f"{request.response_format} is made of the whole answer")
            reply = yield self.ask(request, "streamGenerateContent", body, stream=True)
            return Streaming(reply, ContentEvents(request.model)).through(Words())
        reply = yield self.ask(request, "generateContent", body)
        return to_transcription(to_completion(reply, request.model), request, "transcribe")

    @hookimpl
    def translate(self, request: TranscriptionRequest) -> Flow[Transcription | str]:
        """Write down speech in English."""
        reply = yield self.ask(request, "generateContent", to_listen_body(request, TRANSLATE, self.door))
        return to_transcription(to_completion(reply, request.model), request, "translate")


def is_timed(request: TranscriptionRequest) -> bool:
    """Whether the request asks who spoke, or when."""
    return request.response_format in TIMED or bool(request.diarize or request.timestamp_granularities)


def to_listen_body(request: TranscriptionRequest, task: str, door: Door) -> dict[str, Any]:
    """Return the body that has a recording written down."""
    if request.include:
        request.unsupported("include", "a chat model that listens gives no log probabilities of words")
    if request.chunking_strategy not in (None, "auto"):
        request.unsupported("chunking_strategy", "Gemini listens to the whole recording at once")
    if "word" in (request.timestamp_granularities or []):
        request.unsupported(
            "timestamp_granularities", "a chat model that listens knows when sentences were said, not words"
        )
    request.adapt("file", "emulated", "a chat model is asked to write down what it hears")
    asked = [task]
    if request.language:
        asked.append(f"The language spoken is {request.language} (ISO 639-1).")
    if request.prompt:
        asked.append(f"Names and terms that may occur, and the style to follow: {request.prompt}")
    generation: dict[str, Any] = {}
    if request.temperature is not None:
        generation["temperature"] = request.temperature
    if is_timed(request):
        request.adapt("response_format", "emulated", "times and speakers are the model's own estimate")
        generation |= {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
        asked[0] = task.replace(" Answer with the transcript", " Answer with its sentences").replace(
            " Answer with the translation", " Answer with its sentences"
        )
    extra = door.extras(request)
    for given, value in extra.items():
        if camel(given) == "generationConfig":
            generation.update(camel_keys(value))
    rest = {name: value for name, value in extra.items() if camel(name) != "generationConfig"}
    kind = ALIASES.get(request.upload.content_type, request.upload.content_type)
    sound = {"inlineData": {"mimeType": kind, "data": base64.b64encode(request.upload.read()).decode()}}
    parts = [{"text": " ".join(asked)}, sound]
    made = {"contents": [{"role": "user", "parts": parts}], **rest}
    return {**made, "generationConfig": generation} if generation else made


class _Heard(msgspec.Struct):
    segments: list[Segment] = []
    language: str | None = None


def to_transcription(completion: ChatCompletion, request: TranscriptionRequest, task: str) -> Transcription | str:
    """Return what was heard in the format asked for: text for text, srt and vtt."""
    heard = _heard(completion) if is_timed(request) else _Heard()
    text = " ".join(segment.text.strip() for segment in heard.segments) if heard.segments else completion.text.strip()
    if request.response_format == "text":
        return text + "\n"
    if request.response_format in FORMS:
        return captions(heard.segments, str(request.response_format))
    made = Transcription(text=text, usage=completion.usage)
    if is_timed(request):
        for number, segment in enumerate(heard.segments):
            segment.id = number
        made.task, made.language, made.segments = task, heard.language, heard.segments
        made.duration = max((segment.end for segment in heard.segments), default=None)
    made.carry({})
    return made


def _heard(completion: ChatCompletion) -> _Heard:
    try:
        return msgspec.json.decode(completion.text, type=_Heard)
    except msgspec.MsgspecError as error:
        raise InvalidResponseError(
            f"The transcript at $.candidates[0].content does not fit the schema it was asked in: {error}",
            body=completion.raw,
        ) from error


class Words:
    """A stream of chat chunks as a transcript's events."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._usage: Usage | None = None

    def feed(self, data: ChatCompletionChunk) -> list[TranscriptionEvent]:
        """Return the words that a chunk brings."""
        self._usage = data.usage or self._usage
        pieces = [choice.delta.content for choice in data.choices if choice.delta.content]
        self._text += pieces
        return [TranscriptionEvent(type="transcript.text.delta", delta=piece) for piece in pieces]

    def close(self) -> list[TranscriptionEvent]:
        """Return the whole text."""
        whole = "".join(self._text)
        return [TranscriptionEvent(type="transcript.text.done", text=whole, usage=self._usage)]
