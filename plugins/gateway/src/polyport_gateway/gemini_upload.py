"""Uploads to Gemini in Google's resumable way: begun at one address, and gone on with at another that the reply tells.

https://ai.google.dev/api/files#method:-media.upload

The second address is this gateway's. Google's own, for whose account it is, and who began it stand in it, signed: so
any replica can go on with an upload that another one began, and none goes anywhere else. SDKs send no key with the
pieces of a file, as Google takes none: the address is what opens the way, for some hours, and as long as who began it
would be let in. So what is made has its owner from the beginning. Another master key ends all uploads.
A file is given its name here if its caller gives it none, and a document belongs to its store.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import tempfile
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from polyport.errors import BadRequestError
from polyport.flow import HttpReply, HttpRequest
from polyport_gateway import replies
from polyport_gateway.app import ASGI
from polyport_gateway.asked import IN_MEMORY, Body
from polyport_gateway.begun import Begun
from polyport_gateway.exchange import Watch
from polyport_gateway.gate import GateError
from polyport_gateway.gemini_kept import PROVIDER, VERSION, Account, accounts, among, at, call_of, named
from polyport_gateway.passthrough import Passage, Spool, serving
from polyport_gateway.surfaces import GEMINI, Route

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

WORD = "upload"
#: Addresses -> what an upload there is, in the words of Google's SDK.
PLACES = (
    (re.compile(r"/upload/v\w+(?P<path>/files)"), "/files", "files.upload"),
    (
        re.compile(r"/upload/v\w+(?P<path>/fileSearchStores/[\w-]+:uploadToFileSearchStore)"),
        "/fileSearchStores/{store_id}:uploadToFileSearchStore",
        "file_search_stores.upload_to_file_search_store",
    ),
)
#: The parameter that says which upload is meant, here as at Google's, and the header that tells its address.
SESSION, ADDRESS, CONTROL = "upload_id", "x-goog-upload-url", "x-goog-upload-control-url"
#: How long an upload may take, in seconds.
LASTS = 6 * 60 * 60
#: A file's name. https://ai.google.dev/api/files#File
FILE = re.compile(r"(?:files/)?([a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?)")


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the part: see `polyport_gateway.assembly`."""
    return {WORD: serving(gateway, Uploading, Places())}


class Session(msgspec.Struct, frozen=True, array_like=True):
    """An upload that was begun: Google's address for it, the deployment for whose account it is, its end, by whom."""

    url: str
    deployment: str
    until: int
    begun: Begun = ()


