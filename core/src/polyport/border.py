"""Where a provider's flow meets the wire: requests made absolute, encoded and signed; error statuses raised.

`Call` is one operation on its way; `exchange` drives the provider's flow and lets only finished requests out.
"""

from __future__ import annotations

import email.utils
import os
import re
import time
from collections.abc import Callable, Generator, Mapping
from random import Random
from types import GeneratorType
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit

import msgspec

from polyport.auth import ApiKey, Bearer, Signer, sign
from polyport.errors import APIError, BadRequestError, PluginError, class_for_status
from polyport.flow import All, Close, First, Flow, HttpReply, HttpRequest, Streaming, TimeoutSpec, hide
from polyport.plugins import LoadedProvider
from polyport.provider import Provider
from polyport.remote import Reach
from polyport.types.record import Meta, Options, Request
from polyport.wire.multipart import Multipart

T = TypeVar("T")
VERSION = "0.1.0"
USER_AGENT = f"polyport/{VERSION}"
SCHEMES = ("http://", "https://")
MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: The headers that may follow a redirect to another host; any other may be a credential.
HARMLESS = frozenset({"accept", "range", "user-agent"})
#: Keys that one header says, the same for every request.
SEALING = frozenset({ApiKey, Bearer})
MAX_SEALED = 256
_encode = msgspec.json.Encoder().encode


class Call(msgspec.Struct, kw_only=True, weakref=True):
    """One operation on its way to one provider: what middleware sees.

    `operation` is its row in the operations table; `secrets` finds environment variables and secret plugins' values.
    `shown_to_wire` are the keys that the latest request was signed with, to be hidden in whatever comes back. `group`
    is the name that a router was asked for; "" without one. `relay`: a stream is wanted as it comes (`Passed`), where
    the provider's wire is this one ("own": the operation's), and no layer has to see its chunks; "" is none. `reach`
    sends the requests that belong to somebody else (`unsigned`).
    """

    operation: Any
    request: Request
    provider: LoadedProvider
    options: Options
    meta: Meta
    api_key: str | None = None
    headers: Mapping[str, str] = {}
    secrets: Callable[[str], str | None] = os.environ.get
    shown_to_wire: list[str] = []
    random: Random = msgspec.field(default_factory=Random)
    group: str = ""
    relay: str = ""
    reach: Reach | None = None

    def __repr__(self) -> str:
        return f"<Call {self.operation.function} {self.provider.name}/{self.request.model}>"

    def env(self, name: str) -> str | None:
        """Return an environment variable, or a secret plugin's value of that name."""
        return self.secrets(name)


Next = Callable[[Call], Flow[Any]]
Middleware = Callable[[Call, Next], Flow[Any]]


def exchange(flow: Flow[T], call: Call) -> Flow[T]:
    """Drive a provider's flow: finish its requests, raise error statuses into it, pass other effects on."""
    if type(flow) is not GeneratorType and not isinstance(flow, Generator):
        raise PluginError(
            f"{call.operation.hook} of {call.provider.name!r} returned a {type(flow).__name__}: a hook is a flow, "
            "a function with `yield` in it"
        )
    auth = call.provider.plugin.auth
    secrets: list[str] = call.shown_to_wire
    send: Any = None
    error: BaseException | None = None
    try:
        while True:
            effect = flow.send(send) if error is None else flow.throw(error)
            send = error = None
            try:
                if type(effect) is HttpRequest:
                    finish(effect, call)
                    if isinstance(auth, Signer) and not effect.unsigned and auth.header not in effect.headers:
                        yield from auth.sign(effect, call)
                    if not effect.unsigned:  # what a stranger answers may still tell the key of the request before
                        secrets[:] = effect.secrets
                        reply: HttpReply = yield effect
                    else:
                        reply = yield from _ask(effect, call.reach)
                    if reply.status in REDIRECTS and effect.method == "GET":
                        effect, reply = yield from _follow(effect, reply, call.reach)
                    send = _accept(reply, effect, call)
                elif type(effect) is All or type(effect) is First:
                    send = yield type(effect)([exchange(inner, call) for inner in effect.flows])
                else:
                    send = yield effect
            except BaseException as raised:  # noqa: BLE001  the provider's flow sees it, and lets go when cancelled
                error = raised
    except StopIteration as stop:
        result: T = stop.value
        return result
    except APIError as raised:
        raised.hide(secrets)  # a reply that cannot be read is quoted, and may echo the request
        raise
    finally:
        flow.close()


def exchange_once(request: HttpRequest, tell: Callable[[Any, HttpReply], T], call: Call) -> Flow[T]:
    """`exchange` for a hook that is one request and one reply: finish it, send it, have the reply read."""
    secrets = call.shown_to_wire
    try:
        finish(request, call)
        auth = call.provider.plugin.auth
        if isinstance(auth, Signer) and auth.header not in request.headers:
            yield from auth.sign(request, call)
        secrets[:] = request.secrets
        reply: HttpReply = yield request
        return tell(call.request, _accept(reply, request, call))
    except APIError as raised:
        raised.hide(secrets)
        raise


