"""WebSockets at /v1/realtime: a caller's session with a model of a provider that speaks OpenAI's dialect.

https://platform.openai.com/docs/guides/realtime-websocket
https://platform.openai.com/docs/api-reference/realtime-server-events/response/done

The key stands in a header, in the subprotocol `openai-insecure-api-key.<key>` (browsers), or as `api-key` or `key` in
the address, as SDKs have it; in its place there may be a client secret (`client_secrets`), whose session the provider's
is before the caller sees it. A session has no body: `user` and `metadata.project` stand in the address, too. An error
that ends a session is told as an event first. See `sessions` for all that sessions have in common.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from polyport import metering
from polyport.border import Call
from polyport.dialects.openai import Wire
from polyport.errors import PolyportError, UnsupportedParamsError
from polyport.flow import HttpRequest
from polyport.prices import Used
from polyport.types.record import learn
from polyport.types.usage import Usage
from polyport_gateway import minting, replies, sessions
from polyport_gateway.app import ASGI, App
from polyport_gateway.asked import Receive
from polyport_gateway.exchange import Scope, Send
from polyport_gateway.gate import GateError, new_id
from polyport_gateway.sessions import BEGINS, ENDS, KEYS, is_said
from polyport_gateway.signon import credential
from polyport_gateway.surface import problem_of
from polyport_gateway.surfaces import OPENAI

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway
    from polyport_gateway.client_secrets import ClientSecrets, Secret

WORD = "realtime"
SUBPROTOCOL, KEY_IN_SUBPROTOCOL = "realtime", "openai-insecure-api-key."
#: Parameters of the address that the gateway says itself.
OWN = frozenset({"model", "deployment", "api-version", "call_id", "api_key"})
#: Headers of the caller that go to the provider.
PASSED = ("openai-beta", "openai-safety-identifier")


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the part: see `polyport_gateway.assembly`."""
    made: ClientSecrets | None = None
    if gateway.keeper is not None:
        from polyport_gateway import client_secrets

        made = client_secrets.ClientSecrets(gateway.keeper)
        gateway.keeper.identity.bearers.append(made)
    part = Part(gateway.app, Session, made)
    gateway.app.leaving.append(part.leave)
    others = gateway.app.beside

    def beside(method: str, path: str) -> ASGI | None:
        if path.removeprefix("/v1").rstrip("/") in minting.PATHS:
            return part
        return None if others is None else others(method, path)

    gateway.app.beside = beside
    return {WORD: part}


