"""Chat with Ollama: POST /api/chat. https://docs.ollama.com/api/chat"""

from __future__ import annotations

import re
from typing import Any

from polyport.dialects.openai import Chat, History, to_body
from polyport.flow import Flow, HttpReply, Streaming
from polyport.hookspecs import hookimpl
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest
from polyport_ollama.address import speaks_openai
from polyport_ollama.history import Writer
from polyport_ollama.quirks import NATIVE, OPTIONS
from polyport_ollama.reach import ask
from polyport_ollama.reply import to_completion
from polyport_ollama.stream import Lines

#: Parameters that are read below, one by one.
READ = frozenset({
    "messages", "tools", "functions", "tool_choice", "function_call", "parallel_tool_calls", "response_format",
    "reasoning_effort", "thinking", "stop", "n", "modalities", "stream", "stream_options",
})  # fmt: skip

#: Models that think at levels; others think or do not. https://docs.ollama.com/capabilities/thinking
LEVELLED = re.compile(r"(^|/)gpt-oss")
#: reasoning_effort -> the level that Ollama has for it.
LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


class OllamaChat(Chat):
    """Chat at Ollama's own door, or at OpenAI's where the user asks there."""

    @hookimpl
    def chat(self, request: ChatRequest) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        """Answer a conversation; images by URL are fetched first, Ollama takes their bytes only."""
        if speaks_openai(request):
            return (yield from super().chat(request))
        history = History(request, NATIVE)
        messages = history.messages()
        yield from history.inline()
        body = to_chat(request, messages)
        reply: HttpReply = yield from ask(self.post("/api/chat", json=body, stream=request.stream))
        return Streaming(reply, Lines()) if request.stream else to_completion(reply)


def to_chat(request: ChatRequest, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the body of a chat, of messages in OpenAI's shape with their images inline."""
    body = to_body(request, "chat", NATIVE, skip=READ)
    body["messages"] = Writer(request).write(messages)
    tools = to_tools(request)
    if tools:
        body["tools"] = tools
    if request.schema is not None:
        body.setdefault("format", "json" if request.schema.value is None else request.schema.value)
    if "think" not in body and (think := to_think(request)) is not None:
        body["think"] = think
    if request.n not in (None, 1):
        request.unsupported("n", "Ollama gives one answer a call")
    if request.modalities not in (None, ["text"]):
        request.unsupported("modalities", "Ollama's models answer in text")
    return arranged(body, request.stops, stream=bool(request.stream))


def arranged(body: dict[str, Any], stops: list[str], *, stream: bool) -> dict[str, Any]:
    """Return a body with what Ollama calls options below `options`; those that the user wrote there himself win."""
    given = body.pop("options", None) or {}
    options = {name: body.pop(name) for name in OPTIONS & body.keys()}
    if stops:
        options["stop"] = stops
    options |= given
    made = {**body, "stream": stream}
    return {**made, "options": options} if options else made


# --- tools ---


def to_tools(request: ChatRequest) -> list[dict[str, Any]]:
    """Return the functions on offer; none where the user wants none called."""
    choice = request.tool_choice if request.tool_choice is not None else request.function_call
    if choice == "none":
        request.adapt("tool_choice", "emulated", "the tools are left out, so that none can be called")
        return []
    if choice not in (None, "auto"):
        request.unsupported("tool_choice", "Ollama lets the model choose")
    if request.parallel_tool_calls is False:
        request.unsupported("parallel_tool_calls", "Ollama does not bound how many tools a model calls")
    return [made for tool in request.toolbox if (made := _tool(request, tool)) is not None]


def _tool(request: ChatRequest, tool: Any) -> dict[str, Any] | None:
    function = tool.function
    if function is None:
        request.unsupported("tools", f"Ollama's models call functions; this tool is of type {tool.type!r}")
        return None
    if function.strict:
        request.adapt("tools.function.strict", "dropped", "Ollama does not hold arguments to their schema")
    if tool.cache_control:
        request.adapt("tools.cache_control", "dropped", "Ollama caches prompts by itself")
    made = {"name": function.name, "parameters": function.parameters or {"type": "object", "properties": {}}}
    if function.description is not None:
        made["description"] = function.description
    return {"type": "function", "function": made}


# --- thinking ---


def to_think(request: ChatRequest) -> bool | str | None:
    """Return `think`: a level for models that have levels, else on or off; None leaves it to the model."""
    if request.thinking is not None:
        if request.thinking.get("budget_tokens") is not None:
            request.adapt("thinking.budget_tokens", "dropped", "Ollama does not bound thinking")
        return request.thinking.get("type") != "disabled"
    effort = request.reasoning_effort
    if effort is None:
        return None
    if effort == "none":
        return False
    level = LEVELS.get(effort, effort)
    if LEVELLED.search(request.model):
        if level != effort:
            request.adapt("reasoning_effort", "clamped", f"{level} is the nearest level here")
        return level
    request.adapt("reasoning_effort", "clamped", "this model thinks or does not; for a level of its own pass think=...")
    return True
