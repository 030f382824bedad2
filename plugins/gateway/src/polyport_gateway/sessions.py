"""A caller's session over a WebSocket with a provider's model, whatever its dialect: limits, ledger, beginning and end.

Frames pass both ways as they come, each side no faster than the other takes them. Of the provider's events those that
end a response are read: what it used goes through the gate at once, and the session is admitted anew, as the next
request. So each response is a row of the ledger, and a session ends when a limit, a budget or the key does not hold any
more. A dialect is a subclass: how a session begins, where the provider is, which events end a response, what they tell,
how an error is told. See `realtime` (OpenAI's) and `gemini_live`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from polyport.border import Call
from polyport.errors import PolyportError
from polyport.flow import HttpRequest, hide
from polyport.middleware.cost import charge
from polyport.prices import Used
from polyport.router.deployments import Deployment
from polyport.transport.base import TransportOptions, tls_context
from polyport.types.record import Meta
from polyport_gateway import direct, replies
from polyport_gateway.app import ASGI, App
from polyport_gateway.asked import Headers, Receive
from polyport_gateway.exchange import LEFT, Scope, Send, told_of
from polyport_gateway.gate import Admission, Asked, GateError, Outcome, new_id
from polyport_gateway.limits import Reservation
from polyport_gateway.purses import Purses
from polyport_gateway.running import Running, user_of
from polyport_gateway.signon import credential
from polyport_gateway.surface import Surface, problem_of
from polyport_gateway.surfaces import OPENAI

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

log = logging.getLogger("polyport.gateway.realtime")

#: What the ledger calls it, and the address that keys' routes name.
OPERATION = "realtime"
#: Parameters of the address that hold a key.
KEYS = ("api-key", "key")
#: Seconds between pings, and how long a handshake and a close may take.
PING, OPENING, CLOSING = 20, 10, 5
#: Frames of one side that wait for the other.
WAITING = 16
#: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
NORMAL, GOING_AWAY, REFUSED, FAILED = 1000, 1001, 1008, 1011
#: What stands for closings without a code, and those that were none.
UNSAID = {1005: NORMAL, 1006: FAILED, 1015: FAILED}
#: What a provider's refusal is here: a key of the gateway's that it does not take is no fault of the caller's.
PASSED_ON = frozenset({400, 404, 429})


#: What an event of a provider is to a session: a response begins, is over and tells its use, or is over.
BEGINS, ENDS, RESTS = "begins", "ends", "rests"


class End(msgspec.Struct, frozen=True):
    """How a session ends: `error` is told as an event first."""

    code: int
    reason: str = ""
    error: PolyportError | None = None
    gone: bool = False


class Turn:
    """What was admitted at a time: the session's beginning, and after each response what comes next."""

    def __init__(self, request_id: str) -> None:
        self.asked: Asked | None = None
        self.request_id = request_id
        self.start = time.monotonic()
        self.admission: Admission | None = None
        self.call: Call | None = None
        self.usage: Mapping[str, int] = {"output": 0}
        self.running = self.settled = False
        #: What a budget of the provider's has set aside for it.
        self.held: Reservation | None = None


def mounted(gateway: Gateway, word: str, session: type[Session]) -> Mapping[str, ASGI]:
    """Return a part that holds such sessions: see `polyport_gateway.assembly`."""
    part = Sessions(gateway.app, session)
    gateway.app.leaving.append(part.leave)
    return {word: part}


