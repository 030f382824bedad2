"""A stream's chunks, put together into the answer that the same call would have had without `stream=True`.

One function a shape, found by what the operation answers with: chat, text completion, responses, messages, images,
transcripts. Of a stream that was left early it is the answer as far as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from polyport.bridges.thinking import Thinking
from polyport.types.audio import Transcription, TranscriptionEvent
from polyport.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
    FunctionCall,
    Message,
    ReplyAudio,
    ToolCall,
)
from polyport.types.completion import TextChoice, TextCompletion
from polyport.types.image import Image, ImageEvent, ImageResponse
from polyport.types.messages import AnthropicMessage
from polyport.types.record import Result, learn
from polyport.types.responses import Response

R = TypeVar("R", bound=Result)
#: Events of the Responses API that bring the whole response, as far as it is there.
WHOLE = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
#: A delta of the Messages API -> the field of the block that it adds to.
BLOCK_FIELDS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


def assembled(kind: type[Result], chunks: Sequence[Any]) -> Result | None:
    """Return the answer of type `kind` that these chunks make; None where chunks of it make none, as bytes do."""
    make = MAKERS.get(kind)
    return make(chunks) if make is not None and chunks else None


# --- chat ---


def completion_of(chunks: Sequence[ChatCompletionChunk]) -> ChatCompletion:
    """Return a chat's chunks as one completion."""
    made = ChatCompletion()
    answers: dict[int, _Answer] = {}
    extra: dict[str, Any] = {}
    for chunk in chunks:
        made.id = made.id or chunk.id
        made.created = made.created or chunk.created
        made.model = made.model or chunk.model
        made.usage = chunk.usage or made.usage
        made.service_tier = chunk.service_tier or made.service_tier
        made.system_fingerprint = chunk.system_fingerprint or made.system_fingerprint
        if chunk.usage is not None or not chunk.choices or any(choice.finish_reason for choice in chunk.choices):
            extra.update(chunk.extra)
        for choice in chunk.choices:
            answers.setdefault(choice.index, _Answer()).add(choice)
    made.choices = [answers[index].choice(index) for index in sorted(answers)]
    made.carry(extra)
    return made


class _Answer:
    """One choice in the making: texts are joined once, at the end."""

    TEXTS = ("content", "reasoning_content", "refusal")
    LISTS = ("annotations", "images")

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._lists: dict[str, list[Any]] = {}
        self._calls: dict[int, ToolCall] = {}
        self._arguments: dict[int, list[str]] = {}
        self._thinking = Thinking()
        self._message = Message()
        self._finish: str | None = None
        self._logprobs: dict[str, Any] | None = None

    def add(self, choice: ChunkChoice) -> None:
        """Take what a chunk adds."""
        delta, message = choice.delta, self._message
        for name in self.TEXTS:
            if piece := getattr(delta, name):
                self._texts.setdefault(name, []).append(piece)
        for name in self.LISTS:
            if items := getattr(delta, name):
                self._lists.setdefault(name, []).extend(items)
        if delta.thinking_blocks:
            steps = self._thinking.read(delta)
            blocks = [block for step, block in steps if step == "block"]
            if blocks:
                self._lists.setdefault("thinking_blocks", []).extend(blocks)
        for place, call in enumerate(delta.tool_calls or ()):
            self._call(place if call.index is None else call.index, call)
        if delta.function_call is not None:
            before = message.function_call or FunctionCall()
            arguments = (before.arguments or "") + (delta.function_call.arguments or "")
            message.function_call = FunctionCall(name=before.name or delta.function_call.name, arguments=arguments)
        if delta.audio is not None:
            message.audio = _heard(message.audio, delta.audio)
        message.role = delta.role or message.role
        if delta.provider_specific_fields:
            message.provider_specific_fields = (message.provider_specific_fields or {}) | delta.provider_specific_fields
        self._finish = choice.finish_reason or self._finish
        if choice.logprobs:
            self._logprobs = _joined(self._logprobs, choice.logprobs)

    def _call(self, index: int, piece: ToolCall) -> None:
        call = self._calls.setdefault(index, ToolCall(function=None))
        call.id, call.type = call.id or piece.id, call.type or piece.type
        call.extra_content = piece.extra_content or call.extra_content
        if piece.function is not None:
            call.function = call.function or FunctionCall()
            call.function.name = call.function.name or piece.function.name
            self._arguments.setdefault(index, []).append(piece.function.arguments)
        if piece.custom:
            text = (call.custom or {}).get("input", "") + (piece.custom.get("input") or "")
            call.custom = {**piece.custom, **(call.custom or {}), "input": text}

    def choice(self, index: int) -> Choice:
        """Return the choice, as far as it came."""
        message = self._message
        for name, pieces in self._texts.items():
            setattr(message, name, "".join(pieces))
        for name, items in self._lists.items():
            setattr(message, name, items)
        for place, pieces in self._arguments.items():
            function = self._calls[place].function
            if function is not None:
                function.arguments = "".join(pieces)
        if self._calls:
            message.tool_calls = [self._calls[place] for place in sorted(self._calls)]
        return Choice(index=index, message=message, finish_reason=self._finish, logprobs=self._logprobs)


def _heard(before: ReplyAudio | None, piece: ReplyAudio) -> ReplyAudio:
    if before is None:
        return msgspec.structs.replace(piece)
    return ReplyAudio(
        id=before.id or piece.id,
        data=(before.data or "") + (piece.data or "") or None,
        transcript=(before.transcript or "") + (piece.transcript or "") or None,
        expires_at=piece.expires_at or before.expires_at,
    )


