"""What one account of a vendor keeps, served: the methods in `resources`, each by the bytes that came and went.

A request goes to the account that has what it names (`owning` knows), else to a deployment of the model that it names,
else to the one that `x-polyport-model`, `?model=` or `?provider=` say, else to the first with OpenAI's resources that
the caller may use. What is made there is its caller's; what is named, in the address and in the body, must be; lists
tell what is one's own. Of a cost that nobody tells, 0 is in the ledger; what has models work so is not for whom a
budget holds, and what guardrails would have to see is refused where one is on (`general_settings.resources`).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from polyport.dialects.openai import Wire
from polyport.errors import BadRequestError
from polyport.flow import HttpReply, HttpRequest
from polyport.router.deployments import Deployment
from polyport.types.record import Request
from polyport_gateway import asked, direct, owning, resources, tapping
from polyport_gateway.app import ASGI, App
from polyport_gateway.asked import IN_MEMORY, Body, Parts, Receive
from polyport_gateway.exchange import Exchange, Scope, Send, Watch
from polyport_gateway.gate import GateError
from polyport_gateway.passthrough import VERSION, Passage, Spool, close, hidden, may, read, safe
from polyport_gateway.resources import Row
from polyport_gateway.running import Running, user_of
from polyport_gateway.signon import credential
from polyport_gateway.surface import OCTETS, Surface
from polyport_gateway.surfaces import OPENAI, Route

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

#: What a provider answers that keeps more than files.
ABLE = frozenset({"respond", "create_file"})
#: The header that says by a model where something is to be, and the parameters that say so, or name the provider.
HINT, HINTS = "x-polyport-model", frozenset({"model", "provider", "custom_llm_provider"})
#: The largest reply that is read before it is sent: one of something that was made, or a page.
MAX_READ = 16 * 1024 * 1024
#: The longest page, the usual one, and how many pages are turned in search of a caller's own.
PAGE, USUAL, PAGES = 100, 20, 50
#: Methods without a body.
BARE = frozenset({"GET", "DELETE"})
UNSEEN = "what this asks: it stays with the provider"


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the part, which finds its addresses itself: some of them begin as the surfaces' do."""
    app = gateway.app

    def beside(method: str, path: str) -> ASGI | None:
        bare = path.removeprefix("/v1")
        found = resources.find(method, bare)
        why = resources.absent(method, bare) if found is None else None
        if found is None and why is None:
            return None

        if found is None:
            return answering(app, lambda *about: Exchange(*about).run(Absent(bare, why or "")))
        return answering(app, lambda *about: Kept(*about).about(*found, bare))

    app.beside = beside
    return {}


def answering(app: App, run_of: Callable[..., Coroutine[Any, Any, None]]) -> ASGI:
    """Return what answers one request, by what serves now."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        running = app.running
        with running:
            run = run_of(running, app.gate, scope, receive, send, app.taps)
            await (run if app.tracing is None else app.tracing(scope, run))

    return serve


class Found:
    """The routes of a request whose method is known."""

    def __init__(self, row: Row, path: str, surface: Surface) -> None:
        self._row, self._path, self._surface = row, path, surface

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route, and the address. Raises GateError."""
        return Route(method=method, path=self._row.path, surface=self._surface), {"path": safe(self._path)}


