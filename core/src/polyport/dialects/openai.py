"""OpenAI's wire format for chat, which look-alikes share. https://platform.openai.com/docs/api-reference/chat

A request goes out nearly as it came in. What a look-alike cannot take is a `Quirks` row, not code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from polyport.border import message_of
from polyport.errors import APIConnectionError, APIError, InvalidResponseError, class_for_status
from polyport.flow import HttpReply
from polyport.types.chat import ChatCompletionChunk, ChatRequest
from polyport.types.record import Request, Result
from polyport.wire.sse import SSE

C = TypeVar("C", bound=Result)


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """How a look-alike differs. `unsupported`: parameter -> why; `renames`: parameter -> its name there."""

    unsupported: Mapping[str, str] = {}
    renames: Mapping[str, str] = {}


PLAIN = Quirks()

#: Parameters of ours that are not of OpenAI's chat; a look-alike whose `renames` names one takes it.
FOREIGN = {
    "top_k": "OpenAI's chat has no top_k",
    "thinking": "OpenAI's models take reasoning_effort",
}


def to_body(request: Request, quirks: Quirks = PLAIN, foreign: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON body: the parameters given, plus whatever the user gave beyond them.

    `foreign` says which parameters the wire does not have, and why; `request.unsupported` decides.
    """
    body: dict[str, Any] = {"model": request.model} if request.model else {}
    for name, value in request.given().items():
        why = quirks.unsupported.get(name) or (foreign or {}).get(name)
        if why is not None and name not in quirks.renames:
            request.unsupported(name, why)
            continue
        body[quirks.renames.get(name, name)] = value
    body.update(request.extra)
    return body


def to_chat(request: ChatRequest, quirks: Quirks = PLAIN) -> dict[str, Any]:
    """Return the body of a chat request."""
    body = to_body(request, quirks, FOREIGN)
    if not request.stream:
        body.pop("stream_options", None)
    return body


class Events(Generic[C]):
    """Decodes a stream of `data: {json}` events into chunks of one type, up to `data: [DONE]`.

    An error event is raised as the error it describes. A stream that ends without [DONE] and without a finish
    was cut off: APIConnectionError.
    """

    def __init__(self, type: type[C], *, done: bool = True) -> None:
        self._sse = SSE()
        self._decode = msgspec.json.Decoder(type).decode
        self._done = not done

    def feed(self, data: bytes) -> list[C]:
        """Take the next piece and return the chunks it completed."""
        return self._chunks(self._sse.feed(data))

    def close(self) -> list[C]:
        """Return what is left. Raises APIConnectionError where the stream was cut off."""
        try:
            chunks = self._chunks(self._sse.close())
        except InvalidResponseError as error:
            raise APIConnectionError("The stream was cut off in the middle of an event.") from error
        if not self._done:
            raise APIConnectionError("The stream ended before it was complete.")
        return chunks

    def _chunks(self, events: list[tuple[bytes, bytes]]) -> list[C]:
        chunks: list[C] = []
        for event, data in events:
            if data.startswith(b"[DONE]"):
                self._done = True
                continue
            if event == b"error" or data.startswith(b'{"error"'):
                raise stream_error(data)
            try:
                chunk = self._decode(data)
            except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
                raise unreadable(data, error) from error
            chunk.keep(data)
            chunks.append(chunk)
        return chunks


class ChatEvents(Events[ChatCompletionChunk]):
    """Decodes a chat stream; one that ends after its finish reason is complete even without [DONE]."""

    def __init__(self) -> None:
        super().__init__(ChatCompletionChunk)

    def _chunks(self, events: list[tuple[bytes, bytes]]) -> list[ChatCompletionChunk]:
        chunks = super()._chunks(events)
        if not self._done:
            self._done = any(choice.finish_reason for chunk in chunks for choice in chunk.choices)
        return chunks


def stream_error(data: bytes) -> APIError:
    """Return the error that an error event inside a stream describes."""
    try:
        body = msgspec.json.decode(data)
    except msgspec.DecodeError:
        body = data.decode("utf-8", "replace")
    inner = body.get("error", body) if isinstance(body, dict) else body
    code = inner.get("code") if isinstance(inner, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return class_for_status(status)(
        message_of(body, HttpReply(status=status)),
        status_code=status,
        body=body,
        retryable=status >= 500 or status == 429,
    )


def unreadable(data: bytes, error: Exception) -> InvalidResponseError:
    """Return the error for a streamed event that cannot be read."""
    begin = data[:120].decode("utf-8", "replace")
    return InvalidResponseError(f"A streamed event cannot be read: {error}. It begins {begin!r}", body=data)
