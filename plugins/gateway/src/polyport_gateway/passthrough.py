"""/passthrough/{provider}/...: a provider's own endpoints, with the gateway's credentials, limits and ledger.

    general_settings:
      passthrough: {providers: [openai, anthropic], paths: {openai: ["/files*", "/audio/speech"]}}

Only providers that are listed are reached. The master key may ask for any of their paths; a virtual key for those whose
accounting is known (`polyport_gateway.tapping`), with the models it may use, and for those that `paths` opens. So no
virtual key reaches what manages the account. The request goes to the base URL, and with the key, of the deployment of
its model, or the provider's first; else of the environment. Bodies whose model has to be known are read; any others
wait in a file. Replies pass as they come, and their usage is read on the way. A redirect is not followed.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

import msgspec

from polyport.errors import APIError, BadRequestError
from polyport.flow import Close, Flow, HttpReply, HttpRequest, Read, hide
from polyport.middleware.cost import charge
from polyport.operations import BY_FUNCTION
from polyport.router.deployments import Deployment
from polyport.types.record import SECRET_SETTING
from polyport_gateway import buckets, direct, owning, replies, tapping
from polyport_gateway.app import ASGI
from polyport_gateway.asked import IN_MEMORY, NO_JSON, Body, Receive
from polyport_gateway.endpoints import HOPS, METHODS
from polyport_gateway.exchange import Exchange, Scope, Send, Watch
from polyport_gateway.gate import Admission, GateError
from polyport_gateway.limits import Reservation
from polyport_gateway.purses import Purses
from polyport_gateway.running import allowed
from polyport_gateway.signon import credential
from polyport_gateway.surface import OCTETS
from polyport_gateway.surfaces import OPENAI, Finds, Route
from polyport_gateway.tapping import Row, Tap

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

WORD = "passthrough"
#: Headers that do not go to a provider: credentials, whose account is meant, where the caller is; and what the
#: transport writes itself.
KEPT_BACK = HOPS | {
    "authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie", "host", "content-length", "accept-encoding",
    "expect", "openai-organization", "openai-project", "x-goog-user-project", "forwarded", "via", "x-real-ip",
}  # fmt: skip
PREFIXES_KEPT_BACK = ("x-amz-", "x-forwarded-", "x-polyport-", "x-litellm-", "cf-", "sec-")
#: Headers that do not go to a caller.
NOT_TOLD = HOPS | {
    "content-length", "content-encoding", "content-type", "set-cookie", "date", "server", "alt-svc", "x-request-id",
    "strict-transport-security", "openai-organization", "openai-project", "location", "www-authenticate",
}  # fmt: skip
#: Parameters of an address that are credentials, besides those that SECRET_SETTING knows.
SECRET_QUERY = frozenset({"key", "sig", "signature", "token", "code"})
#: The setting that lists them.
SAYS_WHO = "general_settings.passthrough.providers says to whom"
#: How addresses end at which vendors start batches.
STARTS = re.compile(
    r"(/batches|/batch/jobs|/batchPredictionJobs|/model-invocation-job|/embed-jobs|:batchGenerateContent"
    r"|:asyncBatchEmbedContent)/?$"
)
VERSION = re.compile(r"^/v\d\w*(?=/)")
#: What SDKs take for the end of a stream: it waits for the settlement.
ENDS = (b"\ndata: [DONE]", b'"message_stop"', b'"response.completed"', b'"response.incomplete"', b'"response.failed"')
PIECE = 256 * 1024


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the part: see `polyport_gateway.assembly`."""
    return {WORD: serving(gateway, Passage, Anywhere())}


def serving(gateway: Gateway, kind: type[Passage], routes: Finds) -> ASGI:
    """Return the application that answers each HTTP request at its addresses by one Passage of this kind."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "not served here"})
            return
        app = gateway.app
        running = app.running
        with running:
            run = kind(running, app.gate, scope, receive, send, app.taps).run(routes)
            await (run if app.tracing is None else app.tracing(scope, run))

    return serve


class Anywhere:
    """The routes of a part that has one: whatever the address."""

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route, and the provider and the rest of the address. Raises GateError."""
        provider, slash, rest = path.removeprefix(f"/{WORD}/").partition("/")
        route = Route(method=method, path=path, surface=OPENAI, own=WORD)
        return route, {"provider": provider, "path": safe(slash + rest)}


