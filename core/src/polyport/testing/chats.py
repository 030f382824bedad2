"""What chats, responses and messages must look like, whole and streamed.

For streams that is OpenAI's order: role first, content, one finish reason, usage at the end.
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.testing.bench import ensure, one_of
from polyport.testing.exchange import Exchange
from polyport.testing.reading import ended
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, Delta, Message
from polyport.types.completion import TextCompletion
from polyport.types.messages import AnthropicMessage
from polyport.types.responses import Response

FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
STOPS = frozenset({"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"})
STATUSES = frozenset({"completed", "failed", "in_progress", "cancelled", "queued", "incomplete"})


def chat(result: ChatCompletion, _: Exchange) -> None:
    """A completion has a model, and choices that say something and why they ended."""
    ensure(result.choices, "the completion has no choices")
    ensure(result.model, "the completion does not say which model answered (ChatCompletion.model)")
    indexes = [choice.index for choice in result.choices]
    ensure(len(set(indexes)) == len(indexes), f"two choices have one index: {indexes}")
    for choice in result.choices:
        one_of(choice.finish_reason, FINISHES, f"choices[{choice.index}].finish_reason")
        ensure(choice.message.role == "assistant", f"the role is {choice.message.role!r}, not 'assistant'")
        ensure(_says_something(choice.message), f"the message of choices[{choice.index}] is empty")
        for call in choice.message.tool_calls or []:
            ensure(call.id, f"a tool call has no id: {call}")
            if call.function is not None:
                _check_call(call.function.name, call.function.arguments, cut=choice.finish_reason == "length")


def _says_something(message: Message | Delta) -> bool:
    return any(
        (message.content, message.tool_calls, message.function_call, message.refusal, message.audio, message.images,
         message.reasoning_content, message.thinking_blocks)
    )  # fmt: skip


def _check_call(name: str | None, arguments: str, *, cut: bool) -> None:
    ensure(name, "a tool call has no name")
    try:
        value = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        ensure(cut, f"the arguments of the call of {name!r} are not JSON: {arguments!r}")
        return
    ensure(isinstance(value, dict), f"the arguments of the call of {name!r} are no JSON object: {arguments!r}")


def chat_chunks(chunks: list[ChatCompletionChunk], _: Exchange) -> None:
    """Per choice: role first, tool calls by index with id and name once, one finish reason; usage not before it."""
    names = {chunk.id for chunk in chunks if chunk.id}
    ensure(len(names) <= 1, f"the chunks of one stream have several ids: {sorted(names)}")
    choices: dict[int, _ChoiceSoFar] = {}
    finished_at, usage_at = -1, -1
    for number, chunk in enumerate(chunks):
        usage_at = number if chunk.usage is not None else usage_at
        for choice in chunk.choices:
            so_far = choices.setdefault(choice.index, _ChoiceSoFar(choice.index))
            so_far.add(choice.delta, choice.finish_reason)
            finished_at = number if choice.finish_reason else finished_at
    ensure(choices, "no chunk of the stream has a choice")
    for so_far in choices.values():
        so_far.check()
    ensure(usage_at == -1 or usage_at >= finished_at, "the stream's last usage comes before its finish reason")


class _ChoiceSoFar:
    """One choice of a stream, put together chunk by chunk."""

    def __init__(self, index: int) -> None:
        self.where = f"choice {index} of the stream"
        self.role: str | None = None
        self.finish: str | None = None
        self.said = False
        self.calls: dict[int, list[str]] = {}

    def add(self, delta: Delta, finish: str | None) -> None:
        says = _says_something(delta)
        ensure(not (says and self.finish), f"{self.where} goes on after its finish reason")
        ensure(not (finish and self.finish), f"{self.where} has two finish reasons: {self.finish!r} and {finish!r}")
        ensure(delta.role in (None, "", "assistant"), f"{self.where} has the role {delta.role!r}")
        self.role = delta.role or self.role
        ensure(self.role or not says, f"{self.where} begins without a role: the first chunk must say 'assistant'")
        self.finish, self.said = finish or self.finish, self.said or says
        for call in delta.tool_calls or []:
            self._add_call(call)

    def _add_call(self, call: Any) -> None:
        ensure(call.index is not None, f"{self.where} has a piece of a tool call without an index")
        name = call.function.name if call.function is not None else None
        if call.index not in self.calls:
            ensure(call.id, f"{self.where}: tool call {call.index} begins without an id")
            self.calls[call.index] = [name or (call.type or ""), ""]
        else:
            ensure(not call.id, f"{self.where}: the id of tool call {call.index} comes more than once")
            ensure(not name, f"{self.where}: the name of tool call {call.index} comes more than once")
        if call.function is not None:
            self.calls[call.index][1] += call.function.arguments

    def check(self) -> None:
        ensure(self.finish, f"{self.where} has no finish reason")
        one_of(self.finish, FINISHES, f"the finish reason of {self.where}")
        ensure(self.said, f"{self.where} says nothing")
        ensure(self.finish != "tool_calls" or self.calls, f"{self.where} finishes with tool_calls, and has none")
        for name, arguments in self.calls.values():
            _check_call(name, arguments, cut=self.finish == "length")


def text_completion(result: TextCompletion, _: Exchange) -> None:
    """A text completion has choices that say why they ended."""
    ensure(result.choices, "the completion has no choices")
    for choice in result.choices:
        one_of(choice.finish_reason, FINISHES, f"choices[{choice.index}].finish_reason")


def text_chunks(chunks: list[TextCompletion], _: Exchange) -> None:
    """A streamed text completion has some text and one finish reason a choice."""
    ends = [choice.index for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    ensure(ends, "no choice of the stream has a finish reason")
    ensure(len(ends) == len(set(ends)), f"choices {ends} of the stream finish more than once")
    ensure(any(choice.text for chunk in chunks for choice in chunk.choices), "the stream has no text")


def response(result: Response, _: Exchange) -> None:
    """A response has an id and a known status, and output once it is completed."""
    ensure(result.id, "the response has no id")
    one_of(result.status, STATUSES, "the response's status")
    ensure(result.status != "completed" or result.output, "the response is completed and has no output")


def response_events(events: list[Any], exchange: Exchange) -> None:
    """Events have a type, are in order, and end with the response that was completed, incomplete or failed."""
    _typed(events)
    numbers = [event["sequence_number"] for event in events if "sequence_number" in event]
    ensure(numbers == sorted(numbers), "the events' sequence_number goes back")
    ensure(ended(exchange.hook, events), f"the last event is {events[-1]['type']!r}; the response never ends")


def message(result: AnthropicMessage, _: Exchange) -> None:
    """A message has content blocks with types, and a stop reason."""
    ensure(result.content, "the message has no content")
    ensure(all("type" in block for block in result.content), "a content block has no type")
    one_of(result.stop_reason, STOPS, "the message's stop_reason")


def message_events(events: list[Any], _: Exchange) -> None:
    """Events begin with message_start, open and close each block, and end with message_stop."""
    _typed(events)
    kinds = [event["type"] for event in events if event["type"] != "ping"]
    ensure(kinds[:1] == ["message_start"], f"the first event is {kinds[:1]}, not message_start")
    ensure(kinds[-1:] == ["message_stop"], f"the last event is {kinds[-1:]}, not message_stop")
    is_open: set[int] = set()
    for event in events:
        if event["type"] == "content_block_start":
            is_open.add(event["index"])
        elif event["type"] in ("content_block_delta", "content_block_stop"):
            ensure(event["index"] in is_open, f"{event['type']} for block {event['index']}, which is not open")
        if event["type"] == "content_block_stop":
            is_open.discard(event["index"])
    ensure(not is_open, f"blocks {sorted(is_open)} are never closed")


def _typed(events: list[Any]) -> None:
    ensure(events, "the stream has no events")
    ensure(all(event.get("type") for event in events), "an event has no type")