class Sealed(msgspec.Struct, frozen=True):
    """What finishing made of one request, to be had again for the next one like it: same path, options and key.

    `options` are kept, not only compared: their identity is what they are found by.
    """

    options: Options
    api_key: str
    given: Mapping[str, str]
    url: str
    headers: dict[str, str]
    secrets: tuple[str, ...]
    timeout: TimeoutSpec


def finish(request: HttpRequest, call: Call) -> None:
    """Make the request what goes out: absolute URL, headers, encoded body, timeout, and the key where one is enough."""
    options, provider = call.options, call.provider
    place = request.url, id(options)
    plain = request.json is not msgspec.UNSET and not (request.params or request.unsigned)
    plain = plain and request.headers == provider.plugin.headers
    sealed: Sealed | None = provider.sealed.get(place) if plain else None
    if (
        sealed is None
        or sealed.options is not options
        or sealed.api_key != call.api_key
        or sealed.given != call.headers
    ):
        _finish(request, call)
        if plain and (key := call.api_key) and _seals(provider.plugin):
            if len(provider.sealed) >= MAX_SEALED:
                provider.sealed.clear()
            provider.sealed[place] = Sealed(
                options, key, {**call.headers}, request.url, {**request.headers}, request.secrets, request.timeout
            )
        return
    request.url, request.headers, request.timeout = sealed.url, {**sealed.headers}, sealed.timeout
    request.secrets = sealed.secrets
    _encode_body(request, options)


def _seals(plugin: Provider) -> bool:
    """Whether nothing but path, options and key goes into a finished request of this provider, besides its body."""
    return type(plugin.auth) in SEALING and type(plugin).address is Provider.address and not plugin.settings


def _finish(request: HttpRequest, call: Call) -> None:
    options, plugin = call.options, call.provider.plugin
    headers = request.headers = {"user-agent": USER_AGENT, **request.headers}
    if options.timeout is not None:
        request.timeout = TimeoutSpec.of(options.timeout)
    if request.unsigned:
        return
    request.url = _url(request, call)
    if call.headers:
        headers.update(_lowered(call.headers))
    if options.extra_headers:
        headers.update(_lowered(options.extra_headers))
    _encode_body(request, options)
    sign(plugin.auth, request, call, call.provider.name)


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _url(request: HttpRequest, call: Call) -> str:
    path, options = request.url, call.options
    if not path.startswith(SCHEMES):
        base = options.api_base or call.provider.base or _base(call)
        path = call.provider.plugin.address(base, path, call)
        if not path.startswith(SCHEMES):
            raise BadRequestError(
                f"api_base must begin with http:// or https://, not {base!r}"
                if base
                else f"{call.provider.name!r} has no address of its own: pass api_base=..."
            )
    if "{" in path:
        path = _fill(path, call)
    if not (request.params or options.extra_query):
        return path
    query = urlencode({**(request.params or {}), **(options.extra_query or {})})
    return f"{path}{'&' if '?' in path else '?'}{query}"


def _base(call: Call) -> str:
    """Return the address the environment names, else the provider's own; looked up once per client."""
    provider = call.provider
    if provider.base is None:
        named = next((value for name in provider.plugin.base_env if (value := call.env(name))), None)
        provider.base = named or provider.plugin.base_url
    return provider.base


def _fill(path: str, call: Call) -> str:
    """Put the provider's settings into the `{name}`s of a URL. Raises BadRequestError that says how to set one."""
    extra = call.request.extra

    def value(match: re.Match[str]) -> str:
        setting = next((s for s in call.provider.plugin.settings if s.name == match[1]), None)
        if setting is None:
            return match[0]
        given = next((extra[name] for name in setting.names if extra.get(name)), None)
        found = given or next((v for name in setting.env if (v := call.env(name))), None) or setting.default
        if found is None:
            raise BadRequestError(f"{call.provider.name!r} needs {setting.names[0]}=... or {setting.env[0]} to be set")
        return quote(setting.text(str(found)), safe="")

    return re.sub(r"\{(\w+)\}", value, path)


def _encode_body(request: HttpRequest, options: Options) -> None:
    if request.json is not msgspec.UNSET:
        body = {**request.json, **options.extra_body} if options.extra_body else request.json
        try:
            request.content = _encode(body)
        except (TypeError, ValueError, RecursionError) as error:
            raise BadRequestError(f"The request cannot be written as JSON: {error}") from error
        request.headers.setdefault("content-type", "application/json")
    elif request.form is not None:
        form = Multipart([*request.form, *(options.extra_body or {}).items()])
        request.content = form
        request.headers["content-type"] = form.content_type


