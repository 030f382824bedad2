"""A request's body -> the parameters of a call: JSON or multipart, bounded; and what a caller may not say.

What comes over HTTP is a stranger's. So a file is what was uploaded or a data: URL, never a path on this machine; and
whose key is used, and where calls go, is said by the configuration alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from polyport.errors import BadRequestError
from polyport.operations import Operation
from polyport.pricefile import PARAMETERS
from polyport.types.record import OPTION_NAMES, SECRET_SETTING, Request
from polyport.types.upload import Upload
from polyport_gateway.buckets import is_words
from polyport_gateway.gate import GateError

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
#: The options of a call that are its caller's to choose. `provider` is looked at where it is used.
ALLOWED = frozenset({"timeout", "num_retries", "drop_params", "strict", "cache", "fallbacks", "guardrails", "provider"})
#: What the router's `plan` is told by these names, and no provider has a parameter of.
PLANNING = frozenset({"self", "function", "relay", "attempt"})
FORBIDDEN = (OPTION_NAMES - ALLOWED) | PARAMETERS | PLANNING
#: Parameters that are files.
FILES = ("file", "image", "mask", "input_reference")
#: Parameters of a chat that say what is wanted and how, and name nothing.
SAYING = frozenset({
    "messages", "model", "stream", "stream_options", "temperature", "top_p", "top_k", "n", "stop", "max_tokens",
    "max_completion_tokens", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "seed",
    "user", "response_format", "reasoning_effort", "service_tier", "metadata", "verbosity", "timeout", "num_retries",
})  # fmt: skip
#: A part of a multipart body that is larger than this is kept in a file.
IN_MEMORY = 1024 * 1024
#: More parts, or more text in a field that is no file, is no request of any SDK.
MAX_PARTS, MAX_TEXT = 256, 4 * 1024 * 1024
MAX_RETRIES = 10
#: What JSON raises that cannot be read: it may be nested deeper than Python goes.
NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Gone(Exception):
    """The caller left."""


class Headers(Mapping[str, str]):
    """A request's headers by their names in lower case; read as text when they are asked for."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._raw = dict(raw)

    def __getitem__(self, name: str) -> str:
        return self._raw[name.encode("latin-1")].decode("latin-1")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.encode("latin-1", "replace") in self._raw

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header, or the default."""
        found = self._raw.get(name.encode("latin-1", "replace"))
        return default if found is None else found.decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._raw)

    def __len__(self) -> int:
        return len(self._raw)


class Body:
    """The body of one request, not yet read, and no larger than `limit` bytes. Close it when the call is over."""

    def __init__(self, receive: Receive, headers: Mapping[str, str], limit: int) -> None:
        self._receive = receive
        self._headers = headers
        self._limit = limit
        self._files: list[Any] = []
        self.size = 0

    async def json(self) -> dict[str, Any]:
        """Return the JSON object that the body is. Raises BadRequestError."""
        self._check()
        message = await self._receive()
        data = self._piece(message)
        if message.get("more_body", False):
            data += b"".join([piece async for piece in self._pieces()])
        try:
            found = msgspec.json.decode(data)
        except NO_JSON as error:
            if not data.strip():
                return {}
            raise BadRequestError(f"The body is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise BadRequestError("The body must be a JSON object")
        return found

    async def form(self) -> list[tuple[str, Any]]:
        """Return the parts of the multipart body: text, or Upload. Raises BadRequestError."""
        _, options = parse_options_header(self._headers.get("content-type"))
        boundary = options.get(b"boundary")
        if not boundary:
            raise BadRequestError("A multipart body needs a boundary in its content-type")
        parts = Parts(self._files)
        try:
            parser = MultipartParser(boundary, parts.callbacks())
            async for piece in self:
                parser.write(piece)
            parser.finalize()
        except FormParserError as error:
            raise BadRequestError(f"The multipart body cannot be read: {error}") from error
        return parts.found

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._check()
        return self._pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            piece = self._piece(message)
            more = message.get("more_body", False)
            if piece:
                yield piece

    def _check(self) -> None:
        """Refuse a body whose headers say that it cannot be read here, or is too large."""
        if self._headers.get("content-encoding", "identity") != "identity":
            raise GateError(415, "unsupported_encoding", "Bodies are read as they are: send no content-encoding")
        told = self._headers.get("content-length", "")
        if told.isdecimal() and int(told) > self._limit:
            raise self._too_large()

    def _piece(self, message: Mapping[str, Any]) -> bytes:
        if message["type"] == "http.disconnect":
            raise Gone
        piece: bytes = message.get("body", b"")
        self.size += len(piece)
        if self.size > self._limit:
            raise self._too_large()
        return piece

    def _too_large(self) -> GateError:
        return GateError(413, "request_too_large", f"A body may have {self._limit} bytes here")

    def close(self) -> None:
        """Let go of uploaded files."""
        for file in self._files:
            file.close()


class Parts:
    """Takes the events of a multipart parser and keeps what they make: (name, text) or (name, Upload)."""

    def __init__(self, files: list[Any]) -> None:
        self.found: list[tuple[str, Any]] = []
        self._files = files
        self._begin()

    def callbacks(self) -> Any:
        """Return what the parser is to call."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._names.append(data[start:end]),
            "on_header_value": lambda data, start, end: self._values.append(data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": self._open,
            "on_part_data": self._data,
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.found) >= MAX_PARTS:
            raise BadRequestError(f"A multipart body may have {MAX_PARTS} parts")
        self._names: list[bytes] = []
        self._values: list[bytes] = []
        self._headers: dict[bytes, bytes] = {}
        self._text: list[bytes] = []
        self._length = 0
        self._file: Any = None

    def _header(self) -> None:
        self._headers[b"".join(self._names).lower()] = b"".join(self._values)
        self._names, self._values = [], []

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode(errors="replace")
        self._filename = options[b"filename"].decode(errors="replace") if b"filename" in options else None
        if self._filename is not None:
            self._file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  closed with the body
            self._files.append(self._file)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            return
        self._length += end - start
        if self._length > MAX_TEXT:
            raise BadRequestError(f"The field {self._name!r} has more than {MAX_TEXT} bytes and is no file")
        self._text.append(data[start:end])

    def _end(self) -> None:
        if self._file is None:
            self.found.append((self._name, b"".join(self._text).decode(errors="replace")))
            return
        self._file.seek(0)
        kind = self._headers.get(b"content-type", b"").decode(errors="replace")
        known = kind if kind not in ("", "application/octet-stream") else None
        self.found.append((self._name, Upload(self._filename or "file", self._file, known)))


