"""Pictures, sound, video and PDFs as Jina takes them: by URL, or as base64 without the head of a data: URL."""

from __future__ import annotations

from typing import Any

from polyport.errors import BadRequestError
from polyport.types.conversation import AudioPart, FilePart, ImagePart, Part, TextPart, VideoPart, parts_of

IMAGE = "data:image/"


def bare(source: str) -> str:
    """Return a URL as it is, and of a data: URL the base64."""
    return source.partition(",")[2] if source.startswith("data:") else source


def to_source(value: Any, path: str) -> str | dict[str, Any]:
    """Return an input: a text, a picture's data: URL, a chat's part, several of those, or Jina's own `{image}`.

    Several parts make one vector: https://jina.ai/models/jina-embeddings-v5-omni-small
    """
    if isinstance(value, str):
        return {"image": bare(value)} if value.startswith(IMAGE) else value
    if isinstance(value, dict) and "type" not in value:
        return {name: bare(inner) if isinstance(inner, str) else inner for name, inner in value.items()}
    parts = [value] if isinstance(value, dict) else value
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        raise BadRequestError(f"Jina takes texts, pictures, sound, video and PDFs, not {value!r:.60} at {path}")
    sources = [_source(part, path) for part in parts_of(parts, path)]
    return sources[0] if len(sources) == 1 else {"content": sources}


def _source(part: Part, path: str) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"text": part.text}
    if isinstance(part, ImagePart):
        return {"image": bare(part.image.url)}
    if isinstance(part, AudioPart):
        return {"audio": part.input_audio.data}
    if isinstance(part, VideoPart):
        return {"video": bare(part.video.url)}
    if isinstance(part, FilePart) and (pdf := part.file.file_data or part.file.file_url):
        return {"pdf": bare(pdf)}
    raise BadRequestError(f"Jina takes no {type(part).__name__} like the one at {path}")
