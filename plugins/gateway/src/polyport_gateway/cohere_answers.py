"""Completions and chunks -> Cohere's replies and events. https://docs.cohere.com/reference/chat

A stream says, put together, what the reply to the same call would have said. https://docs.cohere.com/docs/streaming

Thoughts of other vendors that must go back as they came (with a signature, or for nobody to read) travel in fields
beside `thinking`, which Cohere's SDKs keep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from polyport.bridges.thinking import Thinking
from polyport.errors import InvalidResponseError
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, Choice, Delta, Message, ToolCall
from polyport.types.usage import Usage
from polyport_gateway.cohere_turns import BLOCK

Told = dict[str, Any]
#: A chat's finish reasons; what is not here is complete.
REASONS = {
    "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL", "function_call": "TOOL_CALL", "content_filter": "ERROR_TOXIC",
}  # fmt: skip
#: Blocks of a message's content: the type of each -> its field.
FIELDS = {"text": "text", "thinking": "thinking", "image_url": "image_url"}


def to_reply(completion: ChatCompletion) -> Told:
    """Return a completion as the reply to /v2/chat."""
    choice = completion.choices[0] if completion.choices else Choice()
    told: Told = {
        "id": completion.id,
        "finish_reason": reason(choice.finish_reason, choice.message.provider_specific_fields),
        "message": to_message(choice.message),
    }
    if completion.usage is not None:
        told["usage"] = counts(completion.usage)
    tokens = [*logprobs(choice.logprobs)]
    return {**told, "logprobs": tokens} if tokens else told


def to_message(message: Message) -> Told:
    """Return an answer as Cohere's message."""
    kept = message.provider_specific_fields or {}
    plan = kept.get("tool_plan") or ""
    text = said(message)
    calls = [to_call(call, place) for place, call in enumerate(message.tool_calls or ())]
    content = [*thoughts(message, plan)]
    if text or not (calls or content or message.images):
        content.append({"type": "text", "text": text})
    content += message.images or ()
    told: Told = {"role": "assistant"}
    if content:
        told["content"] = content
    if plan:
        told["tool_plan"] = plan
    if calls:
        told["tool_calls"] = calls
    cited = citations(message.annotations, kept, text)
    return {**told, "citations": cited} if cited else told


def said(message: Message) -> str:
    """Return the text of an answer; a refusal is one."""
    return (message.content or "") + (message.refusal or "")


def thoughts(message: Message, plan: str = "") -> Iterator[Told]:
    """Yield the thoughts of an answer: its blocks, and after those with words what they lack of its reasoning.

    The plan that ends the reasoning is none of them.
    """
    reasoning = (message.reasoning_content or "").removesuffix(plan)
    blocks = message.thinking_blocks or []
    worded = [block for block in blocks if block.get("thinking")]
    words = "".join(block["thinking"] for block in worded)
    yield from map(to_thought, worded)
    if reasoning.startswith(words) and reasoning != words:
        yield {"type": "thinking", "thinking": reasoning.removeprefix(words)}
    yield from (to_thought(block) for block in blocks if not block.get("thinking"))


def to_thought(block: Mapping[str, Any]) -> Told:
    """Return a block of thoughts; one that holds none to read, with all that it is."""
    if block.get("type") == "thinking":
        return {"thinking": "", **block}
    return {"type": "thinking", "thinking": "", BLOCK: block}


def to_call(call: ToolCall, place: int) -> Told:
    """Return a call of a tool."""
    function = call.function
    told: Told = {
        "id": call.id or f"call_{place}",
        "type": "function",
        "function": {"name": function and function.name, "arguments": (function and function.arguments) or "{}"},
    }
    return told if call.extra_content is None else {**told, "extra_content": call.extra_content}


def reason(found: str | None, kept: Mapping[str, Any] | None) -> str:
    """Return why an answer ended: Cohere's own word where it was Cohere's."""
    own = (kept or {}).get("finish_reason")
    return own if isinstance(own, str) else REASONS.get(found or "", "COMPLETE")


