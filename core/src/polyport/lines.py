"""Lines of batches: OpenAI's input lines as what they ask for, a provider's results as lines of OpenAI's output.

For providers whose batches have lines of their own; see https://platform.openai.com/docs/api-reference/batch
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import msgspec

from polyport.client import build
from polyport.errors import APIError, BadRequestError, InvalidResponseError
from polyport.types.batch import BatchRequest
from polyport.types.record import Request
from polyport.wire.ndjson import Lines

R = TypeVar("R", bound=Request)
Body = dict[str, Any]

CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
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
