"""Usage of images and audio, which OpenAI counts in the Responses API's words: input_tokens, output_tokens."""

from __future__ import annotations

from typing import Protocol

import msgspec

from polyport.errors import InvalidResponseError
from polyport.types.usage import CompletionTokensDetails, PromptTokensDetails, Usage


class _Counts(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int = 0
    total_tokens: int = 0
    seconds: float | None = None
    input_tokens_details: PromptTokensDetails | None = None
    input_token_details: PromptTokensDetails | None = None
    output_tokens_details: CompletionTokensDetails | None = None


class _Counted(msgspec.Struct):
    usage: _Counts | None = None


class HasUsage(Protocol):
    """A result with usage."""

    usage: Usage | None


_decode = msgspec.json.Decoder(_Counted).decode


def count(result: HasUsage, data: bytes) -> None:
    """Put the usage right that `data`, the JSON of `result`, tells as input and output tokens, or as seconds."""
    if result.usage is None:
        return
    try:
        counts = _decode(data).usage
    except msgspec.ValidationError as error:
        raise InvalidResponseError(f"The reply's usage is not of the promised shape: {error}", body=data) from error
    if counts is None or (counts.input_tokens is None and counts.seconds is None):
        return
    result.usage = Usage(
        prompt_tokens=counts.input_tokens or 0,
        completion_tokens=counts.output_tokens,
        total_tokens=counts.total_tokens,
        prompt_tokens_details=counts.input_tokens_details or counts.input_token_details,
        completion_tokens_details=counts.output_tokens_details,
        seconds=counts.seconds,
    )
