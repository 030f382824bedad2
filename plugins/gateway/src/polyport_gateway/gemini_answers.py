"""Completions and chunks -> GenerateContentResponse. https://ai.google.dev/api/generate-content#GenerateContentResponse"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import msgspec

from polyport.errors import InvalidResponseError
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ToolCall
from polyport.types.upload import split_data_url
from polyport.types.usage import Usage

#: A chat's finish reasons; what is not here is a stop.
REASONS = {"length": "MAX_TOKENS", "content_filter": "SAFETY"}


def to_response(completion: ChatCompletion) -> dict[str, Any]:
    """Return a completion as a response."""
    candidates = [
        _candidate(choice.index, [*_said(choice.message), *map(_call, choice.message.tool_calls or ())])
        | {"finishReason": REASONS.get(choice.finish_reason or "", "STOP")}
        for choice in completion.choices
    ]
    return _framed(completion, candidates)


class Pieces:
    """Turns the chunks of one stream into responses. Calls are put together: here each comes in one part."""

    def __init__(self) -> None:
        self._calls: dict[int, dict[int, ToolCall]] = {}

    def response(self, chunk: ChatCompletionChunk) -> dict[str, Any] | None:
        """Return what a chunk adds; None where that is not to be seen yet."""
        candidates = []
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or ():
                self._add(choice.index, call)
            parts = [*_said(choice.delta)]
            ending = choice.finish_reason
            if ending is not None:
                parts += map(_call, self._calls.pop(choice.index, {}).values())
            if parts or ending is not None:
                reason = {} if ending is None else {"finishReason": REASONS.get(ending, "STOP")}
                candidates.append(_candidate(choice.index, parts) | reason)
        if not candidates and chunk.usage is None:
            return None
        return _framed(chunk, candidates)

    def _add(self, choice: int, piece: ToolCall) -> None:
        known = self._calls.setdefault(choice, {})
        place = piece.index if piece.index is not None else len(known)
        call = known.get(place)
        if call is None:
            known[place] = piece
        elif call.function is not None and piece.function is not None:
            call.function.arguments += piece.function.arguments


def _candidate(index: int, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"content": {"role": "model", "parts": parts}, "index": index}


def _said(message: Any) -> Iterable[dict[str, Any]]:
    if message.reasoning_content:
        yield {"text": message.reasoning_content, "thought": True}
    if message.content:
        yield {"text": message.content}
    if message.refusal:
        yield {"text": message.refusal}
    for image in message.images or ():
        url = image["image_url"]["url"]
        if url.startswith("data:"):
            kind, data = split_data_url(url)
            yield {"inlineData": {"mimeType": kind, "data": base64.b64encode(data).decode()}}
        else:
            yield {"fileData": {"fileUri": url}}
    if message.audio is not None and message.audio.data:
        yield {"inlineData": {"mimeType": "audio/wav", "data": message.audio.data}}


def _call(call: ToolCall) -> dict[str, Any]:
    function = call.function
    try:
        arguments = msgspec.json.decode((function.arguments if function else "") or "{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidResponseError(f"The model's arguments of a function are no JSON: {error}") from error
    part: dict[str, Any] = {"functionCall": {"name": function and function.name, "args": arguments, "id": call.id}}
    signature = ((call.extra_content or {}).get("google") or {}).get("thought_signature")
    return part if signature is None else part | {"thoughtSignature": signature}


def _framed(result: ChatCompletion | ChatCompletionChunk, candidates: list[dict[str, Any]]) -> dict[str, Any]:
    framed: dict[str, Any] = {"candidates": candidates, "modelVersion": result.model, "responseId": result.id}
    return framed if result.usage is None else framed | {"usageMetadata": _usage(result.usage)}


def _usage(usage: Usage) -> dict[str, int]:
    """Return the tokens as Gemini counts them: what was thought is beside the answer, not in it."""
    given, made = usage.prompt_tokens_details, usage.completion_tokens_details
    thought = (made.reasoning_tokens if made else None) or 0
    told = {
        "promptTokenCount": usage.prompt_tokens,
        "candidatesTokenCount": usage.completion_tokens - thought,
        "totalTokenCount": usage.total_tokens,
        "thoughtsTokenCount": thought,
        "cachedContentTokenCount": (given.cached_tokens if given else None) or 0,
    }
    return {name: count for name, count in told.items() if count or name != "cachedContentTokenCount"}
