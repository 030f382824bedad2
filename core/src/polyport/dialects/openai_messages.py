"""A chat's history as OpenAI's wire takes it: what it does not know is left out and recorded, never sent.

Messages that fit go out as they came. https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from polyport.dialects.openai_wire import Quirks
from polyport.flow import Flow
from polyport.remote import fetch
from polyport.types.chat import ChatRequest
from polyport.types.conversation import parts_of
from polyport.types.schema import Schema
from polyport.types.upload import split_data_url

_SPOKEN = frozenset({"role", "content", "name"})
#: The fields of a message by role. Beyond the SDK's types: `annotations` of an answer may go back, and a tool's
#: result may have a `name` (seen in recorded traffic that was answered with 200, read 2026-11-22).
MESSAGE: Mapping[str, frozenset[str]] = {
    "system": _SPOKEN,
    "developer": _SPOKEN,
    "user": _SPOKEN,
    "function": _SPOKEN,
    "assistant": _SPOKEN | {"tool_calls", "function_call", "refusal", "audio", "annotations"},
    "tool": _SPOKEN | {"tool_call_id"},
}
PART: Mapping[str, frozenset[str]] = {
    kind: frozenset({"type", kind, "prompt_cache_breakpoint"})
    for kind in ("text", "refusal", "image_url", "input_audio", "file")
}
CALL = frozenset({"id", "type", "function", "custom"})
TOOL = frozenset({"type", "function", "custom"})
FUNCTION = frozenset({"name", "description", "parameters", "strict"})
#: Not information: where a streamed piece belonged, and a media type that the data says itself.
TRIFLES = frozenset({"index", "format"})

SHOWN_BELOW = "The result is in the next user message."
#: What look-alikes call the readable reasoning where it is not `reasoning_content`.
REASONING = "reasoning"
SCHEMA_PROMPT = "Answer with one JSON object, and nothing around it, that fits this JSON schema:\n"


def tell_schema(request: ChatRequest, schema: Schema, body: dict[str, Any]) -> None:
    """Ask in words for what fits a JSON schema, of a provider that takes `json_object` at most."""
    words = SCHEMA_PROMPT + msgspec.json.encode(schema.value).decode()
    body["messages"] = [{"role": "system", "content": words}, *body["messages"]]
    body["response_format"] = {"type": "json_object"}
    request.adapt(
        "response_format", "emulated", "the schema is told in a system message, and any JSON object asked for"
    )


class History:
    """One request's messages and tools on their way to the wire. `remote` holds (dict, key) of URLs to be fetched."""

    def __init__(self, request: ChatRequest, quirks: Quirks) -> None:
        self.request = request
        self.quirks = quirks
        self.remote: list[tuple[dict[str, Any], str]] = []
        self._lost: set[str] = set()
        self._spoken = _SPOKEN - quirks.lacks if quirks.lacks else _SPOKEN
        self._back = quirks.kept & quirks.history

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages; images that a tool returned follow its results, in a message of the user's."""
        made: list[dict[str, Any]] = []
        shown: list[dict[str, Any]] = []
        for index, message in enumerate(self.request.messages):
            role = message["role"]
            if shown and role != "tool":
                made.append({"role": "user", "content": shown})
                shown = []
            if role in self.quirks.roles:
                message = self._recast(message, role)
            if self._fits(message):
                made.append(message)
                continue
            cleaned = self._message(message, f"$.messages[{index}].content")
            if role == "tool" and isinstance(cleaned.get("content"), list):
                shown += self._take_shown(cleaned)
            made.append(cleaned)
        if shown:
            made.append({"role": "user", "content": shown})
        return made

    def tools(self, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the tools; the type of one without is function."""
        return [self._tool(tool) for tool in tools]

    def inline(self) -> Flow[None]:
        """Fetch what the provider cannot fetch itself and put it in as data: URLs."""
        for holder, key in self.remote:
            upload = yield from fetch(holder[key])
            if key == "file_url":
                del holder[key]
                holder.setdefault("filename", upload.filename)
                holder["file_data"] = upload.data_url()
            else:
                holder[key] = upload.data_url()

    # --- messages ---

    def _fits(self, message: dict[str, Any]) -> bool:
        """Whether a message can go out as it is: text and nothing else that needs a look."""
        return type(message.get("content")) is str and message.keys() <= self._spoken

    def _recast(self, message: dict[str, Any], role: str) -> dict[str, Any]:
        known = self.quirks.roles[role]
        self._adapt("messages.role", "renamed", f"what is a {role} message elsewhere is a {known} message here")
        return {**message, "role": known}

    def _message(self, message: dict[str, Any], path: str) -> dict[str, Any]:
        taken = MESSAGE[message["role"]] - self.quirks.lacks
        if message["role"] == "assistant":
            message = self._restored(message)
        made = self._only(message, taken, "messages", keep_none="content")
        if isinstance(made.get("content"), list):
            parts_of(made["content"], path)  # names what is malformed
            made["content"] = list(self._parts(made["content"], path))
        if "tool_calls" in made:
            made["tool_calls"] = [self._call(call) for call in made["tool_calls"]]
        if "audio" in made:
            made["audio"] = {"id": made["audio"].get("id")}  # the provider keeps what was said
        return made

    def _restored(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return a message with what an answer held beyond OpenAI's fields under its own name again."""
        made = dict(message)
        own = made.get("provider_specific_fields") or {}
        if self._back and own:
            made["provider_specific_fields"] = {name: own[name] for name in own if name not in self._back}
            made.update({name: own[name] for name in own if name in self._back})
        if "content" in self._back and "content" in own:
            made.pop("reasoning_content", None)  # it is a part of the content again
        if REASONING in self._back and made.get("reasoning_content"):
            made[REASONING] = made.pop("reasoning_content")
        if made.get("refusal") and "refusal" in self.quirks.lacks and not made.get("content"):
            made["content"] = made.pop("refusal")
            self._adapt("messages.refusal", "renamed", "a refusal is what was said, here")
        return made

    def _call(self, call: dict[str, Any]) -> dict[str, Any]:
        made = self._only(call, CALL, "tool_calls")
        made.setdefault("type", "function")
        return made

    def _tool(self, tool: dict[str, Any]) -> dict[str, Any]:
        function = tool.get("function")
        if tool.get("type", "function") != "function" or not isinstance(function, dict):
            return self._only(tool, frozenset(tool) - {"cache_control"}, "tools")
        if "type" in tool and tool.keys() <= TOOL and function.keys() <= FUNCTION:
            return tool
        made = {"type": "function", **self._only(tool, TOOL, "tools")}
        made["function"] = self._only(function, FUNCTION, "tools.function")
        return made

    # --- parts ---

    def _parts(self, parts: list[dict[str, Any]], path: str) -> Iterator[dict[str, Any]]:
        for index, part in enumerate(parts):
            kind = part["type"]
            if kind == "video_url" and kind not in self.quirks.parts:
                self.request.unsupported(f"{path}[{index}]", "a video is nothing these models can watch")
            elif kind in self.quirks.lacks:
                self.request.unsupported(f"{path}[{index}]", f"this provider's chat takes no part of type {kind}")
            elif kind in PART:
                made = self._only(part, PART[kind], "content")
                yield FORMS[kind](self, made) if kind in FORMS else made
            else:
                yield part  # of a type that came after this was written, or that a look-alike has

    def _image(self, part: dict[str, Any]) -> dict[str, Any]:
        image = part["image_url"]
        image = {"url": image} if isinstance(image, str) else self._only(image, frozenset({"url", "detail"}), "content")
        if "image_url" in self.quirks.inline and not image["url"].startswith("data:"):
            self.remote.append((image, "url"))
        return {**part, "image_url": image}

    def _audio(self, part: dict[str, Any]) -> dict[str, Any]:
        return {**part, "input_audio": {"format": "wav", **part["input_audio"]}}

    def _file(self, part: dict[str, Any]) -> dict[str, Any]:
        given = part["file"]
        file = self._only(given, frozenset({"file_data", "file_id", "file_url", "filename"}), "content")
        if str(file.get("file_id", "")).startswith(("http://", "https://")):
            file["file_url"] = file.pop("file_id")
        if "file_url" in file and "file" in self.quirks.inline:
            self.remote.append((file, "file_url"))
        if "file_data" in file:
            _name_data(file, given.get("format"))
        return {**part, "file": file}

    def _take_shown(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """Take what is not text out of a tool's result, which holds text only, and return it."""
        content = message["content"]
        shown = [part for part in content if part["type"] in PART and part["type"] != "text"]
        if not shown or "tool" in self.quirks.parts:
            return []
        self._adapt("messages.content", "emulated", "a tool's images and files go into a user message after its result")
        message["content"] = [part for part in content if part not in shown] or SHOWN_BELOW
        return shown

    # --- what is left out ---

    def _only(self, given: Mapping[str, Any], taken: frozenset[str], where: str, keep_none: str = "") -> dict[str, Any]:
        """Return the fields that are taken; others that say something are recorded as dropped."""
        made: dict[str, Any] = {}
        for name, value in given.items():
            if name in taken or name in self.quirks.history:
                if value is not None or name == keep_none:
                    made[name] = value
            elif value not in (None, [], {}, False) and name not in TRIFLES:
                self._adapt(f"{where}.{name}", "dropped", "this provider's chat takes no such field")
        return made

    def _adapt(self, parameter: str, action: Any, why: str) -> None:
        """Record an adaptation once, however often it is made."""
        if parameter not in self._lost:
            self._lost.add(parameter)
            self.request.adapt(parameter, action, why)


FORMS = {"image_url": History._image, "input_audio": History._audio, "file": History._file}


def _name_data(file: dict[str, Any], format: str | None) -> None:
    """Make inline data a data: URL where its type is known, and give it the name that OpenAI asks for."""
    data = file["file_data"]
    if format and not data.startswith("data:"):
        data = file["file_data"] = f"data:{format};base64,{data}"
    if "filename" not in file:
        kind = split_data_url(data[: data.find(",") + 1])[0] if data.startswith("data:") else ""
        file["filename"] = "document.pdf" if kind in ("", "application/pdf") else f"document.{kind.rpartition('/')[2]}"
