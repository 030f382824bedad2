"""What /api/chat and /api/generate answer, whole. https://docs.ollama.com/api/chat and /api/generate"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import datetime
from typing import Any

import msgspec

from polyport.errors import InvalidResponseError
from polyport.flow import HttpReply
from polyport.provider import decode
from polyport.types.chat import ChatCompletion, Choice, FunctionCall, Message, ToolCall
from polyport.types.upload import media_type
from polyport.types.usage import Usage, usage
from polyport.wire.dates import seconds
from polyport_ollama.errors import raise_told

#: Why an answer ended -> OpenAI's word. A model that is only loaded or let go says nothing, and is done.
FINISHES = {"stop": "stop", "length": "length", "load": "stop", "unload": "stop"}


class Function(msgspec.Struct):
    """What is called; some servers give the arguments as text."""

    name: str = ""
    arguments: dict[str, Any] | str | None = None


class Called(msgspec.Struct):
    """A call; older servers give it no id."""

    function: Function
    id: str | None = None


class Said(msgspec.Struct):
    """The message of an answer, or a piece of it."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Called] | None = None
    images: list[str] | None = None


class Answer(msgspec.Struct):
    """An answer, or a line of a streamed one. Durations are in nanoseconds."""

    model: str = ""
    created_at: datetime | None = None
    message: Said | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_duration: int | None = None
    eval_duration: int | None = None
    context: list[int] | None = None
    logprobs: list[dict[str, Any]] | None = None
    error: Any = None

    @property
    def said(self) -> Said:
        """The message; that of a generation stands in the answer itself."""
        return self.message or Said(content=self.response, thinking=self.thinking)

    @property
    def created(self) -> int:
        """When it was made, in seconds."""
        return seconds(self.created_at) or 0

    @property
    def usage(self) -> Usage:
        """The tokens used. A prompt that was cached whole may not be counted by older servers."""
        return usage(self.prompt_eval_count or 0, self.eval_count or 0)

    def id(self) -> str:
        """Return an id for an answer that has none: the same one for the same answer."""
        return f"chatcmpl-{digest(self.model, self.created_at)}"

    def finish(self, *, called: bool) -> str:
        """Return why it ended, in OpenAI's words."""
        return "tool_calls" if called else FINISHES.get(self.done_reason or "stop", self.done_reason or "stop")

    def rest(self) -> dict[str, Any]:
        """Return what OpenAI's shape has no place for."""
        return {name: value for name in REST if (value := getattr(self, name)) is not None}


REST = ("done_reason", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration", "context")


def to_completion(reply: HttpReply) -> ChatCompletion:
    """Return a whole answer. Raises the error that a success may hold."""
    answer: Answer = decode(reply, Answer)
    raise_told(answer.error)
    if answer.message is None and answer.response is None:
        raise InvalidResponseError("The reply has neither `message` nor `response`.", body=reply.content)
    message = to_message(answer)
    made = ChatCompletion(
        id=answer.id(),
        created=answer.created,
        model=answer.model,
        choices=[
            Choice(
                message=message, finish_reason=answer.finish(called=bool(message.tool_calls)), logprobs=logprobs(answer)
            )
        ],
        usage=answer.usage,
    )
    made.keep(reply.content, extra=answer.rest())
    return made


def to_message(answer: Answer) -> Message:
    """Return the message of a whole answer."""
    said = answer.said
    return Message(
        content=said.content or None if said.tool_calls else said.content or "",
        reasoning_content=said.thinking or None,
        tool_calls=to_calls(answer, 0) or None,
        images=to_images(said.images),
    )


def to_calls(answer: Answer, first: int, *, streamed: bool = False) -> list[ToolCall]:
    """Return the calls of an answer; `first` is the number of the first one, of all that a stream has told so far.

    A call without an id gets one that is the same whenever the same answer is read.
    """
    return [
        ToolCall(
            index=number if streamed else None,
            id=call.id or f"call_{digest(answer.created_at, number, call.function.name, _text(call.function))}",
            type="function",
            function=FunctionCall(name=call.function.name, arguments=_text(call.function)),
        )
        for number, call in enumerate(answer.said.tool_calls or [], first)
    ]


def _text(function: Function) -> str:
    arguments = function.arguments
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()


def to_images(images: list[str] | None) -> list[dict[str, Any]] | None:
    """Return drawn images as OpenAI's look-alikes give them."""
    return [{"type": "image_url", "image_url": {"url": _data_url(image)}} for image in images] if images else None


def _data_url(image: str) -> str:
    try:
        head = base64.b64decode(image[:24])
    except binascii.Error as error:
        raise InvalidResponseError(f"An image in the reply is not base64: {error}", body=image) from error
    return f"data:{media_type('', head)};base64,{image}"


def logprobs(answer: Answer) -> dict[str, Any] | None:
    """Return the log probabilities, whose tokens have OpenAI's shape already."""
    if not answer.logprobs:
        return None
    return {"content": [{"bytes": None, "top_logprobs": [], **token} for token in answer.logprobs]}


def digest(*parts: object) -> str:
    """Return a short text that is the same for the same parts."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]
