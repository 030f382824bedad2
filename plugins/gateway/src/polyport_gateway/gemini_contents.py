"""Gemini's contents -> the messages of a chat. https://ai.google.dev/api/caching#Content"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

from polyport.errors import BadRequestError

#: The formats of sound that chats name, by media type.
SOUNDS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/flac": "flac",
          "audio/ogg": "ogg"}  # fmt: skip


#: Where Gemini's plugin looks for the parts of an earlier answer whose signatures a chat has no place for.
KEPT = "gemini_parts"
#: Fields of a message, of which one at least has to say something.
SAYING = ("content", "tool_calls", "provider_specific_fields")


def to_messages(contents: Any, foreign: list[str]) -> list[dict[str, Any]]:
    """Return the messages; `foreign` is told of parts that only Gemini reads. Raises BadRequestError."""
    if isinstance(contents, str | dict):
        contents = [contents]
    if not isinstance(contents, list) or not contents:
        raise BadRequestError("Expected a list of contents at $.contents")
    calls = Calls()
    return [
        message
        for place, content in enumerate(contents)
        for message in _messages(content, f"$.contents[{place}]", calls, foreign)
    ]


def parts_text(content: Any, path: str) -> str:
    """Return the text of a content that may have nothing else."""
    texts = [content] if isinstance(content, str) else [part.get("text") for part in _parts(content, path)]
    if not all(isinstance(text, str) for text in texts):
        raise BadRequestError(f"Expected text alone at {path}")
    return "\n".join(map(str, texts))


class Calls:
    """Which answer belongs to which call: by id, or where there is none, by name and order."""

    def __init__(self) -> None:
        self._count = 0
        self._waiting: dict[str, deque[str]] = {}

    def made(self, call: dict[str, Any]) -> str:
        """Return the id of a call."""
        self._count += 1
        id: str = call.get("id") or f"call_{self._count}"  # noqa: A001  the field's own word
        self._waiting.setdefault(str(call.get("name")), deque()).append(id)
        return id

    def answered(self, answer: dict[str, Any], path: str) -> str:
        """Return the id of the call that is answered."""
        waiting = self._waiting.get(str(answer.get("name")))
        if answer.get("id"):
            return str(answer["id"])
        if not waiting:
            raise BadRequestError(f"No functionCall of {answer.get('name')!r} came before its answer at {path}")
        return waiting.popleft()


def _parts(content: Any, path: str) -> list[dict[str, Any]]:
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise BadRequestError(f"Expected a list of parts at {path}.parts")
    return parts


def _messages(content: Any, path: str, calls: Calls, foreign: list[str]) -> Iterator[dict[str, Any]]:
    if isinstance(content, str):
        content = {"parts": [{"text": content}]}
    parts = _parts(content, path)
    said: list[dict[str, Any]] = []
    message: dict[str, Any] = {"role": "assistant" if content.get("role") == "model" else "user"}
    kept: list[dict[str, Any]] = []
    for place, part in enumerate(parts):
        where = f"{path}.parts[{place}]"
        call, answer = _object(part, "functionCall", where), _object(part, "functionResponse", where)
        if answer is not None:
            told = msgspec.json.encode(answer.get("response")).decode()
            yield {"role": "tool", "tool_call_id": calls.answered(answer, where), "content": told}
        elif call is not None:
            made = _call(part, call, calls)
            message.setdefault("tool_calls", []).append(made)
            rest = {name: value for name, value in part.items() if name != "function_call"}
            part = {**rest, "functionCall": {**call, "id": made["id"]}}
        elif part.get("thought"):
            message["reasoning_content"] = message.get("reasoning_content", "") + str(part.get("text", ""))
        elif message["role"] == "assistant" and not isinstance(part.get("text"), str):
            foreign.append(where)  # a picture that a model made, code that Google ran: its own alone
        else:
            said.append(_part(part, where))
        kept.append(part)
    if message["role"] == "assistant":
        alien = any(where.startswith(f"{path}.") for where in foreign)
        if alien or any(_of(part, "thoughtSignature") and "functionCall" not in part for part in kept):
            message["provider_specific_fields"] = {KEPT: [_camel_names(part) for part in kept]}
        message["content"] = "".join(one["text"] for one in said) or None
    elif said:
        message["content"] = said[0]["text"] if len(said) == 1 and said[0]["type"] == "text" else said
    if any(message.get(name) is not None for name in SAYING):
        yield message


def _camel_names(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part with its signature under the name that it has on the wire."""
    signature = part.get("thought_signature")
    rest = {name: value for name, value in part.items() if name != "thought_signature"}
    return part if signature is None else {**rest, "thoughtSignature": signature}


def _call(part: dict[str, Any], call: dict[str, Any], calls: Calls) -> dict[str, Any]:
    arguments = msgspec.json.encode(call.get("args") or {}).decode()
    function = {"name": call.get("name"), "arguments": arguments}
    made = {"id": calls.made(call), "type": "function", "function": function}
    signature = _of(part, "thoughtSignature")
    return made if signature is None else made | {"extra_content": {"google": {"thought_signature": signature}}}


def _part(part: dict[str, Any], path: str) -> dict[str, Any]:
    if isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    data, file = _object(part, "inlineData", path), _object(part, "fileData", path)
    if data is not None:
        return _media(str(_of(data, "mimeType")), str(data.get("data")))
    if file is not None:
        return {"type": "image_url", "image_url": {"url": str(_of(file, "fileUri"))}}
    raise BadRequestError(f"{', '.join(part) or 'An empty part'} cannot go to every vendor at {path}")


def _media(kind: str, data: str) -> dict[str, Any]:
    url = f"data:{kind};base64,{data}"
    if kind in SOUNDS:
        return {"type": "input_audio", "input_audio": {"data": data, "format": SOUNDS[kind]}}
    if kind.startswith("video/"):
        return {"type": "video_url", "video_url": {"url": url}}
    if kind.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": "document", "file_data": url}}


def _object(part: dict[str, Any], name: str, path: str) -> dict[str, Any] | None:
    """Return a field that is an object, or is not there. Raises BadRequestError."""
    found = _of(part, name)
    if found is not None and not isinstance(found, dict):
        raise BadRequestError(f"Expected an object at {path}.{name}")
    return found


def _of(given: dict[str, Any], name: str) -> Any:
    """Return a field by its camelCase name, or as snake_case has it."""
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return given.get(name, given.get(snake))
