"""A reply of POST /v2/chat as a ChatCompletion. https://docs.cohere.com/reference/chat

`reasoning_content` are the model's thoughts, and the plan it made before it called tools. The thoughts are in
`thinking_blocks`, the plan and the citations whole in `provider_specific_fields`, and all of it goes back with the
message in the next turn. `annotations` are the citations in OpenAI's form.
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.errors import InvalidResponseError
from polyport.flow import HttpReply
from polyport.provider import decode
from polyport.types.chat import ChatCompletion, Choice, FunctionCall, Message, ToolCall
from polyport.wire.dates import created_at
from polyport_cohere.errors import ended
from polyport_cohere.turns import CITATIONS, PLAN
from polyport_cohere.usage import Counts

#: https://docs.cohere.com/reference/chat#response.body.finish_reason
FINISH: dict[str, str] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "USER_CANCEL": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
#: Reasons that `finish_reason` says all there is to say about.
PLAIN_REASONS = frozenset({"COMPLETE", "MAX_TOKENS", "TOOL_CALL"})
#: Reasons that are failures: the answer is not one.
FAILURES = frozenset({"ERROR", "TIMEOUT"})


class Called(msgspec.Struct):
    """The function part of a tool call; in a stream, a piece of its arguments."""

    name: str | None = None
    arguments: str | None = None


class WireCall(msgspec.Struct):
    """A tool call."""

    id: str | None = None
    type: str | None = None
    function: Called = msgspec.field(default_factory=Called)


class Content(msgspec.Struct):
    """A block of what the model said: text or a thought."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class Logprobs(msgspec.Struct):
    """The log probabilities of a piece of text, one a token."""

    text: str | None = None
    token_ids: list[int] = []
    logprobs: list[float] | None = None


class Citation(msgspec.Struct):
    """What is read of a citation: its place in the text, and where it is from."""

    start: int | None = None
    end: int | None = None
    text: str | None = None
    sources: list[dict[str, Any]] | None = None


class _Said(msgspec.Struct):
    content: list[Content] | str | None = None
    tool_plan: str | None = None
    tool_calls: list[WireCall] | None = None
    citations: list[dict[str, Any]] | None = None


class ChatReply(msgspec.Struct):
    """The reply."""

    message: _Said
    id: str = ""
    finish_reason: str | None = None
    usage: Counts | None = None
    logprobs: list[Logprobs] | None = None
    error: str | None = None
    error_type: str | None = None


def to_completion(reply: HttpReply, model: str) -> ChatCompletion:
    """Return the completion that a reply says. Raises the error that it says instead."""
    found: ChatReply = decode(reply, ChatReply)
    said = found.message
    if found.finish_reason in FAILURES:
        raise ended(found.finish_reason, found.error, found.error_type, reply.content)
    blocks = [Content("text", said.content)] if isinstance(said.content, str) else said.content or []
    cited = _cited(said.citations or [])
    message = Message(
        content=text_of(blocks),
        reasoning_content=reasoning_of(blocks, said.tool_plan),
        thinking_blocks=thoughts(blocks) or None,
        tool_calls=[tool_call(call) for call in said.tool_calls or []] or None,
        annotations=cited or None,
        provider_specific_fields=specifics(said.tool_plan, said.citations, found.finish_reason),
    )
    choice = Choice(message=message, finish_reason=finish(found.finish_reason), logprobs=logprobs(found.logprobs))
    completion = ChatCompletion(
        id=found.id,
        created=created_at(reply.headers),
        model=model,
        choices=[choice],
        usage=found.usage.to_usage() if found.usage is not None else None,
    )
    completion.keep(reply.content, extra={CITATIONS: said.citations} if said.citations else {})
    return completion


def _cited(citations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    try:
        return cite(citations)
    except msgspec.ValidationError as error:
        message = f"The reply is JSON but not of the promised shape: {error} of $.message.citations"
        raise InvalidResponseError(message, body=citations) from error


def text_of(blocks: list[Content]) -> str | None:
    """Return the text; None where there is none."""
    texts = [block.text for block in blocks if block.text is not None]
    return "".join(texts) if texts else None


def reasoning_of(blocks: list[Content], plan: str | None) -> str | None:
    """Return the thoughts, and the plan."""
    return "".join(block.thinking or "" for block in blocks) + (plan or "") or None


def thoughts(blocks: list[Content]) -> list[dict[str, Any]]:
    """Return the thoughts as blocks, to be sent back."""
    return [thought(block.thinking) for block in blocks if block.thinking]


def thought(words: str) -> dict[str, Any]:
    """Return one thought as a block."""
    return {"type": "thinking", "thinking": words}


def tool_call(call: WireCall) -> ToolCall:
    """Return a tool call; one without arguments has `{}`, as OpenAI's have."""
    function = FunctionCall(name=call.function.name, arguments=call.function.arguments or "{}")
    return ToolCall(id=call.id, type="function", function=function)


def finish(reason: str | None) -> str | None:
    """Return OpenAI's word for the reason why an answer ended."""
    return None if reason is None else FINISH.get(reason, "stop")


def cite(citations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return citations as annotations, one a source. Raises msgspec.ValidationError where one is malformed."""
    found: list[dict[str, Any]] = []
    for value in citations:
        citation = msgspec.convert(value, Citation)
        place = {"start_index": citation.start, "end_index": citation.end, "text": citation.text}
        found += [_annotation(source, place) for source in citation.sources or [{}]]
    return found


def _annotation(source: dict[str, Any], place: dict[str, Any]) -> dict[str, Any]:
    """Return one: `url_citation` where the source tells an address, `document_citation` otherwise."""
    told = source.get("document") or source.get("tool_output")
    fields = told if isinstance(told, dict) else {}
    named = {name: fields[name] for name in ("url", "title") if isinstance(fields.get(name), str)}
    kind = "url_citation" if "url" in named else "document_citation"
    return {"type": kind, kind: {**named, **place, **({"source": source} if source else {})}}


def specifics(plan: str | None, citations: list[dict[str, Any]] | None, reason: str | None) -> dict[str, Any] | None:
    """Return what has no field in OpenAI's shape."""
    made: dict[str, Any] = {}
    if plan:
        made[PLAN] = plan
    if citations:
        made[CITATIONS] = citations
    if reason is not None and reason not in PLAIN_REASONS:
        made["finish_reason"] = reason
    return made or None


def logprobs(found: list[Logprobs] | None) -> dict[str, Any] | None:
    """Return log probabilities in OpenAI's form: a piece of several tokens is one, with the sum of theirs."""
    if not found:
        return None
    return {"content": [_logprob(item) for item in found], "refusal": None}


def _logprob(item: Logprobs) -> dict[str, Any]:
    words = item.text or ""
    return {
        "token": words,
        "bytes": list(words.encode()),
        "logprob": sum(item.logprobs or []),
        "top_logprobs": [],
        "token_ids": item.token_ids,
    }
