"""Audio on OpenAI's wire. https://platform.openai.com/docs/api-reference/audio"""

from __future__ import annotations

from typing import Any

from polyport.dialects.openai_events import SpeechEvents, TranscriptionEvents
from polyport.dialects.openai_usage import count
from polyport.dialects.openai_wire import Wire, to_form
from polyport.flow import Flow, HttpReply, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.audio import Binary, SpeechRequest, Transcription, TranscriptionEvent, TranscriptionRequest

#: Response formats whose reply is the text itself.
TEXTS = frozenset({"text", "srt", "vtt"})


class Transcribe(Wire):
    """POST /audio/transcriptions. https://platform.openai.com/docs/api-reference/audio/createTranscription"""

    @hookimpl
    def transcribe(self, request: TranscriptionRequest) -> Flow[Transcription | str | Streaming[TranscriptionEvent]]:
        """Write down speech; with `stream`, as it is understood."""
        body = self.body(request, "transcribe", skip=("file", "diarize"))
        if request.diarize:
            self.diarize(request, body)
        form = to_form({"file": request.upload, **body})
        reply = yield self.post("/audio/transcriptions", form=form, stream=request.stream)
        if request.stream:
            return Streaming(reply, TranscriptionEvents())
        return to_transcription(reply, body.get("response_format"))

    def diarize(self, request: TranscriptionRequest, body: dict[str, Any]) -> None:
        """Ask for speakers to be told apart, where the provider can."""
        request.unsupported("diarize", "this provider does not tell speakers apart")


class Translate(Wire):
    """POST /audio/translations. https://platform.openai.com/docs/api-reference/audio/createTranslation"""

    @hookimpl
    def translate(self, request: TranscriptionRequest) -> Flow[Transcription | str]:
        """Write down speech in English."""
        body = self.body(request, "translate", skip=("file",))
        reply = yield self.post("/audio/translations", form=to_form({"file": request.upload, **body}))
        return to_transcription(reply, body.get("response_format"))


class Transcriptions(Transcribe, Translate):
    """Speech written down, as it is or in English."""


class Speech(Wire):
    """POST /audio/speech. https://platform.openai.com/docs/api-reference/audio/createSpeech"""

    @hookimpl
    def speak(self, request: SpeechRequest) -> Flow[Binary | Streaming[bytes]]:
        """Say text; `stream_format="sse"` is decoded to the audio's bytes."""
        body = self.body(request, "speak", skip=("stream",))
        as_events = body.get("stream_format") == "sse"
        reply: HttpReply = yield self.post("/audio/speech", json=body, stream=request.stream)
        if request.stream:
            return Streaming(reply, SpeechEvents() if as_events else Raw())
        return _from_events(reply) if as_events else to_binary(reply)


def to_transcription(reply: HttpReply, format: str | None) -> Transcription | str:
    """Return the text for formats that are text, else the transcription with its usage in the shared words."""
    if format in TEXTS:
        return reply.content.decode("utf-8", "replace")
    result: Transcription = decode(reply, Transcription)
    count(result, reply.content)
    return result


def to_binary(reply: HttpReply) -> Binary:
    """Return the reply's bytes and their media type."""
    return Binary(content=reply.content, content_type=reply.headers.get("content-type"))


def _from_events(reply: HttpReply) -> Binary:
    events = SpeechEvents()
    return Binary(content=b"".join([*events.feed(reply.content), *events.close()]))