def safe(path: str) -> str:
    """Return a path that means the same to whoever reads it, decoded. Raises GateError for any other."""
    parts = path.split("/")[1:]
    strange = any(
        part.partition(";")[0] in (".", "..") or (not part and place < len(parts) - 1)
        for place, part in enumerate(parts)
    )
    if not path.startswith("/") or strange or unquote(path) != path or "\\" in path or not path.isprintable():
        raise GateError(400, "bad_path", "The path must be absolute, without . and .., and encoded once at most.")
    return path


class Spool:
    """A request's body in a file, sent in pieces as often as it takes."""

    def __init__(self, file: Any, length: int) -> None:
        self._file = file
        self.length: int | None = length

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        return iter(lambda: self._file.read(PIECE), b"")


class Passage(Exchange):
    """One request that passes through."""

    #: What a budget of the provider's has set aside for it.
    _held: Reservation | None = None

    async def _answer(self, route: Route, names: dict[str, str]) -> None:
        path = names["path"]
        bare = VERSION.sub("", path)
        row = tapping.row_of(bare) if route.method == "POST" else None
        token, team = credential.of(self._headers, self._scope), self._headers.get(credential.TEAM, "")
        caller = await self._gate.identify(token, self._client(), team=team)
        master = is_master(caller)
        self._check(names["provider"], bare, row, master=master)
        with ExitStack() as stack:
            content, told = await self._content(row, stack)
            model = _model(told or {}, path)
            name, one = self._place(names["provider"], model, caller)
            await self._enter(route, name if row else None, told or {}, row)
            self._guard()
            self._price(route.method, bare)
            self._demand(told, content)
            if row is not None and not may(name, caller):
                raise GateError(403, "model_not_allowed", f"This key may not use {name[:200]!r}.")
            await self._admission_of().check(owning.named(BY_FUNCTION["responses"], told or {}))
            storage = self._running.general.allowed_storage
            await self._admission_of().reach(buckets.beyond(buckets.named(told or {}), storage))
            self._call = direct.call_of(self._running.router, names["provider"], model, one)
            await self._afford(names["provider"], one)
            watch = Watch(self._leave, self._receive)
            try:
                await self._pass(self._request(route.method, path, content), row)
            finally:
                watch.stop()

    async def _afford(self, provider: str, one: Deployment | None) -> None:
        """Set aside what it may cost, where its provider or deployment has a budget. Raises RateLimitError."""
        budgets = self._running.router.budgets
        if isinstance(budgets, Purses) and self._asked is not None and self._call is not None:
            self._held = await budgets.enter(provider, one, self._call, WORD, self._asked.fields)

    async def _settle(self, status: int, error: BaseException | None) -> None:
        await super()._settle(status, error)
        budgets, held, self._held = self._running.router.budgets, self._held, None
        if held is not None and isinstance(budgets, Purses):
            cost = None if self._call is None else self._call.meta.cost
            failed = error is not None or status >= 400
            await budgets.leave(held, (0 if failed else None) if cost is None else round(cost * 1_000_000_000))

    # --- may it pass ---

    def _check(self, provider: str, path: str, row: Row | None, *, master: bool) -> None:
        settings = self._running.general.passthrough
        if settings is None or provider not in settings.providers:
            raise GateError(404, "not_found", f"Nothing passes through to {provider[:60]!r} here: {SAYS_WHO}.")
        if self._scope["method"] not in METHODS:
            raise GateError(405, "method_not_allowed", "There is no such method here.")
        opened = settings.paths.get(provider, ())
        if not master and row is None and not any(fnmatchcase(path, pattern) for pattern in opened):
            raise GateError(403, "path_not_allowed", f"This key may not ask {provider} for {path[:200]}.")

    def _guard(self) -> None:
        """Refuse what guardrails would have to see."""
        settings = self._running.general.passthrough
        if self._admission is not None and not (settings is not None and settings.unguarded):
            self._running.refuse_guarded(self._admission, "what passes through")

    def _price(self, method: str, path: str) -> None:
        """Refuse a batch that would be paid of no budget to who has one. Raises GateError."""
        settings, admission = self._running.general.passthrough, self._admission_of()
        open_to_all = settings is not None and settings.unpriced
        if method == "POST" and STARTS.search(path) and admission.budgeted and not open_to_all:
            raise GateError(
                403, "cost_unknown", "What a batch costs that passes through is not told, and a budget holds here: "
                "start it at the gateway's own address, which is /v1/batches, or its vendor's.",
            )  # fmt: skip

    def _demand(self, told: dict[str, Any] | None, content: bytes | Spool | None) -> None:
        """Refuse what leaves out what calls have to say, and what nobody can tell that of."""
        if told is not None:
            self._running.demand(told)
        elif content is not None and self._running.general.required_params:
            raise GateError(403, "required_params", "Of what passes through here, only JSON can say what it has to.")

    async def _content(self, row: Row | None, stack: ExitStack) -> tuple[bytes | Spool | None, dict[str, Any] | None]:
        """Return the body, and what it says where that has to be known."""
        running = self._running
        kind = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        read = row is not None or (running.demands and kind.endswith("json"))
        body = Body(self._receive, self._headers, running.max_json if read else running.max_upload)
        if read:
            data = b"".join([piece async for piece in body])
            if row is None and not data:
                return None, None
            try:
                told = msgspec.json.decode(data) if data else {}
            except NO_JSON as error:
                raise BadRequestError(f"The body is no JSON: {error}") from error
            if not isinstance(told, dict):
                raise BadRequestError("The body must be a JSON object")
            return data, told
        file = stack.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115  the stack closes it
        async for piece in body:
            file.write(piece)
        return (Spool(file, body.size) if body.size else None), None

    def _place(self, provider: str, model: str, caller: Any) -> tuple[str, Deployment | None]:
        """Return a model's name as keys and limits know it, and the deployment that lends its key.

        The name is that of a deployment's group, of one that the caller may use if there is one, or provider/model.
        """
        router = self._running.router
        there = [one for one in router.groups.all() if one.model != "*" and router.place_of(one)[0] == provider]
        of_model = [one for one in there if router.place_of(one)[1] == model]
        if of_model:
            found = next((one for one in of_model if may(one.group, caller)), of_model[0])
            return found.group, found
        return f"{provider}/{model}", there[0] if there else None

    async def _enter(self, route: Route, model: str | None, told: dict[str, Any], row: Row | None) -> None:
        config = told.get("generationConfig")
        limit = config.get("maxOutputTokens") if isinstance(config, dict) else None
        counted = {"max_tokens": limit} if isinstance(limit, int) else {}
        fields = {**told, **counted} if row is not None and row.answers else {**told, "max_tokens": 0}
        stream = told.get("stream") or "stream" in route.path.rpartition(":")[2]
        await self._admit(self._asking(route, WORD, fields, model=model, stream=stream))

    # --- the request ---

    def _request(
        self, method: str, path: str, content: bytes | Spool | None, given: list[tuple[str, str]] | None = None
    ) -> HttpRequest:
        """Return the request; `given` are the address's parameters, where they are not as they came."""
        assert self._call is not None
        plugin = self._call.provider.plugin
        own = {way.header for way in plugin.auth.each()} | {
            name.strip().lower() for name in self._headers.get("connection", "").split(",")
        }
        passed = {
            name: value
            for name, value in self._headers.items()
            if name not in KEPT_BACK and name not in own and not name.startswith(PREFIXES_KEPT_BACK)
        }
        parameters = {getattr(way, "parameter", "") for way in plugin.auth.each()}
        if given is None:
            given = parse_qsl(self._scope["query_string"].decode("latin-1"), keep_blank_values=True)
        query = [(name, value) for name, value in given if name not in parameters and not is_secret(name.lower())]
        url = quote(path, safe="/:@!$&'()*+,;=~") + (f"?{urlencode(query)}" if query else "")
        return HttpRequest(
            method=method, url=url, headers={**plugin.headers, **passed}, content=content, stream=method != "HEAD"
        )

    def _exchange(self, request: HttpRequest) -> Flow[HttpReply]:
        """Sign and send: what core does with a provider's own requests, but for errors and redirects."""
        assert self._call is not None
        yield from direct.sign(request, self._call)
        reply: HttpReply = yield request
        return reply

    # --- the reply ---

    async def _fetch(self, request: HttpRequest) -> HttpReply:
        """Send a request and return the reply. Raises errors that tell no key of it."""
        try:
            return await self._running.router.client.arun(self._exchange(request))
        except APIError as error:
            error.hide(request.secrets)
            raise

    async def _pass(self, request: HttpRequest, row: Row | None) -> None:
        client = self._running.router.client
        reply = await self._fetch(request)
        kind = reply.headers.get("content-type", "")
        tap = Tap(row, kind.lower()) if row is not None and reply.status < 400 else None
        try:
            self._stay(reply)
            self._first = time.monotonic() - self._start
            self._named(reply)
            await self._begin(reply.status, kind or OCTETS, self._told(reply, request.secrets))
            last = await self._relay(reply, tap, request.secrets)
        finally:
            if reply.source is not None:
                await client.arun(close(reply.source))
            await self._account(tap)
        await self._settle(reply.status, None)
        await self._finish(last)

    def _stay(self, reply: HttpReply) -> None:
        """Refuse to be led elsewhere."""
        if 300 <= reply.status < 400 and reply.status != 304:
            raise GateError(502, "redirected", "The provider redirects this elsewhere, which is not followed here.")

    def _named(self, reply: HttpReply) -> None:
        """Take note of the provider's name of the request."""
        if self._call is not None:
            names = self._call.provider.plugin.request_id_headers
            self._call.meta.request_id = next((reply.headers[name] for name in names if name in reply.headers), None)

    async def _relay(self, reply: HttpReply, tap: Tap | None, secrets: tuple[str, ...]) -> bytes:
        """Send a reply's body as it comes, and return what has to wait for the settlement."""
        if reply.source is None:
            if tap is not None:
                tap.see(reply.content)
            return hidden(reply.content, secrets)
        client, held = self._running.router.client, b""
        while (piece := await client.arun(read(reply.source))) is not None:
            if tap is not None:
                tap.see(piece)
            held += hidden(piece, secrets)
            if tap is None or not any(mark in b"\n" + held for mark in ENDS):
                await self._send_body(held)
                held = b""
        return held

    async def _account(self, tap: Tap | None) -> None:
        """Write down what was told of the use, as far as it came, and whose a response is."""
        if tap is None or self._call is None:
            return
        used = tap.end()
        if used is not None:
            self._tally.usage = {**used.tokens}
            charge(self._call, used, None, time.time)
        if tap.made is not None:
            await self._admission_of().note("responses", {}, tap.made, self._call.meta)

    def _admission_of(self) -> Admission:
        assert self._admission is not None
        return self._admission

    def _told(self, reply: HttpReply, secrets: tuple[str, ...]) -> replies.Headers:
        """Return the provider's headers as a caller sees them."""
        return replies.to_headers(
            (name, hide(value, secrets))
            for name, value in reply.headers.items()
            if name not in NOT_TOLD and not name.startswith(("x-polyport-", "access-control-"))
        )


