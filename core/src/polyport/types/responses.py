"""The Responses API: items in, items out, typed events. https://platform.openai.com/docs/api-reference/responses

Items, tools and events are open-ended families that grow monthly, so they stay plain dicts with attribute access
(`Item`), which loses nothing; what programs branch on is typed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from polyport.types.record import CallParams, Fields, Request, Result, empty, null, zero

#: Events that only say that an answer has begun; OpenAI's and Anthropic's.
OPENING_EVENTS = frozenset(
    {"response.created", "response.queued", "response.in_progress", "keepalive", "message_start", "ping", "error"}
)


class Item(dict[str, Any]):
    """A dict whose keys also read as attributes, nested ones too: `event.delta`, `item.content[0].text`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return _item(self[name])
        except KeyError:
            raise AttributeError(f"this {self.get('type', 'item')!r} has no {name!r}; it has {sorted(self)}") from None

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dict."""
        return dict(self)

    def is_content(self) -> bool:
        """Whether a reader of a stream has seen something of the answer after this event."""
        kind = self.get("type")
        return not isinstance(kind, str) or kind not in OPENING_EVENTS


def _item(value: Any) -> Any:
    if type(value) is dict:
        return Item(value)
    if type(value) is list:
        return [_item(inner) for inner in value]
    return value


class ResponsesUsage(Fields):
    """Tokens of one response, in the Responses API's words. `cost` is what a look-alike says it charged."""

    input_tokens: int = zero()
    input_tokens_details: dict[str, Any] | None = None
    output_tokens: int = zero()
    output_tokens_details: dict[str, Any] | None = None
    total_tokens: int = zero()
    cost: Any = None

    def buckets(self) -> dict[str, int]:
        """Return the tokens as disjoint buckets, as `Usage.buckets` does."""
        from polyport.types.usage import usage

        return usage(
            self.input_tokens,
            self.output_tokens,
            self.total_tokens,
            cached=(self.input_tokens_details or {}).get("cached_tokens", 0),
            cache_write=(self.input_tokens_details or {}).get("cache_write_tokens"),
            reasoning=(self.output_tokens_details or {}).get("reasoning_tokens", 0),
        ).buckets()


class Response(Result):
    """What `responses()` returns. `status`: completed, failed, in_progress, cancelled, queued, incomplete."""

    id: str = ""
    object: str = msgspec.field(default_factory=lambda: "response")
    created_at: float = 0
    status: str | None = None
    model: str = ""
    output: list[dict[str, Any]] = empty()
    usage: ResponsesUsage | None = None
    error: dict[str, Any] | None = null()
    incomplete_details: dict[str, Any] | None = null()
    instructions: Any = null()
    metadata: dict[str, Any] | None = null()
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = null()
    reasoning: dict[str, Any] | None = None
    temperature: float | None = null()
    text: dict[str, Any] | None = None
    tool_choice: Any = None
    tools: list[dict[str, Any]] = empty()
    top_p: float | None = null()
    background: bool | None = None
    max_output_tokens: int | None = None
    service_tier: str | None = None

    @property
    def items(self) -> list[Item]:  # type: ignore[override]
        """The output items, with attribute access."""
        return [Item(item) for item in self.output]

    @property
    def output_text(self) -> str:
        """All the text of the output's messages, joined."""
        return "".join(
            part.get("text", "")
            for item in self.output
            if item.get("type") == "message"
            for part in item.get("content") or []
            if part.get("type") == "output_text"
        )


class ResponsesRequest(Request):
    """A request to the Responses API. `input` is text or items; None where a stored prompt brings it."""

    input: str | list[Any] | None = None
    instructions: str | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: int | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    include: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    background: bool | None = None
    truncation: str | None = None
    prompt: dict[str, Any] | None = None
    service_tier: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class ResponsesParams(CallParams, total=False):
    """The optional parameters of `responses`."""

    instructions: str | None
    stream_options: Mapping[str, Any] | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    max_tool_calls: int | None
    previous_response_id: str | None
    conversation: str | Mapping[str, Any] | None
    reasoning: Mapping[str, Any] | None
    text: Mapping[str, Any] | None
    include: list[str] | None
    temperature: float | None
    top_p: float | None
    top_logprobs: int | None
    max_output_tokens: int | None
    metadata: Mapping[str, Any] | None
    store: bool | None
    background: bool | None
    truncation: str | None
    prompt: Mapping[str, Any] | None
    service_tier: str | None
    user: str | None
    safety_identifier: str | None
    prompt_cache_key: str | None


class ResponseIdRequest(Request):
    """A request about a response that exists. `stream` and `starting_after` resume a background one's events."""

    response_id: str
    include: list[str] | None = None
    stream: bool | None = None
    starting_after: int | None = None


class ResponseIdParams(CallParams, total=False):
    """The optional parameters of `retrieve_response`."""

    include: list[str] | None
    starting_after: int | None
