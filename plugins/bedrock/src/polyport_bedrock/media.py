"""Content parts as Converse's blocks: text, pictures, documents, video, sound. What Bedrock cannot fetch is fetched.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from polyport import remote
from polyport.errors import BadRequestError
from polyport.flow import All, Flow
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
from polyport.types.upload import Upload, split_data_url

Block: TypeAlias = dict[str, Any]

#: Media type -> (the block it goes into, Converse's name of the format).
FORMATS: dict[str, tuple[str, str]] = {
    "image/png": ("image", "png"), "image/jpeg": ("image", "jpeg"), "image/jpg": ("image", "jpeg"),
    "image/gif": ("image", "gif"), "image/webp": ("image", "webp"),
    "application/pdf": ("document", "pdf"), "text/csv": ("document", "csv"), "text/html": ("document", "html"),
    "text/plain": ("document", "txt"), "text/markdown": ("document", "md"), "application/json": ("document", "txt"),
    "application/xml": ("document", "txt"), "application/msword": ("document", "doc"),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ("document", "docx"),
    "application/vnd.ms-excel": ("document", "xls"),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ("document", "xlsx"),
    "video/mp4": ("video", "mp4"), "video/quicktime": ("video", "mov"), "video/x-matroska": ("video", "mkv"),
    "video/webm": ("video", "webm"), "video/x-flv": ("video", "flv"), "video/mpeg": ("video", "mpeg"),
    "video/x-ms-wmv": ("video", "wmv"), "video/3gpp": ("video", "three_gp"),
    "audio/wav": ("audio", "wav"), "audio/x-wav": ("audio", "wav"), "audio/mpeg": ("audio", "mp3"),
    "audio/mp3": ("audio", "mp3"), "audio/flac": ("audio", "flac"), "audio/ogg": ("audio", "ogg"),
    "audio/aac": ("audio", "aac"), "audio/mp4": ("audio", "mp4"), "audio/opus": ("audio", "opus"),
    "audio/webm": ("audio", "webm"),
}  # fmt: skip
#: What a document may be called. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html
UNNAMEABLE = re.compile(r"[^A-Za-z0-9\s()\[\]-]+")
LONGEST_NAME = 200
#: What may stand in a tool's result.
IN_RESULTS = frozenset({"text", "json", "image", "document", "video", "searchResult"})


class Media:
    """Makes blocks of parts; `inline` then fetches what stands at http addresses, each once."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._waiting: dict[str, list[Block]] = {}
        self._names: set[str] = set()

    def blocks(self, parts: list[Part]) -> list[Block]:
        """Return the parts as blocks, in order, each followed by the cache point that marks it."""
        made: list[Block] = []
        for part in parts:
            block = self._native(part) if isinstance(part, NativePart) else MAKERS[type(part)](self, part)
            if block is None:
                continue
            made.append(block)
            if not isinstance(part, NativePart) and part.cache_control is not None:
                made.append(cache_point(part.cache_control))
        return made

    def inline(self) -> Flow[None]:
        """Fetch what Bedrock cannot."""
        if not self._waiting:
            return
        urls = list(self._waiting)
        files: list[Upload] = yield All([remote.fetch(url) for url in urls])
        for url, file in zip(urls, files, strict=True):
            for block in self._waiting[url]:
                block.update(self._filled(block, file))
        self._waiting = {}

    def place(self, address: str, kind: str, **more: Any) -> Block | None:
        """Return a block for what is at an address: http(s), s3:// or data: URL, or bare base64 of type `kind`."""
        if address.startswith(("http://", "https://")):
            block: Block = {"url": {"kind": kind, **more}}
            self._waiting.setdefault(address, []).append(block)
            return block
        if address.startswith("s3://"):
            bare = address.partition("?")[0]
            return self._block(mimetypes.guess_type(bare)[0] or kind, {"s3Location": {"uri": bare}}, more)
        if address.startswith("data:"):
            kind, content = _split(address)
            return self._block(kind, {"bytes": content}, more)
        if ":" in address[:12]:
            raise BadRequestError(f"Bedrock reads https:, s3: and data: URLs, not {address[:60]!r} at $.messages")
        return self._block(kind, {"bytes": address}, more)

    def _filled(self, block: Block, file: Upload) -> Block:
        more = block.pop("url")
        kind = more.pop("kind")
        said = file.content_type if file.content_type in FORMATS else kind
        made = self._block(said, {"bytes": base64.b64encode(file.read()).decode()}, more)
        if made is None:
            raise BadRequestError(f"{file.filename!r} is {said!r}, which Bedrock has no block for.")
        return made

    def _block(self, kind: str, source: Block, more: dict[str, Any]) -> Block | None:
        kind = kind.partition(";")[0].strip().lower()
        known = FORMATS.get(kind) or (("document", "txt") if kind.startswith("text/") else None)
        if known is None:
            self.request.unsupported("messages", f"Bedrock has no block for {kind!r}")
            return None
        name, short = known
        extra = self._named(more) if name == "document" else {}
        return {name: {"format": short, **extra, "source": source}}

    def _named(self, more: dict[str, Any]) -> dict[str, Any]:
        """Return a document's name, which no other may have, and what else is said of it."""
        wish = re.sub(r"\.\w{1,5}$", "", str(more.pop("name", "") or ""))
        base = " ".join(UNNAMEABLE.sub(" ", wish).split())[: LONGEST_NAME - 4] or "document"
        name, number = base, 1
        while name in self._names:
            number += 1
            name = f"{base} {number}"
        self._names.add(name)
        return {"name": name, **more}

    def _text(self, part: TextPart) -> Block | None:
        if part.text and not part.text.strip():
            self.request.adapt("messages", "dropped", "text of nothing but blanks, which Bedrock refuses")
        return {"text": part.text} if part.text.strip() else None

    def _refusal(self, part: RefusalPart) -> Block | None:
        return {"text": part.refusal} if part.refusal.strip() else None

    def _image(self, part: ImagePart) -> Block | None:
        image = part.image
        if image.detail in ("low", "high"):
            self.request.adapt("messages", "dropped", f"an image's detail={image.detail!r}: Bedrock has no such choice")
        return self.place(image.url, image.format or "image/jpeg")

    def _video(self, part: VideoPart) -> Block | None:
        return self.place(part.video.url, part.video.format or "video/mp4")

    def _audio(self, part: AudioPart) -> Block:
        return {"audio": {"format": part.input_audio.format, "source": {"bytes": part.input_audio.data}}}

    def _file(self, part: FilePart) -> Block | None:
        file = part.file
        address = file.file_data or file.file_url or file.file_id
        if not address:
            raise BadRequestError("A file part needs file_data, file_url or file_id at $.messages")
        if file.file_id and address == file.file_id and not address.startswith(("s3://", "http")):
            self.request.unsupported("messages", f"Bedrock keeps no files; {address!r} should be an s3:// address")
            return None
        kind = file.format or mimetypes.guess_type(file.filename or "")[0] or "application/pdf"
        said = {"name": part.title or file.filename or _last(address), "context": part.context}
        more = {**said, "citations": _enabled(part.citations)}
        return self.place(address, kind, **{name: value for name, value in more.items() if value is not None})

    def _native(self, part: NativePart) -> Block | None:
        """Return a block of Converse's own, given as {"type": "guardContent", "guardContent": {...}}."""
        if part.type in part.value:
            return {part.type: part.value[part.type]}
        if part.type == "guarded_text" and isinstance(part.value.get("text"), str):
            return {"guardContent": {"text": {"text": part.value["text"]}}}
        self.request.unsupported(
            "messages", f"{part.type!r} is no part of OpenAI's; Converse's own read {{'type': 'x', 'x': {{...}}}}"
        )
        return None


def cache_point(marker: dict[str, Any]) -> Block:
    """Return the cache point for a marker of Anthropic's.

    https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html
    """
    point = {"type": "default"}
    if marker.get("ttl"):
        point["ttl"] = str(marker["ttl"])
    return {"cachePoint": point}


def _split(url: str) -> tuple[str, str]:
    """Return (media type, base64) of a data: URL, whose base64 is passed on as it is."""
    head, _, body = url.partition(",")
    if head.endswith(";base64"):
        return head[5:-7] or "text/plain", body
    kind, content = split_data_url(url)
    return kind, base64.b64encode(content).decode()


def _last(address: str) -> str:
    """Return the last part of an address' path; content that was given itself has none."""
    return "" if address.startswith("data:") or "://" not in address else address.partition("?")[0].rpartition("/")[2]


def _enabled(citations: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if citations is None else {"enabled": bool(citations.get("enabled", True))}


MAKERS: dict[type, Callable[[Media, Any], Block | None]] = {
    TextPart: Media._text,
    RefusalPart: Media._refusal,
    ImagePart: Media._image,
    VideoPart: Media._video,
    AudioPart: Media._audio,
    FilePart: Media._file,
}
