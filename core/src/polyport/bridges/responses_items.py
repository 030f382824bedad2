"""Output items of a response, each written as it grows: added, its deltas, done."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from polyport.bridges.opaque import State, seal
from polyport.bridges.responses_tools import Called, custom_input


class Events(Protocol):
    """Where item writers put their events."""

    output: list[dict[str, Any]]
    base: str
    summarize: bool

    def emit(self, type: str, **fields: Any) -> None:
        """Add an event."""


class ItemWriter:
    """Writes one item. `fields` is what it is when it is added; `done` says what it is in the end."""

    def __init__(self, events: Events, prefix: str, fields: dict[str, Any]) -> None:
        self.events = events
        self.index = len(events.output)
        self.item_id = f"{prefix}_{events.base}_{self.index}"
        self.item = {"id": self.item_id, **fields}
        events.output.append(self.item)
        events.emit("response.output_item.added", output_index=self.index, item=dict(self.item))

    def emit(self, type: str, **fields: Any) -> None:
        """Add an event of this item's."""
        self.events.emit(type, item_id=self.item_id, output_index=self.index, **fields)

    def done(self, changes: dict[str, Any]) -> None:
        """End the item as it now is."""
        self.item |= changes
        self.events.emit("response.output_item.done", output_index=self.index, item=dict(self.item))

    def finish(self, status: str) -> None:
        """End the item; what was still open in it first."""
        self.done({"status": status})


class ReasoningItem(ItemWriter):
    """Reasoning: as summary where one was asked for, as the reasoning's own text otherwise. A block is one part."""

    def __init__(self, events: Events) -> None:
        super().__init__(events, "rs", {"type": "reasoning", "summary": []})
        self._blocks: list[dict[str, Any]] = []
        self._parts: list[dict[str, Any]] = []
        self._pieces: list[str] | None = None
        if events.summarize:
            self._kind, self._place, self._event = "summary_text", "summary", "response.reasoning_summary_text"
            self._index, self._frame = "summary_index", "response.reasoning_summary_part"
        else:
            self._kind, self._place, self._event = "reasoning_text", "content", "response.reasoning_text"
            self._index, self._frame = "content_index", "response.content_part"

    def think(self, text: str) -> None:
        """Add text."""
        if self._pieces is None:
            self._pieces = []
            self._emit(f"{self._frame}.added", part={"type": self._kind, "text": ""})
        self._pieces.append(text)
        self._emit(f"{self._event}.delta", delta=text)

    def keep(self, block: dict[str, Any]) -> None:
        """Keep a provider's own block, to be sent back unchanged; it ends the text that belongs to it."""
        self._blocks.append(block)
        self._end_part()

    def finish(self, status: str) -> None:
        """End the item, with what must come back sealed in it."""
        self._end_part()
        changes: dict[str, Any] = {self._place: self._parts} if self._parts else {}
        if self._blocks:
            changes["encrypted_content"] = seal(State(thinking_blocks=self._blocks))
        self.done(changes)

    def _emit(self, type: str, **fields: Any) -> None:
        self.emit(type, **{self._index: len(self._parts)}, **fields)

    def _end_part(self) -> None:
        if self._pieces is None:
            return
        part = {"type": self._kind, "text": "".join(self._pieces)}
        self._emit(f"{self._event}.done", text=part["text"])
        self._emit(f"{self._frame}.done", part=part)
        self._parts.append(part)
        self._pieces = None