# --- text -> parameters -----------------------------------------------------------------------------------------


def of_query(query: bytes, kind: type[Request]) -> dict[str, Any]:
    """Return the parameters in an address."""
    return of_form(parse_qsl(query.decode(errors="replace"), max_num_fields=MAX_PARTS), kind) if query else {}


def of_form(parts: Iterable[tuple[str, Any]], kind: type[Request]) -> dict[str, Any]:
    """Return parameters from fields of text: `a[]` twice is a list, `a[b]` a mapping, numbers are what `kind` says."""
    found: dict[str, Any] = {}
    for name, value in parts:
        base, bracket, inner = name.partition("[")
        inner = inner.rstrip("]")
        if not bracket:
            found[base] = [*_as_list(found[base]), value] if base in found else value
        elif not inner or inner.isdecimal():
            found[base] = [*_as_list(found.get(base, [])), value]
        else:
            found.setdefault(base, {})
            if isinstance(found[base], dict):
                found[base][inner] = value
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    return {name: _typed(value, types.get(name, Any), name) for name, value in found.items()}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _typed(value: Any, kind: Any, name: str) -> Any:
    """Return a field of text as the type that a parameter has; a boolean is true or false."""
    if kind is Any or isinstance(value, Upload) or (isinstance(value, list) and isinstance(value[0], Upload)):
        return value
    for read in (_plain, _alone, _json):
        try:
            return read(value, kind)
        except NO_JSON:
            continue
    raise BadRequestError(f"{value if isinstance(value, str) else 'This'!r} does not fit at $.{name}")


def _plain(value: Any, kind: Any) -> Any:
    return msgspec.convert(value, kind, strict=False)


def _alone(value: Any, kind: Any) -> Any:
    return msgspec.convert([value], kind, strict=False)


def _json(value: Any, kind: Any) -> Any:
    return msgspec.json.decode(value if isinstance(value, str) else b"", type=kind)


# --- what names nothing ------------------------------------------------------------------------------------------


def is_plain(fields: Mapping[str, Any]) -> bool:
    """Whether a request is a chat in nothing but words, as most are: it names nothing that is kept anywhere."""
    messages = fields.get("messages")
    if type(messages) is not list or not fields.keys() <= SAYING:
        return False
    return all(map(is_words, messages))


# --- what a caller may not say ------------------------------------------------------------------------------------


def check(fields: dict[str, Any], operation: Operation, settings: frozenset[str]) -> None:
    """Refuse what is not a caller's to say. `settings` are names of the providers' own settings."""
    if "custom_llm_provider" in fields:
        fields["provider"] = fields.pop("custom_llm_provider")
    if fields.keys() <= _harmless(operation.request, settings):
        return
    known, files = _parameters(operation.request)
    for name in fields:
        if name in settings or (name not in known and (name in FORBIDDEN or SECRET_SETTING.fullmatch(name))):
            raise BadRequestError(f"$.{name} is set by the gateway's configuration, not by a request")
    if "provider" in fields and operation.id_field is None and not operation.by_provider:
        raise BadRequestError("$.provider is said by the model's name here: GET /v1/models lists them")
    retries = fields.get("num_retries")
    if retries is not None and (not isinstance(retries, int) or not 0 <= retries <= MAX_RETRIES):
        raise BadRequestError(f"$.num_retries is a number from 0 to {MAX_RETRIES}")
    for name in files:
        if name in fields:
            _check_file(fields[name], f"$.{name}")


@lru_cache(1024)
def _harmless(kind: type[Request], settings: frozenset[str]) -> frozenset[str]:
    """Return the parameters that need no look at their value."""
    return _parameters(kind)[0] - settings - {*FILES, "provider", "num_retries"}


@cache
def _parameters(kind: type[Request]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the parameters of a request that anybody may say, and those of them that are files."""
    names = kind.__struct_fields__
    known = frozenset(name for name in names if name not in FORBIDDEN and not SECRET_SETTING.fullmatch(name))
    return known, tuple(name for name in FILES if name in names)


def _check_file(value: Any, path: str) -> None:
    if isinstance(value, list):
        for place, inner in enumerate(value):
            _check_file(inner, f"{path}[{place}]")
    elif not isinstance(value, Upload) and not (isinstance(value, str) and value.startswith("data:")):
        raise BadRequestError(f"A file is a part of a multipart body with a filename, or a data: URL, at {path}")