def _ask(request: HttpRequest, reach: Reach | None) -> Flow[HttpReply]:
    """Send a request, as far as it may go."""
    if reach is not None and request.unsigned:
        return (yield from reach.ask(request))
    reply: HttpReply = yield request
    return reply


def _follow(request: HttpRequest, reply: HttpReply, reach: Reach | None) -> Flow[tuple[HttpRequest, HttpReply]]:
    """Go where a GET is redirected to, and return what was asked last, and the reply; a key never changes hosts."""
    for _ in range(MAX_REDIRECTS):
        if reply.status not in REDIRECTS or "location" not in reply.headers:
            break
        target = urljoin(request.url, reply.headers["location"])
        headers = request.headers
        if urlsplit(target)[:2] != urlsplit(request.url)[:2]:
            headers = {name: value for name, value in headers.items() if name in HARMLESS}
        if reply.source is not None:
            yield Close(reply.source)
        request = msgspec.structs.replace(request, url=target, headers=headers, address=None)
        reply = yield from _ask(request, reach)
    return request, reply


def _accept(reply: HttpReply, request: HttpRequest, call: Call) -> HttpReply:
    """Note what a reply tells of itself, and return it. Raises the error that its status is."""
    meta = call.meta
    meta.headers = reply.headers
    meta.request_id = None
    for name in call.provider.plugin.request_id_headers:
        if name in reply.headers:
            meta.request_id = reply.headers[name]
            break
    if reply.status >= 300 and reply.status not in request.expect:
        raise to_error(reply, call, (*request.secrets, *call.shown_to_wire))
    return reply


# --- errors -----------------------------------------------------------------------------------------------


def to_error(reply: HttpReply, call: Call, secrets: tuple[str, ...] = ()) -> APIError:
    """Return the error for a reply with an error status, narrowed by the provider's `refine_error`."""
    text = hide(reply.content.decode("utf-8", "replace"), secrets)
    try:
        body: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        body = text
    error = class_for_status(reply.status)(
        _redirected(reply) if reply.status in REDIRECTS else message_of(body, reply),
        status_code=reply.status,
        provider=call.provider.name,
        model=call.request.model or None,
        request_id=call.meta.request_id,
        retry_after=retry_after(reply.headers),
        body=body,
        headers=reply.headers,
    )
    refined: APIError | None = call.provider.hooks.refine_error(error=error, reply=reply, body=body)
    return refined or error


def narrow(error: APIError, kind: type[APIError], **changes: Any) -> APIError:
    """Return the same error as another class, for `refine_error` hooks."""
    made = kind(error.message)
    for name, value in {**vars(error), **changes}.items():
        setattr(made, name, value)
    return made


def message_of(body: Any, reply: HttpReply) -> str:
    """Return what the provider says went wrong, wherever its dialect puts it; HTML pages are named as such."""
    if isinstance(body, str):
        return _of_text(body, reply)
    if isinstance(body, list) and body:
        return message_of(body[0], reply)
    if isinstance(body, dict):
        for name in ("error", "message", "detail", "errors", "error_message"):
            inner = body.get(name)
            if isinstance(inner, str) and inner:
                return inner
            if isinstance(inner, dict | list) and inner:
                return message_of(inner, reply)
    return f"HTTP {reply.status}: {msgspec.json.encode(body).decode()[:500]}"


def _redirected(reply: HttpReply) -> str:
    target = reply.headers.get("location", "no address")
    return f"HTTP {reply.status}: redirected to {target!r}, which is not followed here; is api_base right?"


def _of_text(text: str, reply: HttpReply) -> str:
    text = text.strip()
    if text[:1] == "<" and "html" in text[:200].lower():
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        said = f" titled {title[1].strip()!r}" if title else ""
        return f"HTTP {reply.status} with an HTML page{said}, not an API's reply; is api_base right?"
    return f"HTTP {reply.status}: {text[:500]}" if text else f"HTTP {reply.status} with an empty body"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait that a reply asks for; dates count from the reply's own clock.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after; `retry-after-ms` is OpenAI's and Azure's.
    """
    milliseconds = headers.get("retry-after-ms")
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(milliseconds) / 1000 if milliseconds else float(value))
    except ValueError:
        pass
    try:
        until = email.utils.parsedate_to_datetime(value).timestamp()
    except ValueError:
        return None
    try:
        now = email.utils.parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        now = time.time()
    return max(0.0, until - now)


def attribute(error: BaseException | None, call: Call) -> None:
    """Say in an error where it happened, where it does not say so itself."""
    if isinstance(error, APIError):
        error.provider = error.provider or call.meta.provider
        error.model = error.model or call.meta.model or None
        error.request_id = error.request_id or call.meta.request_id
        error.hide(call.shown_to_wire)  # an error inside a stream may echo the request, too


def stamp(result: Any, call: Call) -> Any:
    """Give a result its `meta`. Results that are plain text have none."""
    if hasattr(result, "__dict__") and not isinstance(result, Streaming):
        result.__dict__["_meta"] = call.meta
    return result
