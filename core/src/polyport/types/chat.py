"""Chat: the request, the completion and its chunks.

The shapes are OpenAI's: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from polyport.errors import BadRequestError
from polyport.types.conversation import Tool, Turn, tool_of
from polyport.types.record import CallParams, Fields, Request, Result, convert, empty, null, plain, zero
from polyport.types.schema import Schema, schema_of
from polyport.types.usage import Usage

if TYPE_CHECKING:
    Text: TypeAlias = str
else:
    Text = str | None  # what may come; __post_init__ makes it what it seems


class FunctionCall(Fields):
    """A function the model wants called; `arguments` is JSON text (in a stream: a piece of it)."""

    name: str | None = None
    arguments: Text = ""

    def __post_init__(self) -> None:
        # Some look-alikes send the arguments as null. The field is text everywhere else.
        self.arguments = self.arguments or ""


class ToolCall(Fields):
    """One call of a tool. `index` places a streamed piece; id and name come with a call's first piece only."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionCall | None = None
    custom: dict[str, Any] | None = None
    extra_content: dict[str, Any] | None = None


class ReplyAudio(Fields):
    """Audio the model spoke: base64 `data` and its `transcript`."""

    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None


class Message(Fields):
    """What the model answered.

    `reasoning_content` is readable reasoning; `thinking_blocks` the provider's own blocks with their signatures,
    to be sent back unchanged with the message. `images` are generated ones (`{"type": "image_url", ...}`).
    """

    role: str = msgspec.field(default_factory=lambda: "assistant")
    content: str | None = null()
    reasoning_content: str | None = None
    thinking_blocks: list[dict[str, Any]] | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None
    refusal: str | None = None
    audio: ReplyAudio | None = None
    annotations: list[dict[str, Any]] | None = None
    images: list[dict[str, Any]] | None = None
    provider_specific_fields: dict[str, Any] | None = None


class Choice(Fields):
    """One answer. `finish_reason`: stop, length, tool_calls, content_filter, function_call."""

    index: int = zero()
    message: Message = msgspec.field(default_factory=Message)
    finish_reason: str | None = null()
    logprobs: dict[str, Any] | None = null()


class ChatCompletion(Result):
    """The answer to a chat request; `.choices[0].message.content` is its text."""

    id: str = ""
    object: str = msgspec.field(default_factory=lambda: "chat.completion")
    created: int = zero()
    model: str = ""
    choices: list[Choice] = empty()
    usage: Usage | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None

    @property
    def text(self) -> str:
        """The first choice's text; "" where it has none."""
        return (self.choices[0].message.content or "") if self.choices else ""

    @property
    def parsed(self) -> Any:
        """The first choice's text as an instance of the class given as `response_format`.

        None where no class was given or the model refused. Raises InvalidResponseError where the text does not
        fit the class (also when it was cut off by `max_tokens`).
        """
        if "_parsed" not in self.__dict__:
            reader: Callable[[str], Any] | None = self.__dict__.get("_reader")
            self.__dict__["_parsed"] = reader(self.text) if reader and self.text else None
        return self.__dict__["_parsed"]