def citations(annotations: list[Told] | None, kept: Mapping[str, Any], text: str) -> list[Told]:
    """Return what of an answer is from where: Cohere's citations, or those of another vendor in its form."""
    own = kept.get("citations")
    return own if isinstance(own, list) else [_citation(one, text) for one in annotations or ()]


def _citation(annotation: Told, text: str) -> Told:
    """Return an annotation as a citation. https://platform.openai.com/docs/guides/tools-web-search#output-and-citations"""
    told = annotation.get(str(annotation.get("type")))
    place = told if isinstance(told, dict) else annotation
    start, end = place.get("start_index"), place.get("end_index")
    quoted = text[start:end] if isinstance(start, int) and isinstance(end, int) else ""
    about = {name: place[name] for name in ("title", "url", "file_id", "filename") if place.get(name)}
    source = place.get("source") or {"type": "document", "id": _name(about), "document": {"id": _name(about), **about}}
    return {
        "start": start,
        "end": end,
        "text": place.get("text") or quoted,
        "sources": [source],
        "type": "TEXT_CONTENT",
    }


def _name(about: Mapping[str, str]) -> str:
    return about.get("url") or about.get("file_id") or about.get("title") or "doc"


def logprobs(told: Mapping[str, Any] | None) -> Iterator[Told]:
    """Yield the log probabilities, token by token; their ids are known of Cohere's alone."""
    for one in (told or {}).get("content") or ():
        yield {"text": one.get("token"), "token_ids": one.get("token_ids") or [], "logprobs": [one.get("logprob")]}


def counts(usage: Usage) -> Told:
    """Return a usage as Cohere counts: what was read, pictures apart, and written; and what of it is charged."""
    given, made = usage.prompt_tokens_details, usage.completion_tokens_details
    pictures = (given.image_tokens if given is not None else None) or 0
    tokens = {"input_tokens": usage.prompt_tokens - pictures, "output_tokens": usage.completion_tokens}
    more = {
        "image_tokens": pictures or None,
        "reasoning_tokens": made.reasoning_tokens if made is not None else None,
    }
    billed = getattr(usage, "billed_units", None) or {
        "input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens,
    }  # fmt: skip
    told: Told = {
        "billed_units": billed,
        "tokens": tokens | {name: one for name, one in more.items() if one is not None},
    }
    cached = given.cached_tokens if given is not None else None
    return told if cached is None else {**told, "cached_tokens": cached}


# --- streams ---------------------------------------------------------------------------------------------------------


