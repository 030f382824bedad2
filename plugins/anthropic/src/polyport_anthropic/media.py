"""Content parts as Anthropic's blocks: text, images, documents. What is already a block passes as it is.

https://platform.claude.com/docs/en/build-with-claude/vision and /pdf-support
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Callable
from typing import Any

from polyport.errors import BadRequestError
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
from polyport_anthropic.blocks import Block


def blocks(parts: list[Part], request: Request) -> list[Block]:
    """Return the parts as blocks, in order. Empty text is left out: the API refuses it."""
    return [block for part in parts if (block := _block(part, request)) is not None]


def _block(part: Part, request: Request) -> Block | None:
    if isinstance(part, NativePart):
        return part.value
    block = MAKERS[type(part)](part, request)
    if block is not None and part.cache_control is not None:
        block["cache_control"] = part.cache_control
    return block


def _text(part: TextPart, _request: Request) -> Block | None:
    return {"type": "text", "text": part.text} if part.text else None


def _refusal(part: RefusalPart, _request: Request) -> Block | None:
    return {"type": "text", "text": part.refusal} if part.refusal else None


def _image(part: ImagePart, request: Request) -> Block:
    image = part.image
    if image.detail in ("low", "high"):
        request.adapt("messages", "dropped", f"an image's detail={image.detail!r}: Claude sees every image in full")
    return {"type": "image", "source": source(image.url, image.format or "image/jpeg")}


def _file(part: FilePart, _request: Request) -> Block:
    file = part.file
    address = file.file_data or file.file_url or file.file_id
    if not address:
        raise BadRequestError("A file part needs file_data, file_url or file_id at $.messages")
    kind = file.format or mimetypes.guess_type(file.filename or "")[0] or "application/pdf"
    if file.file_id and not file.file_data and not file.file_url and not _is_url(file.file_id):
        made: dict[str, Any] = {"type": "file", "file_id": file.file_id}
    else:
        made = source(address, kind)
        kind = made.get("media_type", kind)
    if kind.startswith("image/"):
        return {"type": "image", "source": made}
    block = {"type": "document", "source": _document(made)}
    named = {"title": part.title or file.filename, "context": part.context, "citations": part.citations}
    return {**block, **{name: value for name, value in named.items() if value is not None}}


def _document(made: dict[str, Any]) -> dict[str, Any]:
    """Return a document's source; text is not sent as base64 but as text."""
    kind = made.get("media_type", "")
    if made["type"] == "base64" and (kind.startswith("text/") or kind in ("application/json", "application/xml")):
        text = base64.b64decode(made["data"]).decode("utf-8", "replace")
        return {"type": "text", "media_type": "text/plain", "data": text}
    return made


def source(url: str, kind: str) -> dict[str, Any]:
    """Return where a picture or document is: an https URL, a data: URL, or bare base64 of media type `kind`."""
    if _is_url(url):
        return {"type": "url", "url": url}
    if url.startswith("data:"):
        head, _, body = url.partition(",")
        kind, content = (head[5:-7], body) if head.endswith(";base64") else _encoded(url)
        return {"type": "base64", "media_type": kind.split(";")[0] or "text/plain", "data": content}
    if ":" in url[:12]:
        raise BadRequestError(f"Anthropic reads https: and data: URLs, not {url[:60]!r} at $.messages")
    return {"type": "base64", "media_type": kind, "data": url}


def _encoded(url: str) -> tuple[str, str]:
    kind, content = split_data_url(url)
    return kind, base64.b64encode(content).decode()


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _unheard(part: AudioPart | VideoPart, request: Request) -> None:
    what = "listen to audio" if isinstance(part, AudioPart) else "watch video"
    request.unsupported("messages", f"Claude cannot {what}")


MAKERS: dict[type, Callable[[Any, Request], Block | None]] = {
    TextPart: _text,
    RefusalPart: _refusal,
    ImagePart: _image,
    FilePart: _file,
    AudioPart: _unheard,
    VideoPart: _unheard,
}
