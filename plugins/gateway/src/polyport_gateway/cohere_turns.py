"""Cohere's messages -> the messages of a chat, and what of them is Cohere's alone. https://docs.cohere.com/reference/chat

What has no field in a chat (a plan, citations, documents among a tool's results) stands where Cohere's plugin looks for
it, and is taken out again, and told, for models that speak another dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from polyport.errors import BadRequestError
from polyport.types.record import Request

Message = dict[str, Any]
Asked = TypeVar("Asked", bound=Request)
#: Fields of an earlier answer that a chat has no place for.
KEPT = ("tool_plan", "citations")
#: Parts that every vendor's chat has.
PLAIN = frozenset({"text", "image_url"})
#: What a block of thoughts holds that is no thought of Cohere's: see `cohere_answers`.
BLOCK = "block"
#: What stands before documents that another vendor's model is to answer from.
DOCUMENTS = "Documents to answer from, one a line:\n"


def to_messages(given: Any) -> list[Message]:
    """Return the messages of a chat. Raises BadRequestError naming the place."""
    if not isinstance(given, list) or not given:
        raise BadRequestError("Expected a list of messages at $.messages")
    return [_message(one, f"$.messages[{place}]") for place, one in enumerate(given)]


def _message(given: Any, path: str) -> Message:
    role = given.get("role") if isinstance(given, dict) else None
    if not isinstance(role, str) or role not in ROLES:
        raise BadRequestError(f"Expected a message with a role of {', '.join(ROLES)} at {path}")
    return ROLES[role](given, path)


def _said(given: Message, path: str) -> Message:
    """A user's or a system's message, which is a chat's as well."""
    _content(given, path)
    return {name: value for name, value in given.items() if value is not None}


def _result(given: Message, path: str) -> Message:
    """A tool's result."""
    if not isinstance(given.get("tool_call_id"), str):
        raise BadRequestError(f"Expected the id of a tool call at {path}.tool_call_id")
    return _said(given, path)


def _answer(given: Message, path: str) -> Message:
    """An earlier answer: its thoughts and its plan are reasoning, its plan and its citations are kept whole."""
    parts = _content(given, path)
    thoughts = [part for part in parts if part.get("type") == "thinking"]
    said = [part for part in parts if part.get("type") != "thinking"]
    plan = given.get("tool_plan") or ""
    made: Message = {"role": "assistant", "content": _compact(said)}
    if thoughts:
        made["thinking_blocks"] = [_block(part) for part in thoughts]
    reasoning = "".join(str(part.get("thinking") or "") for part in thoughts) + str(plan)
    if reasoning:
        made["reasoning_content"] = reasoning
    if given.get("tool_calls"):
        made["tool_calls"] = given["tool_calls"]
    kept = {name: given[name] for name in KEPT if given.get(name)}
    return {**made, "provider_specific_fields": kept} if kept else made


def _content(given: Message, path: str) -> list[Message]:
    """Return the parts of a message's content. Raises BadRequestError."""
    content = given.get("content")
    if content is None or isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise BadRequestError(f"Expected text or a list of parts at {path}.content")
    return content


def _compact(parts: list[Message]) -> str | list[Message] | None:
    """Return text where the parts are nothing else."""
    if all(part.keys() == {"type", "text"} and isinstance(part["text"], str) for part in parts):
        return "".join(part["text"] for part in parts) or None
    return parts


def _block(part: Message) -> Message:
    """Return a block of thoughts, which may have come from another vendor whole."""
    block = part.get(BLOCK)
    return block if isinstance(block, dict) else part


ROLES: dict[str, Callable[[Message, str], Message]] = {
    "user": _said, "system": _said, "assistant": _answer, "tool": _result,
}  # fmt: skip


# --- for others than Cohere ----------------------------------------------------------------------------------------


