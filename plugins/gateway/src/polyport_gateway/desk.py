"""The desk: management over HTTP, mounted beside the surfaces.

POST /key/generate, /key/rotate, /key/block, /key/unblock, and /{kind}/new, /update, /delete; GET or POST
/{kind}/info, /{kind}/list, /spend/report, /spend/logs (`format=csv` for a file), /audit.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from polyport.errors import BadRequestError, PolyportError
from polyport_gateway import management as manage, replies
from polyport_gateway.asked import Body, Gone, Headers, Receive
from polyport_gateway.exchange import Send
from polyport_gateway.fields import KINDS
from polyport_gateway.gate import GateError
from polyport_gateway.identity import Principal
from polyport_gateway.keeper import Keeper
from polyport_gateway.signon import credential
from polyport_gateway.store import Store
from polyport_gateway.surface import problem_of
from polyport_gateway.surfaces import OPENAI

log = logging.getLogger("polyport.gateway.desk")
#: Bytes that a request may have here.
LIMIT = 1024 * 1024

Function: TypeAlias = Callable[[Store, Principal, Mapping[str, Any]], Awaitable[dict[str, Any]]]


def _of_kind(function: Callable[..., Awaitable[dict[str, Any]]], kind: str) -> Function:
    def answer(store: Store, by: Principal, body: Mapping[str, Any]) -> Awaitable[dict[str, Any]]:
        return function(store, by, kind, body)

    return answer


#: Paths that change something, and those that only read.
CHANGING: dict[str, Function] = {
    "/key/generate": manage.generate_key,
    "/key/rotate": manage.rotate_key,
    "/key/block": manage.block_key,
    "/key/unblock": partial(manage.block_key, blocked=False),
    **{f"/{kind}/new": _of_kind(manage.create, kind) for kind in KINDS if kind != "key"},
    **{f"/{kind}/update": _of_kind(manage.update, kind) for kind in KINDS},
    **{f"/{kind}/delete": _of_kind(manage.delete, kind) for kind in KINDS},
}
READING: dict[str, Function] = {
    **{f"/{kind}/info": _of_kind(manage.info, kind) for kind in KINDS},
    **{f"/{kind}/list": _of_kind(manage.list_all, kind) for kind in KINDS},
    "/spend/report": manage.spend_report,
    "/spend/logs": manage.spend_logs,
    "/audit": manage.audit_log,
}
#: The first words of these paths.
MOUNTS = sorted({path.split("/")[1] for path in (*CHANGING, *READING)})


class Desk:
    """An ASGI application over a keeper."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        request_id = uuid.uuid4().hex
        try:
            status, kind, body = await self._answer(scope, receive)
        except Gone:
            return
        except Exception as error:
            problem = problem_of(error, request_id)
            status, kind, body = problem.status, replies.JSON, replies.encode(OPENAI.problem(problem))
            if not isinstance(error, PolyportError):
                log.error("management request %s failed", request_id)
                await _send(send, status, kind, body, request_id)
                raise
        await _send(send, status, kind, body, request_id)

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive) -> tuple[int, str, bytes]:
        path, method = scope["path"].rstrip("/"), scope["method"]
        function = CHANGING.get(path) if method == "POST" else None
        function = function or (READING.get(path) if method in ("GET", "POST") else None)
        if function is None:
            raise _nothing_at(path)
        headers = Headers(scope["headers"])
        client = scope.get("client")
        by = await self._keeper.identify(credential.of(headers, scope), client[0] if client else None)
        given = await self._given(scope, receive, headers)
        style = given.pop("format", "json") if path.startswith("/spend/") else "json"
        if style not in ("json", "csv"):
            raise BadRequestError("format is json or csv")
        answer = await function(self._keeper.store, by, given)
        if style == "csv":
            return 200, "text/csv; charset=utf-8", manage.to_csv(answer["results"]).encode()
        return 200, replies.JSON, replies.encode(answer)

    async def _given(
        self, scope: MutableMapping[str, Any], receive: Receive, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return what is asked: of a query, `group_by=team,model` is a list."""
        if scope["method"] == "POST":
            return await Body(receive, headers, LIMIT).json()
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        return {name: value.split(",") if name == "group_by" else value for name, value in query.items()}


def _nothing_at(path: str) -> GateError:
    known = path in CHANGING or path in READING
    if known:
        return GateError(405, "method_not_allowed", f"{path} takes POST{', GET' if path in READING else ''}.")
    return GateError(404, "not_found", f"There is nothing at {path[:200]}: keys are made at POST /key/generate.")


async def _send(send: Send, status: int, kind: str, body: bytes, id: str) -> None:
    pairs = [("content-type", kind), ("content-length", len(body)), ("x-polyport-request-id", id)]
    await send({"type": "http.response.start", "status": status, "headers": replies.to_headers(pairs)})
    await send({"type": "http.response.body", "body": body})
