"""Who calls, by a function of the operator's: general_settings.custom_auth.

    general_settings:
      custom_auth: my_auth.user_api_key_auth          # my_auth.py beside this file, or a module on Python's path
      custom_auth_settings: {mode: on, cache_seconds: 0, timeout: 10}

    async def user_api_key_auth(request, api_key):    # or a plain function, which gets a thread
        if not await is_ours(api_key):
            raise Exception("no such key")            # 401, in the words of the caller's SDK
        return {"user_id": "jane", "team_id": "ml", "rpm_limit": 100, "models": ["gpt-4o"]}

`request` has `headers`, `cookies`, `method`, `path`, `url.path`, `query_params` and `client.host`, and no body;
`api_key` is "" where none came. What may be returned: see `custom_keys`. What cannot be read of it, and a function
that takes too long, refuses the caller. A GateError of the function's, or an error whose `status_code` is 403 or 429,
is told with that status.

`mode: on` asks the function about everybody but the master key and people who are signed in; `auto` takes keys and JWTs
of this gateway's as well, where the function raises; `off` does not ask. With `cache_seconds`, what was said of an
api_key holds so long, whatever else of the request was different. https://docs.litellm.ai/docs/proxy/custom_auth
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.util
import inspect
import logging
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

import msgspec

from polyport.errors import BadRequestError
from polyport_gateway.asked import Headers
from polyport_gateway.gate import GateError

log = logging.getLogger("polyport.gateway.custom_auth")
Scope = MutableMapping[str, Any]
#: The request that is being answered, where there is a function to ask about it.
SCOPE: ContextVar[Scope | None] = ContextVar("custom_auth", default=None)
#: What the function said of a request, kept with it: it is asked once.
ASKED = "polyport.custom_auth"
PLACE = "$.general_settings.custom_auth"
#: Statuses that a function may have told in place of 401.
STATUSES = {403: "The key may not be used for this.", 429: "The key was used too often: wait, then try again."}
UNKNOWN = "The key is not one that this gateway takes."
#: Keys that something is remembered of.
REMEMBERED = 10_000


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the function is asked, for how long its word holds, and how long it may take, in seconds."""

    mode: Literal["on", "off", "auto"] = "on"
    cache_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    timeout: Annotated[float, msgspec.Meta(gt=0, le=600)] = 10.0


def rules_of(given: Mapping[str, Any]) -> Rules | None:
    """Return the rules in general_settings; None where nobody is to be asked. Raises BadRequestError."""
    settings = given.get("custom_auth_settings") or {}
    if isinstance(settings, Mapping) and isinstance(settings.get("mode"), bool):  # YAML reads on and off so
        settings = {**settings, "mode": "on" if settings["mode"] else "off"}
    try:
        rules: Rules = msgspec.convert(settings, Rules)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"{PLACE}_settings: {error}") from error
    name = given.get("custom_auth")
    if name is None:
        if settings:
            raise BadRequestError(f"{PLACE}_settings are of no use without custom_auth: module.function")
        return None
    if not isinstance(name, str) or not name.rpartition(".")[0]:
        raise BadRequestError(f"{PLACE} is module.function, such as my_auth.user_api_key_auth")
    return None if rules.mode == "off" else rules


def file_of(name: str, folder: Path) -> Path | None:
    """Return the file that a function is in, if it is beside the configuration."""
    file = folder.joinpath(*name.rpartition(".")[0].split(".")).with_suffix(".py")
    return file if file.is_file() else None


