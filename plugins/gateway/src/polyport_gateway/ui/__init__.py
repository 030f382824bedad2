"""The admin pages under /ui: plain files of this package, for a browser that asks the gateway's own routes.

Nothing is built and nothing comes from elsewhere. The pages hold no secret, so anybody may fetch them; what they show,
they ask for with the session of who signed in. The policy below lets a browser run scripts of this address alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

import msgspec

from polyport_gateway import replies
from polyport_gateway.app import ASGI
from polyport_gateway.asked import Receive
from polyport_gateway.exchange import Scope, Send

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
#: What a browser may do on these pages. https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/CSP
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
HEADERS = (
    ("content-security-policy", POLICY),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
    ("cache-control", "no-cache"),
)


class File(msgspec.Struct, frozen=True):
    """One of the pages' files. `tag` changes with what is in it."""

    body: bytes
    kind: str
    tag: str


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the pages, for a gateway with accounts; without them there is nothing to show. / leads to them."""
    return {} if gateway.keeper is None else dict.fromkeys(("ui", ""), Pages())


class Pages:
    """An ASGI application that serves the files of `static`, each read once."""

    def __init__(self) -> None:
        self.files = {path: _file(one) for path, one in _walk(files(__name__) / "static", "/ui/")}
        self.files["/ui/"] = self.files["/ui/index.html"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        status, pairs, body = self._answer(scope)
        headers = replies.to_headers([*HEADERS, *pairs, ("content-length", len(body))])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _answer(self, scope: Scope) -> tuple[int, list[tuple[str, Any]], bytes]:
        if scope["method"] not in ("GET", "HEAD"):
            return 405, [("allow", "GET, HEAD"), ("content-type", "text/plain")], b"These pages are only read."
        if scope["path"] in ("/", "/ui"):
            return 307, [("location", f"{scope.get('root_path', '')}/ui/")], b""
        found = self.files.get(scope["path"])
        if found is None:
            return 404, [("content-type", "text/plain")], b"There is no such page: they begin at /ui/, calls at /v1"
        known = (b"if-none-match", found.tag.encode()) in scope["headers"]
        pairs = [("etag", found.tag), ("content-type", found.kind)]
        return (304, pairs, b"") if known else (200, pairs, found.body)


def _walk(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for one in folder.iterdir():
        if one.is_dir():
            yield from _walk(one, f"{path}{one.name}/")
        elif one.name.rpartition(".")[2] in TYPES:
            yield path + one.name, one


def _file(one: Traversable) -> File:
    body = one.read_bytes()
    return File(body, TYPES[one.name.rpartition(".")[2]], f'"{hashlib.sha256(body).hexdigest()[:32]}"')
