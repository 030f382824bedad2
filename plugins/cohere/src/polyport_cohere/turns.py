"""A conversation as Cohere's `messages`. https://docs.cohere.com/reference/chat

What a completion of ours kept of an answer (its thoughts, the plan behind its tool calls, its citations) goes back
with it as it came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from polyport.errors import BadRequestError
from polyport.types.chat import ChatRequest
from polyport.types.conversation import (
    AssistantMessage,
    Call,
    DeveloperMessage,
    FunctionMessage,
    SystemMessage,
    ToolMessage,
    Turn,
    UserMessage,
)
from polyport_cohere.parts import CACHED, Parts, Piece, compact, text

#: Where a completion keeps what no field of OpenAI's holds; see `polyport_cohere.reply`.
PLAN, CITATIONS = "tool_plan", "citations"
SHOWN_BELOW = "The result is in the next user message."


class Turns:
    """Collects the messages of one request, and the documents that its files came to."""

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.messages: list[dict[str, Any]] = []
        self._parts = Parts(request)
        self._shown: list[Piece] = []
        self._function_calls = 0

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The files of text among the messages."""
        return self._parts.documents

    def add(self, turn: Turn) -> None:
        """Take the next turn."""
        if not isinstance(turn, ToolMessage | FunctionMessage):
            self.show()
        if turn.cache_control is not None:
            self.request.adapt("messages", "dropped", CACHED)
        if turn.name is not None and not isinstance(turn, FunctionMessage):
            self.request.adapt("messages", "dropped", "`name`: Cohere's messages have no names")
        ADD[type(turn)](self, turn)

    def show(self) -> None:
        """Put the pictures that tools returned into a message of the user's: Cohere's tools return text only."""
        if self._shown:
            self.messages.append({"role": "user", "content": self._shown})
            self._shown = []

    def _say(self, role: str, turn: Turn) -> None:
        self.messages.append({"role": role, "content": compact(self._parts.pieces(turn.parts))})

    def instruct(self, turn: SystemMessage | DeveloperMessage) -> None:
        """Take instructions."""
        self._say("system", turn)

    def ask(self, turn: UserMessage) -> None:
        """Take what the user says."""
        self._say("user", turn)

    def answer(self, turn: AssistantMessage) -> None:
        """Take what the model said: its thoughts, its text, its calls."""
        kept = turn.provider_specific_fields or {}
        calls = self._calls(turn)
        plan, thoughts = self._reasoning(turn, kept, bool(calls))
        said = self._parts.pieces(turn.parts)
        if turn.refusal:
            said.append(text(turn.refusal))
        if turn.audio is not None:
            self.request.adapt("messages", "dropped", "audio that a model spoke before")
        message: dict[str, Any] = {"role": "assistant"}
        if said or thoughts:
            message["content"] = [*thoughts, *said] if thoughts else compact(said)
        if calls:
            message["tool_calls"] = calls
        if plan:
            message[PLAN] = plan
        if citations := _still_there(kept.get(CITATIONS), turn.text):
            message[CITATIONS] = citations
        if len(message) > 1:
            self.messages.append(message)

    def result(self, turn: ToolMessage) -> None:
        """Take the result of a tool call."""
        if turn.is_error:
            self.request.adapt("messages", "dropped", "is_error: Cohere's tools tell in words that they failed")
        self._result(turn, turn.tool_call_id)

    def function_result(self, turn: FunctionMessage) -> None:
        """Take the result of a function call in the shape before tools: it answers the latest call."""
        self._result(turn, f"function_call_{self._function_calls}")

    def _result(self, turn: ToolMessage | FunctionMessage, id: str) -> None:
        pieces = self._parts.pieces(turn.parts)
        shown = [piece for piece in pieces if piece["type"] == "image_url"]
        told = [piece for piece in pieces if piece["type"] != "image_url"]
        if shown:
            self.request.adapt("messages", "emulated", "a picture that a tool returned follows in a user message")
            self._shown += shown
            told = told or [text(SHOWN_BELOW)]
        self.messages.append({"role": "tool", "tool_call_id": id, "content": compact(told)})

    def _calls(self, turn: AssistantMessage) -> list[dict[str, Any]]:
        calls = list(turn.tool_calls or [])
        if turn.function_call is not None:
            self._function_calls += 1
            calls.append(Call(f"function_call_{self._function_calls}", turn.function_call))
        return [_call(call) for call in calls]

    def _reasoning(self, turn: AssistantMessage, kept: dict[str, Any], calls: bool) -> tuple[str, list[Piece]]:
        """Return (the plan, the thoughts). Reasoning of another provider's is a plan before calls, else a thought."""
        blocks = turn.thinking_blocks or []
        thoughts = [_thought(str(block["thinking"])) for block in blocks if block.get("thinking")]
        if any(block.get("type") == "redacted_thinking" for block in blocks):
            self.request.adapt("messages", "dropped", "reasoning that only another provider can read")
        plan = kept.get(PLAN)
        if isinstance(plan, str):
            return plan, thoughts
        if thoughts or not turn.reasoning_content:
            return "", thoughts
        return (turn.reasoning_content, []) if calls else ("", [_thought(turn.reasoning_content)])


ADD: dict[type, Callable[[Turns, Any], None]] = {
    SystemMessage: Turns.instruct,
    DeveloperMessage: Turns.instruct,
    UserMessage: Turns.ask,
    AssistantMessage: Turns.answer,
    ToolMessage: Turns.result,
    FunctionMessage: Turns.function_result,
}


def _thought(words: str) -> Piece:
    return {"type": "thinking", "thinking": words}


def _call(call: Call) -> dict[str, Any]:
    if call.function is None:
        raise BadRequestError(f"Tool call {call.id!r} has no function; Cohere knows no other calls.")
    arguments = call.function.arguments.strip() or "{}"
    return {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": arguments}}


def _still_there(kept: Any, said: str) -> list[dict[str, Any]]:
    """Return the citations an answer came with; none where its text was changed since."""
    found = [citation for citation in kept if isinstance(citation, dict)] if isinstance(kept, list) else []
    return found if all(_stands(citation, said) for citation in found) else []


def _stands(citation: dict[str, Any], said: str) -> bool:
    """Whether a citation of the text is where it says; of thoughts and plans nothing is known here."""
    if citation.get("type") not in (None, "TEXT_CONTENT"):
        return True
    return said[citation.get("start") or 0 : citation.get("end")] == citation.get("text")
