"""Mistral's answers: content that may come in chunks of text, of thinking and of references, and its own usage.

https://docs.mistral.ai/inference/conversations/reasoning and https://docs.mistral.ai/capabilities/citations
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from polyport.types.chat import ChatCompletion, ChatCompletionChunk, Choice, ChunkChoice, Delta, Message
from polyport.types.record import empty, null
from polyport.types.usage import PromptTokensDetails, Usage

#: A chunk of content as Mistral sent it, and the keys it may have where it says nothing but its text.
Chunk = dict[str, Any]
PLAIN = {"text": frozenset({"type", "text"}), "thinking": frozenset({"type", "thinking", "closed"})}
#: Mistral's reason to finish -> OpenAI's.
FINISHES: Mapping[str, str] = {"model_length": "length"}
#: Where an answer keeps chunks that text and reasoning alone do not tell, and a signature that came in a stream.
CHUNKS, SIGNED = "mistral_chunks", "mistral_signature"


class MistralUsage(Usage):
    """Usage with Mistral's own counts. Tokens of audio stand in the total only, and are put to the prompt's here.

    Seen in an answer of voxtral-small-latest, 2026-08: 9 + 248 + 375 of audio = 632.
    """

    num_cached_tokens: int | None = None
    prompt_audio_seconds: float | None = None
    service_tier: str | None = None

    def __post_init__(self) -> None:
        if self.prompt_tokens_details is None and self.num_cached_tokens is not None:
            self.prompt_tokens_details = PromptTokensDetails(cached_tokens=self.num_cached_tokens)
        if self.prompt_audio_seconds is None:
            return
        self.seconds = self.prompt_audio_seconds
        heard = self.total_tokens - self.prompt_tokens - self.completion_tokens
        if heard > 0:
            self.prompt_tokens += heard
            self.prompt_tokens_details = self.prompt_tokens_details or PromptTokensDetails()
            self.prompt_tokens_details.audio_tokens = heard


def tier_of(usage: MistralUsage | None) -> str | None:
    """Return the service tier that answered, which Mistral tells with the usage."""
    return None if usage is None else usage.service_tier


def text_of(chunks: Iterable[Any]) -> str:
    """Return what chunks say, joined."""
    said = [chunk.get("text") for chunk in chunks if isinstance(chunk, dict) and chunk.get("type") == "text"]
    return "".join(text for text in said if isinstance(text, str))


def thoughts_of(chunks: Iterable[Any]) -> str:
    """Return what the chunks of thinking among these say, joined."""
    inner = [chunk.get("thinking") for chunk in chunks if isinstance(chunk, dict) and chunk.get("type") == "thinking"]
    return "".join(text_of(thought) if isinstance(thought, list) else str(thought or "") for thought in inner)


def is_plain(chunks: list[Any]) -> bool:
    """Whether these are reasoning and then text, and neither says more than its words."""
    kinds = [str(chunk.get("type")) for chunk in chunks]
    return kinds == sorted(kinds, reverse=True) and all(_says_words(chunk) for chunk in chunks)  # "text" < "thinking"


def _says_words(chunk: Chunk) -> bool:
    kind = chunk.get("type")
    told = {name for name, value in chunk.items() if value is not None}
    if kind not in PLAIN or not told <= PLAIN[kind] or chunk.get("closed") is False:
        return False
    inner = chunk.get("thinking") or []
    return kind == "text" or all(isinstance(part, dict) and part.keys() == PLAIN["text"] for part in inner)


def references_in(chunks: list[Any], *, placed: bool) -> list[dict[str, Any]] | None:
    """Return the references as annotations: `index` is where in the text one stands, where that can be known."""
    found: list[dict[str, Any]] = []
    for number, chunk in enumerate(chunks):
        if chunk.get("type") == "reference":
            at = {"index": len(text_of(chunks[:number]))} if placed else {}
            found.append({"type": "reference", "reference_ids": chunk.get("reference_ids") or [], **at})
    return found or None


def _checked(content: Any) -> list[Any]:
    if not isinstance(content, list) or not all(isinstance(chunk, dict) for chunk in content):
        raise ValueError(f"Expected text or chunks, got {type(content).__name__} in `content`")
    return content


class MistralMessage(Message):
    """What Mistral answered, its chunks as text and as reasoning."""

    content: Any = null()

    def __post_init__(self) -> None:
        for call in self.tool_calls or []:
            call.type = call.type or "function"
        if self.content is None or isinstance(self.content, str):
            return
        chunks = _checked(self.content)
        self.content = text_of(chunks) or None
        self.reasoning_content = thoughts_of(chunks) or None
        self.annotations = references_in(chunks, placed=True)
        if not is_plain(chunks):
            self.provider_specific_fields = {CHUNKS: chunks}


class MistralDelta(Delta):
    """What a streamed piece adds."""

    content: Any = None

    def __post_init__(self) -> None:
        for number, call in enumerate(self.tool_calls or []):
            call.index = number if call.index is None else call.index
            if call.id:
                call.type = call.type or "function"
            if call.function is not None:
                call.function.name = call.function.name or None  # "" in later pieces of models that are not Mistral's
        if self.content is None or isinstance(self.content, str):
            return
        chunks = _checked(self.content)
        self.content = text_of(chunks) or None
        self.reasoning_content = thoughts_of(chunks) or None
        self.annotations = references_in(chunks, placed=False)
        signed = [chunk["signature"] for chunk in chunks if chunk.get("signature")]
        if signed:
            self.provider_specific_fields = {SIGNED: signed[-1]}


class MistralChoice(Choice):
    """One answer, why it ended in OpenAI's words."""

    message: MistralMessage = msgspec.field(default_factory=MistralMessage)

    def __post_init__(self) -> None:
        self.finish_reason = FINISHES.get(self.finish_reason or "", self.finish_reason)


class MistralChunkChoice(ChunkChoice):
    """What a streamed piece adds to one choice."""

    delta: MistralDelta = msgspec.field(default_factory=MistralDelta)

    def __post_init__(self) -> None:
        self.finish_reason = FINISHES.get(self.finish_reason or "", self.finish_reason)


class MistralCompletion(ChatCompletion):
    """A whole answer."""

    choices: list[MistralChoice] = empty()  # type: ignore[assignment]
    usage: MistralUsage | None = None

    def __post_init__(self) -> None:
        self.service_tier = self.service_tier or tier_of(self.usage)


class MistralChunk(ChatCompletionChunk):
    """A streamed piece of one."""

    choices: list[MistralChunkChoice] = empty()  # type: ignore[assignment]
    usage: MistralUsage | None = None

    def __post_init__(self) -> None:
        self.service_tier = self.service_tier or tier_of(self.usage)
