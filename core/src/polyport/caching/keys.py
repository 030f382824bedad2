"""What makes two calls the same: the canonical text of a request, and its digest.

A key is `namespace:digest`. The digest is the SHA-256, in hexadecimal, of JSON without spaces and with the keys of
every object in order:

    {"format": 1, "operation": "completion", "model": "openai/gpt-4o",
     "parameters": {...}, "extra": {...}, "options": {...}}

Of a routed call, `model` is `{"group": <the name that was asked for>}`: all deployments of a group give one answer.
`parameters` are all that were given, by name; of a chat, not `stream` and `stream_options`, since one answer serves
both; of an embedding, one `input` a key. A file is `{"sha256": <digest of its content>}`, whatever it is called.
`extra` are keyword arguments that polyport does not model, `options` what else changes the answer or the error:
api_base, api_version, extra_body, extra_headers, extra_query, drop_params, strict, and the client's own headers. Keys
and other credentials are in no part of it: callers with different keys share answers, unless their namespaces differ.
Nor is what the environment says of a provider's address.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from polyport.border import Call
from polyport.types.record import NO_OPTIONS, SECRET_SETTING, Request
from polyport.types.upload import Upload

FORMAT = 1
#: Options that change what is answered.
OPTIONS = ("api_base", "api_version", "extra_body", "drop_params", "strict")
#: Headers and query parameters that hold credentials, by name.
SECRET = re.compile(
    r"auth|cookie|secret|passw|credential|signature|session|api[-_]?key|access[-_]?key|(^|[-_])(key|token)$",
    re.IGNORECASE,
)
#: Headers that say who asks, or follow one request, and do not change the answer.
PASSING = re.compile(
    r"user-agent|traceparent|tracestate|baggage|b3|x-b3-.*|x-(amzn-)?trace-id|x-cloud-trace-context|"
    r"(x-)?(client-)?(request|correlation)-id|(x-)?idempotency-key",
    re.IGNORECASE,
)

#: Operation -> where its files are, once read; the parameter as the user gave it may be an open file.
FILES: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "transcribe": lambda request: {"file": request.url or request.upload},
    "translate": lambda request: {"file": request.url or request.upload},
    "edit_image": lambda request: {"image": request.images, "mask": request.mask_upload},
    "vary_image": lambda request: {"image": request.images},
}
#: Operation -> parameters that are not part of its key.
LEFT_OUT: Mapping[str, frozenset[str]] = {
    "chat": frozenset({"stream", "stream_options"}),
    "embed": frozenset({"input"}),
}
_NOTHING: frozenset[str] = frozenset()


def _plain(value: Any) -> Any:
    """Return what stands for a value that JSON does not know. Raises TypeError for what nothing can stand for."""
    if isinstance(value, Upload):
        digest = hashlib.sha256()
        for piece in value:
            digest.update(piece)
        return {"sha256": digest.hexdigest()}
    raise TypeError(f"a {type(value).__name__} has no canonical form")


_encode = msgspec.json.Encoder(order="deterministic", enc_hook=_plain).encode


def has_files(call: Call) -> bool:
    """Whether a key needs files to be read, which blocks."""
    return call.operation.hook in FILES


def canonical(call: Call, **changes: Any) -> bytes:
    """Return the canonical text of a call, with some parameters replaced.

    Raises TypeError, ValueError or RecursionError where a parameter has none: no such call can be cached.
    """
    request, operation = call.request, call.operation
    left_out = LEFT_OUT.get(operation.hook, _NOTHING)
    parameters = {name: value for name, value in request.given().items() if name not in left_out}
    if operation.hook in FILES:
        parameters.update(FILES[operation.hook](request))
    parameters.update(changes)
    return _encode(
        {
            "format": FORMAT,
            "operation": operation.function,
            "model": {"group": call.group} if call.group else f"{call.provider.name}/{request.model}",
            "parameters": parameters,
            "extra": _settings(request),
            "options": _options(call),
        }
    )


def digest(text: bytes) -> str:
    """Return the digest of a canonical text."""
    return hashlib.sha256(text).hexdigest()


def prefix(namespace: str) -> str:
    """Return what every key of a namespace begins with, and no key of another one."""
    return f"{quote(namespace, safe='')}:" if namespace else ":"


def item_digests(base: bytes, items: list[Any]) -> list[str]:
    """Return the digest of each item of a list that is cached one by one."""
    start = hashlib.sha256(base)
    found = []
    for item in items:
        own = start.copy()
        own.update(_encode(item))
        found.append(own.hexdigest())
    return found


def _settings(request: Request) -> dict[str, Any]:
    if not request.extra:
        return {}
    return {name: value for name, value in request.extra.items() if not SECRET_SETTING.fullmatch(name)}


def _options(call: Call) -> dict[str, Any]:
    options = call.options
    if options is NO_OPTIONS and not call.headers:
        return {}
    found: dict[str, Any] = {name: value for name in OPTIONS if (value := getattr(options, name)) is not None}
    headers = {**call.headers, **(options.extra_headers or {})}
    asking = {name.lower(): value for name, value in headers.items() if _asks(name)}
    if asking:
        found["extra_headers"] = asking
    query = {name: value for name, value in (options.extra_query or {}).items() if not SECRET.search(name)}
    if query:
        found["extra_query"] = query
    return found


def _asks(header: str) -> bool:
    """Whether a header is part of what is asked."""
    return not (SECRET.search(header) or PASSING.fullmatch(header))
