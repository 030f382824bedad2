"""The exact HTTP request of a call, without sending it: no network, and no key needed.

    render("completion", model="openai/gpt-4o", messages=[...])  ->  HttpRequest

The flow of the call runs up to its first HTTP request. Where a key would stand, its variable's name does:
`Authorization: Bearer <OPENAI_API_KEY>`.
"""

from __future__ import annotations

import copy
import difflib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from polyport import border
from polyport.auth import AnyOf, ApiKey, Auth, Lookup, Signer
from polyport.client import DEFAULTS, Client
from polyport.errors import BadRequestError
from polyport.flow import All, First, Flow, HttpRequest, Now, Sleep
from polyport.operations import BY_FUNCTION

#: Headers that may hold a secret whoever set them: by what their names contain.
SECRET_HEADERS = ("authorization", "cookie", "token", "secret", "api-key", "apikey", "subscription-key")
HIDDEN = "<hidden>"
#: A key as short as a word would also match words of the body; keys that short are no secrets.
SHORTEST_IN_BODY = 8


def render(function: str, *, client: Client | None = None, **fields: Any) -> HttpRequest:
    """Return the HTTP request that `client.function(**fields)` would send first; nothing is sent.

    Keys need not exist; none is in the result. A body is in `content`, a form's fields are in `form`. Raises what
    the call itself would raise before sending, and BadRequestError for a call that needs no HTTP request.
    """
    if function not in BY_FUNCTION:
        near = difflib.get_close_matches(function, BY_FUNCTION, 1)
        raise BadRequestError(
            f"There is no function {function!r}. {f'Did you mean {near[0]}?' if near else ''}".strip()
        )
    labels: dict[str, str] = {}
    quiet = _quiet(client, labels)
    request = first_request(quiet.flow(function, **fields))
    if request is None:
        raise BadRequestError(
            f"{fields.get('model') or function} is answered in this process: there is no HTTP request."
        )
    return hidden(request, labels)


def first_request(flow: Flow[Any]) -> HttpRequest | None:
    """Run a flow to its first HTTP request, and close it; None where it needs something else first, or nothing."""
    send: Any = None
    try:
        while True:
            effect = flow.send(send)
            match effect:
                case HttpRequest():
                    return effect
                case All() | First():
                    return next((found for inner in effect.flows if (found := first_request(inner))), None)
                case Now():
                    send = 0.0
                case Sleep():
                    send = None
                case _:
                    return None
    except StopIteration:
        return None
    finally:
        flow.close()


def _quiet(client: Client | None, labels: dict[str, str]) -> Client:
    """Return a client with the same settings whose calls are signed with the names of keys."""
    source: Any = client if client is not None else sys.modules["polyport"]
    quiet = Client(
        api_key=source.api_key,
        **{name: getattr(source, name) for name in DEFAULTS},
        headers=client.headers if client else None,
        middleware=[*(client.middleware if client else ()), _named_keys(labels)],
        secrets=client.secrets if client else None,
    )
    if client is not None:
        quiet.providers = client.providers
    return quiet


def _named_keys(labels: dict[str, str]) -> border.Middleware:
    """Return the middleware that lets a call be signed without its keys, and notes in `labels` what to hide."""

    def named(call: border.Call, proceed: border.Next) -> Flow[Any]:
        provider = copy.copy(call.provider)
        provider.plugin = copy.copy(provider.plugin)
        auth, lookup = provider.plugin.auth, call.secrets
        if isinstance(auth, Signer):
            provider.plugin.auth = SignedLater(auth)  # type: ignore[misc]  # of this copy, not of the class
        names = list(_names(auth))
        for name in names:
            if value := lookup(name):
                labels[value] = f"<{name}>"
        if call.api_key:
            labels[call.api_key] = "<api_key>"
        return (yield from proceed(replace(call, provider=provider, secrets=_or_name(lookup, names))))

    return named


def _or_name(lookup: Callable[[str], str | None], names: list[str]) -> Callable[[str], str | None]:
    """Return a lookup that gives the first of `names` as `<NAME>` where none of them is set."""
    missing = names[0] if names and not any(lookup(name) for name in names) else None
    return lambda name: f"<{name}>" if name == missing else lookup(name)


def _names(auth: Auth) -> Iterator[str]:
    ways = auth.ways if isinstance(auth, AnyOf) else (auth,)
    for way in ways:
        if isinstance(way, ApiKey):
            yield from way.names


class SignedLater(Auth):
    """Stands for a signature over the whole request, which is only made when it is sent."""

    header = "authorization"

    def __init__(self, signer: Signer) -> None:
        self.label = f"<signed by {type(signer).__name__} when it is sent>"

    def secret(self, lookup: Lookup) -> str | None:
        """Return the label: there is no secret."""
        return self.label

    def apply(self, request: HttpRequest, secret: str) -> None:
        """Set the header to the label."""
        request.headers[self.header] = secret


def hidden(request: HttpRequest, labels: Mapping[str, str]) -> HttpRequest:
    """Return the request with every secret replaced: by its label in `labels`, else by `<hidden>`."""
    known = {secret: labels.get(secret, HIDDEN) for secret in (*labels, *request.secrets) if secret}
    known = {secret: secret if _is_label(secret) else label for secret, label in known.items()}
    quoted = {quote(secret, safe=""): label for secret, label in known.items()}
    headers = {name: _clean_header(name, _clean(value, known)) for name, value in request.headers.items()}
    content = request.content
    if isinstance(content, bytes):
        for secret, label in known.items():
            if len(secret) >= SHORTEST_IN_BODY:
                content = content.replace(secret.encode(), label.encode())
    url = _clean(_clean(request.url, quoted), known)
    return replace(request, url=url, headers=headers, content=content, secrets=())


def _clean(text: str, known: Mapping[str, str]) -> str:
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, known[secret])
    return text


def _clean_header(name: str, value: str) -> str:
    if any(part in name for part in SECRET_HEADERS) and "<" not in value:
        scheme, space, _ = value.partition(" ")
        return f"{scheme} {HIDDEN}" if space else HIDDEN
    return value


def _is_label(text: str) -> bool:
    return text.startswith("<") and text.endswith(">")
