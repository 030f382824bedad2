"""Text completion: a prompt and its continuations. https://platform.openai.com/docs/api-reference/completions"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from polyport.types.record import CallParams, Fields, Request, Result, empty, null, zero
from polyport.types.usage import Usage


class TextCompletionRequest(Request):
    """A completion of plain text. `prompt` may be text, a list of texts, or token ids."""

    prompt: str | list[Any]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    suffix: str | None = None
    echo: bool | None = None
    best_of: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, int | float] | None = None
    logprobs: int | None = None
    seed: int | None = None
    user: str | None = None


class TextCompletionParams(CallParams, total=False):
    """The optional parameters of `text_completion`."""

    stream_options: Mapping[str, Any] | None
    suffix: str | None
    echo: bool | None
    best_of: int | None
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    n: int | None
    stop: str | list[str] | None
    presence_penalty: float | None
    frequency_penalty: float | None
    logit_bias: Mapping[str, float] | None
    logprobs: int | None
    seed: int | None
    user: str | None


class TextChoice(Fields):
    """One continuation."""

    index: int = zero()
    text: str = msgspec.field(default_factory=str)
    finish_reason: str | None = null()
    logprobs: dict[str, Any] | None = null()


class TextCompletion(Result):
    """Continuations of a prompt; streamed chunks have the same shape. `.choices[0].text` is the text."""

    id: str = ""
    object: str = msgspec.field(default_factory=lambda: "text_completion")
    created: int = zero()
    model: str = ""
    choices: list[TextChoice] = empty()
    usage: Usage | None = None
    system_fingerprint: str | None = None

    def is_content(self) -> bool:
        """Whether a reader of the stream has seen some of the text after this chunk."""
        return any(choice.text or choice.finish_reason for choice in self.choices)