class Places:
    """The routes of this part."""

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route, and what is asked there. Raises GateError."""
        for pattern, route, function in PLACES:
            found = pattern.fullmatch(path)
            if found is not None and method == "POST":
                names = {"path": found["path"], "function": function}
                return Route(method=method, path=route, surface=GEMINI, own=WORD), names
        if method != "POST":
            raise GateError(405, "method_not_allowed", "Uploads are POSTs.", headers={"allow": "POST"})
        raise GateError(404, "not_found", "Files are uploaded to /upload/v1beta/files")


class Uploading(Passage):
    """One request of an upload: its beginning, or a piece."""

    _begun: Begun = ()

    async def _answer(self, route: Route, names: dict[str, str]) -> None:
        self._surface = GEMINI
        given = parse_qs(self._scope["query_string"].decode("latin-1")).get(SESSION)
        if given:
            await self._go_on(given[0], route)
        else:
            await self._open(route, names)

    # --- the beginning ---

    async def _open(self, route: Route, names: dict[str, str]) -> None:
        if self._headers.get("x-goog-upload-protocol") != "resumable":
            raise BadRequestError(
                "Files are uploaded by Google's resumable protocol: X-Goog-Upload-Protocol: resumable"
            )
        size = self._headers.get("x-goog-upload-header-content-length", "")
        if size.isdecimal() and int(size) > self._running.max_upload:
            raise GateError(413, "request_too_large", f"A file may have {self._running.max_upload} bytes here")
        body = Body(self._receive, self._headers, self._running.max_json)
        told = await body.json()
        await self._admit(self._asking(route, names["function"], {}, size=body.size))
        admission = self._admission_of()
        file = _name(told) if names["path"] == "/files" else ""
        ids = [*named(names["path"].strip("/"), {} if file else told)]
        await admission.check(ids)
        if file and await self._is_taken(file):
            raise GateError(409, "already_exists", f"The name {file!r} is taken: choose another, or none.")
        account = among(self._running, admission, accounts(self._running), await admission.places(ids))
        self._call = call_of(self._running, account)
        self._account_of = account
        self._begun = await self._gate.trace(admission, self._mark)
        if file:
            admission.own("file", file, account.deployment.id)
        content = replies.encode(told)
        request = self._request("POST", f"/{WORD}/{VERSION}{names['path']}", content)
        await self._forward(request)

    async def _is_taken(self, file: str) -> bool:
        """Whether a name is another caller's, who has, or had, a file by it."""
        admission = self._admission_of()
        return file not in await admission.visible([file]) and file in await admission.places([file])

    # --- a piece ---

    async def _go_on(self, text: str, route: Route) -> None:
        session, account = self._opened(text)
        self._account_of, self._begun = account, session.begun
        await self._gate.resume(session.begun, self._mark, route.path, self._client())
        self._call = at(self._running, call_of(self._running, account), account)
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
            body = Body(self._receive, self._headers, self._running.max_upload)
            async for piece in body:
                file.write(piece)
            request = self._request("POST", "/", Spool(file, body.size))
            request.url = session.url
            watch = Watch(self._leave, self._receive)
            try:
                await self._forward(request)
            finally:
                watch.stop()

    def _opened(self, text: str) -> tuple[Session, Account]:
        """Return the upload that an address is for, and its account. Raises GateError."""
        for account in accounts(self._running):
            session = unseal(text, self._secret(account))
            if session is not None and session.deployment == account.deployment.id and session.until > time.time():
                return session, account
        raise GateError(404, "not_found", "There is no such upload, or it has taken too long.")

    # --- the reply ---

    async def _forward(self, request: HttpRequest) -> None:
        """Send a request, and what comes back."""
        assert self._call is not None
        request.stream = False
        reply = await self._fetch(request)
        if 300 <= reply.status < 400:
            raise GateError(502, "redirected", "Google redirects this elsewhere, which is not followed here.")
        body = reply.content
        self._bound(len(body))
        await self._settle(reply.status, None)
        length = (b"content-length", b"%d" % len(body))
        kind = reply.headers.get("content-type", replies.JSON)
        await self._begin(reply.status, kind, [*self._told(reply, request.secrets), length])
        await self._finish(body)

    def _told(self, reply: HttpReply, secrets: tuple[str, ...]) -> replies.Headers:
        """Return Google's headers, with an address of this gateway's in place of its own."""
        there = reply.headers.get(ADDRESS)
        headers = {name: value for name, value in reply.headers.items() if name != CONTROL}
        headers |= {ADDRESS: self._here(there)} if there else {}
        return super()._told(HttpReply(status=reply.status, headers=headers), secrets)

    def _here(self, there: str) -> str:
        account = self._account_of
        session = Session(there, account.deployment.id, int(time.time()) + LASTS, self._begun)
        given = self._running.general.given.get("public_url")
        base = str(given).rstrip("/") if given else f"{self._scope['scheme']}://{self._headers.get('host', '')}"
        return f"{base}{self._scope['path']}?{SESSION}={seal(session, self._secret(account))}&upload_protocol=resumable"

    def _secret(self, account: Account) -> str:
        """Return what all replicas know, and nobody else: that of sessions, or without accounts the key at Google's."""
        general = self._running.general
        own = [str(one) for one in (general.given.get("session_secret"), general.master_key) if one]
        return " ".join(own) or call_of(self._running, account).api_key or PROVIDER

    def _mark(self, text: str) -> str:
        return _signature(f"mark {text}", self._secret(self._account_of))[:22]


# --- the address of an upload -------------------------------------------------------------------------------------


def seal(session: Session, secret: str) -> str:
    """Return a text that only who knows the secret can have made."""
    payload = _text(msgspec.msgpack.encode(session))
    return f"{payload}.{_signature(payload, secret)}"


def unseal(text: str, secret: str) -> Session | None:
    """Return what was sealed; None for anything else."""
    payload, _, signature = text.partition(".")
    if not hmac.compare_digest(signature.encode(errors="replace"), _signature(payload, secret).encode()):
        return None
    try:
        return msgspec.msgpack.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=Session)
    except (msgspec.DecodeError, ValueError):  # made by another version
        return None


def _signature(payload: str, secret: str) -> str:
    return _text(hmac.digest(_key(secret), payload.encode(errors="replace"), "sha256"))


@lru_cache(64)
def _key(secret: str) -> bytes:
    # slow on purpose: the secret may be a master key that somebody thought of, and an address must not give it away
    return hashlib.scrypt(secret.encode(), salt=b"polyport upload", n=2**14, r=8, p=1)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _name(told: dict[str, Any]) -> str:
    """Return the id of the file that is meant, which gets one where it has none. Raises BadRequestError."""
    file = told.setdefault("file", {})
    if not isinstance(file, dict):
        raise BadRequestError("Expected an object at $.file")
    name = file.get("name") or secrets.token_hex(10)
    known = FILE.fullmatch(name) if isinstance(name, str) else None
    if known is None:
        raise BadRequestError(
            "A name has up to 40 of a-z, 0-9 and -, and neither begins nor ends with -, at $.file.name"
        )
    file["name"] = f"files/{known[1]}"
    return known[1]
