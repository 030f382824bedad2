"""Content parts as Gemini's parts: text, images, audio, video, documents. Gemini's own pass as they are.

Files by URL are left for Google to fetch; one whose type its URL does not tell is fetched here first.
https://ai.google.dev/gemini-api/docs/file-input-methods
"""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from polyport.errors import BadRequestError
from polyport.flow import Flow
from polyport.remote import fetch
from polyport.types.conversation import (
    AudioPart,
    FilePart,
    ImagePart,
    NativePart,
    Part,
    RefusalPart,
    TextPart,
    VideoPart,
)
from polyport.types.record import Request
from polyport.types.upload import media_type, split_data_url
from polyport_gemini.door import Door
from polyport_gemini.facts import takes_levels

Piece: TypeAlias = dict[str, Any]

#: What a part of Gemini's holds; a native part must have one of them.
KNOWN = frozenset({
    "text", "inlineData", "inline_data", "fileData", "file_data", "functionCall", "function_call", "functionResponse",
    "function_response", "executableCode", "executable_code", "codeExecutionResult", "code_execution_result",
    "toolCall", "tool_call", "toolResponse", "tool_response",
})  # fmt: skip
#: OpenAI's `detail` -> the resolution a picture is looked at in.
#: https://ai.google.dev/gemini-api/docs/media-resolution
DETAILS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}
#: Media types that Python or users write otherwise than Google does.
ALIASES = {"audio/x-wav": "audio/wav", "audio/wave": "audio/wav", "audio/mpga": "audio/mp3", "image/jpg": "image/jpeg"}
YOUTUBE = re.compile(r"https?://((www|m)\.)?(youtube\.com|youtu\.be)/")


class Media:
    """Makes Gemini's parts of OpenAI's, and remembers which files `inline` must fetch before they can be sent."""

    def __init__(self, request: Request, door: Door) -> None:
        self.request = request
        self.door = door
        self.remote: list[tuple[Piece, str]] = []

    def parts(self, given: list[Part]) -> list[Piece]:
        """Return the parts, in order. Empty text is left out: the API refuses it."""
        return [piece for part in given if (piece := self._part(part)) is not None]

    def inline(self) -> Flow[None]:
        """Fetch the files that Google cannot be left to fetch, and put them into their parts."""
        for piece, url in self.remote:
            upload = yield from fetch(url)
            piece["inlineData"] = _inline(upload.content_type, upload.read())

    def _part(self, part: Part) -> Piece | None:
        if isinstance(part, NativePart):
            return self._native(part)
        if part.cache_control is not None:
            self.request.adapt("messages", "dropped", "cache_control: Gemini caches by prefix without being told")
        return MAKERS[type(part)](self, part)

    def _native(self, part: NativePart) -> Piece:
        piece = {name: value for name, value in part.value.items() if name not in ("type", "cache_control")}
        if KNOWN.isdisjoint(piece):
            raise BadRequestError(
                f"Gemini knows no part of type {part.type!r} at $.messages; its own parts have one of "
                "text, inlineData, fileData, functionCall ..."
            )
        return piece

    def text(self, part: TextPart) -> Piece | None:
        """Return text."""
        return {"text": part.text} if part.text else None

    def refusal(self, part: RefusalPart) -> Piece | None:
        """Return a refusal of the model's as the text it was."""
        return {"text": part.refusal} if part.refusal else None

    def image(self, part: ImagePart) -> Piece:
        """Return a picture, to be looked at as closely as `detail` says."""
        image = part.image
        piece = self.place(image.url, image.format, "image/jpeg")
        if image.detail in DETAILS:
            if takes_levels(self.request.model):
                piece["mediaResolution"] = {"level": DETAILS[image.detail]}
            else:
                why = f"an image's detail={image.detail!r}: {self.request.model} looks at all of them alike"
                self.request.adapt("messages", "dropped", why)
        return piece

    def audio(self, part: AudioPart) -> Piece:
        """Return sound."""
        audio = part.input_audio
        return self.place(audio.data, audio.format if "/" in audio.format else f"audio/{audio.format}", "audio/wav")

    def video(self, part: VideoPart) -> Piece:
        """Return a video, from YouTube too."""
        return self.place(part.video.url, part.video.format, "video/mp4")

    def file(self, part: FilePart) -> Piece:
        """Return a file: a document, or whatever its type says."""
        file = part.file
        address = file.file_data or file.file_url or file.file_id
        if not address:
            raise BadRequestError("A file part needs file_data, file_url or file_id at $.messages")
        kind = file.format or mimetypes.guess_type(file.filename or "")[0]
        if file.file_id and not file.file_data and not file.file_url:
            return self.stored(file.file_id, kind)
        return self.place(address, kind, "application/pdf")

    def stored(self, id: str, kind: str | None) -> Piece:
        """Return a file that Google holds: by its URI, or by the name that uploading it gave."""
        named = ":" in id[:12] or not self.door.files
        uri = id if named else self.door.files + (id if id.startswith("files/") else f"files/{id}")
        return {"fileData": {"fileUri": uri, **({"mimeType": kind} if kind else {})}}

    def place(self, url: str, kind: str | None, otherwise: str) -> Piece:
        """Return what is at an http(s), gs:, data: or Files API address, or is bare base64 of type `otherwise`."""
        if url.startswith("data:"):
            return {"inlineData": _of_data_url(url)}
        if url.startswith(("http://", "https://")):
            return self._linked(url, kind)
        if url.startswith(("gs://", "files/")):
            return self.stored(url, kind or _guessed(url) or (otherwise if url.startswith("gs:") else None))
        if ":" in url[:12]:
            raise BadRequestError(f"Gemini reads http(s):, gs: and data: URLs, not {url[:60]!r} at $.messages")
        return {"inlineData": {"mimeType": _kind(kind or otherwise), "data": url}}

    def _linked(self, url: str, kind: str | None) -> Piece:
        if self.door.files and url.startswith(self.door.files):
            return self.stored(url, kind)
        kind = kind or ("video/mp4" if YOUTUBE.match(url) else _guessed(url))
        if kind is not None:
            return {"fileData": {"fileUri": url, "mimeType": _kind(kind)}}
        piece: Piece = {}
        self.remote.append((piece, url))
        self.request.adapt("messages", "emulated", f"{url} does not tell its type, so it is fetched and sent along")
        return piece


MAKERS: dict[type, Callable[[Media, Any], Piece | None]] = {
    TextPart: Media.text,
    RefusalPart: Media.refusal,
    ImagePart: Media.image,
    AudioPart: Media.audio,
    VideoPart: Media.video,
    FilePart: Media.file,
}


def _guessed(url: str) -> str | None:
    return mimetypes.guess_type(urlsplit(url).path)[0]


def _kind(kind: str) -> str:
    return ALIASES.get(kind, kind)


def _inline(kind: str, content: bytes) -> dict[str, str]:
    if kind == "application/octet-stream":
        kind = media_type("", content[:16])
    return {"mimeType": _kind(kind), "data": base64.b64encode(content).decode()}


def _of_data_url(url: str) -> dict[str, str]:
    head, _, body = url.partition(",")
    if not head.endswith(";base64"):
        return _inline(*split_data_url(url))
    return {"mimeType": _kind(head[5:-7].split(";")[0] or "text/plain"), "data": body}
