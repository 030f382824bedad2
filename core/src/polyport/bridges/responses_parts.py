"""Content parts of the Responses API's items, as a chat's parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polyport.bridges.inner import need
from polyport.errors import BadRequestError
from polyport.types.responses import ResponsesRequest

#: Keys that mark a part for the prompt cache; chat's parts have them too.
MARKS = ("cache_control", "prompt_cache_breakpoint")


class Parts:
    """Translates the parts of one request, and names what gets lost."""

    def __init__(self, request: ResponsesRequest) -> None:
        self.request = request

    def read(self, parts: list[Any], path: str, start: int = 0) -> list[dict[str, Any]]:
        """Return content parts as chat's, their cache marks kept. `path` is the list's, `start` its first index."""
        made = []
        for index, part in enumerate(parts, start):
            place = f"{path}[{index}]"
            kind = need(part, "type", place)
            translate = PARTS.get(kind)
            if translate is None:
                raise BadRequestError(f"Unknown type {kind!r} at {place}.type; known: {', '.join(PARTS)}")
            found = translate(self, part, place)
            if found is not None:
                made.append(found | {mark: part[mark] for mark in MARKS if part.get(mark)})
        return made

    def _text(self, part: dict[str, Any], path: str) -> dict[str, Any]:
        for name in ("annotations", "logprobs"):
            if part.get(name):
                self.request.adapt(f"input.{name}", "dropped", f"a chat's history has no {name}")
        return {"type": "text", "text": need(part, "text", path)}

    def _image(self, part: dict[str, Any], path: str) -> dict[str, Any] | None:
        if part.get("file_id") and not part.get("image_url"):
            self.request.unsupported("input.input_image.file_id", "a chat takes images as http or data URLs")
            return None
        given = part.get("image_url")
        image = given if isinstance(given, dict) else {"url": need(part, "image_url", path)}
        if part.get("detail"):
            image = {**image, "detail": part["detail"]}
        return {"type": "image_url", "image_url": image}

    def _file(self, part: dict[str, Any], path: str) -> dict[str, Any]:
        if part.get("detail"):
            self.request.adapt("input.input_file.detail", "dropped", "a chat's files have no detail")
        names = ("file_id", "file_data", "file_url", "filename")
        file = {name: part[name] for name in names if part.get(name) is not None}
        if not file.keys() - {"filename"}:
            raise BadRequestError(f"Expected file_data, file_url or file_id at {path}")
        return {"type": "file", "file": file}

    def _audio(self, part: dict[str, Any], path: str) -> dict[str, Any]:
        return {"type": "input_audio", "input_audio": need(part, "input_audio", path, dict)}

    def _as_it_is(self, part: dict[str, Any], path: str) -> dict[str, Any]:
        return {name: value for name, value in part.items() if name not in MARKS}


#: Type of part -> its translation. Chat's own parts are taken too: many users write them.
PARTS: dict[str, Callable[[Parts, dict[str, Any], str], dict[str, Any] | None]] = {
    "input_text": Parts._text,
    "output_text": Parts._text,
    "text": Parts._text,
    "input_image": Parts._image,
    "input_file": Parts._file,
    "input_audio": Parts._audio,
    "image_url": Parts._as_it_is,
    "video_url": Parts._as_it_is,
    "file": Parts._as_it_is,
}
