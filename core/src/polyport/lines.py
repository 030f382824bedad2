"""Lines of batches: OpenAI's input lines as what they ask for, a provider's results as lines of OpenAI's output.

For providers whose batches have lines of their own; see https://platform.openai.com/docs/api-reference/batch
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import msgspec

from polyport.bridges.messages import from_chat, to_chat
from polyport.building import build
from polyport.errors import APIError, BadRequestError, InvalidResponseError, PolyportError
from polyport.flow import Flow, HttpReply, HttpRequest
from polyport.plugins import LoadedProvider
from polyport.provider import decode
from polyport.types.batch import BatchRequest
from polyport.types.chat import ChatCompletion, ChatRequest
from polyport.types.messages import MessagesRequest
from polyport.types.record import Request
from polyport.wire.ndjson import Lines

R = TypeVar("R", bound=Request)
Body = dict[str, Any]

CHAT, EMBEDDINGS, MESSAGES = "/v1/chat/completions", "/v1/embeddings", "/v1/messages"
#: Fields of a body that are not the request's own: who is asked stands apart, and nothing of a batch is streamed.
APART = frozenset({"model", "stream", "stream_options"})


class _Written(msgspec.Struct):
    custom_id: str
    body: Body
    url: str = CHAT


class Line(msgspec.Struct, frozen=True):
    """A line of an input file, by its number from 1: what is asked of which endpoint."""

    number: int
    custom_id: str
    url: str
    body: Body

    def model(self, request: Request, provider: str) -> str:
        """Return who is asked: the line's model or else the call's, without the provider's prefix."""
        return str(self.body.get("model") or request.model).removeprefix(f"{provider}/")

    def build(self, kind: type[R], model: str, request: Request) -> R:
        """Return the line's request, made as the call is; how it is adapted is told as the call's."""
        fields = {name: value for name, value in self.body.items() if name not in APART}
        made: Any = build(kind, fields, request.options)
        made.model, made.adaptations = model, request.adaptations
        found: R = made
        return found

    @contextmanager
    def named(self) -> Iterator[None]:
        """Have errors say of which line they are."""
        try:
            yield
        except APIError as error:
            error.message = f"Line {self.number} ({self.custom_id}): {error.message}"
            raise


def read_lines(content: bytes, name: str, endpoints: Collection[str], who: str) -> list[Line]:
    """Return the lines of the file `name`. Raises BadRequestError naming one that cannot be read or answered."""
    texts = [text for text in content.splitlines() if text.strip()]
    if not texts:
        raise BadRequestError(f"The file {name!r} has no lines.")
    return [_read(text, number, endpoints, who) for number, text in enumerate(texts, 1)]


def _read(text: bytes, number: int, endpoints: Collection[str], who: str) -> Line:
    try:
        line = msgspec.json.decode(text, type=_Written)
    except msgspec.MsgspecError as error:
        raise BadRequestError(f"Line {number}: {error}") from error
    check_endpoint(line.url, endpoints, who, f"Line {number}: ")
    return Line(number, line.custom_id, line.url, line.body)


def check_endpoint(url: str, endpoints: Collection[str], who: str, where: str = "") -> None:
    """Raise BadRequestError for an endpoint that `who` ("Google's batches") do not answer."""
    if url not in endpoints:
        raise BadRequestError(f"{where}{who} answer {', '.join(endpoints)}, not {url!r}.")


def refuse_settings(request: BatchRequest, who: str, instead: str = "") -> None:
    """Refuse what only OpenAI's batches have: metadata, an expiry of their results, a window."""
    for name in ("metadata", "output_expires_after"):
        if getattr(request, name) is not None:
            request.unsupported(name, f"{who} have none{instead}")
    if request.completion_window != "24h":
        request.unsupported("completion_window", f"{who} have 24 hours")


def asked(model: str | None) -> str:
    """Return the model that is to answer a batch. Raises BadRequestError where neither file nor caller tells."""
    if not model:
        raise BadRequestError(
            "Which model is to answer? Upload the lines with create_file(purpose='batch'), or pass model=..."
        )
    return model