class Notes:
    """What a request loses on its way to another vendor, to be told of its call once there is one."""

    def __init__(self) -> None:
        self._notes: list[tuple[Literal["dropped", "emulated"], bool, str, str]] = []

    def adapt(self, parameter: str, action: Literal["dropped", "emulated"], why: str) -> None:
        """Note what is changed."""
        self._notes.append((action, False, parameter, why))

    def unsupported(self, parameter: str, why: str) -> None:
        """Note what cannot be had."""
        self._notes.append(("dropped", True, parameter, why))

    def tell(self, request: Request) -> None:
        """Record all on a request. Raises UnsupportedParamsError for what `drop_params` does not let go."""
        for action, refused, parameter, why in self._notes:
            if refused:
                request.unsupported(parameter, why)
            else:
                request.adapt(parameter, action, why)


def given_of(request: Request, names: Container[str]) -> dict[str, Any]:
    """Return those of these parameters that a request has; what its deployment added is not the caller's."""
    given = {**request.given(), **request.extra}
    return {name: value for name, value in given.items() if name in names}


def remade(request: Asked, theirs: Mapping[str, Any], asked: Mapping[str, Any]) -> Asked:
    """Return a request that has `asked` in the place of these parameters, and all else as it was."""
    given = {**request.given(), **request.extra}
    every = {name: value for name, value in given.items() if name not in theirs} | {**asked}
    known = {name for name in request.__struct_fields__ if name not in Request.FRAME}
    gone = dict.fromkeys(name for name in theirs if name in known and name not in asked)
    fields = {name: value for name, value in every.items() if name in known}
    extra = {name: value for name, value in every.items() if name not in known}
    made: Asked = msgspec.structs.replace(request, **gone, **fields, extra=extra)
    made.__dict__["_given"] = (*fields,)
    return made


def for_others(messages: list[Message], notes: Notes) -> list[Message]:
    """Return messages that any vendor's chat takes. Raises BadRequestError for a part that none but Cohere takes."""
    return [_plain(message, f"$.messages[{place}]", notes) for place, message in enumerate(messages)]


def _plain(message: Message, path: str, notes: Notes) -> Message:
    kept = message.get("provider_specific_fields")
    if kept:
        message = {name: value for name, value in message.items() if name != "provider_specific_fields"}
        if "citations" in kept:
            notes.adapt("messages", "dropped", "the citations of earlier answers are for Cohere's models alone")
    content = message.get("content")
    if not isinstance(content, list) or all(part.get("type") in PLAIN for part in content):
        return message
    parts = [_part(part, f"{path}.content[{place}]", notes) for place, part in enumerate(content)]
    return {**message, "content": parts}


def _part(part: Message, path: str, notes: Notes) -> Message:
    kind = part.get("type")
    if kind in PLAIN:
        return part
    if kind != "document":
        raise BadRequestError(
            f"A part of type {str(kind)[:60]!r} has no place in a chat of every vendor at {path}; leave it out, or ask "
            "a model of Cohere's"
        )
    notes.adapt("messages", "emulated", "documents among a tool's results are told as JSON")
    return {"type": "text", "text": written(part.get("document"))}


def with_documents(messages: list[Message], documents: Any, notes: Notes) -> list[Message]:
    """Return messages whose last question has the documents before it. Raises BadRequestError."""
    if not isinstance(documents, list):
        raise BadRequestError("Expected a list of documents at $.documents")
    last = max((place for place, one in enumerate(messages) if one["role"] == "user"), default=None)
    if last is None:
        raise BadRequestError("Documents need a message of the user's at $.messages")
    notes.adapt("documents", "emulated", "they are told before the question; nothing of the answer is cited")
    told = DOCUMENTS + "\n".join(written(document) for document in documents)
    content = messages[last].get("content")
    asked = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
    changed = {**messages[last], "content": [{"type": "text", "text": told}, *asked]}
    return [*messages[:last], changed, *messages[last + 1 :]]


def written(document: Any) -> str:
    """Return a document as a line of JSON; one that is text as it is."""
    return document if isinstance(document, str) else msgspec.json.encode(document).decode()
