"""The door: people sign in and out over HTTP.

POST /auth/login       {"key": "sk-..."}, or {"username", "password", "provider"}: a cookie, and {"name", "csrf", ...}
GET  /auth/session     who is signed in, and how one can sign in; 401 for nobody
POST /auth/logout      the session is over, for every process
GET  /auth/oidc/{id}/start, /auth/oidc/{id}/callback: see callback.py

A session begins anew with each login: a cookie that a browser had before is never taken over. Attempts are limited by
address and by name; a failure takes as long whether there is such a name or not, and says the same.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from polyport.errors import BadRequestError, PolyportError
from polyport_gateway import replies
from polyport_gateway.asked import Body, Gone, Receive
from polyport_gateway.config import Config
from polyport_gateway.fields import KINDS, read as columns
from polyport_gateway.gate import GateError
from polyport_gateway.identity import Principal, digest
from polyport_gateway.keeper import Keeper
from polyport_gateway.limits import Limit, Refusal
from polyport_gateway.management import whole
from polyport_gateway.rows import KeyRow, UserRow
from polyport_gateway.signon import audit, callback, credential, people
from polyport_gateway.signon.directory import Directory
from polyport_gateway.signon.people import Person
from polyport_gateway.signon.sessions import Session, Sessions
from polyport_gateway.signon.settings import Rules, Settings, read
from polyport_gateway.surface import problem_of
from polyport_gateway.surfaces import OPENAI

if TYPE_CHECKING:  # they need an extra, and weigh several megabytes
    import httpx

    from polyport_gateway.signon.oidc import Oidc
    from polyport_gateway.signon.tokens import Tokens

log = logging.getLogger("polyport.gateway.signon")

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
#: Bytes that a request may have here.
LIMIT = 64 * 1024
HTML = "text/html; charset=utf-8"
#: A session's kind -> who that is in the audit log.
WHO = {"user": "user:{}", "key": "{}", "master": "master"}
#: Attempts a minute, from one address and for one name.
PER_ADDRESS, PER_NAME = 100, 10
#: Seconds that a failed attempt takes at least: what is quicker than this cannot be told apart.
FLOOR = 0.5


class Asked(msgspec.Struct, frozen=True):
    """A request at the door."""

    scope: Scope
    headers: Mapping[str, str]
    receive: Receive

    @property
    def client(self) -> str:
        """The address of who asks."""
        address = self.scope.get("client")
        return str(address[0]) if address else ""

    async def body(self) -> dict[str, Any]:
        """Return the JSON that was sent, which no form of another site can send. Raises BadRequestError."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != replies.JSON:
            raise GateError(415, "unsupported_media_type", f"Send {replies.JSON}.")
        return await Body(self.receive, self.headers, LIMIT).json()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back; `headers` are whole, not shortened."""

    status: int = 200
    body: bytes = b""
    kind: str = replies.JSON
    headers: tuple[tuple[str, str], ...] = ()


class Door:
    """An ASGI application over a keeper. `config` returns the configuration that serves now."""

    def __init__(self, keeper: Keeper, config: Callable[[], Config]) -> None:
        self._keeper, self._config = keeper, config
        self._http: httpx.AsyncClient | None = None
        self._made: tuple[Config, Ways] | None = None
        general = config().general
        self._sessions = Sessions(
            keeper.identity, keeper.store, _secret(self._settings, general.master_key), clock=keeper.clock
        )
        self._callbacks = callback.Callback(self._sessions, keeper.clock)
        keeper.identity.bearers.append(self._sessions)
        self._routes: dict[tuple[str, str], Callable[[Asked], Awaitable[Answer]]] = {
            ("POST", "/auth/login"): self._login,
            ("GET", "/auth/session"): self._session,
            ("POST", "/auth/logout"): self._logout,
        }
        keeper.identity.bearers.append(Services(self._ways))

    def follow(self, old: Config, new: Config) -> None:
        """Go by another configuration from now on: who knew the old master key could have made sessions."""
        secret = read(new.general.given).session_secret or new.general.master_key
        if secret:
            self._sessions.follow(secret)

    @property
    def _settings(self) -> Settings:
        return read(self._config().general.given)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request_id = uuid.uuid4().hex
        try:
            answer = await self._answer(scope, receive)
        except Gone:
            return
        except Exception as error:
            answer = _of_error(error, request_id)
            if not isinstance(error, PolyportError):
                log.error("request %s at the door failed", request_id)
                await _send(send, answer, request_id)
                raise
        await _send(send, answer, request_id)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        if scope["type"] != "http":
            raise GateError(404, "not_found", "There are no WebSockets here.")
        path = scope["path"].rstrip("/")
        route = self._routes.get((scope["method"], path)) or self._of_oidc(scope["method"], path)
        if route is None:
            there = [method for method, known in self._routes if known == path]
            if there:
                raise GateError(405, "method_not_allowed", f"{path} takes {there[0]}.", headers={"allow": there[0]})
            raise GateError(404, "not_found", f"There is nothing at {path[:200]}: people sign in at POST /auth/login.")
        await self._keeper.start()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        return await route(Asked(scope, headers, receive))

    # --- who is signed in ---

    async def _session(self, asked: Asked) -> Answer:
        token = credential.of(asked.headers, asked.scope)
        providers = self._providers()
        try:
            principal = await self._keeper.identify(token, asked.client)
        except GateError as error:
            if error.status_code not in (401, 403):
                raise
            problem = OPENAI.problem(problem_of(error, ""))
            return Answer(status=401, body=replies.encode({**problem, "providers": providers}))
        session = self._there(token)
        return Answer(body=replies.encode({**_told(principal, session, token or ""), "providers": providers}))

    def _providers(self) -> list[dict[str, str]]:
        ways = self._ways()
        kinds = [*(("oidc", one.rules) for one in ways.oidc), *(("ldap", one.rules) for one in ways.directories)]
        return [{"id": rules.id, "kind": kind, "title": rules.title or rules.id} for kind, rules in kinds]

    def _ways(self) -> Ways:
        """Return the ways to sign in that the configuration says; others after a reload."""
        config = self._config()
        if self._made is None or self._made[0] is not config:
            self._made = config, ways_of(read(config.general.given), self._keeper, self._client, self._starts)
        return self._made[1]

    def _client(self) -> httpx.AsyncClient:
        """Return what all providers are asked by; a gateway that has none does not import it."""
        if self._http is None:
            import httpx

            self._http = httpx.AsyncClient(follow_redirects=False)
        return self._http

    async def aclose(self) -> None:
        """Close the connections to providers."""
        if self._http is not None:
            await self._http.aclose()

    # --- by OpenID Connect ---

    def _of_oidc(self, method: str, path: str) -> Callable[[Asked], Awaitable[Answer]] | None:
        match = re.fullmatch(r"/auth/oidc/([a-z0-9_-]{1,40})/(start|callback)", path)
        oidc = next((one for one in self._ways().oidc if match and one.rules.id == match[1]), None)
        if match is None or oidc is None or method != "GET":
            return None
        return partial(self._start if match[2] == "start" else self._callback, oidc)

    async def _start(self, oidc: Oidc, asked: Asked) -> Answer:
        url, cookie = await self._callbacks.start(oidc, asked.scope, self._base(asked))
        return Answer(status=303, headers=(("location", url), ("set-cookie", cookie)))

    async def _callback(self, oidc: Oidc, asked: Asked) -> Answer:
        gone = ("set-cookie", callback.gone(asked.scope))
        try:
            await self._attempt(asked)
            person, attempt = await self._callbacks.finish(oidc, asked.scope, asked.headers)
            user = await self._let_in(person, oidc.rules)
        except GateError as error:
            await audit.failed(self._keeper.store, "", f"oidc {oidc.rules.id}", error.code)
            page = callback.page(error.message)
            policy = ("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
            return Answer(status=error.status_code or 401, body=page, kind=HTML, headers=(gone, policy))
        begun = await self._begin(asked, self._of_user(user), f"oidc {oidc.rules.id}", "Lax")
        return Answer(status=303, headers=(("location", attempt.next), gone, *begun.headers))

    def _base(self, asked: Asked) -> str:
        """Return where people find this gateway."""
        host = asked.headers.get("host", "")
        return self._settings.public_url.rstrip("/") or f"{asked.scope.get('scheme', 'http')}://{host}"

    async def _let_in(self, person: Person, rules: Rules) -> UserRow:
        return await people.admit(self._keeper.store, person, rules, self._starts)

    def _starts(self, kind: str) -> Mapping[str, Any]:
        """Return what a new user or team begins with."""
        said = self._keeper.general().terms.defaults(kind)
        return whole(columns(KINDS[kind][1], f"default_{kind}_params", said))

    def _of_user(self, user: UserRow) -> Session:
        name = user.alias or user.email or user.id
        return Session(kind="user", subject=user.id, name=name, mark=people.mark_of(user))

    # --- in ---

    async def _login(self, asked: Asked) -> Answer:
        start = time.monotonic()
        if asked.headers.get("sec-fetch-site") == "cross-site":
            raise GateError(403, "cross_site", "Another site's page cannot sign anybody in.")
        body = await asked.body()
        wrong = body.keys() - {"key", "username", "password", "provider"}
        if wrong or not all(isinstance(value, str) for value in body.values()):
            raise BadRequestError('Sign in by {"key": "sk-..."}, or by {"username", "password"}, which are texts.')
        try:
            if "key" in body:
                return await self._by_key(asked, body["key"])
            return await self._by_password(asked, body)
        except GateError as error:
            if error.status_code in (401, 403):
                await asyncio.sleep(max(0.0, start + FLOOR - time.monotonic()))
            raise

    async def _by_key(self, asked: Asked, key: str) -> Answer:
        await self._attempt(asked)
        try:
            if any(bearer.takes(key) for bearer in self._keeper.identity.bearers):
                raise GateError(401, "invalid_api_key", "The key is not one of this gateway's.")
            principal = await self._keeper.identify(key, asked.client)
        except GateError as error:
            await audit.failed(self._keeper.store, "", "key", error.code)
            raise
        return await self._begin(asked, await self._of_key(principal, key), "key", "Strict")

    async def _of_key(self, principal: Principal, key: str) -> Session:
        mark = self._sessions.mark(digest(key))
        if not principal.key_id:
            return Session(kind="master", subject="", name="master key", mark=mark)
        async with self._keeper.store.reading() as database:
            row = await database.get(KeyRow, principal.key_id)
        name = row.alias if row is not None and row.alias else principal.key_id
        return Session(kind="key", subject=principal.key_id, name=name, mark=mark)

    async def _by_password(self, asked: Asked, body: Mapping[str, str]) -> Answer:
        username, password = body.get("username", ""), body.get("password", "")
        directory = self._directory(body.get("provider"))
        await self._attempt(asked, username)
        way = f"ldap {directory.rules.id}"
        try:
            person = await directory.person(username, password)
            user = await self._let_in(person, directory.rules)
        except GateError as error:
            await audit.failed(self._keeper.store, username, way, error.code)
            raise
        return await self._begin(asked, self._of_user(user), way, "Strict")

    def _directory(self, provider: str | None) -> Directory:
        there = self._ways().directories
        found = [one for one in there if provider is None or one.rules.id == provider]
        if len(found) != 1:
            known = ", ".join(one.rules.id for one in there)
            hint = f"say at which provider: {known}" if known else "sign in with a key"
            raise BadRequestError(f"Names and passwords are not taken like this here: {hint}.")
        return found[0]

    async def _begin(self, asked: Asked, session: Session, way: str, same_site: str) -> Answer:
        """Return the answer that brings a new session. Raises GateError: 403 for who is blocked."""
        settings = self._settings
        text, made = self._sessions.issue(session, settings.session_hours)
        principal = await self._sessions.principal(text)
        await audit.signed_in(self._keeper.store, principal.id, way)
        seconds = int(settings.session_hours * 3600)
        header = credential.set_cookie(asked.scope, credential.COOKIE, text, seconds, same_site)
        told = {**_told(principal, made, text), "providers": self._providers()}
        return Answer(body=replies.encode(told), headers=(("set-cookie", header),))

    async def _attempt(self, asked: Asked, name: str = "") -> None:
        """Count an attempt. Raises GateError: 429 for too many."""
        limits = [Limit(about=(("sign-in", _network(asked.client)),), rpm=PER_ADDRESS)]
        if name:
            limits.append(Limit(about=(("sign-in", f"name {digest(name.casefold())[:32]}"),), rpm=PER_NAME))
        now = self._keeper.clock()
        taken = await self._keeper.limits.reserve(limits, 0, 0, now)
        if isinstance(taken, Refusal):
            raise GateError(
                429, "too_many_attempts", "Too many attempts to sign in: wait, then try again.",
                retry_after=taken.seconds or 60,
            )  # fmt: skip
        await self._keeper.limits.settle(taken, 0, 0, now)

    # --- out ---

    async def _logout(self, asked: Asked) -> Answer:
        token = credential.of(asked.headers, asked.scope)
        gone = credential.set_cookie(asked.scope, credential.COOKIE, "", 0, "Strict")
        session = self._there(token)
        if session is not None:
            await self._sessions.end(session)
            await audit.signed_out(self._keeper.store, WHO[session.kind].format(session.subject))
        return Answer(body=b"{}", headers=(("set-cookie", gone),))

    def _there(self, token: str | None) -> Session | None:
        """Return the session that a token is, if it is not over by the clock."""
        if token is None or not self._sessions.takes(token):
            return None
        try:
            return self._sessions.read(token)
        except GateError:
            return None


class Ways(msgspec.Struct, frozen=True):
    """The ways to sign in beside keys."""

    oidc: list[Oidc]
    directories: list[Directory]
    tokens: Tokens | None


def ways_of(settings: Settings, keeper: Keeper, client: Callable[[], httpx.AsyncClient], starts: people.Starts) -> Ways:
    """Return the ways that settings say; what they need is installed, or the settings would have been refused."""
    directories = [Directory(rules) for rules in settings.ldap]
    if not settings.sso and not settings.jwt_auth:
        return Ways([], directories, None)
    from polyport_gateway.signon.oidc import Oidc
    from polyport_gateway.signon.tokens import Tokens, Trusted

    http = client()
    trusted = [Trusted(rules, http) for rules in settings.jwt_auth]
    tokens = Tokens(keeper.identity, keeper.store, trusted, clock=keeper.clock, starts=starts) if trusted else None
    return Ways([Oidc(rules, http) for rules in settings.sso], directories, tokens)


class Services:
    """The JWTs that are taken by the configuration that serves, as bearers of an Identity."""

    def __init__(self, ways: Callable[[], Ways]) -> None:
        self._ways = ways

    def takes(self, token: str) -> bool:
        """Whether a token is a JWT, where these are taken."""
        tokens = self._ways().tokens
        return tokens is not None and tokens.takes(token)

    async def principal(self, token: str, team: str = "") -> Principal:
        """Return who has it, spending with a team where one is named. Raises GateError."""
        tokens = self._ways().tokens
        assert tokens is not None
        return await tokens.principal(token, team)


def _secret(settings: Settings, master_key: str | None) -> str:
    if settings.session_secret or master_key:
        return settings.session_secret or str(master_key)
    log.warning("sessions end with this process: set general_settings.session_secret to keep and share them")
    return secrets.token_urlsafe(32)


def _network(client: str) -> str:
    """Return what counts as one address: of IPv6, the network that one customer has."""
    try:
        address = ipaddress.ip_address(client.split("%")[0])
    except ValueError:
        return f"address {digest(client)[:32]}"
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped.version == 4:
        return f"address {mapped}"
    return f"address {ipaddress.ip_network((mapped, 64), strict=False)}"


def _told(principal: Principal, session: Session | None, token: str) -> dict[str, Any]:
    return {
        "name": session.name if session is not None else principal.id,
        "role": principal.role,
        "csrf": credential.csrf_of(token) if session is not None else "",
        "user_id": principal.user_id,
        "team_id": principal.team_id,
        "teams": list(principal.teams),
        "teams_led": sorted(principal.teams_led),
        "expires": None if session is None else session.until,
    }


def _of_error(error: Exception, request_id: str) -> Answer:
    problem = problem_of(error, request_id)
    wait = () if problem.retry_after is None else (("retry-after", str(max(1, round(problem.retry_after + 0.5)))),)
    body = replies.encode(OPENAI.problem(problem))
    return Answer(status=problem.status, body=body, headers=(*problem.headers.items(), *wait))


async def _send(send: Send, answer: Answer, request_id: str) -> None:
    pairs = [
        ("content-type", answer.kind),
        ("content-length", len(answer.body)),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-polyport-request-id", request_id),
    ]
    more = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    headers = replies.to_headers(pairs) + more
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
