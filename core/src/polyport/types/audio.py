"""Audio: speech to text, text to speech. https://platform.openai.com/docs/api-reference/audio"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polyport.errors import BadRequestError
from polyport.types.record import CallParams, Fields, Request, Result
from polyport.types.upload import Upload
from polyport.types.usage import Usage


class Word(Fields):
    """A word and when it was spoken, in seconds from the start."""

    word: str = ""
    start: float = 0.0
    end: float = 0.0
    speaker: str | None = None


class Segment(Fields):
    """A stretch of speech, in seconds from the start."""

    id: int | str | None = None
    start: float = 0.0
    end: float = 0.0
    text: str = ""
    seek: int | None = None
    tokens: list[int] | None = None
    temperature: float | None = None
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None
    speaker: str | None = None
    type: str | None = None


class Transcription(Result):
    """What was said. `duration` is in seconds."""

    text: str = ""
    task: str | None = None
    language: str | None = None
    duration: float | None = None
    segments: list[Segment] | None = None
    words: list[Word] | None = None
    logprobs: list[dict[str, Any]] | None = None
    usage: Usage | None = None


class TranscriptionEvent(Result):
    """A streamed piece: `transcript.text.delta` with `delta`, `transcript.text.done` with `text` and usage."""

    type: str = ""
    delta: str | None = None
    text: str | None = None
    logprobs: list[dict[str, Any]] | None = None
    usage: Usage | None = None
    segment_id: str | None = None
    id: str | None = None
    speaker: str | None = None
    start: float | None = None
    end: float | None = None


class TranscriptionRequest(Request):
    """What to listen to. `response_format`: json, text, srt, verbose_json, vtt, diarized_json; `language` ISO-639-1.

    A file that is given as an http(s) address is in `url`, for providers that fetch it themselves.
    """

    file: Any
    language: str | None = None
    prompt: str | None = None
    response_format: str | None = None
    temperature: float | None = None
    timestamp_granularities: list[str] | None = None
    include: list[str] | None = None
    diarize: bool | None = None
    chunking_strategy: str | dict[str, Any] | None = None
    stream: bool | None = None

    def check(self) -> None:
        """Read the file, so that an unreadable one is an error before anything is sent."""
        is_address = isinstance(self.file, str) and self.file.startswith(("http://", "https://"))
        self.url: str | None = self.file if is_address else None
        self.__dict__["_upload"] = None if is_address else Upload.of(self.file, "audio")

    @property
    def upload(self) -> Upload:
        """The file to send. Raises BadRequestError for an address: a provider that asks for this fetches none."""
        upload: Upload | None = self.__dict__["_upload"]
        if upload is None:
            raise BadRequestError("This provider fetches no recordings: give the bytes, not an address, at $.file")
        return upload


class TranscriptionParams(CallParams, total=False):
    """The optional parameters of `transcription` and `translation`."""

    language: str | None
    prompt: str | None
    response_format: str | None
    temperature: float | None
    timestamp_granularities: list[str] | None
    include: list[str] | None
    diarize: bool | None
    chunking_strategy: str | dict[str, Any] | None


class SpeechRequest(Request):
    """What to say. `speed` is 0.25 to 4; `voice` left out takes the provider's default."""

    input: str
    voice: str | dict[str, Any] | None = None
    response_format: str | None = None
    speed: float | None = None
    instructions: str | None = None
    stream: bool | None = None
    stream_format: str | None = None


class SpeechParams(CallParams, total=False):
    """The optional parameters of `speech`."""

    response_format: str | None
    speed: float | None
    instructions: str | None
    stream_format: str | None


class Binary(Result):
    """Bytes: speech, a video, a file. `content_type` is the reply's media type."""

    content: bytes = b""
    content_type: str | None = None

    @property
    def text(self) -> str:
        """The bytes as UTF-8 text."""
        return self.content.decode()

    def read(self) -> bytes:
        """Return the bytes."""
        return self.content

    def iter_bytes(self, chunk_size: int = 64 * 1024) -> Iterator[bytes]:
        """Give the bytes in pieces."""
        for start in range(0, len(self.content), chunk_size):
            yield self.content[start : start + chunk_size]

    def stream_to_file(self, path: str | os.PathLike[str]) -> None:
        """Write the bytes to `path`."""
        Path(path).write_bytes(self.content)

    write_to_file = stream_to_file


class BinaryRequest(Request):
    """A request whose only parameter is an id: base of the downloads."""

    stream: bool | None = None
