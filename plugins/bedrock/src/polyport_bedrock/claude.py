"""Claude in Anthropic's own words: the Messages API behind InvokeModel. Other models answer it over Converse.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from msgspec.structs import replace

from polyport.bridges import messages as bridge
from polyport.flow import Flow, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.messages import AnthropicMessage, MessagesRequest, TokenCount
from polyport.types.responses import Item
from polyport_anthropic import NativeEvents
from polyport_anthropic.native import to_native
from polyport_bedrock import facts
from polyport_bedrock.body import to_body
from polyport_bedrock.chat import Chat
from polyport_bedrock.events import Chunks
from polyport_bedrock.names import Name, named
from polyport_bedrock.settings import extras

VERSION = "bedrock-2023-05-31"
#: What CountTokens takes of a Converse request.
WEIGHTY = ("messages", "system", "toolConfig", "additionalModelRequestFields")


class _Count(msgspec.Struct, rename="camel"):
    input_tokens: int


class Messages(Chat):
    """POST /model/{id}/invoke and /invoke-with-response-stream for Claude, and /count-tokens for all."""

    @hookimpl
    def create_message(self, request: MessagesRequest) -> Flow[AnthropicMessage | Streaming[Item]]:
        """Answer in Anthropic's shape: Claude natively, all others over Converse."""
        name = named(request)
        if not facts.is_claude(name):
            return (yield from bridge.over_chat(request, self.chat))
        body = to_claude(request, name)
        if not request.stream:
            return decode((yield self.ask(request, "invoke", body)), AnthropicMessage)
        reply = yield self.ask(request, "invoke-with-response-stream", body, stream=True)
        return Streaming(reply, Chunks(NativeEvents()))

    @hookimpl
    def count_tokens(self, request: MessagesRequest) -> Flow[TokenCount]:
        """Count a request's input tokens: Claude's as Anthropic's API has it, all others' as Converse has it.

        https://docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html
        """
        name = named(request)
        if facts.is_claude(name):
            text = base64.b64encode(msgspec.json.encode(to_claude(request, name))).decode()
            asked: dict[str, Any] = {"invokeModel": {"body": text}}
        else:
            body = yield from to_body(bridge.to_chat(request))
            asked = {"converse": {field: body[field] for field in WEIGHTY if field in body}}
        # Profiles count nothing: it is the model behind them that does.
        counted = Name(name.base or name.id, name.base).path("count-tokens")
        reply = yield self.post(counted, json={"input": asked})
        made = TokenCount(input_tokens=decode(reply, _Count).input_tokens)
        made.keep(reply.content, extra={})
        return made


def to_claude(request: MessagesRequest, name: Name) -> dict[str, Any]:
    """Return the body of a request in Anthropic's shape: the model is in the path, betas are in the body."""
    asked = replace(request, model=name.base, extra=extras(request))
    left_out = ("model", "stream", "betas", "anthropic_beta")
    given = asked.extra.get("anthropic_beta") or getattr(request, "betas", None) or asked.extra.get("betas") or []
    betas = [given] if isinstance(given, str) else list(given)
    body = {field: value for field, value in to_native(asked).items() if field not in left_out}
    return {"anthropic_version": VERSION, **body, **({"anthropic_beta": betas} if betas else {})}