class Delta(Fields):
    """What a chunk adds to the message; the fields mean what they mean on Message."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    thinking_blocks: list[dict[str, Any]] | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None
    refusal: str | None = None
    audio: ReplyAudio | None = None
    annotations: list[dict[str, Any]] | None = None
    images: list[dict[str, Any]] | None = None
    provider_specific_fields: dict[str, Any] | None = None

    def is_content(self) -> bool:
        """Whether this adds anything a reader would see; a role alone does not."""
        return bool(
            self.content
            or self.tool_calls
            or self.reasoning_content
            or self.thinking_blocks
            or self.refusal
            or self.audio
            or self.function_call
            or self.images
        )


class ChunkChoice(Fields):
    """What a chunk adds to one choice."""

    index: int = zero()
    delta: Delta = msgspec.field(default_factory=Delta)
    finish_reason: str | None = null()
    logprobs: dict[str, Any] | None = None


class ChatCompletionChunk(Result):
    """One piece of a streamed completion. The last one of a stream may have no choices, and the usage."""

    id: str = ""
    object: str = msgspec.field(default_factory=lambda: "chat.completion.chunk")
    created: int = zero()
    model: str = ""
    choices: list[ChunkChoice] = empty()
    usage: Usage | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None

    def is_content(self) -> bool:
        """Whether a reader has seen something of the answer after this chunk."""
        return any(choice.finish_reason or choice.delta.is_content() for choice in self.choices)


class _Conversation(msgspec.Struct):
    """The frame of the typed view. msgspec keeps what it learnt of a Struct, and of a bare list[...] it does not."""

    messages: list[Turn]


class ChatRequest(Request):
    """A chat request. `messages` and `tools` stay as they were given; `conversation` is their typed view."""

    messages: list[dict[str, Any]]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, int | float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    seed: int | None = None
    user: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: str | dict[str, Any] | None = None
    response_format: Any = None
    reasoning_effort: str | None = None
    thinking: dict[str, Any] | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    service_tier: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    verbosity: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    def check(self) -> None:
        """Validate the messages: roles, content, tool calls; and that there are some."""
        if not self.messages:
            raise BadRequestError("A chat needs at least one message at $.messages")
        _ = self.conversation

    @property
    def conversation(self) -> list[Turn]:
        """The messages as typed values, converted once. Raises BadRequestError naming the place."""
        turns: list[Turn] | None = self.__dict__.get("_conversation")  # cached_property takes a lock, this is per call
        if turns is None:
            view: _Conversation = convert({"messages": self.messages}, _Conversation, "$")
            turns = self.__dict__["_conversation"] = view.messages
        return turns

    @cached_property
    def toolbox(self) -> list[Tool]:
        """The tools as typed values; the older `functions` count as tools."""
        tools = [tool_of(value, f"$.tools[{i}]") for i, value in enumerate(self.tools or [])]
        return tools + [
            tool_of({"type": "function", "function": f}, f"$.functions[{i}]")
            for i, f in enumerate(self.functions or [])
        ]

    @property
    def token_limit(self) -> int | None:
        """`max_completion_tokens`, or `max_tokens` where only that was given."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def stops(self) -> list[str]:
        """`stop` as a list."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or [])

    @property
    def wants_usage(self) -> bool:
        """Whether the user asked for usage at the end of a stream."""
        return bool(self.stream_options and self.stream_options.get("include_usage"))

    @property
    def schema(self) -> Schema | None:
        """The JSON schema asked for by `response_format`; None where it asks for none."""
        return None if self.response_format is None else self._schema

    @cached_property
    def _schema(self) -> Schema | None:
        return schema_of(self.response_format)


class ChatParams(CallParams, total=False):
    """The optional parameters of `completion`, for editors and type checkers; ChatRequest is their run-time twin."""

    stream_options: dict[str, Any] | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    n: int | None
    stop: str | list[str] | None
    max_tokens: int | None
    max_completion_tokens: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    logit_bias: Mapping[str, float] | None
    logprobs: bool | None
    top_logprobs: int | None
    seed: int | None
    user: str | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    functions: Sequence[Mapping[str, Any]] | None
    function_call: str | Mapping[str, Any] | None
    response_format: type[Any] | Mapping[str, Any] | None
    reasoning_effort: str | None
    thinking: Mapping[str, Any] | None
    modalities: list[str] | None
    audio: Mapping[str, Any] | None
    prediction: Mapping[str, Any] | None
    web_search_options: Mapping[str, Any] | None
    service_tier: str | None
    metadata: Mapping[str, Any] | None
    store: bool | None
    verbosity: str | None
    safety_identifier: str | None
    prompt_cache_key: str | None


#: What `messages=` takes: plain dicts, our own results, or another SDK's message objects.
Messages: TypeAlias = Sequence[Any]


def plain_messages(messages: Any) -> Any:
    """Return messages as plain dicts; what is not a list of things is left for the validation to name."""
    if type(messages) is list and _are_plain(messages):
        return messages
    if isinstance(messages, str | bytes | Mapping) or not hasattr(messages, "__iter__"):
        raise BadRequestError(
            f"Expected a list of messages, got `{type(messages).__name__}` at $.messages; "
            'a single question is [{"role": "user", "content": "..."}]'
        )
    return [_plain_message(message) for message in messages]


def _are_plain(messages: list[Any]) -> bool:
    """Whether all are dicts, and lists in them (parts, tool calls) hold dicts, not another SDK's objects."""
    for message in messages:
        if type(message) is not dict:
            return False
        for value in message.values():
            if type(value) is list and not all(type(item) is dict for item in value):
                return False
    return True


def _plain_message(message: Any) -> Any:
    message = plain(message)
    if type(message) is not dict or _are_plain([message]):
        return message
    return {
        name: [plain(item) for item in value] if isinstance(value, list) else value for name, value in message.items()
    }
