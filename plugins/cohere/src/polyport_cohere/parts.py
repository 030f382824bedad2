"""Content parts as Cohere takes them: text and pictures. Files of text become documents, which can be cited.

https://docs.cohere.com/docs/image-inputs and /docs/retrieval-augmented-generation-rag
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from typing import Any

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
from polyport.types.upload import split_data_url

Piece = dict[str, Any]
CACHED = "cache_control: Cohere caches by itself"
#: Media types besides text/* that are text.
TEXTS = frozenset({"application/json", "application/xml", "application/yaml", "application/x-yaml"})


class Parts:
    """Translates parts of one request; `documents` collects the files that are text."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.documents: list[dict[str, Any]] = []

    def pieces(self, parts: list[Part]) -> list[Piece]:
        """Return the parts in order. Raises UnsupportedParamsError for what Cohere cannot read."""
        return [piece for part in parts if (piece := self._piece(part)) is not None]

    def _piece(self, part: Part) -> Piece | None:
        if isinstance(part, NativePart):
            return part.value
        if part.cache_control is not None:
            self.request.adapt("messages", "dropped", CACHED)
        return MAKERS[type(part)](self, part)

    def _text(self, part: TextPart) -> Piece:
        return text(part.text)

    def _refusal(self, part: RefusalPart) -> Piece:
        return text(part.refusal)

    def _image(self, part: ImagePart) -> Piece:
        image = part.image
        made = {"url": image.url} if image.detail is None else {"url": image.url, "detail": image.detail}
        return {"type": "image_url", "image_url": made}

    def _file(self, part: FilePart) -> None:
        file = part.file
        given = file.file_data or ""
        named = part.title or file.filename
        if given.startswith("data:"):
            kind, content = split_data_url(given)
            if kind == "application/octet-stream":
                kind = mimetypes.guess_type(file.filename or "")[0] or kind
            if kind.startswith("text/") or kind in TEXTS:
                told = {"title": named, "snippet": content.decode("utf-8", "replace")}
                self.documents.append({"data": {name: value for name, value in told.items() if value is not None}})
                self.request.adapt("messages", "emulated", "a file of text is sent as one of the `documents`")
                return
        what = repr(named) if named else "a file"
        self.request.unsupported("messages", f"Cohere reads text and pictures, and of files those of text: not {what}")

    def _unheard(self, part: AudioPart | VideoPart) -> None:
        what = "listen to audio" if isinstance(part, AudioPart) else "watch video"
        self.request.unsupported("messages", f"Cohere's chat cannot {what}")


MAKERS: dict[type, Callable[[Parts, Any], Piece | None]] = {
    TextPart: Parts._text,
    RefusalPart: Parts._refusal,
    ImagePart: Parts._image,
    FilePart: Parts._file,
    AudioPart: Parts._unheard,
    VideoPart: Parts._unheard,
}


def text(words: str) -> Piece:
    """Return a piece of text."""
    return {"type": "text", "text": words}


def compact(pieces: list[Piece]) -> str | list[Piece]:
    """Return plain text where the content is nothing more."""
    if not pieces:
        return ""
    if len(pieces) == 1 and pieces[0].keys() == {"type", "text"}:
        words: str = pieces[0]["text"]
        return words
    return pieces
