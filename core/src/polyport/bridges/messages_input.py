"""Anthropic's messages and their content blocks, as a chat's messages. https://docs.anthropic.com/en/api/messages"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from polyport.bridges.inner import need
from polyport.bridges.opaque import unseal
from polyport.bridges.turns import AssistantTurn, content_of
from polyport.errors import BadRequestError
from polyport.types.messages import MessagesRequest

#: What Anthropic's servers did before, and how it reads in the history.
TRACES = (
    "server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result",
    "bash_code_execution_tool_result", "text_editor_code_execution_tool_result", "tool_search_tool_result",
    "advisor_tool_result", "mcp_tool_use", "mcp_tool_result",
)  # fmt: skip


def to_messages(request: MessagesRequest) -> list[dict[str, Any]]:
    """Return the chat's messages, system first. Raises BadRequestError naming the block that is malformed."""
    blocks = Blocks(request)
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": "system", "content": blocks.content(request.system, "$.system")})
    for index, message in enumerate(request.messages):
        messages += blocks.message(message, f"$.messages[{index}]")
    if request.messages and request.messages[-1]["role"] == "assistant":
        why = "whether the last message is continued or answered is for the chat provider to decide"
        request.adapt("messages.prefill", "emulated", why)
    return messages


class Blocks:
    """Translates the messages of one request, and names what gets lost."""

    def __init__(self, request: MessagesRequest) -> None:
        self.request = request

    def message(self, message: dict[str, Any], path: str) -> list[dict[str, Any]]:
        """Return a message as chat's: a user's with tool results is several."""
        role, content = message["role"], message["content"]
        if role == "assistant":
            return self._assistant(content, f"{path}.content")
        if role == "user":
            return self._user(content, f"{path}.content")
        if role == "system":
            made = self.content(content, f"{path}.content")
            return [{"role": "system", "content": made}] if made else []
        raise BadRequestError(f"Unknown role {role!r} at {path}.role; expected user, assistant or system")

    def content(self, content: str | list[Any], path: str) -> str | list[dict[str, Any]]:
        """Return text or blocks as a chat message's content."""
        return content if isinstance(content, str) else content_of(self.parts(content, path))

    def parts(self, blocks: list[Any], path: str) -> list[dict[str, Any]]:
        """Return blocks as a chat's parts, their cache marks kept."""
        parts: list[dict[str, Any]] = []
        for index, block in enumerate(blocks):
            parts += self._parts(block, f"{path}[{index}]")
        return parts

    def _parts(self, block: Any, path: str) -> list[dict[str, Any]]:
        kind = need(block, "type", path)
        translate = PARTS.get(kind)
        if translate is None:
            self._trace(kind)
            return []
        parts = translate(self, block, path)
        if parts and block.get("cache_control"):
            parts[-1] = {**parts[-1], "cache_control": block["cache_control"]}
        return parts

    def _trace(self, kind: str) -> None:
        if kind in TRACES:
            self.request.adapt(f"messages.{kind}", "dropped", "only Anthropic's servers can use their tools' traces")
        else:
            self.request.unsupported(f"messages.{kind}", "a chat has no such block")

    # --- roles ---

    def _user(self, content: str | list[Any], path: str) -> list[dict[str, Any]]:
        if isinstance(content, str):
            return [{"role": "user", "content": content}]
        messages: list[dict[str, Any]] = []
        parts: list[dict[str, Any]] = []
        for index, block in enumerate(content):
            place = f"{path}[{index}]"
            if need(block, "type", place) != "tool_result":
                parts += self._parts(block, place)
                continue
            if parts:
                messages.append({"role": "user", "content": content_of(parts)})
                parts = []
            messages.append(self._tool_result(block, place))
        if parts:
            messages.append({"role": "user", "content": content_of(parts)})
        return messages

    def _tool_result(self, block: dict[str, Any], path: str) -> dict[str, Any]:
        if block.get("toolset_name"):
            self.request.adapt("messages.tool_result.toolset_name", "dropped", "a chat has no toolsets")
        content = self.content(block.get("content") or "", f"{path}.content")
        message = {"role": "tool", "tool_call_id": need(block, "tool_use_id", path), "content": content}
        return message | {key: block[key] for key in ("is_error", "cache_control") if block.get(key)}

    def _assistant(self, content: str | list[Any], path: str) -> list[dict[str, Any]]:
        turn = AssistantTurn()
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for index, block in enumerate(blocks):
            place = f"{path}[{index}]"
            reader = ASSISTANT.get(need(block, "type", place))
            if reader is not None:
                reader(self, turn, block, place)
            else:
                turn.parts += self._parts(block, place)
        return [turn.to_message()] if turn else []

    def _thinking(self, turn: AssistantTurn, block: dict[str, Any], path: str) -> None:
        text = need(block, "thinking", path)
        if block.get("signature"):
            turn.think({name: value for name, value in block.items() if name != "cache_control"})
        elif text:
            turn.reasoning.append(text)

    def _redacted(self, turn: AssistantTurn, block: dict[str, Any], path: str) -> None:
        state = unseal(need(block, "data", path))
        if state is None:
            turn.think(block)
        else:
            turn.recall(state)

    def _tool_use(self, turn: AssistantTurn, block: dict[str, Any], path: str) -> None:
        if block.get("toolset_name"):
            self.request.adapt("messages.tool_use.toolset_name", "dropped", "a chat has no toolsets")
        arguments = msgspec.json.encode(block.get("input") or {}).decode()
        function = {"name": need(block, "name", path), "arguments": arguments}
        call = {"id": need(block, "id", path), "type": "function", "function": function}
        turn.tool_calls.append(call | ({"cache_control": block["cache_control"]} if block.get("cache_control") else {}))

    # --- parts ---

    def _text(self, block: dict[str, Any], path: str) -> list[dict[str, Any]]:
        if block.get("citations"):
            self.request.adapt("messages.citations", "dropped", "a chat's history has no citations")
        return [{"type": "text", "text": need(block, "text", path)}]

    def _image(self, block: dict[str, Any], path: str) -> list[dict[str, Any]]:
        if block.get("transformations"):
            self.request.adapt("messages.image.transformations", "dropped", "a chat's images have none")
        url = self._url(need(block, "source", path, dict), f"{path}.source")
        if url is None:
            self.request.unsupported("messages.image.file_id", "a chat takes images as http or data URLs")
            return []
        return [{"type": "image_url", "image_url": {"url": url}}]

    def _document(self, block: dict[str, Any], path: str) -> list[dict[str, Any]]:
        source = need(block, "source", path, dict)
        kind = need(source, "type", f"{path}.source")
        about = {key: block[key] for key in ("title", "context", "citations") if block.get(key)}
        if kind in ("text", "content"):
            return self._document_text(source, about, f"{path}.source")
        url = self._url(source, f"{path}.source")
        if url is None:
            file = {"file_id": need(source, "file_id", f"{path}.source")}
        else:
            file = {"file_url" if kind == "url" else "file_data": url}
        if "title" in about:
            file["filename"] = about["title"]
        return [{"type": "file", "file": file, **about}]

    def _document_text(self, source: dict[str, Any], about: dict[str, Any], path: str) -> list[dict[str, Any]]:
        self.request.adapt("messages.document", "emulated", "a text document is passed as text")
        if (about.get("citations") or {}).get("enabled"):
            self.request.adapt("messages.document.citations", "dropped", "a chat cites no text of the request")
        head = [{"type": "text", "text": about[key]} for key in ("title", "context") if key in about]
        if source["type"] == "text":
            return [*head, {"type": "text", "text": need(source, "data", path)}]
        content = need(source, "content", path, (str, list))
        inner = [{"type": "text", "text": content}] if isinstance(content, str) else content
        return [*head, *self.parts(inner, f"{path}.content")]

    def _search_result(self, block: dict[str, Any], path: str) -> list[dict[str, Any]]:
        self.request.adapt("messages.search_result", "emulated", "a search result is passed as text")
        head = "\n".join(str(block[key]) for key in ("title", "source") if block.get(key))
        return [{"type": "text", "text": head}, *self.parts(need(block, "content", path, list), f"{path}.content")]

    def _tool_reference(self, block: dict[str, Any], path: str) -> list[dict[str, Any]]:
        self.request.adapt("messages.tool_reference", "emulated", "every tool is offered from the start")
        return [{"type": "text", "text": need(block, "tool_name", path)}]

    def _tool_addition(self, block: dict[str, Any], path: str) -> list[dict[str, Any]]:
        self.request.adapt("messages.tool_addition", "emulated", "every tool is offered from the start")
        return []

    def _compaction(self, block: dict[str, Any], path: str) -> list[dict[str, Any]]:
        self.request.adapt("messages.compaction", "emulated", "the summary is passed as text")
        return [{"type": "text", "text": need(block, "content", path)}]

    def _url(self, source: dict[str, Any], path: str) -> str | None:
        """Return a source as an http or data URL; None for a file that Anthropic keeps."""
        kind = need(source, "type", path)
        if kind == "base64":
            return f"data:{need(source, 'media_type', path)};base64,{need(source, 'data', path)}"
        if kind == "url":
            url: str = need(source, "url", path)
            return url
        if kind == "file":
            return None
        raise BadRequestError(f"Unknown type {kind!r} at {path}.type; known: base64, url, file, and for texts text")


PARTS: dict[str, Callable[[Blocks, dict[str, Any], str], list[dict[str, Any]]]] = {
    "text": Blocks._text,
    "image": Blocks._image,
    "document": Blocks._document,
    "search_result": Blocks._search_result,
    "tool_reference": Blocks._tool_reference,
    "tool_addition": Blocks._tool_addition,
    "compaction": Blocks._compaction,
}
ASSISTANT: dict[str, Callable[[Blocks, AssistantTurn, dict[str, Any], str], None]] = {
    "thinking": Blocks._thinking,
    "redacted_thinking": Blocks._redacted,
    "tool_use": Blocks._tool_use,
}