class Pieces:
    """Turns the chunks of one stream into events: blocks of content one after another, then calls, then citations.

    A call ends where the next begins; a piece of one that comes late is told all the same, by its index. What ends the
    message is told when the stream has: only then all is known.
    """

    def __init__(self) -> None:
        self._id = ""
        self._begun = False
        self._blocks = 0
        self._open = ""
        self._calls: dict[int, bool] = {}
        self._bare: set[int] = set()
        self._calling: int | None = None
        self._texts: list[str] = []
        self._thinking = Thinking()
        self._plan = ""
        self._annotations: list[Told] = []
        self._kept: Told = {}
        self._finish: str | None = None
        self._usage: Usage | None = None

    def events(self, chunk: ChatCompletionChunk) -> Iterator[Told]:
        """Yield what a chunk comes to."""
        yield from self._start(chunk.id)
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices[:1]:
            yield from self._thoughts(choice.delta)
            yield from self._text(choice.delta, choice.logprobs)
            for image in choice.delta.images or ():
                yield from self._begin("image_url", image)
            for place, call in enumerate(choice.delta.tool_calls or ()):
                yield from self._call(place if call.index is None else call.index, call)
            self._annotations += choice.delta.annotations or ()
            self._kept |= {
                name: value for name, value in (choice.delta.provider_specific_fields or {}).items() if value
            }
            self._finish = choice.finish_reason or self._finish

    def end(self) -> Iterator[Told]:
        """Yield what is left at the end of a stream that was complete."""
        yield from self._start("")
        plan = str(self._kept.get("tool_plan") or "")
        if plan != self._plan:  # not told by itself before
            yield from self._plans(plan.removeprefix(self._plan))
        if not (self._blocks or self._calls):
            yield from self._begin("text")
        yield from self._close()
        for index, citation in enumerate(citations(self._annotations, self._kept, "".join(self._texts))):
            yield {"type": "citation-start", "index": index, "delta": {"message": {"citations": citation}}}
            yield {"type": "citation-end", "index": index}
        delta: Told = {"finish_reason": reason(self._finish, self._kept)}
        if self._usage is not None:
            delta["usage"] = counts(self._usage)
        yield {"type": "message-end", "id": self._id, "delta": delta}

    def _start(self, id: str) -> Iterator[Told]:
        if not self._begun:
            self._begun, self._id = True, id
            message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
            yield {"id": id, "type": "message-start", "delta": {"message": message}}

    # --- content ---

    def _thoughts(self, delta: Delta) -> Iterator[Told]:
        words = delta.reasoning_content
        if words and "tool_plan" in (delta.provider_specific_fields or {}):
            yield from self._plans(words)
            return
        if not words and not delta.thinking_blocks:
            return
        for step, found in self._thinking.read(delta):
            if step == "text":
                yield from self._more("thinking", found)
            else:
                yield from self._block(found)

    def _block(self, block: Mapping[str, Any]) -> Iterator[Told]:
        """Tell what a block has beside its words, which were told before, and end it."""
        told = to_thought(block)
        if not told["thinking"]:
            yield from self._close()
        rest = {name: value for name, value in told.items() if name not in ("type", "thinking")}
        yield from self._more("thinking", "", rest)
        yield from self._close()

    def _text(self, delta: Delta, told: Mapping[str, Any] | None) -> Iterator[Told]:
        words = (delta.content or "") + (delta.refusal or "")
        tokens = [*logprobs(told)]
        if not words and not tokens:
            return
        self._texts.append(words)
        yield from self._more("text", words, tokens=tokens[0] if tokens else None)
        for token in tokens[1:]:
            yield from self._more("text", "", tokens=token)

    def _more(self, kind: str, words: str, rest: Told | None = None, tokens: Told | None = None) -> Iterator[Told]:
        """Tell a piece of a block, which begins where it is not open."""
        if self._open != kind:
            yield from self._begin(kind)
        content = {FIELDS[kind]: words, **(rest or {})}
        event: Told = {"type": "content-delta", "index": self._blocks - 1, "delta": {"message": {"content": content}}}
        yield event if tokens is None else {**event, "logprobs": tokens}

    def _begin(self, kind: str, content: Told | None = None) -> Iterator[Told]:
        yield from self._close()
        self._open, self._blocks = kind, self._blocks + 1
        told = {"type": kind, FIELDS[kind]: ""} if content is None else content
        yield {"type": "content-start", "index": self._blocks - 1, "delta": {"message": {"content": told}}}

    def _close(self) -> Iterator[Told]:
        """End the block or the call that is open."""
        if self._open:
            self._open = ""
            yield {"type": "content-end", "index": self._blocks - 1}
        if self._calling is not None:
            index, self._calling = self._calling, None
            if not self._calls[index]:
                self._bare.add(index)
                yield self._arguments(index, "{}")
            yield {"type": "tool-call-end", "index": index}

    # --- calls ---

    def _plans(self, words: str) -> Iterator[Told]:
        yield from self._close()
        self._plan += words
        yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": words}}}

    def _call(self, index: int, call: ToolCall) -> Iterator[Told]:
        if index not in self._calls:
            yield from self._close()
            self._calling, self._calls[index] = index, False
            told = to_call(call, index)
            told["function"] = {**told["function"], "arguments": ""}
            yield {"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": told}}}
        words = call.function.arguments if call.function is not None else ""
        if words:
            if index in self._bare:
                raise InvalidResponseError(f"The arguments of call {index} came after it was over.")
            self._calls[index] = True
            yield self._arguments(index, words)

    @staticmethod
    def _arguments(index: int, words: str) -> Told:
        function = {"function": {"arguments": words}}
        return {"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls": function}}}