class Absent:
    """The routes of a request for what is not served."""

    def __init__(self, path: str, why: str) -> None:
        self._path, self._why = path, why

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Raise GateError, which says why."""
        raise GateError(404, "not_served", f"{self._path[:100]} is not served here: {self._why}.")


class Fields(Parts):
    """The fields of a multipart body that are text; files are let by."""

    def _open(self) -> None:
        super()._open()
        if self._file is not None:
            self._files.pop().close()
            self._file = Nothing()

    def _end(self) -> None:
        if not isinstance(self._file, Nothing):
            super()._end()


class Nothing:
    """Takes what nobody reads."""

    def write(self, data: bytes) -> None:
        """Take it."""


class Kept(Passage):
    """One request about something that is kept; of another vendor's, a subclass says what is different there."""

    vendor: ClassVar[Surface] = OPENAI
    _row: Row
    #: The id in the address that is somebody's.
    _root = ""

    async def about(self, row: Row, names: Mapping[str, str], path: str) -> None:
        """Answer a request of a method, with the names in its address."""
        self._row, self._root = row, next(iter(names.values()), "")
        await self.run(Found(row, path, self.vendor))

    async def _answer(self, route: Route, names: dict[str, str]) -> None:
        row, path = self._row, names["path"]
        token, team = credential.of(self._headers, self._scope), self._headers.get(credential.TEAM, "")
        caller = await self._gate.identify(token, self._client(), team=team)
        with ExitStack() as stack:
            content, told = await self._content_of(stack)
            model, there = self._of_models(told, caller)
            await self._let_in(route, told, model)
            if row.model or row.models:
                self._running.demand(told)
            self._may()
            admission = self._admission_of()
            ids = [*([self._root] if self._root else []), *owning.inside(told)]
            if ids:
                await admission.check(ids)
            place = self._home(there, await admission.places(ids) if ids else {}, caller)
            if self._renamed(told, place):
                content = msgspec.json.encode(told)
            provider, own = self._running.router.place_of(place)
            self._call = direct.call_of(self._running.router, provider, own if row.model else "", place)
            watch = Watch(self._leave, self._receive)
            try:
                await self._go(path, content)
            finally:
                watch.stop()

    # --- what is asked ---

    async def _content_of(self, stack: ExitStack) -> tuple[bytes | Spool | None, dict[str, Any]]:
        """Return the body, and what it says: its JSON, or the fields of it that are no files."""
        kind, running = self._headers.get("content-type", ""), self._running
        if not kind.startswith("multipart/"):
            body = Body(self._receive, self._headers, running.max_json)
            data = b"".join([piece async for piece in body])
            if self._scope["method"] in BARE or not data.strip():
                return None, {}
            told = _json(data)
            if not isinstance(told, dict):
                raise BadRequestError("The body must be a JSON object")
            return data, told
        if not self._row.multipart:
            raise GateError(415, "unsupported_media_type", f"{self._row.name} takes JSON")
        return await self._form(Body(self._receive, self._headers, running.max_upload), kind, stack)

    async def _form(self, body: Body, kind: str, stack: ExitStack) -> tuple[Spool, dict[str, Any]]:
        boundary = parse_options_header(kind)[1].get(b"boundary")
        if not boundary:
            raise BadRequestError("A multipart body needs a boundary in its content-type")
        parts = Fields([])
        file = stack.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115  the stack closes it
        try:
            parser = MultipartParser(boundary, parts.callbacks())
            async for piece in body:
                parser.write(piece)
                file.write(piece)
            parser.finalize()
        except FormParserError as error:
            raise BadRequestError(f"The multipart body cannot be read: {error}") from error
        return Spool(file, body.size), asked.of_form(parts.found, Request)

    async def _let_in(self, route: Route, told: dict[str, Any], model: str | None) -> None:
        """Have the request admitted; what it says is counted where a model reads it."""
        row = self._row
        fields = told if row.model else {}
        await self._admit(self._asking(route, row.name, fields, path=row.path, model=model, user=user_of(told)))

    def _may(self) -> None:
        """Refuse what guardrails would have to see, and what costs nobody knows what. Raises GateError."""
        settings, admission = self._running.general.resources, self._admission_of()
        if self._row.texts and not settings.unguarded:
            self._running.refuse_guarded(admission, UNSEEN)
        if self._row.spends and admission.budgeted and not settings.unpriced:
            raise GateError(403, "cost_unknown", f"What {self._row.name} costs is not told, and a budget holds here.")

    # --- where it goes ---

    def _of_models(self, told: dict[str, Any], caller: Any) -> tuple[str | None, list[Deployment]]:
        """Return what the first model is called that a request has work, and the places of all. Raises GateError."""
        names = [one["model"] for one in self._naming_models(told)]
        if not names:
            return None, []
        there = [place for name in names for place in self._served(name, caller)]
        known = self._running.router.groups.has(getattr(caller, "aliases", {}).get(names[0], names[0]))
        return (names[0] if known or not there else there[0].group), there

    def _served(self, name: str, caller: Any) -> list[Deployment]:
        """Return the places of a model, by its name here or its provider's. An admin may name any."""
        router = self._running.router
        name = getattr(caller, "aliases", {}).get(name, name)
        found = [one for one in router.groups.find(name) if self._speaks(one)]
        if found and not may(name, caller):
            raise GateError(403, "model_not_allowed", f"This key may not use {name[:200]!r}.")
        if not found:
            found = [one for one in self._places() if router.place_of(one)[1] == name and _may(one, caller)]
        if not found and getattr(caller, "role", "admin") != "admin":
            raise GateError(
                404, "model_not_found", f"There is no model {name[:200]!r} here that this can be done with."
            )
        return found

    def _home(self, of_models: list[Deployment], kept: Mapping[str, str], caller: Any) -> Deployment:
        """Return the deployment whose account is asked. Raises GateError where there is none."""
        every = self._running.router.groups.all()
        for deployment in kept.values():
            found = next((one for one in (*of_models, *every) if one.id == deployment), None)
            if (
                found is not None
                and self._speaks(found)
                and (not of_models or found in of_models or not self._row.model)
            ):
                return found
        if of_models:
            return of_models[0]
        query = dict(self._query())
        name = self._headers.get(HINT) or query.get("model")
        if name and (hinted := self._served(name, caller)):
            return hinted[0]
        provider = query.get("provider") or query.get("custom_llm_provider")
        there = [one for one in self._places(provider) if _may(one, caller)]
        if not there:
            raise GateError(404, "not_found", f"Nothing that this caller may use here has {self._row.name}.")
        return there[0]

    def _speaks(self, one: Deployment) -> bool:
        """Whether a deployment is at a vendor who has such things."""
        return _speaks(self._running, one)

    def _places(self, provider: str | None = None) -> list[Deployment]:
        """Return the deployments that may have such things: a provider's, or all."""
        return places(self._running, provider)

    def _renamed(self, told: dict[str, Any], place: Deployment) -> bool:
        """Put the provider's names of models in the place of ours; return whether there were any."""
        router, changed = self._running.router, False
        aliases = self._admission_of().aliases
        for one in self._naming_models(told):
            found = router.groups.find(aliases.get(one["model"], one["model"]))
            same = [other for other in found if other is place] or found
            name = router.place_of(same[0])[1] if same else one["model"]
            if name != one["model"]:
                one["model"], changed = name, True
        return changed

    def _naming_models(self, told: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what of a request names a model that works: it itself, or anything in it."""
        if self._row.models:
            return [*_naming(told)]
        return [told] if self._row.model and isinstance(told.get("model"), str) else []

    def _query(self) -> list[tuple[str, str]]:
        return parse_qsl(self._scope["query_string"].decode("latin-1"), keep_blank_values=True)

    # --- the way there and back ---

    async def _send_body(self, body: bytes) -> None:
        self._bound(len(body))
        await super()._send_body(body)

    async def _go(self, path: str, content: bytes | Spool | None) -> None:
        row, method = self._row, self._scope["method"]
        query = [(name, value) for name, value in self._query() if name not in HINTS]
        model = dict(self._query()).get("model")
        if row.name == "chat.completions.list" and model and self._call is not None:
            query.append(("model", self._own_name(model)))
        if row.lists:
            await self._list(path, query)
        elif row.makes:
            await self._make(self._request(method, path, content, query))
        else:
            tapped = tapping.row_of(VERSION.sub("", row.path)) if row.model else None
            await self._pass(self._request(method, path, content, query), tapped)

    def _own_name(self, model: str) -> str:
        found = self._running.router.groups.find(self._admission_of().aliases.get(model, model))
        return self._running.router.place_of(found[0])[1] if found else model

    async def _make(self, request: HttpRequest) -> None:
        """Send a request, and take note of what came of it."""
        reply, data = await self._whole(request)
        told = told_of(data) if reply.status < 400 else None
        if told is not None:
            for kind, name in self._made(told):
                self._admission_of().own(kind, name, self._deployment(), self._root)
            await self._seen(told)
        await self._answered(reply, data, request)

    async def _seen(self, told: Mapping[str, Any]) -> None:
        """Take note of what else a reply tells."""

    def _made(self, told: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield what a reply tells of that was made: its kind and its id."""
        return _made(self._row.makes, told)

    async def _list(self, path: str, query: list[tuple[str, str]]) -> None:
        """Send a page of what is the caller's, from as many of the provider's pages as it takes."""
        asked_for = dict(query)
        wanted = int(text) if (text := asked_for.get("limit", "")).isdecimal() else USUAL
        request = self._request("GET", path, None, query)
        reply, data = await self._whole(request)
        page = told_of(data) if reply.status < 400 else None
        listed = data_of(page or {})
        mine = await self._mine(listed)
        if page is None or len(mine) == len(listed):
            await self._answered(reply, data, request)
            return
        rest = [(name, value) for name, value in query if name not in ("after", "limit")]
        more, last, turned = bool(page.get("has_more")), _id(listed[-1]), 1
        while more and last and len(mine) < wanted and turned < PAGES and "before" not in asked_for:
            turned += 1
            following = [*rest, ("after", last), ("limit", str(PAGE))]
            next_reply, data = await self._whole(self._request("GET", path, None, following))
            if next_reply.status >= 400:
                await self._answered(next_reply, data, request)
                return
            found = told_of(data) or {}
            listed = data_of(found)
            mine += await self._mine(listed)
            more, last = bool(found.get("has_more")) and bool(listed), _id(listed[-1]) if listed else ""
        shown = mine[:wanted]
        ends = {"first_id": _id(shown[0]) if shown else None, "last_id": _id(shown[-1]) if shown else last or None}
        told = {**page, "data": shown, "has_more": more or len(mine) > wanted}
        told |= {name: value for name, value in ends.items() if name in page or not shown}
        await self._answered(reply, msgspec.json.encode(told), request)

    def _id_of(self, one: Any) -> str:
        """Return the id of what a page lists."""
        return _id(one)

    async def _mine(self, listed: list[Any]) -> list[Any]:
        """Return what is the caller's. What tells no id is nobody's."""
        ids = [self._id_of(one) for one in listed]
        seen = await self._admission_of().visible([one for one in ids if one])
        return [one for one, name in zip(listed, ids, strict=True) if name in seen]

    async def _whole(self, request: HttpRequest) -> tuple[HttpReply, bytes]:
        """Send a request and return the reply with its body. Raises GateError for one too large, or elsewhere."""
        client = self._running.router.client
        reply = await self._fetch(request)
        self._first = time.monotonic() - self._start
        if reply.source is None:
            return reply, reply.content
        pieces, size = [], 0
        try:
            self._stay(reply)
            while (piece := await client.arun(read(reply.source))) is not None:
                size += len(piece)
                if size > MAX_READ:
                    raise GateError(
                        502, "response_too_large", "The provider's answer is larger than what is read here."
                    )
                pieces.append(piece)
        finally:
            await client.arun(close(reply.source))
        return reply, b"".join(pieces)

    async def _answered(self, reply: HttpReply, data: bytes, request: HttpRequest) -> None:
        """Settle, and send a reply whole."""
        data = hidden(data, request.secrets)
        self._bound(len(data))
        self._named(reply)
        await self._settle(reply.status, None)
        headers = [(b"content-length", b"%d" % len(data)), *self._told(reply, request.secrets)]
        await self._begin(reply.status, reply.headers.get("content-type", OCTETS), headers)
        await self._finish(data)

    def _deployment(self) -> str:
        return (self._call.meta.deployment or "") if self._call is not None else ""


# --- where things can be ---------------------------------------------------------------------------------------


def places(running: Running, provider: str | None = None) -> list[Deployment]:
    """Return the deployments that may have OpenAI's resources: a provider's, or of those that have more than files."""
    router = running.router
    found = [one for one in router.groups.all() if one.model != "*" and _speaks(running, one)]
    if provider:
        return [one for one in found if router.place_of(one)[0] == provider]
    return [one for one in found if router.client.providers.get(router.place_of(one)[0]).answers.keys() >= ABLE]


def _speaks(running: Running, one: Deployment) -> bool:
    if one.model == "*":
        return False
    provider = running.router.place_of(one)[0]
    return isinstance(running.router.client.providers.get(provider).plugin, Wire)


def _may(one: Deployment, caller: Any) -> bool:
    """Whether a caller may use a deployment; of a pattern, anything that it fits."""
    models = getattr(caller, "models", None)
    return may(one.group, caller) or ("*" in one.group and any(fnmatchcase(name, one.group) for name in models or ()))


# --- what is told ----------------------------------------------------------------------------------------------


def _json(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError(f"The body is no JSON: {error}") from error


def told_of(data: bytes) -> dict[str, Any] | None:
    """Return what a reply says; None for one that is no JSON object, which is passed on as it is."""
    try:
        told = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return told if isinstance(told, dict) else None


def _made(makes: str, told: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what a reply tells of that was made: its kind and its id. An upload that is complete is a file, too."""
    files = told.get(makes)
    if makes == "result_files":
        yield from (("file", one) for one in files) if isinstance(files, list) else ()
        return
    yield makes, told.get("id")
    file = told.get("file")
    if isinstance(file, dict):
        yield "file", file.get("id")


def data_of(page: Mapping[str, Any]) -> list[Any]:
    """Return what a page lists."""
    found = page.get("data")
    return found if isinstance(found, list) else []


def _id(one: Any) -> str:
    name = one.get("id") if isinstance(one, dict) else None
    return name if isinstance(name, str) else ""


def _naming(told: Any) -> Iterator[dict[str, Any]]:
    """Yield what names a model, the outermost first; a caller's own data names none."""
    waiting = [told]
    for one in waiting:  # which grows meanwhile
        if isinstance(one, dict):
            if isinstance(one.get("model"), str):
                yield one
            waiting += [value for name, value in one.items() if name not in owning.OWN_DATA]
        elif isinstance(one, list):
            waiting += one