class Part(sessions.Sessions):
    """The sessions of this process, and the secrets that begin some of them, where there are accounts."""

    def __init__(self, app: App, kind: type[Session], secrets: ClientSecrets | None) -> None:
        super().__init__(app, kind)
        self.secrets = secrets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one session, or make a secret for some."""
        if scope["type"] == "http" and scope["path"].rstrip("/").removeprefix("/v1") != f"/{WORD}":
            await minting.serve(self.app, self.secrets, scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class Session(sessions.Session):
    """A session in OpenAI's dialect."""

    missing: ClassVar[str] = "Which model? Connect to /v1/realtime?model=..."
    _part: Part

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._secret: Secret | None = None
        #: Frames of the provider's that came before the caller's connection was accepted.
        self._early: list[str | bytes] = []

    async def _begin(self) -> ClientConnection:
        self._model = self._query.get("model", "")
        self._said = sessions.said_in(self._query)
        await self._know()
        await self._admit()
        connection = await self._dial()
        try:
            await self._configure(connection)
        except BaseException:
            await connection.close(sessions.GOING_AWAY)
            raise
        return connection

    def _token(self) -> str | None:
        offered = [one for one in self._scope.get("subprotocols") or () if one.startswith(KEY_IN_SUBPROTOCOL)]
        if offered:  # a browser's cookies come by themselves
            return str(offered[0].removeprefix(KEY_IN_SUBPROTOCOL))
        return credential.of(self._headers, self._scope) or super()._token()

    async def _accept(self, subprotocol: str | None = None) -> None:
        offered = self._scope.get("subprotocols") or ()
        await super()._accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        for frame in self._early:
            await self._send({"type": "websocket.send", "bytes" if isinstance(frame, bytes) else "text": frame})
        self._early.clear()

    # --- what a client secret says ---

    async def _know(self) -> None:
        """Read the client secret that the session begins with, if it does. Raises GateError."""
        made, token = self._part.secrets, self._token()
        if made is None or token is None or not made.takes(token):
            return
        from polyport_gateway import client_secrets

        self._secret = secret = await made.read(token)
        self._path = client_secrets.ROUTE
        if secret.model:
            if self._model not in ("", secret.model, secret.named):
                raise GateError(403, "model_not_allowed", f"This client secret is for {secret.named!r}.")
            self._model = secret.model
        if secret.said:
            self._said = secret.said

    async def _configure(self, connection: ClientConnection) -> None:
        """Make the provider's session what the secret was made with; the caller sees it begin so. Raises GateError."""
        wanted = {} if self._secret is None else self._secret.session
        if wanted.keys() <= {"type"}:
            return
        try:
            async with asyncio.timeout(sessions.OPENING):
                created, early = await _until(connection, "session.created")
                await connection.send(replies.encode({"type": "session.update", "session": wanted}).decode())
                updated, later = await _until(connection, "session.updated")
        except (TimeoutError, ConnectionClosed) as error:
            told = "The provider did not take the client secret's session."
            raise GateError(502, "provider_unreachable", told) from error
        event = {**created, "session": updated.get("session", created.get("session"))}
        self._early = [*early, replies.encode(event).decode(), *later]

    def _handshake(self, call: Call) -> HttpRequest:
        plugin = call.provider.plugin
        if not isinstance(plugin, Wire):
            raise UnsupportedParamsError(f"{call.provider.name!r} has no realtime sessions in OpenAI's dialect.")
        asked = {n: v for n, v in self._query.items() if n not in OWN and n not in KEYS and not is_said(n)}
        passed = {name: self._headers[name] for name in PASSED if name in self._headers}
        if self._secret is not None and self._secret.older:
            passed["openai-beta"] = "realtime=v1"
        return HttpRequest(
            method="GET",
            url="/realtime",
            params={**asked, "model": call.request.model},
            headers={**plugin.headers, **passed},
        )

    def _read(self, frame: str | bytes) -> str:
        if isinstance(frame, bytes):
            return ""
        if '"response.created"' in frame:
            return BEGINS
        return ENDS if '"response.done"' in frame else ""

    def _used(self, frame: str | bytes) -> Used | None:
        return _used(frame)

    def _event(self, error: PolyportError) -> str | None:
        problem = OPENAI.problem(problem_of(error, self._turn.request_id))["error"]
        event = {"type": "error", "event_id": f"event_{new_id()[:20]}", "error": {**problem, "event_id": None}}
        return replies.encode(event).decode()


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_token_details: dict[str, Any] | None = None
    output_token_details: dict[str, Any] | None = None


class _Response(msgspec.Struct):
    usage: _Usage | None = None


class _Done(msgspec.Struct):
    type: str
    response: _Response | None = None


class _Event(msgspec.Struct):
    type: str = ""


async def _until(connection: ClientConnection, kind: str) -> tuple[dict[str, Any], list[str | bytes]]:
    """Return the provider's first event of a kind, and the frames before it. Raises GateError for an error of its."""
    before: list[str | bytes] = []
    while True:
        frame = await connection.recv()
        try:
            found = "" if isinstance(frame, bytes) else msgspec.json.decode(frame, type=_Event).type
            if found in (kind, "error"):
                event: dict[str, Any] = msgspec.json.decode(frame, type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError):
            found = ""
        if found == kind:
            return event, before
        if found == "error":
            told = event.get("error")
            why = str(told.get("message", ""))[:500] if isinstance(told, Mapping) else ""
            raise GateError(400, "invalid_session", f"The provider refused the client secret's session: {why}")
        before.append(frame)


def _used(frame: str | bytes) -> Used | None:
    """Return what the event that ends a response tells of its use; None where it does not tell."""
    try:
        done = msgspec.json.decode(frame, type=_Done)
        told = done.response.usage if done.response is not None else None
        if told is None:
            return None
        usage = {
            "prompt_tokens": told.input_tokens,
            "completion_tokens": told.output_tokens,
            "total_tokens": told.total_tokens,
            "prompt_tokens_details": told.input_token_details,
            "completion_tokens_details": told.output_token_details,
        }
        return metering.of_usage(msgspec.convert(usage, learn(Usage), strict=False))
    except (msgspec.MsgspecError, RecursionError):
        return None
