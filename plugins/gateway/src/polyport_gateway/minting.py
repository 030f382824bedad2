"""Client secrets over HTTP, as OpenAI's SDK asks for them; see `client_secrets`.

    POST /v1/realtime/client_secrets  {"expires_after": {"anchor": "created_at", "seconds": 600}, "session": {...}}
    POST /v1/realtime/sessions        the session itself, with "client_secret": {"expires_after": ...}: the older one

Whoever may hold a session may have others hold it. What is told of the session is what was asked for: the provider
says the rest as it begins. https://platform.openai.com/docs/api-reference/realtime-sessions
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import parse_qsl

import msgspec

from polyport.errors import BadRequestError, PolyportError
from polyport_gateway import replies, resources
from polyport_gateway.asked import Body, Gone, Headers, Receive
from polyport_gateway.gate import Asked, GateError, new_id
from polyport_gateway.running import user_of
from polyport_gateway.sessions import OPERATION, said_in
from polyport_gateway.signon import credential
from polyport_gateway.surface import problem_of
from polyport_gateway.surfaces import OPENAI

if TYPE_CHECKING:
    from polyport_gateway.app import App
    from polyport_gateway.client_secrets import ClientSecrets
    from polyport_gateway.exchange import Scope, Send
    from polyport_gateway.identity import Principal

#: Where secrets are made, without a version; and for how long they begin sessions where nobody says, in seconds.
#: https://platform.openai.com/docs/api-reference/realtime-sessions/create-realtime-client-secret
CLIENT_SECRETS, SESSIONS = "/realtime/client_secrets", "/realtime/sessions"
PATHS = {CLIENT_SECRETS: 600, SESSIONS: 60}
#: Bytes that a session's settings may have.
LIMIT = 256 * 1024
#: Sessions that are no conversations.
UNCOUNTED = "sessions that only transcribe or translate do not tell what they use, and are not served: see /audio"


class Expires(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a secret expires."""

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, msgspec.Meta(ge=10, le=7200)] | None = None


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for at CLIENT_SECRETS."""

    expires_after: Expires | None = None
    session: dict[str, Any] | None = None


class Older(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What SESSIONS has beside the session."""

    expires_after: Expires | None = None


async def serve(app: App, made: ClientSecrets | None, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request below /realtime that is no session."""
    request_id = new_id()
    error: PolyportError | None = None
    try:
        status, body, told = 200, replies.encode(await _answer(app, made, request_id, scope, receive)), []
    except Gone:
        return
    except RecursionError:
        error = BadRequestError("The session is nested too deep.")
    except PolyportError as refusal:
        error = refusal
    if error is not None:
        problem = problem_of(error, request_id)
        status, body, told = problem.status, replies.encode(OPENAI.problem(problem)), [*problem.headers.items()]
    pairs = [("content-type", replies.JSON), ("content-length", len(body)), ("x-polyport-request-id", request_id)]
    await send({"type": "http.response.start", "status": status, "headers": replies.to_headers([*pairs, *told])})
    await send({"type": "http.response.body", "body": body})


async def _answer(
    app: App, made: ClientSecrets | None, request_id: str, scope: Scope, receive: Receive
) -> dict[str, Any]:
    path = scope["path"].rstrip("/").removeprefix("/v1")
    if path not in PATHS:
        why = resources.absent(scope["method"], path)
        raise GateError(404, "not_served", f"{path[:100]} is not served here{f': {why}' if why else ''}.")
    if scope["method"] != "POST":
        raise GateError(405, "method_not_allowed", f"{path} takes POST.")
    if made is None:
        raise GateError(501, "no_accounts", "Client secrets need accounts: say general_settings.master_key.")
    headers = Headers(scope["headers"])
    token, peer = credential.of(headers, scope), scope.get("client")
    client = peer[0] if peer else None
    await app.gate.identify(token, client, team=headers.get(credential.TEAM, ""))
    given = await Body(receive, headers, LIMIT).json()
    session, expires = _wanted(path, given)
    said = said_in(dict(parse_qsl(scope["query_string"].decode("latin-1"))))
    fields = {**said, **({"model": session["model"]} if session.get("model") else {})}
    asked = Asked(
        request_id=request_id, method="POST", path=f"/{OPERATION}", surface=OPENAI.name, token=token, client=client,
        model=session.get("model"), user=user_of(fields), headers=headers, fields=fields,
    )  # fmt: skip
    admission = await app.gate.admit(asked)
    who: Principal = admission.principal  # type: ignore[attr-defined]  # the keeper's, as there are accounts
    if who.role == "viewer":
        raise GateError(403, "viewer", "A key with the role viewer reads, and calls no models.")
    running = app.running
    running.choose(fields, admission)
    if fields.get("model"):
        running.router.groups.of(fields["model"])
    if not running.general.realtime.unguarded:
        running.refuse_guarded(admission, "what passes in a realtime session")
    until = int(made.now) + expires
    from polyport_gateway.client_secrets import Secret  # with the database, where there is one

    secret = Secret(
        begun=(), model=fields.get("model", ""), named=session.get("model", ""), expires=float(until), said=said,
        session={name: value for name, value in session.items() if name != "model"}, older=path == SESSIONS,
    )  # fmt: skip
    value = await made.make(who, secret, running.general.realtime.max_seconds)
    told = {**session, "object": "realtime.session", "id": f"sess_{new_id()[:24]}", "expires_at": 0}
    if path == SESSIONS:
        return {**told, "client_secret": {"value": value, "expires_at": until}}
    return {"value": value, "expires_at": until, "session": told}


def _wanted(path: str, given: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Return the session that a secret is to be for, and after how many seconds it expires. Raises BadRequestError."""
    try:
        if path == SESSIONS:
            older = msgspec.convert(given.pop("client_secret", None) or {}, Older)
            session, after = given, older.expires_after
        else:
            wanted = msgspec.convert(given, Wanted)
            session, after = wanted.session or {"type": "realtime"}, wanted.expires_after
    except msgspec.ValidationError as error:
        raise BadRequestError(f"{path}: {error}") from error
    kind = session.get("type", "realtime" if path == SESSIONS else None)
    if kind != "realtime":
        told = UNCOUNTED if kind in ("transcription", "translation") else 'say session: {"type": "realtime", ...}'
        raise BadRequestError(f"There are no sessions of the type {str(kind)[:40]!r} here: {told}.")
    if not isinstance(session.get("model", ""), str):
        raise BadRequestError("session.model must be a text.")
    seconds = after.seconds if after is not None else None
    return session, PATHS[path] if seconds is None else seconds