class AnswerItem(ItemWriter):
    """A message of the assistant's: text with its annotations and logprobs, a refusal, speech."""

    def __init__(self, events: Events) -> None:
        super().__init__(
            events, "msg", {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
        )
        self._parts: list[dict[str, Any]] = []
        self._part: dict[str, Any] | None = None
        self._pieces: list[str] = []

    def say(self, text: str, logprobs: list[dict[str, Any]]) -> None:
        """Add text."""
        part = self._open("output_text")
        self._pieces.append(text)
        if logprobs:
            part["logprobs"] += logprobs
        self.events.emit(  # not through _emit: this is the hot path of every stream
            "response.output_text.delta",
            item_id=self.item_id,
            output_index=self.index,
            content_index=len(self._parts),
            delta=text,
            logprobs=logprobs,
        )

    def refuse(self, text: str) -> None:
        """Add to the refusal."""
        self._open("refusal")
        self._pieces.append(text)
        self._emit("response.refusal.delta", delta=text)

    def annotate(self, annotation: dict[str, Any]) -> None:
        """Add an annotation to the text."""
        annotations = self._open("output_text")["annotations"]
        annotations.append(annotation)
        self._emit(
            "response.output_text.annotation.added", annotation_index=len(annotations) - 1, annotation=annotation
        )

    def speak(self, audio: dict[str, Any]) -> None:
        """Add speech: base64 data and the transcript, each in pieces that belong together."""
        if self._part is None or self._part["type"] != "output_audio":
            self._end_part()
            self._part = {"type": "output_audio", "data": "", "transcript": ""}
        for name, event in (("data", "response.audio.delta"), ("transcript", "response.audio.transcript.delta")):
            if audio.get(name):
                self._part[name] += audio[name]
                self.events.emit(event, delta=audio[name])

    def finish(self, status: str) -> None:
        """End the message."""
        self._end_part()
        self.done({"status": status, "content": self._parts})

    def _emit(self, type: str, **fields: Any) -> None:
        self.emit(type, content_index=len(self._parts), **fields)

    def _open(self, kind: str) -> dict[str, Any]:
        if self._part is None or self._part["type"] != kind:
            self._end_part()
            self._part = _part(kind, "")
            self._pieces = []
            self._emit("response.content_part.added", part=_part(kind, ""))
            if kind == "output_text":
                self._part["logprobs"] = []
        return self._part

    def _end_part(self) -> None:
        part = self._part
        if part is None:
            return
        if part["type"] == "output_text":
            part["text"] = "".join(self._pieces)
            self._emit("response.output_text.done", text=part["text"], logprobs=part["logprobs"])
        elif part["type"] == "refusal":
            part["refusal"] = "".join(self._pieces)
            self._emit("response.refusal.done", refusal=part["refusal"])
        if part["type"] != "output_audio":
            self._emit("response.content_part.done", part=part)
        self._parts.append(part)
        self._part = None


def _part(kind: str, text: str) -> dict[str, Any]:
    if kind == "refusal":
        return {"type": kind, "refusal": text}
    return {"type": kind, "annotations": [], "logprobs": [], "text": text}


class FunctionCallItem(ItemWriter):
    """A call of a function, its arguments streamed as they come."""

    def __init__(self, events: Events, call: int, id: str, called: Called) -> None:
        self.call = call
        self.id = id
        self.pieces: list[str] = []
        super().__init__(events, *self._fields(called))

    def _fields(self, called: Called) -> tuple[str, dict[str, Any]]:
        fields = {"type": "function_call", "status": "in_progress", "arguments": "", "call_id": self.id}
        return "fc", fields | _names(called)

    def more(self, arguments: str) -> None:
        """Add a piece of the arguments, which are JSON text."""
        if arguments:
            self.pieces.append(arguments)
            self.emit("response.function_call_arguments.delta", delta=arguments)

    def finish(self, status: str) -> None:
        """End the call; one without arguments has an empty object of them."""
        arguments = "".join(self.pieces) or "{}"
        self.emit("response.function_call_arguments.done", arguments=arguments)
        self.done({"status": status, "arguments": arguments})


class CustomCallItem(FunctionCallItem):
    """A call of a custom tool. Its text lies inside JSON, so it is given once, when that is complete."""

    def _fields(self, called: Called) -> tuple[str, dict[str, Any]]:
        return "ctc", {"type": "custom_tool_call", "status": "in_progress", "input": "", "call_id": self.id} | _names(
            called
        )

    def more(self, arguments: str) -> None:
        """Add a piece of the function's arguments."""
        self.pieces.append(arguments)

    def finish(self, status: str) -> None:
        """End the call with its text."""
        text = custom_input("".join(self.pieces))
        self.emit("response.custom_tool_call_input.delta", delta=text)
        self.emit("response.custom_tool_call_input.done", input=text)
        self.done({"status": status, "input": text})


class ToolSearchItem(FunctionCallItem):
    """A search for tools that the client runs; its arguments are an object, so it has no deltas."""

    def _fields(self, called: Called) -> tuple[str, dict[str, Any]]:
        fields = {"type": "tool_search_call", "status": "in_progress", "arguments": {}, "call_id": self.id}
        return "tsc", {**fields, "execution": "client"}

    def more(self, arguments: str) -> None:
        """Add a piece of the function's arguments."""
        self.pieces.append(arguments)

    def finish(self, status: str) -> None:
        """End the call; arguments that are not JSON stay text."""
        text = "".join(self.pieces) or "{}"
        try:
            arguments = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            arguments = text
        self.done({"status": status, "arguments": arguments})


def _names(called: Called) -> dict[str, Any]:
    return {"name": called.name} | ({"namespace": called.namespace} if called.namespace else {})


#: What a function stands for -> the item that its call becomes.
CALLS: dict[str, type[FunctionCallItem]] = {
    "function": FunctionCallItem,
    "custom": CustomCallItem,
    "tool_search": ToolSearchItem,
}
