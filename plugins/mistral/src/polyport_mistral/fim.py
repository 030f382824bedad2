"""Text completion with Mistral: what stands between a prompt and a suffix. https://docs.mistral.ai/api/endpoint/fim

The endpoint answers like a chat does; codestral models have it.
"""

from __future__ import annotations

from typing import Any

from polyport.bridges.completions import TextChunks
from polyport.bridges.inner import chunk_of
from polyport.dialects.openai import Wire
from polyport.errors import BadRequestError
from polyport.flow import Flow, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.completion import TextCompletion, TextCompletionRequest
from polyport_mistral.answers import MistralCompletion
from polyport_mistral.chat import MistralEvents, tell_usage


class FillInTheMiddle(Wire):
    """POST /fim/completions."""

    @hookimpl
    def complete_text(self, request: TextCompletionRequest) -> Flow[TextCompletion | Streaming[TextCompletion]]:
        """Fill the gap between a prompt and a suffix, or continue the prompt."""
        reply = yield self.post("/fim/completions", json=self.fim_body(request), stream=request.stream)
        if request.stream:
            return Streaming(reply, MistralEvents()).through(TextChunks(""))
        answer = decode(reply, MistralCompletion)
        made = next(iter(TextChunks("").feed(chunk_of(answer))), TextCompletion())
        made.keep(reply.content, extra=answer.extra)
        return made

    def fim_body(self, request: TextCompletionRequest) -> dict[str, Any]:
        """Return the body. Raises BadRequestError for several prompts, or one as token ids."""
        body = self.body(request, "complete_text")
        tell_usage(request, body)
        texts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
        if len(texts) != 1 or not isinstance(texts[0], str):
            raise BadRequestError("Mistral continues one text a call at $.prompt, neither several nor token ids")
        return {**body, "prompt": texts[0]}
