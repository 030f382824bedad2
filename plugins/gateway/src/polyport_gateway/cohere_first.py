"""Cohere's first chat, /v1/chat, over any provider. https://docs.cohere.com/v1/reference/chat

Cohere gets the request as it came, and its reply goes out as it came; but models that think are asked by the second
version. One message, with the history before it; tools of Python's types; calls without ids, which their results name
by what was called. What it has no field for (thoughts) stands in one of its own, `thinking`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import msgspec

from polyport.border import Call, Middleware, Next, exchange
from polyport.bridges.assembling import completion_of
from polyport.errors import BadRequestError, InvalidResponseError
from polyport.flow import Flow, Passed, Streaming
from polyport.operations import Operation
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest, Choice, ToolCall
from polyport.types.record import Request
from polyport_gateway import replies
from polyport_gateway.asked import ALLOWED
from polyport_gateway.cohere import Cohere
from polyport_gateway.cohere_answers import Told, citations, counts, reason, said, thoughts
from polyport_gateway.cohere_chat import RENAMED, Fields, answer_format, plan, require_model
from polyport_gateway.gate import Admission
from polyport_gateway.running import Running
from polyport_gateway.surface import Answer, Events, Problem

STREAM = "application/stream+json"
#: What nobody has who answers here -> what to do instead.
LACKING = {
    "conversation_id": "no conversations are kept here: send `chat_history`",
}
#: Parameters that are Cohere's alone and gone from its second version -> the values that ask for what happens anyway.
GONE: dict[str, tuple[Any, ...]] = {
    "prompt_truncation": ("OFF",), "max_input_tokens": (), "force_single_step": (False,), "return_prompt": (False,),
    "search_queries_only": (False,), "raw_prompting": (False,), "connectors": ([],),
}  # fmt: skip
#: Parameters of a chat -> what the first version calls them; what only the second has; what Cohere is not told at all.
FIRSTS = {name: first for first, name in RENAMED.items() if name != "logprobs"}
SECOND = frozenset({"thinking", "reasoning_effort", "logprobs"})
UNTOLD, UNHEARD = frozenset({"user", "metadata"}), "Cohere is not told about users"
#: The first version's words -> the second's.
SAFETY = {"NONE": "OFF"}
#: Python's types -> JSON Schema's; what is not here is described in words.
TYPES = {
    "str": "string", "string": "string", "int": "integer", "integer": "integer", "float": "number", "number": "number",
    "bool": "boolean", "boolean": "boolean", "dict": "object", "object": "object", "list": "array", "array": "array",
}  # fmt: skip
#: Where the chat of a request keeps what its answer repeats: the conversation as it was given.
FIRST = "first_version"
#: Roles of the history.
ROLES = {"USER": "user", "CHATBOT": "assistant", "SYSTEM": "system"}
#: Why the answers of the first version end; it has no word for a call.
REASONS = {"TOOL_CALL": "COMPLETE"}


class FirstChat(Cohere):
    """POST /v1/chat, whole and streamed."""

    relays = "cohere_v1"
    plans = True

    def read(self, operation: Operation, fields: Fields, headers: Mapping[str, str]) -> Fields:
        """Return the chat that a request is. Raises BadRequestError."""
        require_model(fields)
        given = {name: value for name, value in fields.items() if value is not None}
        chat: Fields = {"messages": to_messages(given)}
        if headers.get("accepts") == replies.EVENTS:
            raise BadRequestError("Streams of the first version are lines of JSON here: leave the header `accepts` out")
        for name, value in given.items():
            if name == FIRST:
                raise BadRequestError(f"$.{name} is no parameter of a chat")
            if name in LACKING:
                if value:
                    raise BadRequestError(f"$.{name}: {LACKING[name]}")
            elif name in SECTIONS:
                chat |= SECTIONS[name](value)
            elif name not in MESSAGES and not (name in GONE and value in GONE[name]):
                chat[RENAMED.get(name, name)] = value
        return {**chat, FIRST: given}

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call. Raises UnsupportedParamsError where others are asked for what only the first version had."""
        asked = {name: value for name, value in fields.items() if name != FIRST and name not in GONE}
        own = running.speaks(Cohere.relays, fields["model"])
        call, flow = plan(running, operation, asked, self.relays, at_cohere(fields) if own else None)
        if own:
            return call, flow
        try:
            tell_gone(call.request, fields)
        except BadRequestError:
            flow.close()
            raise
        return call, flow

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the completion as the first version's reply; Cohere's own as it came."""
        came = result.relayed_as(self.relays)
        return Answer(replies.encode(to_reply(result, fields[FIRST])) if came is None else came)

    def events(self, operation: Operation, fields: Mapping[str, Any], headers: Mapping[str, str]) -> Events:
        """Return how a stream is written: a line of JSON for each event."""
        return Lines(fields[FIRST])

    def problem_event(self, problem: Problem) -> bytes:
        """Return an error in the middle of a stream: its end."""
        told = {"is_finished": True, "event_type": "stream-end", "finish_reason": "ERROR", "error": problem.message}
        return line({**told, "response": {"text": "", "finish_reason": "ERROR"}})


# --- whom it comes to ---


@runtime_checkable
class HasFirst(Protocol):
    """A provider that is asked by the first version, too."""

    def has_first(self, model: str) -> bool:
        """Whether a model is."""

    def first_chat(self, request: ChatRequest, body: Mapping[str, Any]) -> Flow[Any]:
        """Ask with a body of the first version."""


def at_cohere(fields: Mapping[str, Any]) -> Middleware:
    """Return what is around each attempt: Cohere gets the request as it came, where it still says what is asked."""

    def around(call: Call, proceed: Next) -> Flow[Any]:
        request: Any = call.request
        plugin = call.provider.plugin
        body = None
        if isinstance(plugin, HasFirst) and plugin.has_first(request.model):
            body = as_it_came(request, fields)
        if body is None or not isinstance(plugin, HasFirst):
            tell_gone(request, fields)
            return proceed(call)
        call.meta.provider, call.meta.model = call.provider.name, request.model
        return _passing(exchange(plugin.first_chat(request, body), call), call.relay)

    return around


def _passing(flow: Flow[Any], wire: str) -> Flow[Any]:
    result = yield from flow
    if wire and isinstance(result, Streaming):
        result.relay(wire)
    return result


def as_it_came(request: ChatRequest, fields: Mapping[str, Any]) -> Fields | None:
    """Return the body that came, with what changed since; None where that is more than the first version has.

    A guardrail may have changed what is said, a deployment or a key's owner have added parameters.
    """
    now = {**request.given(), **request.extra}
    body = {name: value for name, value in fields[FIRST].items() if name not in ALLOWED}
    for name in UNTOLD & body.keys():
        request.adapt(name, "dropped", UNHEARD)
        del body[name]
    for name in {*now, *fields} - {FIRST, "model", "stream_options", *UNTOLD, *ALLOWED, *GONE}:
        value = now.get(name)
        if value == fields.get(name):
            if name in SECOND:
                return None
        elif name in FIRSTS:
            body |= {FIRSTS[name]: value}
        else:
            return None
    return body


def tell_gone(request: Request, fields: Mapping[str, Any]) -> None:
    """Tell of what only the first version had. Raises UnsupportedParamsError."""
    for name in GONE:
        if name in fields:
            request.unsupported(name, "Cohere's second version has it no more, and no other vendor has it")


# --- what is asked ---------------------------------------------------------------------------------------------------


#: What of a request the messages are made of.
MESSAGES = ("message", "preamble", "chat_history", "tool_results")


def to_messages(given: Mapping[str, Any]) -> list[Fields]:
    """Return the messages of a chat. Raises BadRequestError naming the place."""
    message, results = given.get("message", ""), given.get("tool_results")
    if not isinstance(message, str):
        raise BadRequestError("Expected text at $.message")
    told = _Told()
    if given.get("preamble"):
        told.say("system", given["preamble"], "$.preamble")
    for place, turn in enumerate(_list(given.get("chat_history"), "$.chat_history")):
        told.turn(turn, f"$.chat_history[{place}]")
    if message:
        told.say("user", message, "$.message")
    if results:
        told.results(results, "$.tool_results")
    if not message and not results:
        raise BadRequestError("Expected a question at $.message, or what tools answered at $.tool_results")
    return told.messages


class _Told:
    """Puts the messages of one conversation together. Calls have no ids there: they are numbered here."""

    def __init__(self) -> None:
        self.messages: list[Fields] = []
        self._calls = 0
        self._waiting: list[tuple[str, str, Any]] = []

    def turn(self, turn: Any, path: str) -> None:
        """Take a turn of the history."""
        role = turn.get("role") if isinstance(turn, dict) else None
        if role == "TOOL":
            self.results(turn.get("tool_results"), f"{path}.tool_results")
        elif isinstance(role, str) and role in ROLES:
            self.say(ROLES[role], turn.get("message") or "", f"{path}.message")
            if turn.get("tool_calls"):
                self.messages[-1]["tool_calls"] = self._made(turn["tool_calls"], f"{path}.tool_calls")
        else:
            raise BadRequestError(f"Expected a turn with a role of {', '.join(ROLES)}, TOOL at {path}")

    def say(self, role: str, words: Any, path: str) -> None:
        """Take what somebody said."""
        if not isinstance(words, str):
            raise BadRequestError(f"Expected text at {path}")
        self.messages.append({"role": role, "content": words if words or role != "assistant" else None})

    def results(self, given: Any, path: str) -> None:
        """Take what tools answered. Calls that nobody made before are made now: in one step there is no history."""
        results = _list(given, path)
        for place, one in enumerate(results):
            if not isinstance(one, dict) or not isinstance(one.get("call"), dict):
                raise BadRequestError(f"Expected a result with its `call` at {path}[{place}]")
        known = [self._id(one["call"]) for one in results]
        new = [one["call"] for one, name in zip(results, known, strict=True) if name is None]
        if new:
            self.messages.append({"role": "assistant", "content": None, "tool_calls": self._made(new, path)})
        for one, name in zip(results, known, strict=True):
            told = msgspec.json.encode(one.get("outputs")).decode()
            self.messages.append({"role": "tool", "tool_call_id": name or self._id(one["call"]), "content": told})

    def _made(self, given: Any, path: str) -> list[Fields]:
        return [self._call(call, f"{path}[{place}]") for place, call in enumerate(_list(given, path))]

    def _call(self, call: Any, path: str) -> Fields:
        if not isinstance(call, dict) or not isinstance(call.get("name"), str):
            raise BadRequestError(f"Expected a call with a `name` at {path}")
        self._calls += 1
        id = f"call_{self._calls}"  # noqa: A001  the field's own word
        parameters = call.get("parameters") or {}
        self._waiting.append((id, call["name"], parameters))
        function = {"name": call["name"], "arguments": msgspec.json.encode(parameters).decode()}
        return {"id": id, "type": "function", "function": function}

    def _id(self, call: Fields) -> str | None:
        """Return the id of the first call of this kind that waits for its result."""
        wanted = call.get("name"), call.get("parameters") or {}
        for place, (id, *about) in enumerate(self._waiting):  # noqa: A001
            if tuple(about) == wanted:
                del self._waiting[place]
                return id
        return None


def _list(given: Any, path: str) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise BadRequestError(f"Expected a list at {path}")
    return given


def _tools(given: Any) -> Fields:
    tools = [_tool(one, f"$.tools[{place}]") for place, one in enumerate(_list(given, "$.tools"))]
    return {"tools": tools} if tools else {}


def _tool(given: Any, path: str) -> Fields:
    """Return a tool as a function with a JSON schema."""
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise BadRequestError(f"Expected a tool with a `name` at {path}")
    parameters = given.get("parameter_definitions") or {}
    if not isinstance(parameters, dict) or not all(isinstance(one, dict) for one in parameters.values()):
        raise BadRequestError(f"Expected an object of objects at {path}.parameter_definitions")
    schema: Fields = {
        "type": "object",
        "properties": {name: _parameter(one) for name, one in parameters.items()},
    }
    required = [name for name, one in parameters.items() if one.get("required")]
    function = {"name": given["name"], "description": given.get("description") or ""}
    return {"type": "function", "function": {
        **function, "parameters": {**schema, "required": required} if required else schema,
    }}  # fmt: skip


def _parameter(given: Fields) -> Fields:
    """Return a parameter's schema. `List[str]` has items; a type that JSON does not know stays in the description."""
    kind = str(given.get("type") or "str")
    base, _, inner = kind.replace(" ", "").rstrip("]").partition("[")
    known = TYPES.get(base.lower())
    words = given.get("description") or ""
    if known is None:
        return {"description": f"{words} ({kind})".strip()}
    items = {"items": {"type": TYPES[inner.lower()]}} if known == "array" and inner.lower() in TYPES else {}
    return {"type": known, **items, **({"description": words} if words else {})}