class Sessions:
    """The sessions of this process, in one dialect."""

    def __init__(self, app: App, kind: type[Session]) -> None:
        self.app, self._kind = app, kind
        self.leaving = asyncio.Event()
        self._sessions: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one session."""
        if scope["type"] != "websocket":
            body = replies.encode({"error": {"message": "This is for WebSockets.", "code": "upgrade_required"}})
            headers = replies.to_headers([("content-type", replies.JSON), ("upgrade", "websocket")])
            await send({"type": "http.response.start", "status": 426, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        running = self.app.running
        session = self._kind(self, running, scope, receive, send)
        task = asyncio.current_task()
        if task is not None:
            self._sessions.add(task)
            task.add_done_callback(self._sessions.discard)
        with running:
            run, tracing = session.run(), self.app.tracing
            await (run if tracing is None else tracing(scope, run))

    async def leave(self) -> None:
        """Let responses that are on their way finish, and end all sessions; those that take too long are cut off."""
        self.leaving.set()
        if self._sessions:
            await asyncio.wait(self._sessions, timeout=self.app.running.general.drain_seconds)


class Session:
    """A caller's connection, and the provider's."""

    #: In whose words errors are told.
    surface: ClassVar[Surface] = OPENAI
    #: What is told of a session that names no model.
    missing: ClassVar[str] = ""

    def __init__(self, part: Sessions, running: Running, scope: Scope, receive: Receive, send: Send) -> None:
        self._part, self._running, self._scope, self._receive, self._send = part, running, scope, receive, send
        self._settings = running.general.realtime
        self._headers = Headers(scope["headers"])
        self._query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        self._turn = Turn(new_id())
        self._deployment: Deployment | None = None
        self._model = ""
        self._path = f"/{OPERATION}"
        #: What the session says of its caller's own: `user`, `metadata.project`.
        self._said: dict[str, Any] = {}
        self._last = time.monotonic()
        self._accepted = self._left = False
        #: Set while no response is on its way.
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def run(self) -> None:
        """Serve it. Whatever happens, the caller is told, both connections are closed, and turns are settled once."""
        await self._receive()
        provider: ClientConnection | None = None
        try:
            provider = await self._begin()
        except PolyportError as error:
            await self._settle(problem_of(error, self._turn.request_id).status, error)
            await self._refuse(error)
            return
        except BaseException as error:
            await self._settle(500, error)
            raise
        end = End(FAILED, "the gateway failed")
        try:
            await self._accept()
            end = await self._relay(provider)
            await self._settle(_status(end), end.error)
            await self._end(end)
        finally:
            await self._settle(_status(end), end.error)
            await _close(provider, end)

    # --- a dialect's own ---

    async def _begin(self) -> ClientConnection:
        """Let the session in, and return the provider's connection. Raises what speaks against it."""
        raise NotImplementedError(f"{type(self).__name__} must implement _begin()")

    def _handshake(self, call: Call) -> HttpRequest:
        """Return the request that opens the provider's side. Raises UnsupportedParamsError where it has none."""
        raise NotImplementedError(f"{type(self).__name__} must implement _handshake()")

    def _read(self, frame: str | bytes) -> str:
        """Return what a provider's event is to a session; "" for nothing."""
        raise NotImplementedError(f"{type(self).__name__} must implement _read()")

    def _used(self, frame: str | bytes) -> Used | None:
        """Return what the event that ends a response tells of its use; None where it does not tell."""
        raise NotImplementedError(f"{type(self).__name__} must implement _used()")

    async def _check(self, frame: str | bytes) -> None:
        """Raise GateError for a caller's event that may not pass."""

    def _event(self, error: PolyportError) -> str | None:
        """Return the event that tells of an error before the end; None where the end tells it."""
        return None

    # --- the beginning ---

    def _token(self) -> str | None:
        found = credential.of(self._headers, self._scope)
        return found or next((self._query[name] for name in KEYS if self._query.get(name)), None)

    async def _admit(self) -> None:
        """Let the turn in, as a request of its own."""
        turn = self._turn
        client = self._scope.get("client")
        fields: dict[str, Any] = {**self._said, "model": self._model}
        turn.asked = Asked(
            request_id=turn.request_id,
            method="GET",
            path=self._path,
            surface=self.surface.name,
            operation=OPERATION,
            token=self._token(),
            client=client[0] if client else None,
            model=self._model or None,
            stream=True,
            user=user_of(fields),
            headers=self._headers,
            fields=fields,
        )
        if self._part.leaving.is_set():
            raise GateError(503, "draining", "This gateway is about to stop: connect again.", retry_after=1)
        turn.admission = await self._part.app.gate.admit(turn.asked)
        if not self._model:
            raise GateError(400, "missing_model", self.missing)
        self._running.choose(fields, turn.admission)
        self._model = fields["model"]
        if not self._settings.unguarded:
            self._running.refuse_guarded(turn.admission, "what passes in a realtime session")

    async def _accept(self, subprotocol: str | None = None) -> None:
        """Accept the caller's connection, if that is still to be done."""
        if not self._accepted:
            self._accepted = True
            meta = self._turn.call.meta if self._turn.call is not None else None
            headers = replies.told(meta, self._turn.request_id)
            await self._send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers})

    # --- the provider ---

    async def _dial(self) -> ClientConnection:
        """Return the connection to the model's first deployment that takes it. Raises what the last one said."""
        failed: PolyportError | None = None
        router = self._running.router
        for one in router.groups.of(self._model):
            if not router.may_take(one):
                continue
            try:
                return await self._connect(one)
            except PolyportError as error:
                failed = error
        raise failed or GateError(404, "model_not_found", f"There is no model {self._model[:200]!r} here.")

    async def _connect(self, one: Deployment) -> ClientConnection:
        router = self._running.router
        call = direct.call_of(router, *router.place_of(one), one, self._model)
        request = self._handshake(call)
        await router.client.arun(direct.sign(request, call))
        self._deployment = one
        await self._afford(call)
        try:
            connection = await Dial(
                "ws" + request.url.removeprefix("http"),
                additional_headers=request.headers,
                user_agent_header=None,
                ssl=tls_context(TransportOptions()) if request.url.startswith("https") else None,
                max_size=int(self._settings.max_message_mb * 1024 * 1024),
                max_queue=WAITING,
                open_timeout=OPENING,
                close_timeout=CLOSING,
                ping_interval=PING,
                compression=None,
            )
        except InvalidStatus as error:
            body = hide((error.response.body or b"").decode("utf-8", "replace")[:500], request.secrets)
            status = error.response.status_code
            told = f"{call.provider.name} refused the session with HTTP {status}: {body}"
            raise GateError(status if status in PASSED_ON else 502, "provider_refused", told) from None
        except (InvalidHandshake, OSError) as error:
            told = f"{call.provider.name} cannot be reached for a session: {type(error).__name__}"
            raise GateError(502, "provider_unreachable", told) from None
        self._turn.call = call
        return connection

    async def _afford(self, call: Call) -> None:
        """Set aside what a turn may cost, where a budget holds for the provider or the deployment.

        Raises RateLimitError.
        """
        await self._give_back(0)
        budgets, asked = self._running.router.budgets, self._turn.asked
        if isinstance(budgets, Purses) and asked is not None:
            one, fields = self._deployment, asked.fields
            self._turn.held = await budgets.enter(call.provider.name, one, call, OPERATION, fields)

    async def _give_back(self, nano: int | None) -> None:
        """Settle what was set aside for a turn."""
        budgets, held, self._turn.held = self._running.router.budgets, self._turn.held, None
        if held is not None and isinstance(budgets, Purses):
            await budgets.leave(held, nano)

    # --- both ways ---

    async def _relay(self, provider: ClientConnection) -> End:
        """Pass frames on until one side, a limit or the gateway ends it."""
        ways: list[Coroutine[Any, Any, End]] = [self._up(provider), self._down(provider), self._watch()]
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(task for task in tasks if task in done).result()
        except OSError:  # the caller is gone, and what was for it could not be sent
            return End(1006, gone=True)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _up(self, provider: ClientConnection) -> End:
        """From the caller to the provider."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return End(message.get("code") or NORMAL, message.get("reason") or "", gone=True)
            self._last = time.monotonic()
            text = message.get("text")
            frame = text if text is not None else message.get("bytes") or b""
            try:
                await self._check(frame)
                await provider.send(frame)
            except PolyportError as error:
                return End(REFUSED, problem_of(error, "").code or "refused", error)
            except ConnectionClosed as closed:
                return _ended(closed)

    async def _down(self, provider: ClientConnection) -> End:
        """From the provider to the caller; a response is settled before its last event goes on."""
        while True:
            try:
                frame = await provider.recv()
            except ConnectionClosed as closed:
                return _ended(closed)
            self._last = time.monotonic()
            refused: PolyportError | None = None
            what = self._read(frame)
            if what == BEGINS:
                self._turn.running = True
                self._quiet.clear()
            elif what == ENDS:
                refused = await self._next(frame)
            elif what == RESTS:
                self._turn.running = False
            await self._send({"type": "websocket.send", "bytes" if isinstance(frame, bytes) else "text": frame})
            if not self._turn.running:
                self._quiet.set()
            if refused is not None:
                return End(REFUSED, problem_of(refused, "").code or "refused", refused)

    async def _watch(self) -> End:
        """End a session that says nothing, lasts too long, or outlives the gateway."""
        settings, begun = self._settings, time.monotonic()
        while True:
            now = time.monotonic()
            idle, old = self._last + settings.idle_seconds - now, begun + settings.max_seconds - now
            if old <= 0:
                error = GateError(408, "session_expired", f"A session lasts {settings.max_seconds:g} s at most.")
                return End(NORMAL, "session_expired", error)
            if idle <= 0:
                error = GateError(408, "session_idle", f"Nothing was said for {settings.idle_seconds:g} s.")
                return End(NORMAL, "session_idle", error)
            try:
                await asyncio.wait_for(self._part.leaving.wait(), min(idle, old))
            except TimeoutError:
                continue
            await self._quiet.wait()  # for the answer that is on its way
            return End(GOING_AWAY, "the gateway stops")

    # --- the accounts ---

    async def _next(self, frame: str | bytes) -> PolyportError | None:
        """Settle the response that is over, and admit what comes next. Returns why it is not."""
        turn = self._turn
        used = self._used(frame)
        if turn.call is not None and used is not None:
            turn.usage = used.tokens or turn.usage
            charge(turn.call, used, None, time.time)
        turn.running = False
        unknown = used is None
        try:
            await self._settle(200, None, unknown=unknown)
            call = turn.call
            self._turn = Turn(new_id())
            if call is not None:
                meta = Meta(provider=call.meta.provider, model=call.meta.model, attempts=1)
                meta.deployment, meta.group = call.meta.deployment, call.meta.group
                self._turn.call = msgspec.structs.replace(call, meta=meta)
            if self._part.leaving.is_set():  # there will be no other response
                self._turn.settled = True
                return None
            await self._admit()
            if call is not None:
                await self._afford(call)
        except PolyportError as error:
            await self._settle(problem_of(error, "").status, error)
            return error
        return None

    async def _settle(self, status: int, error: BaseException | None, *, unknown: bool = False) -> None:
        """Tell the gate and the taps how a turn ended, once; a response that was cut off counts with its estimate."""
        turn = self._turn
        if turn.settled:
            return
        turn.settled = True
        cut_off = unknown or turn.running
        meta = None if turn.call is None else turn.call.meta
        name, message = ("", "") if error is None else told_of(error)
        cost = None if meta is None else meta.cost
        nothing = None if cut_off or any(turn.usage.values()) else 0
        outcome = Outcome(
            request_id=turn.request_id,
            status=status,
            latency=time.monotonic() - turn.start,
            usage={} if cut_off else turn.usage,
            nano=nothing if cost is None else round(cost * 1_000_000_000),
            error=name,
            message=message,
            model="" if meta is None else meta.model,
            provider="" if meta is None else meta.provider,
            deployment=None if meta is None else meta.deployment,
            attempts=0 if meta is None else meta.attempts,
        )
        try:
            await self._give_back(outcome.nano)
            if turn.admission is not None:
                await turn.admission.settle(outcome)
        finally:
            for tap in self._part.app.taps:
                tap(turn.asked, turn.admission, outcome)

    # --- the end ---

    async def _refuse(self, error: PolyportError) -> None:
        """Refuse the handshake, with HTTP's words where the server can; what was accepted already is closed."""
        if self._left:
            return
        problem = problem_of(error, self._turn.request_id)
        if self._accepted:
            await self._end(End(REFUSED, problem.code or "refused", error))
            return
        if "websocket.http.response" not in (self._scope.get("extensions") or {}):
            await self._send({"type": "websocket.close", "code": REFUSED, "reason": problem.code or "refused"})
            return
        wait = None if problem.retry_after is None else max(1, round(problem.retry_after + 0.5))
        headers = [("content-type", replies.JSON), *problem.headers.items(), ("retry-after", wait)]
        start = {"status": problem.status, "headers": replies.to_headers(headers)}
        await self._send({"type": "websocket.http.response.start", **start})
        await self._send(
            {"type": "websocket.http.response.body", "body": replies.encode(self.surface.problem(problem))}
        )

    async def _end(self, end: End) -> None:
        if end.gone:
            return
        reason = end.reason
        if end.error is not None:
            event = self._event(end.error)
            if event is not None:
                await self._send({"type": "websocket.send", "text": event})
            else:
                reason = problem_of(end.error, "").message
        await self._send({"type": "websocket.close", "code": end.code, "reason": _short(reason)})


