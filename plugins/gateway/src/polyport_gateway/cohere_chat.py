"""Cohere's chat, /v2/chat, over any provider. https://docs.cohere.com/reference/chat

What of a request only Cohere has goes to models that speak Cohere's dialect. For others documents are told before the
question, what asks for nothing is left out, and all else is refused by name, or with `drop_params` left out and told:
at once where another may be the first to answer, else when it is another's turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from polyport.border import Call, Middleware, Next
from polyport.errors import BadRequestError
from polyport.flow import Flow, Passed
from polyport.operations import Operation
from polyport.types.chat import ChatRequest
from polyport_gateway import replies
from polyport_gateway.asked import ALLOWED
from polyport_gateway.cohere import Cohere
from polyport_gateway.cohere_answers import Pieces, to_reply
from polyport_gateway.cohere_turns import Notes, for_others, given_of, remade, to_messages, with_documents
from polyport_gateway.gate import Admission
from polyport_gateway.running import Running
from polyport_gateway.surface import Answer, Events, Problem

Fields = dict[str, Any]
DONE = b"data: [DONE]\n\n"
#: Parameters of a chat that Cohere has by these names.
RENAMED = {
    "temperature": "temperature", "seed": "seed", "max_tokens": "max_tokens", "stop_sequences": "stop", "p": "top_p",
    "k": "top_k", "frequency_penalty": "frequency_penalty", "presence_penalty": "presence_penalty",
    "logprobs": "logprobs",
}  # fmt: skip
#: What is none of Cohere's, but of every call here: how it is made, and for whom.
BESIDE = frozenset({*ALLOWED, "model", "stream", "user", "metadata", "reasoning_effort"})
CHOICES = {"REQUIRED": "required", "NONE": "none"}
#: What only Cohere has -> why others lack it.
OWN = {
    "citation_options": "only Cohere's models cite by themselves",
    "safety_mode": "only Cohere's models have safety modes; say in a system message what may not be",
    "priority": "only Cohere says who waits when it is busy",
}
#: Values of these that ask for what happens anyway.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "citation_options": ({}, {"mode": "OFF"}, {"mode": "DISABLED"}), "priority": (0,), "documents": ([],),
}  # fmt: skip
UNKNOWN = "no vendor's chat but Cohere's could have it"


class Chat(Cohere):
    """POST /v2/chat, whole and streamed."""

    relays = "cohere"
    plans = True

    def read(self, operation: Operation, fields: Fields, headers: Mapping[str, str]) -> Fields:
        """Return the chat that a request is, with what only Cohere has as it came. Raises BadRequestError."""
        require_model(fields)
        chat: Fields = {"messages": to_messages(fields.get("messages"))}
        strict = fields.get("strict_tools")
        for name, value in fields.items():
            if value is None or name in ("messages", "strict_tools"):
                continue
            if name in SECTIONS:
                chat |= SECTIONS[name](value)
            else:
                chat[RENAMED.get(name, name)] = value
        if strict and "tools" in chat:
            chat["tools"] = [_strict(tool) for tool in chat["tools"]]
        return chat

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call. Raises UnsupportedParamsError where others are asked for what only Cohere has."""
        return plan(running, operation, fields, self.relays)

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the completion as Cohere's reply."""
        came = result.relayed_as(self.relays)
        return Answer(replies.encode(to_reply(result)) if came is None else came)

    def events(self, operation: Operation, fields: Mapping[str, Any], headers: Mapping[str, str]) -> Events:
        """Return how a stream is written: message-end, and [DONE] after it, are its end."""
        return ChatEvents()

    def problem_event(self, problem: Problem) -> bytes:
        """Return an error in the middle of a stream: the message ends with it."""
        delta = {"finish_reason": "ERROR", "error": problem.message}
        return replies.event({"type": "message-end", "id": problem.request_id, "delta": delta}, "message-end")


class ChatEvents(Events):
    """Every event under its name; what ends the message is held back until the stream has ended and was settled."""

    def __init__(self) -> None:
        self._pieces = Pieces()
        self._end: list[bytes] = []

    def chunk(self, chunk: Any) -> bytes:
        """Return the events that a chunk comes to."""
        return b"".join(replies.event(event, event["type"]) for event in self._pieces.events(chunk))

    def passed(self, passed: Passed) -> bytes:
        """Return an event as it came."""
        if self._end or (passed.chunk is not None and any(one.finish_reason for one in passed.chunk.choices)):
            self._end.append(passed.data)
            return b""
        return passed.data

    def end(self) -> bytes:
        """Return the last events."""
        if self._end:
            return b"".join(self._end)
        return b"".join(replies.event(event, event["type"]) for event in self._pieces.end()) + DONE


