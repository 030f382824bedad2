"""One request, from its first header to its last byte.

run -> find the route -> read the body -> the gate admits -> the router calls -> the answer goes out
       every error on the way is told in the surface's own shape; a caller that leaves ends the call;
       the admission is settled once, before the last byte.
"""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from polyport.border import Call
from polyport.errors import PolyportError
from polyport.flow import Passed, Streaming
from polyport.operations import Operation
from polyport.types.upload import Upload
from polyport_gateway import asked, buckets, counting, owning, pinning, replies
from polyport_gateway.asked import Body, Gone
from polyport_gateway.gate import Admission, Asked, Gate, GateError, Outcome, new_id
from polyport_gateway.running import Running, user_of
from polyport_gateway.signon import credential
from polyport_gateway.surface import Answer, Events, Problem, Surface, problem_of
from polyport_gateway.surfaces import ANTHROPIC, GOOGLE_KEY, OPENAI, Finds, Route, own_surface

log = logging.getLogger("polyport.gateway")

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
#: Seconds after which it is watched for whether the caller leaves: most of what is faster needs no watch.
WATCH_AFTER = 0.1
#: Is told of each request that is over, those refused before they were admitted, too (then without Asked).
Tap = Callable[[Asked | None, Admission | None, Outcome], None]
#: The status that is noted of a caller that left: nobody sees it. nginx made it common.
LEFT = 499


