"""Text completion with DeepSeek: what stands between a prompt and a suffix.

https://api-docs.deepseek.com/api/create-completion
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from polyport.dialects.openai import Completions
from polyport.errors import BadRequestError
from polyport.types.completion import TextCompletionRequest
from polyport.types.record import Request
from polyport_deepseek.beta import below_beta


class FillInTheMiddle(Completions):
    """POST /beta/completions. Up to 4096 tokens, without thinking."""

    def text_path(self, request: TextCompletionRequest) -> str:
        """Return where a text is continued."""
        return below_beta(request, "/completions")

    def body(self, request: Request, hook: str, skip: Iterable[str] = ()) -> dict[str, Any]:
        """Return the parameters. Raises BadRequestError for several prompts, or one as token ids."""
        body = super().body(request, hook, skip)
        if isinstance(request, TextCompletionRequest):
            body["prompt"] = _one_text(request.prompt)
        return body


def _one_text(prompt: str | list[Any]) -> str:
    texts = [prompt] if isinstance(prompt, str) else prompt
    if len(texts) != 1 or not isinstance(texts[0], str):
        raise BadRequestError("DeepSeek continues one text a call at $.prompt, neither several nor token ids")
    return texts[0]