class ResultLines:
    """Turns a batch's results, as they come, into lines of OpenAI's output file, or of its error file."""

    may_be_empty: ClassVar[bool] = False

    def __init__(self) -> None:
        self._lines = Lines()
        self._seen = False

    def line(self, text: bytes) -> bytes | None:
        """Return one result as a line; None where it belongs into the other file."""
        raise NotImplementedError(f"{type(self).__name__} must implement line()")

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece and return the lines it completed."""
        return self._turned(self._lines.feed(data))

    def close(self) -> list[bytes]:
        """Return the last line. Raises InvalidResponseError where there was none: a batch has one result or more."""
        last = self._turned(self._lines.close())
        if not self._seen and not self.may_be_empty:
            raise InvalidResponseError("The batch's results are empty.")
        return last

    def _turned(self, texts: list[bytes]) -> list[bytes]:
        self._seen = self._seen or bool(texts)
        return [made for text in texts if (made := self.line(text)) is not None]


def output_line(
    custom_id: str | None, response: Body | None, error: Body | None = None, id: str | None = None
) -> bytes:
    """Return a line of an output file: a response, or why there is none."""
    line = {"id": id or f"batch_req_{custom_id}", "custom_id": custom_id, "response": response, "error": error}
    return msgspec.json.encode(line) + b"\n"


def response(body: Body, status: int | None = 200, request_id: str | None = None) -> Body:
    """Return the response of a line; an error's body is `{"error": {...}}`."""
    return {"status_code": status, "request_id": request_id, "body": body}


# --- messages in batches ------------------------------------------------------------------------------------


def message_line(provider: LoadedProvider, request: MessagesRequest) -> Flow[tuple[str, Body]]:
    """Return the endpoint and the body of the line that asks for a message, as the provider's `batch_lines` says.

    What has to be asked before (a file by its URL, which the provider cannot fetch) is asked.
    """
    if provider.plugin.batch_lines == "messages":
        given = {name: value for name, value in request.given().items() if name != "betas"}
        return MESSAGES, {"model": request.model, **given, **request.extra}
    return CHAT, (yield from chat_line(provider, to_chat(request)))


def chat_line(provider: LoadedProvider, request: ChatRequest) -> Flow[Body]:
    """Return the body of the line that asks for a completion, as the provider's `batch_lines` says."""
    if provider.plugin.batch_lines == "wire":
        return (yield from _sent(provider.answers["chat"](request=request)))
    return {"model": request.model, **request.given(), **request.extra}


def _sent(flow: Flow[Any]) -> Flow[Body]:
    """Return the JSON that a flow would send, and send only what comes before it."""
    try:
        effect = next(flow)
        while not (isinstance(effect, HttpRequest) and isinstance(effect.json, dict)):
            try:
                answer = yield effect
            except PolyportError as error:  # the provider's flow sees it, as it would of a call
                effect = flow.throw(error)
            else:
                effect = flow.send(answer)
        return effect.json
    except StopIteration as stop:
        raise BadRequestError("This model is asked without a request that a batch could hold.") from stop
    finally:
        flow.close()


def message_of(provider: LoadedProvider, model: str, body: Body) -> Body:
    """Return a line's answer as a message of Anthropic's. Raises InvalidResponseError for one that is no chat's."""
    if body.get("type") == "message":
        return body
    return from_chat(completion_of(provider, body), MessagesRequest(model=model, messages=[])).to_dict()


def completion_of(provider: LoadedProvider, body: Body) -> ChatCompletion:
    """Return a line's answer as a completion. Raises InvalidResponseError for one that is none."""
    reply = HttpReply(status=200, content=msgspec.json.encode(body))
    read = getattr(provider.plugin, "to_completion", None) if provider.plugin.batch_lines == "wire" else None
    completion: ChatCompletion = decode(reply, ChatCompletion) if read is None else read(reply)
    return completion
