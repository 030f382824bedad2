"""The texts of a stream's chunks: which are pieces of a longer one, and which stand for themselves."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeAlias

import msgspec

from polyport.guarding import texts
from polyport.guarding.shapes import ECHO, KINDS
from polyport.guarding.verdicts import Kind, Path, Text
from polyport.types.audio import TranscriptionEvent
from polyport.types.chat import ChatCompletionChunk
from polyport.types.completion import TextCompletion

Channel: TypeAlias = tuple[Hashable, ...]
#: Fields of a delta that come whole, not in pieces.
WHOLE = frozenset({"annotations", "images", "provider_specific_fields"})
#: Events whose delta is base64.
BINARY = frozenset({"response.audio.delta", "response.output_audio.delta", "speech.audio.delta"})
#: What tells two texts of a response from each other, besides the kind of event.
PLACES = ("output_index", "content_index", "summary_index", "item_id")
#: Fields of an Anthropic delta that are pieces.
PARTS = ("text", "thinking", "partial_json")


class Piece(msgspec.Struct, frozen=True):
    """One text in a chunk. `channel` is the longer text that it continues; None where it stands for itself."""

    path: Path
    text: str
    channel: Channel | None
    kind: Kind = "content"
    role: str = "assistant"
    json: str | None = None

    def whole(self) -> Text:
        """Return one that stands for itself."""
        return Text(self.path, self.text, self.role, self.kind, self.json)


class Chunk(msgspec.Struct):
    """What a chunk brings: its texts, and which channels are over with it (by how they begin)."""

    pieces: list[Piece]
    closes: list[Channel] = []


def of_chunk(chunk: Any) -> Chunk:
    """Return the texts of a chunk. Bytes and pictures have none."""
    if isinstance(chunk, ChatCompletionChunk):
        return _of_chat(chunk)
    if isinstance(chunk, dict):
        return _of_event(chunk)
    if isinstance(chunk, TextCompletion):
        pieces = [
            Piece(("choices", i, "text"), c.text, (c.index, "text")) for i, c in enumerate(chunk.choices) if c.text
        ]
        return Chunk(_with_extra(chunk, pieces), [(c.index,) for c in chunk.choices if c.finish_reason])
    if isinstance(chunk, TranscriptionEvent):
        pieces = [Piece(("delta",), chunk.delta, (chunk.segment_id, "delta"))] if chunk.delta else []
        return Chunk(_with_extra(chunk, pieces + ([Piece(("text",), chunk.text, None)] if chunk.text else [])))
    if isinstance(chunk, str):
        return Chunk([Piece((), chunk, ("text",))] if chunk else [])
    return Chunk([])


def _of_chat(chunk: ChatCompletionChunk) -> Chunk:
    pieces: list[Piece] = []
    closes: list[Channel] = []
    for at, choice in enumerate(chunk.choices):
        delta, index = choice.delta, choice.index
        if delta.content and isinstance(delta.content, str):  # nearly every chunk is this and nothing else
            pieces.append(Piece(("choices", at, "delta", "content"), delta.content, (index, "content")))
        for name in delta.__struct_fields__:
            value = getattr(delta, name)
            if value is None or name in ("content", "role"):
                continue
            pieces += _of_field(value, ("choices", at, "delta", name), index, name)
        if choice.finish_reason:
            closes.append((index,))
    return Chunk(_with_extra(chunk, pieces), closes)


def _of_field(value: Any, path: Path, index: int, name: str) -> list[Piece]:
    if name == "tool_calls":
        return [
            piece
            for i, call in enumerate(value)
            for piece in _of_call(call, (*path, i), (index, name, call.index or i))
        ]
    channel: Channel | None = None if name in WHOLE else (index, name)
    kind = KINDS.get(name, "content")
    return [
        Piece(one.path, one.text, channel and (*channel, *_names(one.path, len(path))), kind)
        for one in texts.below(value, path)
    ]


def _of_call(call: Any, path: Path, channel: Channel) -> list[Piece]:
    pieces = []
    if call.function is not None and call.function.arguments:
        pieces.append(
            Piece((*path, "function", "arguments"), call.function.arguments, (*channel, "arguments"), "arguments")
        )
    if call.custom and isinstance(call.custom.get("input"), str) and call.custom["input"]:
        pieces.append(Piece((*path, "custom", "input"), call.custom["input"], (*channel, "custom")))
    return pieces


def _of_event(event: dict[str, Any]) -> Chunk:
    """An event of the Responses API or of Anthropic's."""
    said = event.get("type")
    kind = said if isinstance(said, str) else ""
    delta = event.get("delta")
    if isinstance(delta, str):
        if not delta or kind in BINARY:
            return Chunk([])
        place = tuple(event.get(name) for name in PLACES)
        return Chunk([Piece(("delta",), delta, (*place, kind.removesuffix(".delta")), _kind(kind))])
    if kind == "content_block_delta" and isinstance(delta, dict):
        pieces = [
            Piece(("delta", name), delta[name], (event.get("index"), name), KINDS.get(name, "content"))
            for name in PARTS
            if isinstance(delta.get(name), str) and delta[name]
        ]
        if pieces:
            return Chunk(pieces)
    if kind == "content_block_start" and isinstance(event.get("content_block"), dict):
        return Chunk(_of_block(event["content_block"], event.get("index")))
    if kind == "content_block_stop":
        return Chunk([], [(event.get("index"),)])
    return Chunk(_wholes(event), _closed(event, kind))


def _of_block(block: dict[str, Any], index: Any) -> list[Piece]:
    """A block's beginning: what it has of its text already is the first piece; anything else comes whole."""
    return [
        Piece(one.path, one.text, (index, one.path[-1]) if one.path[-1] in PARTS and len(one.path) == 2 else None,
              one.kind, one.role)
        for one in texts.below(block, ("content_block",))
    ]  # fmt: skip


def _wholes(event: dict[str, Any]) -> list[Piece]:
    response = event.get("response")
    if isinstance(response, dict):
        found = texts.below(response, ("response",), without=ECHO)
    else:
        found = texts.below(event, (), without=ECHO)
    return [Piece(one.path, one.text, None, one.kind, one.role, one.json) for one in found]


def _closed(event: dict[str, Any], kind: str) -> list[Channel]:
    """Which channels an event ends: of one text, or of an item with all its texts."""
    if not kind.endswith(".done"):
        return []
    if kind == "response.output_item.done":
        return [(event.get("output_index"),)]
    return [(*(event.get(name) for name in PLACES), kind.removesuffix(".done"))]


def _kind(event: str) -> Kind:
    if "arguments" in event:
        return "arguments"
    return "reasoning" if "reasoning" in event else "content"


def _with_extra(chunk: Any, pieces: list[Piece]) -> list[Piece]:
    """Add what the provider sent beside the fields that are modelled."""
    if chunk.extra:
        pieces += [
            Piece(one.path, one.text, None, one.kind, json=one.json) for one in texts.below(chunk.extra, ("extra",))
        ]
    return pieces


def _names(path: Path, start: int) -> Channel:
    return tuple(step for step in path[start:] if isinstance(step, str))
