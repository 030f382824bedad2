"""A reply of the Messages API as a ChatCompletion. https://platform.claude.com/docs/en/api/messages

What the completion's own fields cannot hold (citations, server tools' blocks, the order of things) is kept whole
in `provider_specific_fields["anthropic_content"]`, and goes back with the message in the next turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from polyport.errors import InvalidResponseError
from polyport.flow import HttpReply
from polyport.provider import decode
from polyport.types.chat import ChatCompletion, Choice, FunctionCall, Message, ToolCall
from polyport.types.messages import AnthropicMessage
from polyport.wire.dates import created_at
from polyport_anthropic.blocks import Block, verify
from polyport_anthropic.tools import ANSWER_TOOL
from polyport_anthropic.turns import KEPT, as_text

#: https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
FINISH: dict[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "compaction": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
#: Stop reasons that `finish_reason` says all there is to say about.
PLAIN_REASONS = frozenset({"end_turn", "tool_use", "max_tokens"})
THINKING = frozenset({"thinking", "redacted_thinking"})
#: Fields of a message that no field of OpenAI's tells.
KEPT_FIELDS = ("container", "stop_details", "context_management", "diagnostics")


class ClaudeMessage(AnthropicMessage):
    """A message with the fields that a completion keeps under `provider_specific_fields`."""

    stop_details: dict[str, Any] | None = None
    context_management: dict[str, Any] | None = None
    diagnostics: dict[str, Any] | None = None


def to_completion(reply: HttpReply | bytes) -> ChatCompletion:
    """Return the completion that a reply says. Raises InvalidResponseError where it is no message."""
    if isinstance(reply, bytes):
        reply = HttpReply(status=200, content=reply)
    message = verified(decode(reply, ClaudeMessage))
    completion = from_message(message, created_at(reply.headers))
    completion.keep(reply.content, extra={})
    return completion


def verified(message: ClaudeMessage) -> ClaudeMessage:
    """Return the message. Raises InvalidResponseError where one of its blocks is malformed."""
    try:
        for index, block in enumerate(message.content):
            verify(block, f"$.content[{index}]")
    except msgspec.ValidationError as error:
        raise InvalidResponseError(
            f"The reply is JSON but not of the promised shape: {error}", body=message.content
        ) from error
    return message


def from_message(message: ClaudeMessage, created: int) -> ChatCompletion:
    """Return the completion that a message of Anthropic's says."""
    reason = finish_reason(message.stop_reason, message.content)
    choice = Choice(message=read(message), finish_reason=reason)
    return ChatCompletion(
        id=message.id,
        created=created,
        model=message.model,
        choices=[choice],
        usage=message.usage.to_usage(),
        service_tier=message.usage.service_tier,
    )


def read(message: ClaudeMessage) -> Message:
    """Return what the model said, as an OpenAI-shaped message."""
    content = message.content
    thoughts = [block for block in content if block.get("type") in THINKING]
    made = Message(
        content=text_of(content),
        reasoning_content="".join(block.get("thinking", "") for block in thoughts) or None,
        thinking_blocks=thoughts or None,
        tool_calls=[tool_call(block) for block in content if is_call(block)] or None,
        annotations=citations(content) or None,
    )
    made.refusal = refusal(message.stop_reason, message.stop_details)
    fields = {name: getattr(message, name) for name in KEPT_FIELDS}
    made.provider_specific_fields = specifics(content, message.stop_reason, message.stop_sequence, fields)
    return made


def text_of(content: list[Block]) -> str | None:
    """Return the text, that of an answer given through the stand-in tool included; None where there is none."""
    texts = [text for block in content if (text := _text(block)) is not None]
    return "".join(texts) if texts else None


def _text(block: Block) -> str | None:
    if block.get("type") == "text":
        text: str = block.get("text", "")
        return text
    return as_text(block.get("input")) if is_answer(block) else None


def is_answer(block: Block) -> bool:
    """Whether the block is an answer in JSON given through the stand-in tool."""
    return block.get("type") == "tool_use" and block.get("name") == ANSWER_TOOL


def is_call(block: Block) -> bool:
    """Whether the block calls one of the user's tools."""
    return block.get("type") == "tool_use" and block.get("name") != ANSWER_TOOL


def tool_call(block: Block) -> ToolCall:
    """Return a tool_use block as a tool call."""
    function = FunctionCall(name=block.get("name"), arguments=as_text(block.get("input") or {}))
    return ToolCall(id=block.get("id"), type="function", function=function)


def finish_reason(reason: str | None, content: list[Block]) -> str | None:
    """Return OpenAI's word for a stop reason."""
    if reason is None:
        return None
    if reason == "tool_use" and not any(is_call(block) for block in content) and any(map(is_answer, content)):
        return "stop"
    return FINISH.get(reason, "stop")


def refusal(reason: str | None, details: Any) -> str | None:
    """Return why the model refused, where it says so."""
    if reason != "refusal" or not isinstance(details, dict):
        return None
    return details.get("explanation") or details.get("category")


def citations(content: list[Block]) -> list[dict[str, Any]]:
    """Return the citations in OpenAI's form; `start_index` and `end_index` are the cited text's place in `content`."""
    found: list[dict[str, Any]] = []
    position = 0
    for block in content:
        text = _text(block) or ""
        end = position + len(text)
        found += [annotation(citation, position, end) for citation in block.get("citations") or []]
        position = end
    return found


def annotation(citation: dict[str, Any], start: int, end: int) -> dict[str, Any]:
    """Return one citation as an annotation: `url_citation` for the web, `document_citation` for what was sent."""
    kind = "url_citation" if "url" in citation else "document_citation"
    inner = {name: value for name, value in citation.items() if name not in ("type", "encrypted_index")}
    return {"type": kind, kind: {**inner, "start_index": start, "end_index": end}}


def specifics(
    content: list[Block], reason: str | None, sequence: str | None, fields: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return what has no field in OpenAI's shape: the blocks, where they are more than text and calls, and why."""
    made = {name: value for name, value in fields.items() if value is not None}
    if reason is not None and reason not in PLAIN_REASONS:
        made["stop_reason"] = reason
    if sequence is not None:
        made["stop_sequence"] = sequence
    if not is_plain(content):
        made[KEPT] = content
    return made or None


def is_plain(content: list[Block]) -> bool:
    """Whether thinking blocks, text and tool calls, in this order, are all there is."""
    if any(is_answer(block) for block in content):
        return True
    rank = 0
    for block in content:
        shape = PLAIN.get(str(block.get("type")))
        if shape is None or shape[0] < rank or not block.keys() <= shape[1]:
            return False
        rank = shape[0] + (block["type"] == "text")
    return True


#: Block type -> (its place in the order, the fields that the message's own hold). Two texts would become one.
PLAIN: dict[str, tuple[int, frozenset[str]]] = {
    "thinking": (0, frozenset({"type", "thinking", "signature"})),
    "redacted_thinking": (0, frozenset({"type", "data"})),
    "text": (1, frozenset({"type", "text"})),
    "tool_use": (2, frozenset({"type", "id", "name", "input"})),
}


def input_of(text: str) -> Any:
    """Return a tool's input from its streamed JSON; a cut-off one stays text."""
    if not text.strip():
        return {}
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
