"""A chat's history as Mistral takes it. https://docs.mistral.ai/api/endpoint/chat

Reasoning goes back as a chunk of thinking before the text, audio as base64 alone, files as documents by URL or id.
Mistral refuses fields that it does not know, ids of tool calls that are not nine letters and digits, and a last
message of the assistant's that is no prefix.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from polyport.dialects.openai import History, Quirks
from polyport.types.chat import ChatRequest
from polyport_mistral.answers import CHUNKS, SIGNED, text_of
from polyport_mistral.facts import thinks

#: "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9" (type invalid_function_call, code 3280):
#: https://github.com/mistralai/mistral-vibe/issues/1075
CALL_ID = re.compile(r"[a-zA-Z0-9]{9}")
_LETTERS = string.ascii_letters + string.digits
#: Where a message of the assistant's keeps what it thought.
THOUGHTS = frozenset({"reasoning_content", "thinking_blocks", "provider_specific_fields"})
#: What a function without parameters takes; Mistral asks for a schema.
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}


class MistralHistory(History):
    """One request's messages and tools on their way to Mistral."""

    def __init__(self, request: ChatRequest, quirks: Quirks) -> None:
        messages = [_recalled(request, message) for message in request.messages]
        super().__init__(msgspec.structs.replace(request, messages=messages), quirks)

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages; one of the assistant's that stands last is the beginning of the answer."""
        made = [self._finished(message) for message in super().messages()]
        last = made[-1]
        if last["role"] == "assistant" and not last.get("tool_calls"):
            made[-1] = {"prefix": True, **last}
        return made

    def tools(self, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the tools; each function has parameters."""
        return [_with_parameters(tool) for tool in super().tools(tools)]

    def _finished(self, message: dict[str, Any]) -> dict[str, Any]:
        made = dict(message)
        if isinstance(made.get("content"), list):
            made["content"] = [self._chunk(part) for part in made["content"]]
        if "tool_calls" in made:
            made["tool_calls"] = [{**call, "id": self._call_id(call["id"])} for call in made["tool_calls"]]
        if "tool_call_id" in made:
            made["tool_call_id"] = self._call_id(made["tool_call_id"])
        return made

    def _chunk(self, part: dict[str, Any]) -> dict[str, Any]:
        if part.get("prompt_cache_breakpoint"):
            self.request.adapt("content.prompt_cache_breakpoint", "dropped", "Mistral caches prompts by itself")
        part = {name: value for name, value in part.items() if name != "prompt_cache_breakpoint"}
        return CHUNK_OF[part["type"]](part) if part["type"] in CHUNK_OF else part

    def _call_id(self, id: str) -> str:
        if CALL_ID.fullmatch(id):
            return id
        self.request.adapt("tool_calls.id", "renamed", "Mistral takes ids of nine letters and digits")
        return call_id(id)


def call_id(id: str) -> str:
    """Return nine letters and digits that stand for an id, the same ones each time."""
    number, made = int.from_bytes(hashlib.sha256(id.encode()).digest()), ""
    for _ in range(9):
        number, at = divmod(number, len(_LETTERS))
        made += _LETTERS[at]
    return made


def _recalled(request: ChatRequest, message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with its reasoning as Mistral puts it, and without the name that only tools may have."""
    if message.get("name") is not None and message.get("role") != "tool":
        request.adapt("messages.name", "dropped", "Mistral takes names of tools only")
        message = {name: value for name, value in message.items() if name != "name"}
    if message.get("role") != "assistant" or message.keys().isdisjoint(THOUGHTS):
        return message
    made = {name: value for name, value in message.items() if name not in THOUGHTS}
    return {**made, **_content(request, message), **_foreign(message)}


def _content(request: ChatRequest, message: dict[str, Any]) -> dict[str, Any]:
    """Return what the assistant said: in the chunks it came in, else its reasoning and then its text."""
    own, content = message.get("provider_specific_fields") or {}, message.get("content")
    thought = _thought_in(request, message)
    if thought and not thinks(request.model):
        request.adapt("messages.reasoning_content", "dropped", f"{request.model} does not think")
        return {}
    if _is_unchanged(own.get(CHUNKS), content):
        return {"content": own[CHUNKS], "annotations": None}
    if not thought:
        return {}
    signed = {"signature": own[SIGNED]} if own.get(SIGNED) else {}
    said = [{"type": "text", "text": content}] if isinstance(content, str) and content else content or []
    return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": thought}], **signed}, *said]}


def _thought_in(request: ChatRequest, message: dict[str, Any]) -> str:
    """Return the reasoning that can be read; another provider's signatures and sealed blocks stay behind."""
    blocks = message.get("thinking_blocks") or []
    if any(block.get("signature") or block.get("data") for block in blocks):
        request.adapt("messages.thinking_blocks", "dropped", "another provider signed or sealed them")
    return message.get("reasoning_content") or "".join(str(block.get("thinking") or "") for block in blocks)


def _foreign(message: dict[str, Any]) -> dict[str, Any]:
    """Return what other providers kept with a message; it is named where it is left out."""
    own = message.get("provider_specific_fields") or {}
    rest = {name: value for name, value in own.items() if name not in (CHUNKS, SIGNED)}
    return {"provider_specific_fields": rest} if rest else {}


def _is_unchanged(chunks: Any, content: Any) -> bool:
    """Whether a message still says what the chunks that it came in say."""
    return isinstance(chunks, list) and text_of(chunks) == (content or "")


def _with_parameters(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    if not isinstance(function, dict) or function.get("parameters") is not None:
        return tool
    return {**tool, "function": {**function, "parameters": NOTHING}}


# --- chunks -----------------------------------------------------------------------------------------------


def _audio(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": part["input_audio"]["data"]}


def _document(part: dict[str, Any]) -> dict[str, Any]:
    """Return a file as a document: https://docs.mistral.ai/capabilities/document_ai/document_qna"""
    file = part["file"]
    if "file_id" in file:
        return {"type": "file", "file_id": file["file_id"]}
    made = {"type": "document_url", "document_url": file.get("file_url") or file.get("file_data")}
    return {**made, "document_name": file["filename"]} if file.get("filename") else made


CHUNK_OF: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"input_audio": _audio, "file": _document}
