"""What Gemini keeps for a caller: files, caches, stores of documents, tuned models. https://ai.google.dev/api/files

https://ai.google.dev/api/caching https://ai.google.dev/api/file-search/file-search-stores
https://ai.google.dev/api/tuning

Other vendors have nothing like them. So a request goes as it came to the account that keeps the thing, which is the one
where it was made; a caller's own alone are read, changed, named in other requests and listed. The rows of
`gemini_addresses` are the addresses; uploads have bodies and headers of their own: see `gemini_upload`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlencode

import msgspec

from polyport.border import Call, exchange
from polyport.errors import BadRequestError, InvalidResponseError, NotFoundError
from polyport.flow import Flow, HttpReply, HttpRequest, Raw, Streaming
from polyport.operations import BodyForm, Operation
from polyport.router.deployments import Deployment
from polyport.types.record import Request, Result
from polyport_gateway import buckets, direct, pinning, replies
from polyport_gateway.effects import awaiting
from polyport_gateway.gate import Admission
from polyport_gateway.gemini import Gemini
from polyport_gateway.running import Running
from polyport_gateway.surface import OCTETS, Answer, Events, Octets

#: Who keeps them, and the version of its interface that has all of them.
PROVIDER, VERSION = "gemini", "v1beta"
#: What stands in an address beside its path.
QUERY = ("pageSize", "pageToken", "filter", "orderBy", "updateMask", "force", "alt")
#: Credentials that some put into an address: they are this gateway's.
SECRET_QUERY = ("key", "access_token")
#: A name in an address.
PLAIN = re.compile(r"[\w.-]+")
#: How many pages are turned in search of a caller's own things.
PAGES = 50
#: What stands between the deployment and the vendor's own token in a page's token.
BETWEEN = "~"
#: Names of things, as requests and replies have them; what follows is below it. Files go by their bare id here.
NAME = re.compile(
    r"(?:https://generativelanguage\.googleapis\.com/(?:download/|upload/)?v\w+/)?"
    r"(?P<kind>files|batches|cachedContents|fileSearchStores|tunedModels)/(?P<id>[\w.-]+)(?:[/:?].*)?"
)
BARE = frozenset({"files", "batches"})


class Kept(Request, kw_only=True):
    """Something that Gemini keeps."""


class Came(Result, kw_only=True):
    """A reply on its way through."""

    body: bytes = b""
    content_type: str = replies.JSON
    used: dict[str, int] = {}

    @property
    def usage_buckets(self) -> dict[str, int]:
        """What was used, where the reply told it."""
        return self.used


class Account(msgspec.Struct, frozen=True):
    """A deployment that lends its account, and the model that is asked for there by the vendor's own name."""

    deployment: Deployment
    group: str = ""
    model: str = ""


