"""A conversation as Gemini's `systemInstruction` and `contents`. https://ai.google.dev/api/caching#Content"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

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
from polyport_gemini.door import Door
from polyport_gemini.facts import takes_levels
from polyport_gemini.media import Media, Piece

#: Where a completion keeps the parts that its other fields cannot hold; see `polyport_gemini.reply`.
KEPT = "gemini_parts"
#: What stands for the signature of a call that another model made.
#: https://ai.google.dev/gemini-api/docs/thought-signatures#faqs
NO_SIGNATURE = "skip_thought_signature_validator"

Content = dict[str, Any]


class Contents:
    """Collects turns: instructions apart, results of tools that were called together in one turn."""

    def __init__(self, request: ChatRequest, door: Door) -> None:
        self.request = request
        self.media = Media(request, door)
        self.system: list[Piece] = []
        self.contents: list[Content] = []
        self._names: dict[str, str] = {}
        self._legacy = 0

    def add(self, turn: Turn) -> None:
        """Take the next turn."""
        if turn.cache_control is not None:
            self.request.adapt("messages", "dropped", "cache_control: Gemini caches by prefix without being told")
        ADD[type(turn)](self, turn)

    def instruct(self, turn: SystemMessage | DeveloperMessage) -> None:
        """Take instructions; later ones join those at the front, where Gemini has them."""
        made = self.media.parts(turn.parts)
        if made and self.contents:
            self.request.adapt("messages", "emulated", "instructions in mid-conversation are sent at its beginning")
        self.system += made

    def ask(self, turn: UserMessage) -> None:
        """Take what the user says."""
        if turn.name is not None:
            self.request.adapt("messages", "dropped", "a user's `name` has no place in Gemini's contents")
        self._append("user", self.media.parts(turn.parts))

    def answer(self, turn: AssistantMessage) -> None:
        """Take what the model said, its own parts unchanged and in order."""
        made = kept_parts(turn)
        if made is None:
            made = [*self._thoughts(turn), *self.media.parts(turn.parts), *self._calls(turn)]
            if turn.refusal:
                made.append({"text": turn.refusal})
            if turn.audio is not None:
                self.request.adapt("messages", "dropped", "audio that a model spoke before")
        for call in turn.tool_calls or []:
            if call.function is not None:
                self._names[call.id] = call.function.name
        self._append("model", made)

    def result(self, turn: ToolMessage) -> None:
        """Take the result of a tool call."""
        name = self._names.get(turn.tool_call_id) or turn.name
        if name is None:
            raise BadRequestError(f"No tool was called with the id {turn.tool_call_id!r} of a result at $.messages")
        self._result(turn, {"id": turn.tool_call_id, "name": name}, failed=bool(turn.is_error))

    def function_result(self, turn: FunctionMessage) -> None:
        """Take the result of a function call in the shape before tools."""
        self._result(turn, {"name": turn.name or self._names.get(f"call_{self._legacy}", "")}, failed=False)

    def _append(self, role: str, made: list[Piece]) -> None:
        if made:
            self.contents.append({"role": role, "parts": made})

    def _thoughts(self, turn: AssistantMessage) -> list[Piece]:
        """Return readable reasoning as a thought; a signature of another model's would be refused."""
        blocks = turn.thinking_blocks or []
        if any(block.get("signature") or block.get("data") for block in blocks):
            self.request.adapt("messages", "dropped", "signatures that another model put on its thinking")
        text = turn.reasoning_content or "".join(block.get("thinking") or "" for block in blocks)
        return [{"text": text, "thought": True}] if text else []

    def _calls(self, turn: AssistantMessage) -> list[Piece]:
        calls = list(turn.tool_calls or [])
        if turn.function_call is not None:
            self._legacy += 1
            self._names[f"call_{self._legacy}"] = turn.function_call.name
            calls.append(Call("", turn.function_call))
        made = [call_part(call) for call in calls]
        # Only the first of several calls is signed: https://ai.google.dev/gemini-api/docs/thought-signatures
        if made and "thoughtSignature" not in made[0] and takes_levels(self.request.model):
            made[0]["thoughtSignature"] = NO_SIGNATURE
            self.request.adapt("messages", "emulated", "calls without Gemini's signature get a stand-in for it")
        return made

    def _result(self, turn: ToolMessage | FunctionMessage, made: Piece, *, failed: bool) -> None:
        pieces = self.media.parts(turn.parts)
        media = [piece for piece in pieces if "text" not in piece]
        made["response"] = response_of("".join(piece.get("text", "") for piece in pieces), failed=failed)
        nested = takes_levels(self.request.model)
        if media and nested:
            made["parts"] = media
        follows: list[Piece] = [] if nested else media
        last = self.contents[-1] if self.contents else None
        if last is not None and last["role"] == "user" and "functionResponse" in last["parts"][0]:
            results = [piece for piece in last["parts"] if "functionResponse" in piece]
            rest = [piece for piece in last["parts"] if "functionResponse" not in piece]
            last["parts"] = [*results, {"functionResponse": made}, *rest, *follows]
        else:
            self._append("user", [{"functionResponse": made}, *follows])


ADD: dict[type, Callable[[Contents, Any], None]] = {
    SystemMessage: Contents.instruct,
    DeveloperMessage: Contents.instruct,
    UserMessage: Contents.ask,
    AssistantMessage: Contents.answer,
    ToolMessage: Contents.result,
    FunctionMessage: Contents.function_result,
}


def response_of(text: str, *, failed: bool) -> dict[str, Any]:
    """Return a tool's result as the object it must be: a JSON object as it is, anything else as `output` or `error`.

    https://ai.google.dev/api/caching#FunctionResponse
    """
    if failed:
        return {"error": text}
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"output": text}


def call_part(call: Call) -> Piece:
    """Return a call of the history as a part, with its signature where it has one."""
    if call.function is None:
        raise BadRequestError(f"Tool call {call.id!r} has no function; Gemini knows no other calls.")
    made: Piece = {"functionCall": {"name": call.function.name, "args": call.arguments}}
    if call.id:
        made["functionCall"]["id"] = call.id
    if (signature := signature_of(call)) is not None:
        made["thoughtSignature"] = signature
    return made


def signature_of(call: Call) -> str | None:
    """Return the signature that came with a call, where Google's own OpenAI-like endpoint has it too."""
    google = (call.extra_content or {}).get("google")
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else None


def kept_parts(turn: AssistantMessage) -> list[Piece] | None:
    """Return the parts a completion of ours kept, None where there are none or the message was changed since."""
    kept = (turn.provider_specific_fields or {}).get(KEPT)
    if not isinstance(kept, list) or not all(isinstance(part, dict) for part in kept):
        return None
    said = "".join(part.get("text", "") for part in kept if not part.get("thought"))
    called = [(call.get("id"), call.get("args") or {}) for part in kept if (call := part.get("functionCall"))]
    calls = [(call.id, call.arguments) for call in turn.tool_calls or []]
    return [dict(part) for part in kept] if said == turn.text and called == calls else None
