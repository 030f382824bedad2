"""The desk: management over HTTP, mounted beside the surfaces.

POST /key/generate, /key/rotate, /{kind}/block, /unblock, and /{kind}/new, /update, /delete; GET or POST
/{kind}/info, /{kind}/list, /spend/report, /spend/series, /spend/logs, /spend/story, /budget/usage, /audit.
`format=csv` makes a file of what /spend answers; of /spend/logs, `format=csv`, `format=jsonl` and `limit=all` send all
that is asked for, page by page.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from polyport.errors import BadRequestError, PolyportError
from polyport_gateway import management as manage, replies, spending, standing
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
#: Seconds for which the database is waited for: a little longer than it itself waits for a lock.
WITHIN = 15.0

T = TypeVar("T")
Function: TypeAlias = Callable[[Store, Principal, Mapping[str, Any]], Awaitable[dict[str, Any]]]


def _of_kind(function: Callable[..., Awaitable[dict[str, Any]]], kind: str) -> Function:
    def answer(store: Store, by: Principal, body: Mapping[str, Any]) -> Awaitable[dict[str, Any]]:
        return function(store, by, kind, body)

    return answer


#: Who is blocked by an id, and is there before.
BLOCKED = ("user", "team", "project")
#: Paths that change something, and those that only read.
CHANGING: dict[str, Function] = {
    "/key/generate": manage.generate_key,
    "/key/rotate": manage.rotate_key,
    "/key/block": manage.block_key,
    "/key/unblock": partial(manage.block_key, blocked=False),
    "/customer/block": manage.block_customers,
    "/customer/unblock": partial(manage.block_customers, blocked=False),
    **{f"/{kind}/block": _of_kind(manage.block, kind) for kind in BLOCKED},
    **{f"/{kind}/unblock": _of_kind(partial(manage.block, blocked=False), kind) for kind in BLOCKED},
    **{f"/{kind}/new": _of_kind(manage.create, kind) for kind in KINDS if kind != "key"},
    **{f"/{kind}/update": _of_kind(manage.update, kind) for kind in KINDS},
    **{f"/{kind}/delete": _of_kind(manage.delete, kind) for kind in KINDS},
}
READING: dict[str, Function] = {
    **{f"/{kind}/info": _of_kind(manage.info, kind) for kind in KINDS},
    **{f"/{kind}/list": _of_kind(manage.list_all, kind) for kind in KINDS},
    "/spend/report": spending.report,
    "/spend/series": spending.series,
    "/spend/logs": spending.logs,
    "/spend/story": spending.story,
    "/budget/usage": standing.usage,
    "/audit": manage.audit_log,
}
#: Paths that make something -> what.
MAKING = {"/key/generate": "key", **{f"/{kind}/new": kind for kind in KINDS if kind != "key"}}
#: The first words of these paths.
MOUNTS = sorted({path.split("/")[1] for path in (*CHANGING, *READING)})


class Desk:
    """An ASGI application over a keeper. Within so many seconds it has the database's answer, or says there is none."""

    def __init__(self, keeper: Keeper, within: float = WITHIN) -> None:
        self._keeper, self._seconds = keeper, within
        self._late: set[asyncio.Future[Any]] = set()
        self._reading = {**READING, "/budget/usage": self._usage}
        self._changing = {**CHANGING, "/key/generate": self._generate, "/key/update": self._update_key}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        reply = Reply(send, uuid.uuid4().hex)
        try:
            await self._answer(scope, receive, reply)
        except Gone:
            return
        except Exception as error:
            problem = problem_of(error, reply.id)
            if not isinstance(error, PolyportError):
                log.error("management request %s failed", reply.id)
            if reply.begun:
                raise  # what was sent is cut off, and does not look whole
            wait = problem.retry_after and ("retry-after", max(1, round(problem.retry_after)))
            body = replies.encode(OPENAI.problem(problem))
            await reply.whole(problem.status, replies.JSON, body, *([wait] if wait else []))
            if not isinstance(error, PolyportError):
                raise

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive, reply: Reply) -> None:
        path, method = scope["path"].rstrip("/"), scope["method"]
        function = self._changing.get(path) if method == "POST" else None
        function = function or (self._reading.get(path) if method in ("GET", "POST") else None)
        if function is None:
            raise _nothing_at(path)
        headers = Headers(scope["headers"])
        client = scope.get("client")
        token, address = credential.of(headers, scope), client[0] if client else None
        by = await self._within(self._keeper.identify(token, address, path))
        given = await self._given(scope, receive, headers)
        style = str(given.pop("format", "json")) if path.startswith("/spend/") else "json"
        if style not in STYLES:
            raise BadRequestError(f"format is {', '.join(STYLES)}.")
        everything = given.get("limit", "all" if style != "json" else "") == "all"
        if function is spending.logs and everything:
            given.pop("limit", None)
            await self._export(by, given, style, reply)
            return
        if method == "POST" and path in CHANGING:
            manage.check_granting(by, given)
        if path in MAKING:
            given = {**self._keeper.general().terms.defaults(MAKING[path]), **given}
        answer = await self._within(function(self._keeper.store, by, given))
        if style == "json":
            await reply.whole(200, replies.JSON, replies.encode(answer))
        else:
            rows = answer["results"] if "results" in answer else [answer["request"]]
            await reply.whole(200, STYLES[style], WRITERS[style](rows, True))

    async def _within(self, step: Awaitable[T]) -> T:
        """Wait for the database, but not for ever. Raises GateError; what it is at then is undone when it goes on."""
        task = asyncio.ensure_future(step)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._seconds)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if done:
            return task.result()
        self._late.add(task)  # it may hang in the database: nobody waits for its end
        task.add_done_callback(self._over)
        task.cancel()
        raise GateError(
            503, "store_unavailable", f"The database has not answered for {self._seconds:g} s. Try again, and look "
            "whether what you asked for has been done.", retry_after=1,
        )  # fmt: skip

    def _over(self, task: asyncio.Future[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.info("The database has answered, too late: %s", type(task.exception()).__name__)

    def _generate(self, store: Store, by: Principal, body: Mapping[str, Any]) -> Awaitable[dict[str, Any]]:
        return manage.generate_key(store, by, body, issuing=self._keeper.general().terms.issuing)

    def _update_key(self, store: Store, by: Principal, body: Mapping[str, Any]) -> Awaitable[dict[str, Any]]:
        return manage.update(store, by, "key", body, issuing=self._keeper.general().terms.issuing)

    def _usage(self, store: Store, by: Principal, body: Mapping[str, Any]) -> Awaitable[dict[str, Any]]:
        keeper = self._keeper
        return standing.usage(store, by, body, terms=keeper.general().terms, purses=keeper.purses)

    async def _export(self, by: Principal, given: Mapping[str, Any], style: str, reply: Reply) -> None:
        """Send all rows, a page in memory at a time."""
        first = True
        async for rows in spending.export(self._keeper.store, by, given):
            if first:
                await reply.begin(200, STYLES[style])
                await reply.piece(b'{"results":[' if style == "json" else b"")
            body = WRITERS[style](rows, first) if rows else b""
            await reply.piece(b"," + body if style == "json" and rows and not first else body)
            first = False
        await reply.end(b"]}" if style == "json" else b"")

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


class Reply:
    """What goes back: whole, or piece by piece."""

    def __init__(self, send: Send, id: str) -> None:
        self._send, self.id, self.begun = send, id, False

    async def whole(self, status: int, kind: str, body: bytes, *more: tuple[str, Any]) -> None:
        """Send all at once."""
        await self.begin(status, kind, ("content-length", len(body)), *more)
        await self.end(body)

    async def begin(self, status: int, kind: str, *more: tuple[str, Any]) -> None:
        """Send what stands before the body."""
        self.begun = True
        headers = replies.to_headers([("content-type", kind), ("x-polyport-request-id", self.id), *more])
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def piece(self, body: bytes) -> None:
        """Send a part of the body."""
        if body:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes) -> None:
        """Send the last part."""
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def _csv(rows: list[dict[str, Any]], first: bool) -> bytes:
    return spending.to_csv(rows, header=first).encode()


def _lines(rows: list[dict[str, Any]], _: bool) -> bytes:
    return b"".join(replies.encode(row) + b"\n" for row in rows)


def _items(rows: list[dict[str, Any]], _: bool) -> bytes:
    return b",".join(map(replies.encode, rows))


#: What rows can be told as: media types, and what writes them, with what stands before the first.
STYLES = {
    "json": replies.JSON,
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl",
}
WRITERS: dict[str, Callable[[list[dict[str, Any]], bool], bytes]] = {"json": _items, "csv": _csv, "jsonl": _lines}
