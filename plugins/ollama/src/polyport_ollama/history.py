"""A conversation as Ollama's messages. https://docs.ollama.com/api/chat

Content is text, images stand beside it as base64, the arguments of a call are an object, and a tool's result names
its tool.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from polyport.types.chat import ChatRequest
from polyport.types.conversation import Call
from polyport.types.record import convert
from polyport.types.upload import split_data_url


class Writer:
    """Writes one request's messages; remembers the names of called tools, which their results are told by."""

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self._names: dict[str, str] = {}

    def write(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return messages of OpenAI's shape, whose images are data: URLs, as Ollama's."""
        return [self._message(message, f"$.messages[{index}]") for index, message in enumerate(messages)]

    def _message(self, message: Mapping[str, Any], path: str) -> dict[str, Any]:
        made: dict[str, Any] = {"role": ROLES.get(message["role"], message["role"])}
        made |= self._content(message.get("content"))
        if message.get("reasoning_content"):
            made["thinking"] = message["reasoning_content"]
        calls = [*self._calls(message, path)]
        if calls:
            made["tool_calls"] = calls
        if made["role"] == "tool":
            made |= self._answered(message)
        elif message.get("name"):
            self.request.adapt("messages.name", "dropped", "Ollama is not told who speaks")
        return made

    def _content(self, content: Any) -> dict[str, Any]:
        if not isinstance(content, list):
            return {"content": content or ""}
        text = "".join(part.get("text") or "" for part in content if part["type"] == "text")
        images = [self._image(part["image_url"]) for part in content if part["type"] == "image_url"]
        for kind in {part["type"] for part in content} - {"text", "image_url"}:
            self.request.unsupported("messages.content", f"Ollama takes texts and images, no part of type {kind}")
        return {"content": text, "images": images} if images else {"content": text}

    def _image(self, image: Mapping[str, Any]) -> str:
        if image.get("detail"):
            self.request.adapt("messages.image_url.detail", "dropped", "Ollama shows models every image as it is")
        return base64.b64encode(split_data_url(image["url"])[1]).decode()

    def _calls(self, message: Mapping[str, Any], path: str) -> Iterator[dict[str, Any]]:
        given = list(message.get("tool_calls") or [])
        if message.get("function_call"):  # the shape before tools: a call without an id
            given.append({"id": "", "function": message["function_call"]})
        for index, value in enumerate(given):
            call: Call = convert(value, Call, f"{path}.tool_calls[{index}]")
            if call.function is None:
                self.request.unsupported("messages.tool_calls", f"Ollama knows functions, no call of type {call.type}")
                continue
            self._names[call.id] = call.function.name
            function = {"index": index, "name": call.function.name, "arguments": call.arguments}
            yield {"id": call.id, "function": function} if call.id else {"function": function}

    def _answered(self, message: Mapping[str, Any]) -> dict[str, str]:
        """Return whose result it is: the tool's name, and the call's id where there was one."""
        call = message.get("tool_call_id") or ""
        name = message.get("name") or self._names.get(call)
        return {key: value for key, value in (("tool_name", name), ("tool_call_id", call)) if value}


#: Roles that have another name here.
ROLES = {"developer": "system", "function": "tool"}