class Exchange:
    """One request and its reply."""

    # Where a request stands at its beginning; most never say otherwise.
    _asked: Asked | None = None
    _admission: Admission | None = None
    _call: Call | None = None
    _first: float | None = None
    _status = _sent = 0
    _over = _gone = _settled = False

    def __init__(
        self,
        running: Running,
        gate: Gate,
        scope: Scope,
        receive: asked.Receive,
        send: Send,
        taps: Sequence[Tap] = (),
    ) -> None:
        self._running = running
        self._gate = gate
        self._scope = scope
        self._receive = receive
        self._send = send
        self._taps = taps
        self._headers = asked.Headers(scope["headers"])
        self._surface: Surface = ANTHROPIC if "anthropic-version" in self._headers else OPENAI
        self._id = new_id()
        self._start = time.monotonic()
        self._tally = replies.Tally()
        self._fields: dict[str, Any] = {}

    async def run(self, routes: Finds) -> None:
        """Answer. Whatever happens, the caller is told and the admission settled."""
        try:
            route, names = routes.find(self._scope["method"], self._scope["path"])
            if route.google is not None and GOOGLE_KEY in self._headers:
                route = route.google
            if self._surface is OPENAI or not route.own:
                self._surface = own_surface(route, self._headers) if route.own else route.surface
            await self._answer(route, names)
        except Gone:
            await self._settle(LEFT, None)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if not self._gone or task is None:
                await self._settle(LEFT, error)
                raise
            task.uncancel()
            await self._settle(LEFT, None)
        except PolyportError as error:
            await self._refuse(error)
        except Exception as error:  # a fault of ours: told and settled as any other, then for the server to log
            log.error("request %s failed", self._id)
            await self._refuse(error)
            raise

    async def _answer(self, route: Route, names: dict[str, str]) -> None:
        operation = route.operation
        if operation is None:
            await self._admit(self._asking(route, "", {}))
            await self._reply(self._own(route, names))
            return
        limit = self._running.max_json
        if operation.body == "multipart":
            await self._gate.identify(credential.of(self._headers, self._scope), self._client())
            limit = self._running.max_upload
        body = Body(self._receive, self._headers, limit)
        watch: Watch | None = None
        try:
            self._fields = await self._read(body, operation, names)
            asked.check(self._fields, operation, self._running.settings)
            fields = self._fields
            model, stream = fields.get("model"), fields.get("stream")
            await self._admit(
                self._asking(route, operation.function, fields, model=model, stream=stream, size=body.size)
            )
            watch = Watch(self._leave, self._receive)
            await self._perform(operation)
        finally:
            if watch is not None:
                watch.stop()
            body.close()

    # --- what is asked ---

    async def _read(self, body: Body, operation: Operation, names: dict[str, str]) -> dict[str, Any]:
        if self._headers.get("content-type", "").startswith("multipart/"):
            fields = asked.of_form(await body.form(), operation.request)
        else:
            fields = await body.json()
        if self._scope["query_string"]:
            fields = {**asked.of_query(self._scope["query_string"], operation.request), **fields}
        if names:
            fields |= names
        return self._surface.read(operation, fields, self._headers)

    def _asking(
        self,
        route: Route,
        operation: str,
        fields: Mapping[str, Any],
        *,
        path: str | None = None,
        model: Any = None,
        stream: object = False,
        size: int = 0,
        user: str | None = None,
        price: int | None = None,
    ) -> Asked:
        """Return the request as the gate is to see it."""
        return Asked(
            self._id,
            route.method,
            route.path if path is None else path,
            self._surface.name,
            operation,
            credential.of(self._headers, self._scope),
            self._client(),
            model if isinstance(model, str) else None,
            bool(stream),
            size,
            user or user_of(fields),
            self._headers,
            fields,
            price,
        )

    async def _admit(self, asked: Asked) -> None:
        """Be let in. Raises GateError."""
        self._asked = asked
        self._admission = self._gate.admit_now(asked) or await self._gate.admit(asked)

    def _client(self) -> str | None:
        address = self._scope.get("client")
        return address[0] if address else None

    def _leave(self, task: asyncio.Task[Any]) -> None:
        """End the call of a caller that left."""
        if not self._over:
            self._gone = True
            task.cancel()

    # --- what is answered ---

    async def _perform(self, operation: Operation) -> None:
        assert self._admission is not None
        self._running.choose(self._fields, self._admission)
        self._running.place(operation, self._fields)
        if operation.id_field is not None or not asked.is_plain(self._fields):
            await self._look_at_names(operation, self._admission)
        if operation.function == "delete_batch":
            await self._admission.look_once_more(str(self._fields[str(operation.id_field)]))
        router = self._running.router
        if operation.hook == "count_tokens" and self._counts_here(operation):
            model = self._running.upstream(self._fields["model"])
            counted = counting.about(model, self._fields)
            await self._reply(self._surface.answer(counted, self._fields), counting.EMULATED)
            return
        relay = self._surface.relays if self._fields.get("stream") else ""
        if self._surface.plans:
            self._call, flow = self._surface.plan(self._running, self._admission, operation, self._fields)
        else:
            self._call, flow = router.plan(operation.function, relay=relay, **self._parameters(operation))
        result = await router.client.arun(flow)
        if isinstance(result, Streaming):
            if "store" in self._fields:
                self._tally = replies.Named()
            if operation.function in owning.STREAMED:
                await self._admission.note(operation.function, self._fields, result, self._call.meta)
            await self._stream(result, operation)
        else:
            self._tally.see(result)
            if operation.function in owning.NOTED or "store" in self._fields:
                result = await self._admission.note(operation.function, self._fields, result, self._call.meta)
            await self._reply(self._surface.answer(result, self._fields))

    async def _look_at_names(self, operation: Operation, admission: Admission) -> None:
        """Refuse what is not the caller's, by id or address in cloud storage; what one account has goes there."""
        ids = owning.named(operation, self._fields)
        if ids:
            await admission.check(ids)
            self._running = await pinning.pinned(self._running, admission, self._fields.get("model"), ids)
        places = buckets.named(self._fields)
        if operation.function == "create_file" and self._fields.get("purpose", "batch") == "batch":
            places += await asyncio.to_thread(buckets.in_lines, Upload.of(self._fields.get("file", b"")).read())
        if places:
            await admission.reach(buckets.beyond(places, self._running.general.allowed_storage))

    def _counts_here(self, operation: Operation) -> bool:
        about = self._surface.counts_about and "foreign" not in self._fields
        return about and not self._running.has(operation, self._fields["model"])

    def _bound(self, size: int) -> None:
        """Take note of how much goes out. Raises GateError for more than may."""
        most = self._running.max_response
        if most is not None:
            self._sent += size
            if self._sent > most:
                raise GateError(502, "response_too_large", f"An answer may have {most} bytes here; this one has more.")

    def _parameters(self, operation: Operation) -> dict[str, Any]:
        """Return the parameters of the call; of streams the usage is wanted, whether the caller wants it or not."""
        options = self._fields.get("stream_options")
        if not self._fields.get("stream") or operation.function not in ("completion", "text_completion"):
            return self._fields
        told = options if isinstance(options, dict) else {}
        return {**self._fields, "stream_options": {**told, "include_usage": True}}

    def _own(self, route: Route, names: dict[str, str]) -> Answer:
        assert self._admission is not None
        if route.why:
            raise GateError(501, "not_served", route.why)
        if route.own == "key":
            return Answer(replies.encode({"valid": True}))
        known = self._running.names(self._admission)
        if route.own == "models":
            return Answer(replies.encode(self._surface.models(known)))
        if names["model"] not in known:
            raise GateError(404, "model_not_found", f"There is no model {names['model'][:200]!r} here.")
        return Answer(replies.encode(self._surface.model(names["model"])))

    async def _reply(self, answer: Answer, *more: tuple[bytes, bytes]) -> None:
        body = answer.body
        self._bound(len(body))
        await self._settle(200, None)
        length = (b"content-length", b"%d" % len(body))
        await self._begin(200, answer.content_type, [length, *more])
        await self._finish(body)

    async def _stream(self, streaming: Streaming[Any], operation: Operation) -> None:
        """Send a stream piece by piece: what came in one read goes out in one write."""
        client = self._running.router.client
        events = self._surface.events(operation, self._fields, streaming.headers)
        failed: BaseException | None = None
        try:
            chunks = await client.arun(streaming.pull())
            self._first = time.monotonic() - self._start
            await self._begin(200, events.content_type, [(b"cache-control", b"no-cache")])
            while chunks:
                body = b"".join([self._written(chunk, events) for chunk in chunks])
                self._bound(len(body))
                await self._send_body(body)
                chunks = await client.arun(streaming.pull())
        except BaseException as error:
            failed = error
            raise
        finally:
            await client.arun(streaming.end(failed))
            await self._note(operation.function)
        await self._settle(200, None)
        await self._finish(events.end())

    async def _note(self, function: str) -> None:
        """Take note of what was streamed and is kept: it is its caller's, also if they did not stay for its end."""
        made = self._tally.made
        if (
            made is not None
            and (function in owning.MADE or function in owning.STORED)
            and self._admission is not None
            and self._call is not None
        ):
            await self._admission.note(function, self._fields, made, self._call.meta)

    def _written(self, chunk: Any, events: Events) -> bytes:
        """Return a chunk as it goes out, and take note of the usage that it tells."""
        if type(chunk) is not Passed:
            self._tally.see(chunk)
            return events.chunk(chunk)
        if chunk.chunk is not None:
            self._tally.see(chunk.chunk)
        return events.passed(chunk)

    async def _refuse(self, error: Exception) -> None:
        """Tell an error: as the reply, or in a stream that began as its last event."""
        problem = problem_of(error, self._id)
        await self._settle(problem.status, error)
        if self._over:
            return
        if self._status:
            await self._finish(self._surface.problem_event(problem))
            return
        body = replies.encode(self._surface.problem(problem))
        await self._begin(problem.status, replies.JSON, [*self._of_problem(problem)])
        await self._finish(body)

    def _of_problem(self, problem: Problem) -> Iterable[tuple[bytes, bytes]]:
        wait = None if problem.retry_after is None else max(1, round(problem.retry_after + 0.5))
        return replies.to_headers([*problem.headers.items(), ("retry-after", wait)])

    # --- the wire ---

    def _begin(self, status: int, content_type: str, more: replies.Headers) -> Awaitable[None]:
        self._status = status
        headers = replies.told(None if self._call is None else self._call.meta, self._id)
        headers.append((b"content-type", content_type.encode()))
        if self._admission is not None:
            headers += self._admission.headers
        return self._send({"type": "http.response.start", "status": status, "headers": headers + more})

    async def _send_body(self, body: bytes) -> None:
        if body:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    def _finish(self, body: bytes) -> Awaitable[None]:
        self._over = True
        return self._send({"type": "http.response.body", "body": body, "more_body": False})

    # --- the account ---

    async def _settle(self, status: int, error: BaseException | None) -> None:
        if self._settled:
            return
        self._settled = True
        outcome = self._outcome(status, error)
        try:
            if self._admission is not None and not self._admission.settle_now(outcome):
                await self._admission.settle(outcome)
        finally:
            for tap in self._taps:
                tap(self._asked, self._admission, outcome)

    def _outcome(self, status: int, error: BaseException | None) -> Outcome:
        latency = time.monotonic() - self._start
        name, message = ("", "") if error is None else told_of(error)
        code = error.code if isinstance(error, GateError) else ""
        if self._call is None:
            return Outcome(request_id=self._id, status=status, latency=latency, error=name, code=code, message=message)
        meta = self._call.meta
        bill = meta.bill
        return Outcome(  # by position, as an Entry is
            self._id,
            status,
            latency,
            self._tally.usage,
            None if meta.cost is None else round(meta.cost * 1_000_000_000),  # nano
            bill is not None and bill.estimated,
            name,
            code,
            message,
            meta.model,
            meta.provider,
            meta.deployment,
            meta.attempts,
            meta.cache_hit,
            self._first,
            meta.request_id,  # upstream_id
            meta.adaptations,
            meta.guardrails,
            meta.failures,
            self._tally.kept,
        )