def _model(told: Mapping[str, Any], path: str) -> str:
    """Return the model that is asked for: Gemini's stands in the address."""
    placed = re.search(r"[mM]odels/([^/:]+):", path)
    return placed[1] if placed else str(told.get("model") or "")


def is_master(caller: Any) -> bool:
    """Whether this is the master key's bearer, no key or person of the accounts."""
    own = getattr(caller, "key_id", "") or getattr(caller, "user_id", "")
    return caller.id == "master" and not own and getattr(caller, "role", "admin") == "admin"


def is_secret(name: str) -> bool:
    """Whether a parameter of an address is a credential."""
    return name in SECRET_QUERY or SECRET_SETTING.fullmatch(name) is not None


def may(name: str, caller: Any) -> bool:
    """Whether a caller may use a model."""
    return not hasattr(caller, "models") or allowed(name, caller)


def hidden(data: bytes, secrets: tuple[str, ...]) -> bytes:
    """Return a piece without a key that it may echo."""
    for secret in secrets:
        if secret and secret.encode() in data:
            data = data.replace(secret.encode(), b"***")
    return data


def read(source: Any) -> Flow[bytes | None]:
    """Return the next piece of a reply; None at its end."""
    piece: bytes | None = yield Read(source)
    return piece


def close(source: Any) -> Flow[None]:
    """Let go of a reply."""
    yield Close(source)
