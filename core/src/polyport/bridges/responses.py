"""The Responses API over chat: for providers that have no Responses API of their own.

https://platform.openai.com/docs/api-reference/responses
A chat provider keeps nothing between calls: what refers to something stored is refused. What is stored nowhere can
still go on: reasoning comes out with `encrypted_content`, and goes back in with the next request's input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyport.bridges.inner import Chat, chat_request, refuse, through
from polyport.bridges.responses_events import ResponseEvents
from polyport.bridges.responses_input import to_messages
from polyport.bridges.responses_tools import Toolset
from polyport.errors import BadRequestError
from polyport.flow import Flow, Streaming
from polyport.types.chat import ChatRequest
from polyport.types.responses import Item, Response, ResponsesRequest

#: Parameters that mean the same for a chat, under the same name. `metadata` is kept with the response, by us.
SAME = ("temperature", "top_p", "top_logprobs", "service_tier", "user", "safety_identifier", "prompt_cache_key")
#: Parameters that refer to what OpenAI stores. Without it the question would be another one.
STATE = {
    "previous_response_id": "a chat provider keeps no responses; pass the earlier items as input",
    "conversation": "a chat provider keeps no conversations; pass the earlier items as input",
    "prompt": "a chat provider keeps no prompts; pass the text itself",
}
#: Arguments that are the Responses API's alone, and that no field of ours models.
FOREIGN = {
    "access_programs": "only OpenAI has such programs",
    "background_options": "a chat provider has no background mode",
    "context_management": "a chat provider does not compact histories",
    "image": "only OpenAI compresses images in context",
}
#: `include` values that a response over chat honours.
INCLUDED = frozenset({"reasoning.encrypted_content", "message.output_text.logprobs"})
LOGPROBS = "message.output_text.logprobs"


def over_chat(request: ResponsesRequest, chat: Chat) -> Flow[Response | Streaming[Item]]:
    """Answer a Responses request with a chat; streamed, with the typed events that OpenAI sends.

    Raises UnsupportedParamsError for what refers to stored state, also under `drop_params`.
    """
    tools = Toolset(request)
    inner = to_chat(request, tools)
    return (yield from through(inner, chat, ResponseEvents(request, tools)))


def to_chat(request: ResponsesRequest, tools: Toolset) -> ChatRequest:
    """Return the chat request. `tools` takes up the tools that input items bring."""
    for name, why in STATE.items():
        if getattr(request, name) is not None:
            refuse(name, why)
    messages = to_messages(request, tools)
    fields: dict[str, Any] = {name: getattr(request, name) for name in SAME}
    fields |= {
        "messages": messages,
        "stream": request.stream,
        "stream_options": {"include_usage": True} if request.stream else None,
        "max_tokens": request.max_output_tokens,
        **_tools(request, tools),
        **_text(request.text or {}),
        "reasoning_effort": _effort(request, request.reasoning or {}),
        "logprobs": True if request.top_logprobs or LOGPROBS in (request.include or []) else None,
    }
    _leave_out(request)
    return chat_request(request, fields, without=FOREIGN)


def _tools(request: ResponsesRequest, tools: Toolset) -> dict[str, Any]:
    choice = tools.choice(request.tool_choice)
    return {
        "tools": tools.functions or None,
        "tool_choice": choice if tools.functions or choice not in ("auto", "none") else None,
        "parallel_tool_calls": request.parallel_tool_calls if tools.functions else None,
        "web_search_options": tools.web_search,
    }


def _text(text: Mapping[str, Any]) -> dict[str, Any]:
    shape = text.get("format") or {"type": "text"}
    kind = shape.get("type")
    made: dict[str, Any] = {"verbosity": text.get("verbosity")}
    if kind == "json_object":
        made["response_format"] = {"type": kind}
    elif kind == "json_schema":
        inner = {name: value for name, value in shape.items() if name != "type" and value is not None}
        made["response_format"] = {"type": kind, kind: inner}
    elif kind != "text":
        raise BadRequestError(f"Unknown type {kind!r} at $.text.format.type; known: text, json_object, json_schema")
    return made


def _effort(request: ResponsesRequest, reasoning: Mapping[str, Any]) -> Any:
    if reasoning.get("summary") or reasoning.get("generate_summary"):
        request.adapt("reasoning.summary", "emulated", "the summary is the reasoning as the provider shows it")
    if reasoning.get("context") not in (None, "auto"):
        request.adapt("reasoning.context", "dropped", "which reasoning is kept is for the chat provider to decide")
    if reasoning.get("mode") not in (None, "standard"):
        request.unsupported("reasoning.mode", "a chat has no such mode")
    return reasoning.get("effort")


def _leave_out(request: ResponsesRequest) -> None:
    """Name what a chat has no place for."""
    for name in request.include or []:
        if name not in INCLUDED:
            request.adapt(f"include.{name}", "dropped", "a chat has nothing of the kind to include")
    if request.store:
        request.adapt("store", "dropped", "a chat provider keeps no responses: this one cannot be retrieved by its id")
    if request.truncation not in (None, "disabled"):
        request.adapt("truncation", "dropped", "a chat provider truncates nothing: input that is too long is an error")
    if request.stream_options and request.stream_options.get("include_obfuscation"):
        request.adapt("stream_options.include_obfuscation", "dropped", "chat streams are not obfuscated")
    if request.background:
        request.unsupported("background", "a chat provider has no background mode")
    if request.max_tool_calls is not None:
        request.unsupported("max_tool_calls", "it bounds tools that OpenAI runs, and a chat runs none")
    for name, why in FOREIGN.items():
        if request.extra.get(name) is not None:
            request.unsupported(name, why)
