"""Converse's reply as a ChatCompletion.

What the completion's own fields cannot hold (citations, Amazon's own tools, the order of things) is kept whole in
`provider_specific_fields["bedrock_content"]`, and goes back with the message in the next turn.
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.errors import InvalidResponseError
from polyport.flow import HttpReply
from polyport.provider import decode
from polyport.types.chat import ChatCompletion, Choice, FunctionCall, Message, ToolCall
from polyport_anthropic.tools import ANSWER_TOOL
from polyport_anthropic.turns import as_text
from polyport_bedrock import reasoning
from polyport_bedrock.media import Block
from polyport_bedrock.turns import KEPT, is_call
from polyport_bedrock.usage import TokenUsage
from polyport_bedrock.wire import ID, created_at

#: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_ResponseSyntax
FINISH: dict[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "malformed_model_output": "stop",
    "malformed_tool_use": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
#: Stop reasons that `finish_reason` says all there is to say about.
PLAIN_REASONS = frozenset({"end_turn", "tool_use", "max_tokens"})


class ToolUse(msgspec.Struct, rename="camel"):
    """A call."""

    tool_use_id: str
    name: str
    input: Any = None
    type: str | None = None


class ReasoningText(msgspec.Struct):
    """What a model thought, and the signature that proves it."""

    text: str = ""
    signature: str | None = None


class Reasoning(msgspec.Struct, rename="camel"):
    """Reasoning, shown or not."""

    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None


class CitedText(msgspec.Struct):
    """A piece of cited text."""

    text: str = ""


class Cited(msgspec.Struct):
    """Text with its citations."""

    content: list[CitedText] = []
    citations: list[dict[str, Any]] = []

    @property
    def text(self) -> str:
        """The text."""
        return "".join(piece.text for piece in self.content)


class Source(msgspec.Struct, rename="camel"):
    """Where a picture is."""

    bytes: str | None = None
    s3_location: dict[str, str] | None = None


class Picture(msgspec.Struct):
    """A picture that a model made."""

    format: str = "png"
    source: Source = msgspec.field(default_factory=Source)


class Content(msgspec.Struct, rename="camel"):
    """A content block: what is read of it."""

    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: Reasoning | None = None
    citations_content: Cited | None = None
    image: Picture | None = None

    @property
    def said(self) -> str | None:
        """The text of it, an answer given through the stand-in tool included."""
        if self.citations_content is not None:
            return self.citations_content.text
        return as_text(self.tool_use.input) if self.tool_use is not None and is_answer(self) else self.text


class _Spoken(msgspec.Struct):
    content: list[dict[str, Any]] = []
    role: str = "assistant"


class _Output(msgspec.Struct):
    message: _Spoken


class _Tier(msgspec.Struct):
    type: str = ""


class Converse(msgspec.Struct, rename="camel"):
    """A reply of Converse's."""

    output: _Output
    stop_reason: str
    usage: TokenUsage | None = None
    trace: dict[str, Any] | None = None
    additional_model_response_fields: Any = None
    performance_config: dict[str, Any] | None = None
    service_tier: _Tier | None = None


def to_completion(reply: HttpReply, model: str) -> ChatCompletion:
    """Return the completion that a reply says. Raises InvalidResponseError where it is none."""
    found: Converse = decode(reply, Converse)
    made = from_converse(found, model)
    made.id, made.created = reply.headers.get(ID, ""), created_at(reply.headers)
    made.keep(reply.content, extra={})
    return made


def from_converse(found: Converse, model: str) -> ChatCompletion:
    """Return the completion that a decoded reply says."""
    blocks = found.output.message.content
    read = [_read(block, index) for index, block in enumerate(blocks)]
    message = to_message(read)
    message.provider_specific_fields = specifics(blocks, read, found.stop_reason, {
        "trace": found.trace,
        "additional_model_response_fields": found.additional_model_response_fields,
        "performance_config": found.performance_config,
    })  # fmt: skip
    return ChatCompletion(
        model=model,
        choices=[Choice(message=message, finish_reason=finish_reason(found.stop_reason, read))],
        usage=found.usage.to_usage() if found.usage is not None else None,
        service_tier=found.service_tier.type if found.service_tier is not None else None,
    )


def _read(block: Block, index: int) -> Content:
    try:
        return msgspec.convert(block, Content)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        place = f"$.output.message.content[{index}]{where.rstrip('`')}"
        raise InvalidResponseError(
            f"The reply is JSON but not of the promised shape: {what} at {place}", body=block
        ) from error


