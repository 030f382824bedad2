"""Embeddings and moderation with Mistral.

https://docs.mistral.ai/api/endpoint/embeddings and https://docs.mistral.ai/api/endpoint/classifiers
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from polyport.dialects.openai import Embeddings, Wire
from polyport.errors import UnsupportedParamsError
from polyport.flow import Flow
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.conversation import TextPart, parts_of
from polyport.types.embed import EmbedRequest
from polyport.types.moderation import Moderation, ModerationRequest
from polyport.types.record import Request


class MistralEmbeddings(Embeddings):
    """POST /embeddings; `output_dtype` (float, int8, uint8, binary, ubinary) is codestral-embed's."""

    def body(self, request: Request, hook: str, skip: Iterable[str] = ()) -> dict[str, Any]:
        """Return the parameters. Raises UnsupportedParamsError for token ids."""
        if isinstance(request, EmbedRequest) and not all(isinstance(text, str) for text in request.texts):
            raise UnsupportedParamsError("input: Mistral embeds text, not token ids")
        return super().body(request, hook, skip)


class MistralModerations(Wire):
    """POST /moderations for texts, /chat/moderations for conversations."""

    @hookimpl
    def moderate(self, request: ModerationRequest) -> Flow[Moderation]:
        """Return one verdict per text; messages (`{"role", "content"}`) are one conversation, its last one judged."""
        body = self.body(request, "moderate", skip=("input",))
        path, judged = _judged(request.input)
        reply = yield self.post(path, json={**body, "input": judged})
        return flagged(decode(reply, Moderation))


def flagged(result: Moderation) -> Moderation:
    """Return verdicts that say whether any category was flagged; Mistral leaves that to the reader."""
    for verdict in result.results:
        verdict.flagged = any(verdict.categories.values())
    return result


def _judged(given: str | list[Any]) -> tuple[str, Any]:
    """Return (path, input): texts as they are, content parts as one text, messages as a conversation."""
    if isinstance(given, str) or all(isinstance(text, str) for text in given):
        return "/moderations", given
    if all(_is_conversation(item) for item in given) or _is_conversation(given):
        return "/chat/moderations", given
    parts = parts_of(given, "$.input")
    words = [part.text for part in parts if isinstance(part, TextPart)]
    if len(words) < len(parts):
        raise UnsupportedParamsError("input: Mistral judges text and conversations, not images")
    return "/moderations", ["\n".join(words)]


def _is_conversation(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(message, dict) and "role" in message for message in given)
