"""What a reply that nobody decodes tells of its use: its JSON, or its events, looked at on their way through.

Each row of ROWS is one of the vendors' endpoints whose accounting is known: where it is, what it answers with, and who
reads the usage there. https://platform.openai.com/docs/api-reference https://docs.anthropic.com/en/api/messages
https://ai.google.dev/api/generate-content#UsageMetadata https://docs.cohere.com/reference/chat
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from polyport import metering
from polyport.errors import InvalidResponseError
from polyport.prices import Used
from polyport.types.image import ImageResponse
from polyport.types.messages import AnthropicMessage
from polyport.types.record import learn
from polyport.types.responses import Item, Response
from polyport.types.usage import Usage, usage
from polyport.wire.sse import SSE

#: A whole reply larger than this is passed on and not read: vectors of a large batch are some 30 MB.
MAX_READ = 64 * 1024 * 1024
#: What stands in every event that tells of usage.
TELLING = (b"sage", b"billed_units")
#: What reading a reply of an unknown shape raises: it must not cost the answer.
UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError, msgspec.MsgspecError)

Told = Mapping[str, Any]
Reader = Callable[[dict[str, Any]], "Used | None"]


class Row(msgspec.Struct, frozen=True):
    """An endpoint. `path` is without a version, `read` finds the usage; `answers`: it writes, not only reads."""

    path: re.Pattern[str]
    read: Reader
    answers: bool = True


def _counted(told: Told) -> Used | None:
    """Chat, completions, vectors, moderations on OpenAI's wire."""
    given = told.get("usage")
    if not isinstance(given, dict):
        return None
    used = metering.of_usage(msgspec.convert(given, learn(Usage), strict=False))
    used.service_tier, used.model = told.get("service_tier"), told.get("model")
    return used


def _by_hook(hook: str, kind: type[Any]) -> Reader:
    return lambda told: metering.read(hook, None, msgspec.convert(told, learn(kind), strict=False))


_of_response = _by_hook("respond", Response)
_of_message = _by_hook("create_message", AnthropicMessage)
_of_pictures = _by_hook("generate_image", ImageResponse)


def _response(told: Told) -> Used | None:
    """A response, or an event that holds one."""
    return _of_response({**(told.get("response") or told)})


def _counted_response(told: Told) -> Used | None:
    """What is no response, and counts as one does."""
    given = told.get("usage")
    return _of_response({"id": "", "model": told.get("model"), "usage": given}) if isinstance(given, dict) else None


def _message(told: Told) -> Used | None:
    """A message; of a stream its start with what came after (see `Tap`)."""
    return _of_message({**told}) if told.get("usage") else None


def _contents(told: Told) -> Used | None:
    """Gemini's: the prompt includes what was cached, the answer does not include its thoughts."""
    given = told.get("usageMetadata")
    if not isinstance(given, dict):
        return None
    number = {name: int(value) for name, value in given.items() if isinstance(value, int)}
    thoughts = number.get("thoughtsTokenCount", 0)
    used = metering.of_usage(
        usage(
            number.get("promptTokenCount", 0) + number.get("toolUsePromptTokenCount", 0),
            number.get("candidatesTokenCount", 0) + thoughts,
            number.get("totalTokenCount"),
            cached=number.get("cachedContentTokenCount"),
            reasoning=thoughts or None,
        )
    )
    used.model = told.get("modelVersion")
    return used


#: What Cohere charges by other units than tokens and searches.
UNITS = {"classifications": "classification", "pages": "page"}


def _billed(told: Told) -> Used | None:
    """Cohere's: what is charged stands under `billed_units`, in a reply's `usage` or `meta`, or its last event's."""
    holder = told.get("usage") or (told.get("delta") or {}).get("usage") or told.get("meta") or {}
    billed = holder.get("billed_units")
    if not isinstance(billed, dict):
        return None
    read = int(billed.get("input_tokens") or 0) + int(billed.get("image_tokens") or 0)
    counted = usage(read, int(billed.get("output_tokens") or 0))
    searches = billed.get("search_units")
    counted.search_units = int(searches) if searches else None
    used = metering.of_usage(counted)
    used.units |= {unit: int(billed[name]) for name, unit in UNITS.items() if billed.get(name)}
    return used


def _row(path: str, read: Reader, *, answers: bool = True) -> Row:
    return Row(re.compile(path), read, answers)


ROWS = (
    _row(r"/chat/completions", _counted),
    _row(r"/completions", _counted),
    _row(r"/embeddings", _counted, answers=False),
    _row(r"/moderations", _counted, answers=False),
    _row(r"/responses", _response),
    _row(r"/responses/compact", _response),
    _row(r"/responses/input_tokens", lambda _: Used(), answers=False),
    _row(r"/decisions", _counted_response),
    _row(r"/images/generations", _of_pictures, answers=False),
    _row(r"/messages", _message),
    _row(r"/messages/count_tokens", lambda _: Used(), answers=False),
    _row(r"/(?:tuned)?[mM]odels/[\w.-]+:(?:generateContent|streamGenerateContent)", _contents),
    _row(r"/models/[\w.-]+:(?:countTokens|embedContent|batchEmbedContents)", _contents, answers=False),
    _row(r"/chat", _billed),
    _row(r"/embed", _billed, answers=False),
    _row(r"/rerank", _billed, answers=False),
    _row(r"/classify", _billed, answers=False),
    _row(r"/parse", _billed, answers=False),
)


def row_of(path: str) -> Row | None:
    """Return the endpoint at a path without a version; None for one whose accounting is not known."""
    return next((row for row in ROWS if row.path.fullmatch(path)), None)


class Tap:
    """Sees a reply's bytes pass, and says at its end what was used. `used` is the latest that was told."""

    def __init__(self, row: Row, content_type: str) -> None:
        self._row = row
        self._events = SSE() if content_type.startswith("text/event-stream") else None
        self._kept: list[bytes] | None = [] if self._events is None and "json" in content_type else None
        self._size = 0
        self._message: dict[str, Any] = {}
        self.used: Used | None = None
        #: The response that was made, where it is one.
        self.made: Item | None = None

    def see(self, data: bytes) -> None:
        """Take note of a piece."""
        if self._events is not None:
            try:
                events = self._events.feed(data)
            except InvalidResponseError:
                self._events = None
                return
            for _, event in events:
                if any(mark in event for mark in TELLING):
                    self._read(event)
        elif self._kept is not None:
            self._size += len(data)
            if self._size > MAX_READ:
                self._kept = None
            else:
                self._kept.append(data)

    def end(self) -> Used | None:
        """Return what was used; of a list of replies, the last that tells. None where nothing was told."""
        if self._kept is not None:
            self._read(b"".join(self._kept))
            self._kept = None
        return self.used

    def _read(self, data: bytes) -> None:
        try:
            told = msgspec.json.decode(data)
            for one in told if isinstance(told, list) else (told,):
                self.used = self._row.read(self._whole(one)) or self.used
                self._keep(one.get("response") or one)
        except UNREADABLE:
            return

    def _keep(self, told: dict[str, Any]) -> None:
        if self._row.read is _response and isinstance(told.get("id"), str):
            self.made = Item(told)

    def _whole(self, told: dict[str, Any]) -> dict[str, Any]:
        """Return an event; one about a message, with what was told of that message before."""
        kind = told.get("type")
        if kind == "message_start":
            self._message = {**told["message"]}
        elif kind == "message_delta":
            counts = {name: value for name, value in told["usage"].items() if value is not None}
            self._message["usage"] = {**(self._message.get("usage") or {}), **counts}
        else:
            return told
        return self._message