def to_message(read: list[Content]) -> Message:
    """Return what the model said, as an OpenAI-shaped message."""
    texts = [text for content in read if (text := content.said) is not None]
    thoughts = [content.reasoning_content for content in read if content.reasoning_content is not None]
    shown = [thought.reasoning_text.text for thought in thoughts if thought.reasoning_text is not None]
    return Message(
        content="".join(texts) if texts else None,
        reasoning_content="".join(shown) or None,
        thinking_blocks=[thinking_block(thought) for thought in thoughts] or None,
        tool_calls=[tool_call(content.tool_use) for content in read if content.tool_use and calls(content)] or None,
        annotations=citations(read) or None,
        images=[picture(content.image) for content in read if content.image is not None] or None,
    )


def thinking_block(thought: Reasoning) -> dict[str, Any]:
    """Return a thinking block for reasoning."""
    if thought.redacted_content is not None:
        return reasoning.of_redacted(thought.redacted_content)
    text = thought.reasoning_text or ReasoningText()
    return reasoning.of_text(text.text, text.signature)


def tool_call(use: ToolUse) -> ToolCall:
    """Return a call."""
    function = FunctionCall(name=use.name, arguments=as_text(use.input if use.input is not None else {}))
    return ToolCall(id=use.tool_use_id, type="function", function=function)


def is_answer(content: Content) -> bool:
    """Whether the block is an answer in JSON given through the stand-in tool."""
    return content.tool_use is not None and content.tool_use.name == ANSWER_TOOL


def calls(content: Content) -> bool:
    """Whether the block calls one of the user's tools."""
    return content.tool_use is not None and content.tool_use.type != "server_tool_use" and not is_answer(content)


def finish_reason(reason: str, read: list[Content]) -> str:
    """Return OpenAI's word for a stop reason."""
    if reason == "tool_use" and read and not any(calls(content) for content in read):
        return "stop"
    return FINISH.get(reason, "stop")


def picture(image: Picture) -> dict[str, Any]:
    """Return a picture as OpenAI's part: a data: URL, or where it is in S3."""
    source = image.source
    url = f"data:image/{image.format};base64,{source.bytes or ''}"
    if source.s3_location is not None:
        url = source.s3_location.get("uri", "")
    return {"type": "image_url", "image_url": {"url": url}}


def citations(read: list[Content]) -> list[dict[str, Any]]:
    """Return the citations in OpenAI's form; `start_index` and `end_index` are the cited text's place in `content`."""
    found: list[dict[str, Any]] = []
    position = 0
    for content in read:
        end = position + len(content.said or "")
        given = content.citations_content.citations if content.citations_content is not None else []
        found += [annotation(citation, position, end) for citation in given]
        position = end
    return found


def annotation(citation: dict[str, Any], start: int, end: int) -> dict[str, Any]:
    """Return one citation as an annotation: `url_citation` for the web, `document_citation` for what was sent."""
    location = citation.get("location")
    web = location.get("web") if isinstance(location, dict) else None
    kind = "url_citation" if isinstance(web, dict) else "document_citation"
    inner = {**citation, **(web if isinstance(web, dict) else {}), "start_index": start, "end_index": end}
    return {"type": kind, kind: inner}


def specifics(blocks: list[Block], read: list[Content], reason: str, fields: dict[str, Any]) -> dict[str, Any] | None:
    """Return what has no field in OpenAI's shape: the blocks, where they are more than text and calls, and why."""
    made = {name: value for name, value in fields.items() if value is not None}
    if reason not in PLAIN_REASONS:
        made["stop_reason"] = reason
    if not is_plain(blocks) and not any(is_answer(content) for content in read):
        made[KEPT] = blocks
    return made or None


def is_plain(blocks: list[Block]) -> bool:
    """Whether reasoning, one text and calls, in this order, are all there is."""
    rank = 0
    for block in blocks:
        kind = next(iter(block), "")
        place = PLAIN.get(kind)
        if place is None or len(block) > 1 or place < rank or (kind == "toolUse" and not is_call(block)):
            return False
        rank = place + (kind == "text")
    return True


#: Block -> its place in the order. Two texts would become one.
PLAIN = {"reasoningContent": 0, "text": 1, "toolUse": 2}