def _documents(given: Any) -> Fields:
    """Return documents, which are mappings of texts there, and may say their id."""
    found: list[Fields] = []
    for place, one in enumerate(_list(given, "$.documents")):
        if not isinstance(one, dict):
            raise BadRequestError(f"Expected an object at $.documents[{place}]")
        data = {name: value for name, value in one.items() if name != "id"}
        found.append({"id": str(one.get("id") or f"doc_{place}"), "data": data})
    return {"documents": found} if found else {}


SECTIONS: dict[str, Callable[[Any], Fields]] = {
    "tools": _tools,
    "documents": _documents,
    "response_format": answer_format,
    "safety_mode": lambda given: {"safety_mode": SAFETY.get(given, given) if isinstance(given, str) else given},
    "citation_quality": lambda given: {"citation_options": {"mode": str(given).upper()}},
}


# --- what is answered ------------------------------------------------------------------------------------------------


def to_reply(completion: ChatCompletion, given: Mapping[str, Any]) -> Told:
    """Return a completion as the reply to what was `given`."""
    choice = completion.choices[0] if completion.choices else Choice()
    message = choice.message
    kept = message.provider_specific_fields or {}
    plan = kept.get("tool_plan") or ""
    text = said(message) or plan
    calls = [to_call(call) for call in message.tool_calls or ()]
    cited = citations(message.annotations, kept, said(message))
    finish = reason(choice.finish_reason, kept)
    told: Told = {
        "response_id": completion.id,
        "generation_id": completion.id,
        "text": text,
        "chat_history": _history(given, text, calls),
        "finish_reason": REASONS.get(finish, finish),
        "meta": {"api_version": {"version": "1"}, **(counts(completion.usage) if completion.usage is not None else {})},
    }
    more = {
        "tool_calls": calls,
        "citations": [*map(to_citation, cited)],
        "documents": documents_of(cited),
        "thinking": "".join(one["thinking"] for one in thoughts(message, plan)),
    }
    return told | {name: value for name, value in more.items() if value}