class Keeping(Gemini):
    """A thing that is looked at, changed or deleted: the request goes to the account that keeps it."""

    plans = True

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the request: `names` are those in its address, `query` and `body` what else it says."""
        names = {name: fields.pop(name) for name in re.findall(r"\{(\w+)\}", operation.path)}
        if any(not PLAIN.fullmatch(one) or ".." in one for one in names.values()):
            raise NotFoundError("There is nothing by this name here.")
        query = {name: _plain(fields.pop(name)) for name in QUERY if name in fields}
        for name in SECRET_QUERY:
            fields.pop(name, None)
        path = operation.path.format_map(names)
        return {"model": None, "path": path, "query": query, "body": fields}

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call, and the flow that asks for the caller's own."""
        there = self.accounts(running, fields)
        call = call_of(running, there[0])
        ids = [*named(fields["path"].strip("/"), fields["body"])]

        def flow() -> Flow[Any]:
            yield awaiting(lambda: admission.check(ids))
            known = yield awaiting(lambda: admission.places(ids))
            one = among(running, admission, there, known)
            return (yield from self.ask(running, admission, operation, fields, at(running, call, one)))

        return call, flow()

    def accounts(self, running: Running, fields: Mapping[str, Any]) -> list[Account]:
        """Return the accounts that may be asked. Raises NotFoundError where there is none."""
        return accounts(running)

    def ask(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any], call: Call
    ) -> Flow[Any]:
        """Return the reply as it came."""
        reply = yield from send(call, operation, fields)
        return Came(body=reply.content, content_type=reply.headers.get("content-type", replies.JSON))

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the reply."""
        return Answer(result.body, result.content_type)


class Making(Keeping):
    """A thing that is made, and is its caller's from then on.

    `told` names what in the body says which model is meant; `guarded`: what it says no guardrail sees.
    """

    def __init__(self, kind: str, *, told: str = "", guarded: str = "") -> None:
        super().__init__()
        self._kind, self._told, self._guarded = kind, told, guarded

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the request, and its model."""
        found = super().read(operation, fields, headers)
        if not self._told:
            return found
        body = found["body"]
        model = body.get(self._told)
        if not isinstance(model, str) or not model.removeprefix("models/"):
            raise BadRequestError(f"A model is missing at $.{self._told}: GET /v1beta/models lists them")
        about = {name: body[name] for name in ("contents", "tools") if name in body}
        return {**found, **about, "model": model.removeprefix("models/")}

    def accounts(self, running: Running, fields: Mapping[str, Any]) -> list[Account]:
        """Return those of the model's deployments. Raises BadRequestError where none of them is Gemini's."""
        return of_model(running, fields["model"]) if self._told else accounts(running)

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call. Raises GateError where a guardrail would have to see what is kept."""
        if self._guarded:
            running.refuse_guarded(admission, self._guarded)
        return super().plan(running, admission, operation, fields)

    def ask(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any], call: Call
    ) -> Flow[Any]:
        """Return what was made, once it is noted whose it is."""
        body = {**fields["body"], **({self._told: f"models/{call.request.model}"} if self._told else {})}
        reply = yield from send(call, operation, {**fields, "body": body})
        told = decoded(reply)
        for name in named(str(told.get("name", ""))):
            admission.own(self._kind, name, call.meta.deployment or "")
        return (yield from self.made(running, admission, told, reply.content, call))

    def made(self, running: Running, admission: Admission, told: dict[str, Any], body: bytes, call: Call) -> Flow[Came]:
        """Return the reply, with what it says was used."""
        yield from ()
        return Came(body=body)


class Listing(Keeping):
    """The things there are of a kind that are the caller's, account by account.

    A page that follows has something to tell: SDKs fail at one that has not.
    """

    def __init__(self, word: str) -> None:
        super().__init__()
        self._word = word

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call for the first account's page, and the flow that goes on until there is one to tell of."""
        there = accounts(running)
        deployment, _, token = fields["query"].get("pageToken", "").partition(BETWEEN)
        start = next((place for place, one in enumerate(there) if one.deployment.id == deployment), None)
        if start is None and deployment:
            raise BadRequestError("pageToken is the nextPageToken of a page that was told here")
        call = call_of(running, there[start or 0])

        def flow() -> Flow[Came]:
            number, page_token = start or 0, token
            told: dict[str, Any] = {}
            for _ in range(PAGES):
                query = {name: value for name, value in fields["query"].items() if name != "pageToken"}
                asked = {**fields, "query": {**query, **({"pageToken": page_token} if page_token else {})}}
                page = decoded((yield from send(at(running, call, there[number]), operation, asked)))
                listed = [one for one in page.get(self._word) or () if isinstance(one, dict)]
                mine = yield from self._mine(listed, admission)
                if mine and told:
                    break
                if mine:
                    told[self._word] = mine
                page_token = str(page.get("nextPageToken") or "")
                number = number if page_token else number + 1
                if number == len(there):
                    return Came(body=replies.encode(told))
            return Came(
                body=replies.encode({**told, "nextPageToken": f"{there[number].deployment.id}{BETWEEN}{page_token}"})
            )

        return call, flow()

    def _mine(self, listed: list[dict[str, Any]], admission: Admission) -> Flow[list[dict[str, Any]]]:
        ids = [next(iter(named(str(one.get("name", "")))), "") for one in listed]
        if not ids:
            return []
        mine = yield awaiting(lambda: admission.visible(ids))
        return [one for one, name in zip(listed, ids, strict=True) if name in mine]


class Content(Keeping):
    """The bytes of something that Gemini made, piece by piece."""

    def ask(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any], call: Call
    ) -> Flow[Any]:
        """Return the bytes."""
        reply = yield from send(call, operation, {**fields, "query": {**fields["query"], "alt": "media"}}, stream=True)
        return Streaming(reply, Raw())

    def events(self, operation: Operation, fields: Mapping[str, Any], headers: Mapping[str, str]) -> Events:
        """Return how it is written."""
        return Octets(headers.get("content-type", OCTETS))