def is_said(name: str) -> bool:
    """Whether a parameter of the address is the caller's word to the gateway."""
    return name == "user" or name.startswith("metadata.")


def said_in(query: Mapping[str, str]) -> dict[str, Any]:
    """Return {"metadata": {"project": "x"}} of {"metadata.project": "x"}, and the `user`."""
    given = {name: value for name, value in query.items() if is_said(name)}
    metadata = {name.partition(".")[2]: value for name, value in given.items() if name != "user"}
    user = {"user": given["user"]} if "user" in given else {}
    return user | ({"metadata": metadata} if metadata else {})


def _short(reason: str) -> str:
    """Return as much of a reason as a close may have. https://www.rfc-editor.org/rfc/rfc6455#section-5.5"""
    return reason.encode(errors="replace")[:120].decode(errors="ignore")


class Dial(connect):
    """websockets' connect, which follows redirects, key and all; this one does not."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return the error: nothing is followed."""
        return exc


def _ended(closed: ConnectionClosed) -> End:
    """Return the end that a connection's end is."""
    frame = closed.rcvd or closed.sent
    return End(FAILED, "the provider's connection was lost") if frame is None else End(frame.code, frame.reason)


def _status(end: End) -> int:
    """Return the status that a session's last turn is settled with."""
    if end.error is not None:
        return problem_of(end.error, "").status
    if end.gone:
        return LEFT if end.code not in (NORMAL, GOING_AWAY) else 200
    return 502 if end.code in (FAILED, 1006) else 200


async def _close(provider: ClientConnection, end: End) -> None:
    code = UNSAID.get(end.code, end.code)
    try:
        await provider.close(code, end.reason[:120])
    except (WebSocketException, ValueError, OSError):  # a code that may not be sent, or a connection that is gone
        log.debug("a provider's session did not close with code %d", code)
