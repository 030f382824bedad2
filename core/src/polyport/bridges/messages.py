"""Anthropic's Messages API over chat: for providers that do not speak it. https://docs.anthropic.com/en/api/messages"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyport.bridges.inner import Chat, chat_request, chunk_of, need, through
from polyport.bridges.messages_events import MessageEvents
from polyport.bridges.messages_input import to_messages
from polyport.bridges.messages_tools import to_tools
from polyport.flow import Flow, Streaming
from polyport.types.chat import ChatCompletion, ChatRequest
from polyport.types.messages import AnthropicMessage, MessagesRequest
from polyport.types.responses import Item

#: Parameters that only Anthropic's servers can honour; the latter ones are not modelled by any field.
FOREIGN = {
    "container": "a chat has no container to run code in",
    "mcp_servers": "a chat does not call MCP servers; offer their tools as functions and call them yourself",
    "context_management": "a chat provider does not edit histories",
    "compaction": "a chat provider does not compact histories",
    "inference_geo": "a chat does not say where it is computed",
    "thread": "a chat provider keeps no threads",
    "fallback_credit_token": "only Anthropic knows it",
    "billing_policy": "only Anthropic knows it",
    "user_profile_id": "only Anthropic knows it",
    "workspace_id": "only Anthropic knows it",
    "audio": "Anthropic's messages carry no sound",
    "modalities": "Anthropic's messages carry no sound",
}
#: Arguments that change nothing of the answer.
HINTS = {
    "betas": "Anthropic's beta names mean nothing to another provider",
    "cache_control": "automatic caching is for the chat provider to decide; marks on blocks are kept",
    "diagnostics": "a chat gives no such diagnosis",
    "speed": "a chat has no such mode",
}
SERVICE_TIERS = {"auto": "auto", "standard_only": "default"}
#: Thinking budgets up to so many tokens -> reasoning_effort; above them, high. No documentation relates the two: the
#: steps lie between the budgets 1024, 8192 and 24576 that are usual for the three words.
EFFORTS = ((4096, "low"), (16384, "medium"))


def over_chat(request: MessagesRequest, chat: Chat) -> Flow[AnthropicMessage | Streaming[Item]]:
    """Answer an Anthropic-shaped request with a chat; streamed, with the events that Anthropic sends."""
    return (yield from through(to_chat(request), chat, MessageEvents(request)))


def from_chat(completion: ChatCompletion, request: MessagesRequest) -> AnthropicMessage:
    """Return a chat's whole answer as a message; of the request, its model's name is needed."""
    maker = MessageEvents(request)
    maker.feed(chunk_of(completion))
    maker.close()
    return maker.result()


def to_chat(request: MessagesRequest) -> ChatRequest:
    """Return the chat request."""
    _leave_out(request)
    config = request.output_config or {}
    shape = config.get("format") or request.extra.get("output_format")
    fields = {
        "messages": to_messages(request),
        "stream": request.stream,
        "stream_options": {"include_usage": True} if request.stream else None,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "stop": request.stop_sequences or None,
        "user": (request.metadata or {}).get("user_id"),
        "service_tier": _service_tier(request),
        "reasoning_effort": _effort(request, request.thinking or {}, config),
        "response_format": _response_format(shape) if shape else None,
        **to_tools(request),
    }
    return chat_request(request, fields, without={*FOREIGN, *HINTS, "output_format"})


def _effort(request: MessagesRequest, thinking: Mapping[str, Any], config: Mapping[str, Any]) -> Any:
    """Return what thinking comes to: the effort where one is given, else as the budget says."""
    if thinking.get("display"):
        request.adapt("thinking.display", "dropped", "how reasoning is shown is for the chat provider to decide")
    kind, effort, budget = thinking.get("type"), config.get("effort"), thinking.get("budget_tokens")
    if effort is None and kind == "enabled" and budget is not None:
        effort = next((name for tokens, name in EFFORTS if budget <= tokens), "high")
        request.adapt("thinking", "emulated", f"a budget of {budget} tokens is passed as reasoning_effort={effort!r}")
    elif kind is not None:
        passed = "as reasoning_effort says" if effort else "as the model does by itself"
        request.adapt("thinking", "emulated", f"thinking of type {kind!r} is not passed on: it thinks {passed}")
    return effort


def _response_format(shape: Any) -> dict[str, Any]:
    schema = need(shape, "schema", "$.output_config.format", dict)
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def _service_tier(request: MessagesRequest) -> str | None:
    if request.service_tier == "standard_only":
        request.adapt("service_tier", "renamed", "a chat calls the standard tier default")
    return SERVICE_TIERS.get(request.service_tier or "", request.service_tier)


def _leave_out(request: MessagesRequest) -> None:
    """Name what a chat has no place for."""
    for name, why in FOREIGN.items():
        if _given(request, name):
            request.unsupported(name, why)
    for name, why in HINTS.items():
        if _given(request, name):
            request.adapt(name, "dropped", why)
    for name in (request.metadata or {}).keys() - {"user_id"}:
        request.adapt(f"metadata.{name}", "dropped", "a chat knows its user only")
    for name in (request.output_config or {}).keys() - {"effort", "format"}:
        request.unsupported(f"output_config.{name}", "a chat has no such setting")


def _given(request: MessagesRequest, name: str) -> bool:
    return getattr(request, name, None) is not None or request.extra.get(name) is not None