# --- where things are ---------------------------------------------------------------------------------------------


def accounts(running: Running) -> list[Account]:
    """Return Gemini's accounts, each by its first deployment. Raises NotFoundError without any."""
    router = running.router
    found: dict[str, Account] = {}
    for one in router.groups.all():
        if one.model != "*" and router.place_of(one)[0] == PROVIDER:
            found.setdefault(pinning.account_of(running, one), Account(one))
    if not found:
        raise NotFoundError("No model here is one of Gemini's own, and so nobody keeps this.")
    return [*found.values()]


def of_model(running: Running, model: str) -> list[Account]:
    """Return the accounts of a model. Raises BadRequestError where none of its deployments is Gemini's own."""
    router = running.router
    places = [(one, *router.place_of(one)) for one in router.groups.of(model)]
    found = [Account(one, model, name) for one, provider, name in places if provider == PROVIDER]
    if not found:
        raise BadRequestError(f"Only Gemini keeps this, and {model[:200]!r} leads elsewhere.")
    return found


def among(running: Running, admission: Admission, there: list[Account], known: Mapping[str, str]) -> Account:
    """Return the account where the things that a request names are, given each one's deployment.

    Raises GateError where they are at several, or at one that is not among these.
    """
    at = pinning.kept_at(running, known)
    found = next((one for one in there if at is None or one.deployment.id in at), None)
    if found is None and at is not None:
        raise pinning.elsewhere(running, admission, there[0].group or "this", at, known)
    return found or there[0]


def call_of(running: Running, one: Account) -> Call:
    """Return the call that a request to an account is."""
    call = direct.call_of(running.router, PROVIDER, one.model, one.deployment, one.group)
    call.options = msgspec.structs.replace(call.options, extra_body=None)  # it is for calls of the model
    call.meta.deployment = one.deployment.id
    return call


def at(running: Running, call: Call, one: Account) -> Call:
    """Return a call to an account, of which `call` tells what happens."""
    made = call_of(running, one)
    call.meta.deployment, call.meta.group = one.deployment.id, one.group
    made.meta = call.meta
    return made


def named(path: str, body: Any = None) -> Iterator[str]:
    """Yield the ids of the things that an address and all of a body name, prose aside."""
    waiting: list[Any] = [path, body]
    for given in waiting:  # which grows meanwhile
        if isinstance(given, str):
            known = NAME.fullmatch(given)
            if known is not None and ".." not in given:
                yield known["id"] if known["kind"] in BARE else f"{known['kind']}/{known['id']}"
            elif known is not None or buckets.is_address(given) or "generativelanguage" in unquote(given).lower():
                yield given  # nobody's, or in cloud storage: `check` knows who may name it
        elif isinstance(given, dict):
            waiting += (value for name, value in given.items() if name != "text")
        elif isinstance(given, list):
            waiting += given


# --- the wire -----------------------------------------------------------------------------------------------------


def send(call: Call, operation: Operation, fields: Mapping[str, Any], *, stream: bool = False) -> Flow[HttpReply]:
    """Send a request as it came, under the account's key. Raises the vendor's errors."""
    query = fields["query"]
    request = HttpRequest(
        method=operation.method,
        url=f"/{call.options.api_version or VERSION}{fields['path']}{f'?{urlencode(query)}' if query else ''}",
        stream=stream,
    )
    if operation.body == "json":
        request.json = fields["body"]

    def asking() -> Flow[HttpReply]:
        reply: HttpReply = yield request
        return reply

    return (yield from exchange(asking(), call))


def row(method: str, path: str, function: str) -> Operation:
    """Return the operation that a request to an address is."""
    body: BodyForm = "json" if method in ("POST", "PATCH") else "none"
    return Operation(
        hook="", function=function, capability="batch", request=Kept, response=Came, method=method, path=path, body=body
    )


def decoded(reply: HttpReply) -> dict[str, Any]:
    """Return a reply that has to be read. Raises InvalidResponseError."""
    try:
        return msgspec.json.decode(reply.content or b"{}", type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidResponseError(f"Google's reply is no JSON object: {error}") from error


def _plain(value: Any) -> str:
    """Return what stands in an address as it stood there."""
    return str(value).lower() if isinstance(value, bool) else str(value)
