"""A conversation as Converse's `system` and `messages`: turns that alternate, tool results inside user turns.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from polyport.errors import BadRequestError
from polyport.types.chat import ChatRequest
from polyport.types.conversation import (
    AssistantMessage,
    Call,
    DeveloperMessage,
    FunctionMessage,
    SystemMessage,
    TextPart,
    ToolMessage,
    Turn,
    UserMessage,
)
from polyport_bedrock import reasoning
from polyport_bedrock.media import IN_RESULTS, Block, Media, cache_point

#: Where a completion keeps the blocks that its other fields cannot hold; see `polyport_bedrock.reply`.
KEPT = "bedrock_content"
TOOL_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")


class Turns:
    """Collects turns: instructions apart, the rest merged so that user and assistant alternate."""

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.media = Media(request)
        self.system: list[Block] = []
        self.messages: list[dict[str, Any]] = []
        self.called: list[str] = []
        self._function_calls = 0

    def add(self, turn: Turn) -> None:
        """Take the next turn."""
        ADD[type(turn)](self, turn)

    def instruct(self, turn: SystemMessage | DeveloperMessage) -> None:
        """Take instructions; later ones join those at the front, where most models want them."""
        made = self._marked(turn, self.media.blocks(turn.parts))
        if any("text" not in block and "cachePoint" not in block and "guardContent" not in block for block in made):
            raise BadRequestError("Bedrock takes instructions as text only at $.messages")
        if made and self.messages:
            self.request.adapt("messages", "emulated", "instructions in mid-conversation are sent at its beginning")
        self.system += made

    def ask(self, turn: UserMessage) -> None:
        """Take what the user says."""
        if turn.name is not None:
            self.request.adapt("messages", "dropped", "a user's `name` has no place in Converse's messages")
        self._append("user", self._marked(turn, self.media.blocks(turn.parts)))

    def answer(self, turn: AssistantMessage) -> None:
        """Take what the model said, its own blocks unchanged and in order."""
        made = reasoning.signed(kept_blocks(turn), self.request)
        if made is None:
            made = [*reasoning.to_blocks(turn, self.request), *self.media.blocks(turn.parts), *self._calls(turn)]
            if turn.refusal:
                made.append({"text": turn.refusal})
            if turn.audio is not None:
                self.request.adapt("messages", "dropped", "audio that a model spoke before")
        self.called += [block["toolUse"]["name"] for block in made if is_call(block)]
        self._append("assistant", self._marked(turn, made))

    def result(self, turn: ToolMessage) -> None:
        """Take the result of a tool call."""
        self._append("user", self._marked(turn, [self._result(turn, turn.tool_call_id, turn.is_error)]))

    def function_result(self, turn: FunctionMessage) -> None:
        """Take the result of a function call in the shape before tools: it answers the latest call."""
        self._append("user", self._marked(turn, [self._result(turn, f"function_call_{self._function_calls}", None)]))

    def _append(self, role: str, made: list[Block]) -> None:
        if not made:
            return
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += made
        else:
            self.messages.append({"role": role, "content": made})

    def _marked(self, turn: Turn, made: list[Block]) -> list[Block]:
        """Put a cache point behind a message that is marked itself."""
        return [*made, cache_point(turn.cache_control)] if turn.cache_control is not None and made else made

    def _result(self, turn: ToolMessage | FunctionMessage, id: str, is_error: bool | None) -> Block:
        made: Block = {"toolUseId": tool_id(id), "content": self._inside(turn)}
        if is_error is not None:
            made["status"] = "error" if is_error else "success"
        return {"toolResult": made}

    def _inside(self, turn: ToolMessage | FunctionMessage) -> list[Block]:
        made = [block for block in self.media.blocks(turn.parts) if "cachePoint" not in block]
        strange = [name for block in made for name in block if name not in IN_RESULTS and name != "url"]
        if strange:
            raise BadRequestError(f"A tool's result on Bedrock cannot hold {', '.join(strange)} at $.messages")
        if any(part.cache_control for part in turn.parts if isinstance(part, TextPart)):
            self.request.adapt("messages", "dropped", "cache markers inside of a tool's result; mark the message")
        return made

    def _calls(self, turn: AssistantMessage) -> list[Block]:
        calls = list(turn.tool_calls or [])
        if turn.function_call is not None:
            self._function_calls += 1
            calls.append(Call(f"function_call_{self._function_calls}", turn.function_call))
        return [block for call in calls for block in _call(call)]


ADD: dict[type, Callable[[Turns, Any], None]] = {
    SystemMessage: Turns.instruct,
    DeveloperMessage: Turns.instruct,
    UserMessage: Turns.ask,
    AssistantMessage: Turns.answer,
    ToolMessage: Turns.result,
    FunctionMessage: Turns.function_result,
}


def _call(call: Call) -> list[Block]:
    if call.function is None:
        raise BadRequestError(f"Tool call {call.id!r} has no function; Bedrock knows no other calls.")
    use = {"toolUseId": tool_id(call.id), "name": call.function.name, "input": call.arguments}
    return [{"toolUse": use}, *([cache_point(call.cache_control)] if call.cache_control is not None else [])]


def tool_id(id: str) -> str:
    """Return a call's id as Converse takes it; another provider's may be longer, or have other characters."""
    return id if TOOL_ID.fullmatch(id) else f"call_{sha256(id.encode()).hexdigest()[:40]}"


def is_call(block: Block) -> bool:
    """Whether a block calls one of the user's tools."""
    return "toolUse" in block and block["toolUse"].get("type") != "server_tool_use"


def kept_blocks(turn: AssistantMessage) -> list[Block] | None:
    """Return the blocks a completion of ours kept, None where there are none or the message was changed since."""
    kept = (turn.provider_specific_fields or {}).get(KEPT)
    if not isinstance(kept, list) or not all(isinstance(block, dict) for block in kept):
        return None
    uses = [block["toolUse"] for block in kept if isinstance(block.get("toolUse"), dict) and is_call(block)]
    called = [(use.get("toolUseId"), use.get("input")) for use in uses]
    calls = [(call.id, call.arguments) for call in turn.tool_calls or []]
    return [as_sent(block) for block in kept] if said(kept) == turn.text and called == calls else None


def said(blocks: list[Block]) -> str:
    """Return the text of blocks, cited text included."""
    found: list[str] = []
    for block in blocks:
        cited = block.get("citationsContent")
        parts = (cited.get("content") or []) if isinstance(cited, dict) else [block]
        found += [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return "".join(found)


def as_sent(block: Block) -> Block:
    """Return a block of an answer as requests take it: replies name two types of calls, requests only one of them."""
    block = {name: value for name, value in block.items() if name != "type"}
    use = block.get("toolUse")
    if not isinstance(use, dict) or use.get("type") == "server_tool_use" or "type" not in use:
        return block
    return {"toolUse": {name: value for name, value in use.items() if name != "type"}}