def load(given: Mapping[str, Any], folder: Path) -> Custom | None:
    """Return what asks the function that general_settings name, None for none. Raises BadRequestError.

    A file beside the configuration is read anew each time; a module on Python's path once.
    """
    rules = rules_of(given)
    if rules is None:
        return None
    name = str(given["custom_auth"])
    module, _, attribute = name.rpartition(".")
    file = file_of(name, folder)
    try:
        found = getattr(importlib.import_module(module) if file is None else _executed(file), attribute)
    except Exception as error:  # the border to the operator's module: it may raise anything
        raise BadRequestError(f"{PLACE}: {name!r} cannot be imported: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise BadRequestError(f"{PLACE}: {name!r} is no function")
    return Custom(found, rules)


def _executed(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"polyport_custom_auth_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickles look for it there
    spec.loader.exec_module(module)
    return module


class Names(Mapping[str, str]):
    """A request's headers, whose names may be written in any case."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        return self._headers[name.lower()]

    def __iter__(self) -> Any:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)


class Request:
    """A request as the function sees it: all but its body."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        peer = scope.get("client")
        self.headers = Names(Headers(scope.get("headers") or ()))
        self.method: str = scope.get("method", "GET")  # a WebSocket begins with one
        self.path: str = scope.get("path", "")
        self.query_params = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))
        self.client = SimpleNamespace(host=peer[0], port=peer[1]) if peer else None
        self.url = SimpleNamespace(path=self.path, query=scope.get("query_string", b"").decode("latin-1"))
        self.scope = scope

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by their names."""
        try:
            return {name: one.value for name, one in SimpleCookie(self.headers.get("cookie", "")).items()}
        except CookieError:
            return {}


class Custom:
    """Asks the function of one configuration."""

    def __init__(self, function: Callable[[Any, str], Any], rules: Rules) -> None:
        self._function, self._rules = function, rules
        self._known: dict[bytes, tuple[float, Any]] = {}

    async def asked(self, token: str) -> Any:
        """Return what the function says; None where that is for the gateway to say. Raises GateError.

        Of one request it is asked once, and of a key as long as its word holds.
        """
        scope = SCOPE.get()
        if scope is None:
            raise GateError(401, "invalid_api_key", "Without a request, nobody can say whose key this is.")
        mark, seen = hashlib.sha256(token.encode("utf-8", "replace")).digest(), scope.get(ASKED)
        if seen is not None and seen[0] == mark and scope["type"] == "http":
            return seen[1]
        until, found = self._known.get(mark, (0.0, None))
        if not token or until <= time.monotonic():
            found = await self._call(Request(scope), token)
            if self._rules.cache_seconds and token and found is not None:
                while len(self._known) >= REMEMBERED:
                    del self._known[next(iter(self._known))]
                self._known[mark] = time.monotonic() + self._rules.cache_seconds, found
        scope[ASKED] = mark, found
        return found

    async def _call(self, request: Request, token: str) -> Any:
        function = self._function
        try:
            async with asyncio.timeout(self._rules.timeout):
                found = function(request, token) if _is_async(function) else await _in_thread(function, request, token)
                if inspect.isawaitable(found):
                    found = await found
        except TimeoutError as error:
            log.error("custom_auth took longer than %g s", self._rules.timeout)
            raise GateError(503, "auth_unavailable", "Nobody could say whose key this is. Try again.") from error
        except Exception as error:  # noqa: BLE001  the border to the operator's function: it may raise anything
            refusal = self._refusal(error)
            if refusal is None:
                return None
            raise refusal from (None if refusal is error else error)
        if found is None or found is False or found == "":
            refusal = self._refusal(None)
            if refusal is not None:
                raise refusal
            return None
        return found

    def _refusal(self, error: Exception | None) -> GateError | None:
        """Return why a caller is refused; None where the gateway's own keys are taken as well."""
        if isinstance(error, GateError):
            return error
        log.info("custom_auth refused a caller: %s", type(error).__name__)  # its words may have the key in them
        status = getattr(error, "status_code", None)
        if status in STATUSES:
            return GateError(status, "refused", STATUSES[status])
        return None if self._rules.mode == "auto" else GateError(401, "invalid_api_key", UNKNOWN)


def _in_thread(function: Callable[[Any, str], Any], request: Request, token: str) -> Any:
    return asyncio.to_thread(function, request, token)


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