class Watch:
    """Waits for the caller of a request to leave, and then tells; it begins a moment after it was made."""

    __slots__ = ("_current", "_leave", "_receive", "_task", "_young")

    def __init__(self, leave: Callable[[asyncio.Task[Any]], None], receive: asked.Receive) -> None:
        self._leave, self._receive = leave, receive
        self._task: asyncio.Task[None] | None = None
        self._current = asyncio.current_task()
        self._young = Young.of(asyncio.get_running_loop())
        self._young.add(self)

    def begin(self) -> None:
        """Begin to wait."""
        self._task = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._current is not None:
            self._leave(self._current)

    def stop(self) -> None:
        """Watch no longer."""
        self._young.drop(self)
        if self._task is not None:
            self._task.cancel()
            self._task = None  # its error's traceback leads here: a cycle, with all that the request held


class Young:
    """The watches of one event loop that have not begun, the eldest first: one timer for all, as most never begin."""

    _by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Young] = WeakKeyDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._waiting: dict[Watch, float] = {}
        self._timed = False

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Young:
        """Return those of a loop."""
        found = cls._by_loop.get(loop)
        if found is None:
            found = cls._by_loop[loop] = cls(loop)
        return found

    def add(self, watch: Watch) -> None:
        """Have a watch begin when it is old enough."""
        self._waiting[watch] = time.monotonic() + WATCH_AFTER
        if not self._timed:
            self._time(WATCH_AFTER)

    def drop(self, watch: Watch) -> None:
        """Take note that a watch is over."""
        self._waiting.pop(watch, None)

    def _time(self, seconds: float) -> None:
        loop = self._loop()
        if loop is not None:
            self._timed = True
            loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timed = False
        now = time.monotonic()
        while self._waiting:
            watch, due = next(iter(self._waiting.items()))
            if due > now:
                self._time(due - now)
                return
            del self._waiting[watch]
            watch.begin()


def told_of(error: BaseException) -> tuple[str, str]:
    """Return the class of an error and what may be kept of its words: of a fault of ours, none."""
    return type(error).__name__, error.message[:500] if isinstance(error, PolyportError) else ""