def _history(given: Mapping[str, Any], text: str, calls: list[Told]) -> list[Told]:
    """Return the conversation with this turn, as the next request may send it back."""
    history = [*(given.get("chat_history") or ())]
    if given.get("message"):
        history.append({"role": "USER", "message": given["message"]})
    if given.get("tool_results"):
        history.append({"role": "TOOL", "tool_results": given["tool_results"]})
    return [*history, {"role": "CHATBOT", "message": text, **({"tool_calls": calls} if calls else {})}]


def to_call(call: ToolCall) -> Told:
    """Return a call, its arguments read. Raises InvalidResponseError."""
    function = call.function
    try:
        parameters = msgspec.json.decode((function.arguments if function else "") or "{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidResponseError(f"The model's arguments of a function are no JSON: {error}") from error
    return {"name": function and function.name, "parameters": parameters}


def to_citation(cited: Told) -> Told:
    """Return a citation, which names its sources there."""
    ids = [str(one.get("id")) for one in cited.get("sources") or ()]
    return {"start": cited.get("start"), "end": cited.get("end"), "text": cited.get("text"), "document_ids": ids}


def documents_of(cited: list[Told]) -> list[Told]:
    """Return the documents that citations are of, each once."""
    found: dict[str, Told] = {}
    for citation in cited:
        for source in citation.get("sources") or ():
            told = source.get("document") or source.get("tool_output") or {}
            found.setdefault(str(source.get("id")), {**told, "id": source.get("id")})
    return [*found.values()]


class Lines(Events):
    """Chunks as the first version's events; calls come whole, when they are, and the whole reply at the end."""

    content_type = STREAM

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self._chunks: list[ChatCompletionChunk] = []
        self._last: list[bytes] = []

    def passed(self, passed: Passed) -> bytes:
        """Return a line as it came; what ends the stream is held back until it was settled."""
        if self._last or (passed.chunk is not None and any(one.finish_reason for one in passed.chunk.choices)):
            self._last.append(passed.data)
            return b""
        return passed.data

    def chunk(self, chunk: ChatCompletionChunk) -> bytes:
        """Return the lines that a chunk comes to."""
        first = not self._chunks
        self._chunks.append(chunk)
        events = [{"event_type": "stream-start", "generation_id": chunk.id}] if first else []
        for choice in chunk.choices[:1]:
            delta = choice.delta
            words = (delta.content or "") + (delta.refusal or "")
            if words:
                events.append({"event_type": "text-generation", "text": words})
            if delta.reasoning_content and "tool_plan" in (delta.provider_specific_fields or {}):
                events.append(_piece({"text": delta.reasoning_content}))
            for place, call in enumerate(delta.tool_calls or ()):
                events += _pieces(place if call.index is None else call.index, call)
        return b"".join(line({"is_finished": False, **event}) for event in events)

    def end(self) -> bytes:
        """Return what is known at the end: calls, citations, and the whole reply."""
        return b"".join(self._last or map(line, self._ending()))

    def _ending(self) -> Iterator[Told]:
        reply = to_reply(completion_of(self._chunks), self._given)
        if "tool_calls" in reply:
            event = {"event_type": "tool-calls-generation", "text": reply["text"], "tool_calls": reply["tool_calls"]}
            yield {"is_finished": False, **event}
        if "citations" in reply:
            yield {"is_finished": False, "event_type": "citation-generation", "citations": reply["citations"]}
        finish = reply["finish_reason"]
        yield {"is_finished": True, "event_type": "stream-end", "finish_reason": finish, "response": reply}


def _pieces(index: int, call: ToolCall) -> Iterator[Told]:
    """Yield a piece of a call: its name first, then its parameters as text."""
    function = call.function
    if function is not None and function.name:
        yield _piece({"index": index, "name": function.name})
    if function is not None and function.arguments:
        yield _piece({"index": index, "parameters": function.arguments})


def _piece(delta: Told) -> Told:
    return {"event_type": "tool-calls-chunk", "tool_call_delta": delta}


def line(value: Any) -> bytes:
    """Return a line of JSON."""
    return replies.encode(value) + b"\n"
