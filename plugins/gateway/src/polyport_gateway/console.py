"""The console: what those who run a gateway ask of it over HTTP, as plain functions of who asks and what is given.

    Console(gateway, {"GET /config": Page(READERS, show), "POST /config/reload": Page(ADMINS, reload)})

Without accounts there are no roles: the gate alone says who may.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

import msgspec

from polyport.errors import PermissionDeniedError, PolyportError
from polyport_gateway import replies
from polyport_gateway.asked import Body, Gone, Receive
from polyport_gateway.exchange import Send
from polyport_gateway.gate import GateError
from polyport_gateway.identity import MASTER, Principal, allows_route
from polyport_gateway.signon import credential
from polyport_gateway.surface import problem_of
from polyport_gateway.surfaces import OPENAI

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

log = logging.getLogger("polyport.gateway.console")
#: Bytes that a request may have here.
LIMIT = 1024 * 1024
ADMINS = ("admin",)
READERS = ("admin", "viewer")

Function: TypeAlias = Callable[[Principal, Mapping[str, Any]], Awaitable[Any]]


class Page(msgspec.Struct, frozen=True):
    """One address: the roles that may ask, and what answers."""

    roles: Collection[str]
    function: Function


class Console:
    """An ASGI application of pages by "METHOD /path"."""

    def __init__(self, gateway: Gateway, pages: Mapping[str, Page]) -> None:
        self._gateway = gateway
        #: What there is: "METHOD /path" -> who may, and what answers.
        self.pages = pages

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        request_id, headers = uuid.uuid4().hex, dict[str, Any]()
        try:
            status, body = 200, replies.encode(await self._answer(scope, receive))
        except Gone:
            return
        except Exception as error:
            problem = problem_of(error, request_id)
            status, body = problem.status, replies.encode(OPENAI.problem(problem))
            headers = {**problem.headers, "retry-after": problem.retry_after and max(1, round(problem.retry_after))}
            if not isinstance(error, PolyportError):
                log.error("request %s to the console failed", request_id)
                await reply(send, status, replies.JSON, body, request_id)
                raise
        await reply(send, status, replies.JSON, body, request_id, headers)

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive) -> Any:
        if scope["type"] != "http":
            raise GateError(404, "not_found", "There is no WebSocket here.")
        method, path = scope["method"], scope["path"].removeprefix("/v1").rstrip("/")
        page = self.pages.get(f"{method} {path}")
        if page is None:
            raise self._nothing_at(path)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        by = await caller(self._gateway, headers, scope, page.roles)
        if method == "GET":
            given: dict[str, Any] = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        else:
            given = await Body(receive, headers, LIMIT).json()
        return await page.function(by, given)

    def _nothing_at(self, path: str) -> GateError:
        allowed = ", ".join(sorted(one.partition(" ")[0] for one in self.pages if one.partition(" ")[2] == path))
        if allowed:
            return GateError(405, "method_not_allowed", f"{path} takes {allowed}.", headers={"allow": allowed})
        there = ", ".join(sorted(self.pages))
        return GateError(404, "not_found", f"There is nothing at {path[:200]}; there are {there}.")


async def caller(
    gateway: Gateway, headers: Mapping[str, str], scope: Mapping[str, Any], roles: Collection[str]
) -> Principal:
    """Return who asks, if that one has a role for it. Raises GateError or PermissionDeniedError."""
    token = credential.of(headers, scope)
    client, path = (scope.get("client") or (None,))[0], scope["path"].removeprefix("/v1").rstrip("/")
    if gateway.keeper is None:
        await gateway.app.gate.identify(token, client)
        return MASTER
    by = await gateway.keeper.identify(token, client)
    if by.role not in roles or not allows_route(by, path):
        raise PermissionDeniedError(f"{path} is for the role {' or '.join(roles)}.")
    return by


async def reply(
    send: Send, status: int, kind: str, body: bytes, id: str, headers: Mapping[str, Any] | None = None
) -> None:
    """Send a whole answer."""
    pairs: list[tuple[str, Any]] = [
        ("content-type", kind),
        ("content-length", len(body)),
        ("x-polyport-request-id", id),
    ]
    pairs += (headers or {}).items()
    await send({"type": "http.response.start", "status": status, "headers": replies.to_headers(pairs)})
    await send({"type": "http.response.body", "body": body})