# --- the call --------------------------------------------------------------------------------------------------------


def plan(
    running: Running, operation: Operation, fields: Mapping[str, Any], relay: str, around: Middleware | None = None
) -> tuple[Call, Flow[Any]]:
    """Return a chat's call: as it is to models that speak Cohere's dialect, else in what every vendor has.

    `around` is around each attempt, where Cohere is the first to answer.
    """
    notes, own = Notes(), running.speaks(Chat.relays, fields["model"])
    asked = {**fields} if own else to_others(fields, notes)
    if asked.get("stream"):
        asked["stream_options"] = {"include_usage": True}
    relay = relay if asked.get("stream") else ""
    attempt = in_turn(fields, around) if own else None
    call, flow = running.router.plan(operation.function, relay=relay, attempt=attempt, **asked)
    try:
        notes.tell(call.request)
    except BadRequestError:
        flow.close()
        raise
    return call, flow


def in_turn(fields: Mapping[str, Any], around: Middleware | None = None) -> Middleware:
    """Return what is around each attempt of a chat: of these fields, others than Cohere get what they have."""

    def attempt(call: Call, proceed: Next) -> Flow[Any]:
        request: Any = call.request
        if call.provider.plugin.wire_of(request.model) == Chat.relays:
            return proceed(call)
        return proceed(replace(call, request=translated(request, fields)))

    if around is None:
        return attempt
    return lambda call, proceed: around(call, lambda call: attempt(call, proceed))


def translated(request: ChatRequest, fields: Mapping[str, Any]) -> ChatRequest:
    """Return a request as every vendor takes it. Raises BadRequestError."""
    theirs, notes = given_of(request, fields), Notes()
    asked = to_others(theirs, notes)
    notes.tell(request)
    return remade(request, theirs, asked)


def to_others(fields: Mapping[str, Any], notes: Notes) -> Fields:
    """Return a chat as every vendor takes it; what it loses is noted. Raises BadRequestError."""
    asked: Fields = {"messages": for_others(fields["messages"], notes)}
    for name, value in fields.items():
        if name in asked or (name in NEUTRAL and value in NEUTRAL[name]):
            continue
        if name == "documents":
            asked["messages"] = with_documents(asked["messages"], value, notes)
        elif name == "thinking":
            asked |= _thinking(value)
        elif name in KNOWN:
            asked[name] = value
        else:
            notes.unsupported(name, OWN.get(name, UNKNOWN))
    return asked


def _thinking(value: Any) -> Fields:
    """Return how hard to think: as a budget, where there is one, else as an effort."""
    if not isinstance(value, dict):
        raise BadRequestError("Expected an object at $.thinking")
    if value.get("type") == "disabled":
        return {"reasoning_effort": "none"}
    budget = value.get("token_budget", value.get("budget_tokens"))
    if budget is None:
        return {"reasoning_effort": "high"}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


# --- the sections of a request ---------------------------------------------------------------------------------------


def _tools(given: Any) -> Fields:
    if not isinstance(given, list) or not all(isinstance(tool, dict) for tool in given):
        raise BadRequestError("Expected a list of tools at $.tools")
    return {"tools": given} if given else {}


def _strict(tool: Fields) -> Fields:
    """Return a tool whose calls have to fit its schema."""
    function = tool.get("function")
    return {**tool, "function": {**function, "strict": True}} if isinstance(function, dict) else tool


def _choice(given: Any) -> Fields:
    if given not in CHOICES:
        raise BadRequestError(f"{given!r:.60} is none of {', '.join(CHOICES)} at $.tool_choice")
    return {"tool_choice": CHOICES[given]}


def answer_format(given: Any) -> Fields:
    """Return the format of an answer: JSON, or JSON of a schema. https://docs.cohere.com/docs/structured-outputs"""
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "text":
        return {}
    if kind != "json_object":
        raise BadRequestError("Expected a type of text or json_object at $.response_format")
    schema = given.get("json_schema") or given.get("schema")
    if schema is None:
        return {"response_format": {"type": "json_object"}}
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "response", "schema": schema}}}


SECTIONS: dict[str, Callable[[Any], Fields]] = {
    "tools": _tools,
    "tool_choice": _choice,
    "response_format": answer_format,
}
#: Parameters that every vendor's chat has, or says itself that it does not.
KNOWN = frozenset({*BESIDE, *RENAMED.values(), *SECTIONS})


def require_model(fields: Mapping[str, Any]) -> None:
    """Raise BadRequestError where a request does not say which model it is for."""
    if not isinstance(fields.get("model"), str):
        raise BadRequestError("A model is missing at $.model: GET /v1/models lists them")
