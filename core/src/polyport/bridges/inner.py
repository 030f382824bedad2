"""The chat request inside another operation's request, and the way its answer takes back out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn, Protocol, TypeAlias, TypeVar

from msgspec.structs import replace

from polyport.errors import BadRequestError, UnsupportedParamsError
from polyport.flow import Flow, Streaming
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest, ChunkChoice, Delta, Message
from polyport.types.record import Request, convert

Chat: TypeAlias = Callable[[ChatRequest], Flow[ChatCompletion | Streaming[ChatCompletionChunk]]]
E = TypeVar("E")
R_co = TypeVar("R_co", covariant=True)

#: What chat can be asked for, beyond the conversation itself.
PARAMETERS = frozenset(ChatRequest.__struct_fields__) - Request.FRAME - {"messages", "stream", "n"}


class Maker(Protocol[E, R_co]):
    """Makes an operation's events of chat chunks, and at the end its result."""

    def feed(self, data: ChatCompletionChunk) -> list[E]:
        """Return the events that the next chunk brings."""

    def close(self) -> list[E]:
        """Return the events that end the stream."""

    def result(self) -> R_co:
        """Return the whole result; only after `close`."""


def chat_request(outer: Request, fields: Mapping[str, Any], without: Collection[str] = ()) -> ChatRequest:
    """Return the chat request that `outer` becomes.

    Arguments that `outer` does not model and chat does (`seed=...` given to `responses()`) become chat's. The rest
    of its `extra`, except `without`, its options and its very list of adaptations are shared.
    """
    if outer.extra.get("n") not in (None, 1):
        outer.unsupported("n", "this operation gives one answer")
    lifted = {name: value for name, value in outer.extra.items() if name in PARAMETERS}
    given = {name: value for name, value in {**fields, **lifted}.items() if value is not None}
    inner: ChatRequest = convert(given, ChatRequest, "$")
    inner.model, inner.options, inner.adaptations = outer.model, outer.options, outer.adaptations
    inner.extra = {k: v for k, v in outer.extra.items() if k not in lifted and k != "n" and k not in without}
    inner.check()
    return inner


def through(inner: ChatRequest, chat: Chat, maker: Maker[E, R_co]) -> Flow[R_co | Streaming[E]]:
    """Ask, and hand back what `maker` makes of the answer. A whole answer is a stream of one chunk."""
    answer = yield from chat(inner)
    if isinstance(answer, Streaming):
        return answer.through(maker)
    maker.feed(chunk_of(answer))
    maker.close()
    return maker.result()


def chunk_of(completion: ChatCompletion) -> ChatCompletionChunk:
    """Return a completion as one chunk that brings all of it."""
    chunk = ChatCompletionChunk(
        id=completion.id,
        created=completion.created,
        model=completion.model,
        choices=[
            ChunkChoice(
                index=choice.index,
                delta=_delta(choice.message),
                finish_reason=choice.finish_reason,
                logprobs=choice.logprobs,
            )
            for choice in completion.choices
        ],
        usage=completion.usage,
        system_fingerprint=completion.system_fingerprint,
        service_tier=completion.service_tier,
    )
    chunk.carry(completion.extra)
    return chunk


def _delta(message: Message) -> Delta:
    calls = [replace(call, index=index) for index, call in enumerate(message.tool_calls or [])]
    fields = {name: getattr(message, name) for name in Delta.__struct_fields__}
    return Delta(**{**fields, "tool_calls": calls or None})


def refuse(parameter: str, why: str) -> NoReturn:
    """Raise for what would change the question itself, so that `drop_params` must not drop it."""
    raise UnsupportedParamsError(f"{parameter} is not supported: {why}.")


def need(value: Any, name: str, path: str, kind: type | tuple[type, ...] = str) -> Any:
    """Return `value[name]`. Raises BadRequestError naming the place where it is missing or of another type."""
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, kind):
        names = " or ".join(f"`{k.__name__}`" for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise BadRequestError(f"Expected {names} at {path}.{name}")
    return found