def _joined(before: dict[str, Any] | None, more: dict[str, Any]) -> dict[str, Any]:
    """Return log probabilities, whose lists go on from chunk to chunk."""
    made = dict(before or {})
    for name, value in more.items():
        made[name] = [*made[name], *value] if isinstance(value, list) and isinstance(made.get(name), list) else value
    return made


# --- the others ---


def text_completion_of(chunks: Sequence[TextCompletion]) -> TextCompletion:
    """Return a text completion's chunks as one."""
    made = TextCompletion()
    texts: dict[int, list[str]] = {}
    choices: dict[int, TextChoice] = {}
    for chunk in chunks:
        made.id, made.created = made.id or chunk.id, made.created or chunk.created
        made.model, made.usage = made.model or chunk.model, chunk.usage or made.usage
        for choice in chunk.choices:
            found = choices.setdefault(choice.index, TextChoice(index=choice.index))
            texts.setdefault(choice.index, []).append(choice.text)
            found.finish_reason = choice.finish_reason or found.finish_reason
            if choice.logprobs:
                found.logprobs = _joined(found.logprobs, choice.logprobs)
    for index, pieces in texts.items():
        choices[index].text = "".join(pieces)
    made.choices = [choices[index] for index in sorted(choices)]
    return made


def response_of(events: Sequence[dict[str, Any]]) -> Response | None:
    """Return the response that its closing event brings; of one left early, the items that were complete."""
    response: dict[str, Any] | None = None
    items: dict[int, dict[str, Any]] = {}
    texts: dict[int, list[str]] = {}
    for event in events:
        kind, place = event.get("type"), event.get("output_index", 0)
        if isinstance(event.get("response"), dict):
            response = event["response"]
            if kind in WHOLE:
                return _result(Response, response)
        elif kind == "response.output_item.done":
            items[place] = dict(event["item"])
        elif kind == "response.output_text.delta":
            texts.setdefault(place, []).append(event["delta"])
    if response is None:
        return None
    for place in texts.keys() - items.keys():
        part = {"type": "output_text", "text": "".join(texts[place]), "annotations": []}
        items[place] = {"type": "message", "role": "assistant", "status": "in_progress", "content": [part]}
    output = [items[place] for place in sorted(items)]
    return _result(Response, {**response, "output": output})


def _result(kind: type[R], fields: dict[str, Any]) -> R:
    """Return a result of plain fields, those that it does not model among its `extra`."""
    made: R = msgspec.convert(dict(fields), learn(kind), strict=False)
    known = kind.__struct_encode_fields__
    made.carry({name: value for name, value in fields.items() if name not in known})
    return made


def message_of(events: Sequence[dict[str, Any]]) -> AnthropicMessage | None:
    """Return the message that Anthropic's events make. https://docs.anthropic.com/en/docs/build-with-claude/streaming"""
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    pieces: dict[tuple[int, str], list[str]] = {}
    for event in events:
        kind = event.get("type")
        if kind == "message_start":
            message = {**event["message"], "content": []}
        elif kind == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"])
        elif kind == "content_block_delta":
            _add_to_block(event["delta"], event["index"], blocks, pieces)
        elif kind == "message_delta":
            message |= event.get("delta") or {}
            message["usage"] = {**(message.get("usage") or {}), **_told(event.get("usage"))}
    if not message:
        return None
    for (index, name), texts in pieces.items():
        block, text = blocks.setdefault(index, {}), "".join(texts)
        block[name] = _arguments(text) if name == "input" else (block.get(name) or "") + text
    message["content"] = [blocks[index] for index in sorted(blocks)]
    return _result(AnthropicMessage, message)


def _add_to_block(
    delta: dict[str, Any],
    index: int,
    blocks: dict[int, dict[str, Any]],
    pieces: dict[tuple[int, str], list[str]],
) -> None:
    kind = delta.get("type")
    if kind == "input_json_delta":
        pieces.setdefault((index, "input"), []).append(delta.get("partial_json") or "")
    elif kind in BLOCK_FIELDS:
        name = BLOCK_FIELDS[kind]
        pieces.setdefault((index, name), []).append(delta.get(name) or "")
    elif kind == "citations_delta":
        block = blocks.setdefault(index, {})
        block["citations"] = [*(block.get("citations") or []), delta.get("citation")]


def _arguments(text: str) -> Any:
    """Return a tool's input; one that is cut off stays text."""
    try:
        return msgspec.json.decode(text) if text else {}
    except (msgspec.DecodeError, RecursionError):
        return text


def _told(counts: dict[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (counts or {}).items() if value is not None}


def images_of(events: Sequence[ImageEvent]) -> ImageResponse | None:
    """Return the images that were completed; of a stream left before that, the latest partial one."""
    done = [event for event in events if event.type.endswith(".completed")] or list(events[-1:])
    if not done:
        return None
    last = done[-1]
    return ImageResponse(
        created=last.created_at or 0,
        data=[Image(b64_json=event.b64_json) for event in done],
        usage=last.usage,
        background=last.background,
        output_format=last.output_format,
        quality=last.quality,
        size=last.size,
    )


def transcription_of(events: Sequence[TranscriptionEvent]) -> Transcription | None:
    """Return the transcript, as far as it came."""
    made = Transcription(text="".join(event.delta or "" for event in events))
    for event in events:
        made.usage = event.usage or made.usage
        if event.type.endswith(".done") and event.text is not None:
            made.text, made.logprobs = event.text, event.logprobs
    return made


#: What an operation answers with -> how its chunks become that.
MAKERS: dict[type[Result], Callable[[Any], Result | None]] = {
    ChatCompletion: completion_of,
    TextCompletion: text_completion_of,
    Response: response_of,
    AnthropicMessage: message_of,
    ImageResponse: images_of,
    Transcription: transcription_of,
}
