"""How a request is signed. A provider declares one of these; core finds the secret and signs just before the wire.

auth = Bearer(env="OPENAI_API_KEY")
auth = AnyOf(ApiKey(header="x-api-key", env="ANTHROPIC_API_KEY"), Bearer(env="ANTHROPIC_AUTH_TOKEN"))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

import msgspec

from polyport.errors import AuthenticationError, PluginError

if TYPE_CHECKING:
    from polyport.flow import Flow, HttpRequest


class Lookup(Protocol):
    """Finds secrets: the key the user gave for this call or client, and variables of the environment."""

    api_key: str | None

    def env(self, name: str) -> str | None:
        """Return an environment variable, or a secret plugin's value of that name; None where it is not set."""


class Auth:
    """The base of every way to sign. `header` is what it sets: where a user's extra headers set it, they win."""

    header: str = ""

    def secret(self, lookup: Lookup) -> str | None:
        """Return the secret, None where there is none."""
        return None

    def apply(self, request: HttpRequest, secret: str) -> None:
        """Put the secret into the request."""

    def each(self) -> tuple[Auth, ...]:
        """Return the ways this may come to: itself, where it is but one."""
        return (self,)

    def hint(self) -> str:
        """Say what a user without a key can do."""
        return "Pass api_key=..."


class NoAuth(Auth):
    """For providers that ask for no key."""

    def secret(self, lookup: Lookup) -> str | None:
        """Return the key the user gave, if any; none is needed."""
        return lookup.api_key or ""

    def apply(self, request: HttpRequest, secret: str) -> None:
        """Send a key only where the user gave one."""
        if secret:
            Bearer().apply(request, secret)


class OptionalKey(NoAuth):
    """For servers that ask for a key only if told to: one that is set is sent, and none is no error."""

    def __init__(self, env: str | tuple[str, ...] = ()) -> None:
        self.names = (env,) if isinstance(env, str) else env

    def secret(self, lookup: Lookup) -> str | None:
        """Return the key that the user or the environment gives, "" where neither does."""
        return lookup.api_key or next((value for name in self.names if (value := lookup.env(name))), "")


class ApiKey(Auth):
    """A key in a header of its own, e.g. `x-api-key: <key>`; `scheme` goes in front of it."""

    def __init__(self, header: str, env: str | tuple[str, ...] = (), scheme: str = "") -> None:
        self.header = header.lower()
        self.names = (env,) if isinstance(env, str) else env
        self.scheme = scheme

    def secret(self, lookup: Lookup) -> str | None:
        """Return the user's key, else the first of the environment's variables that is set."""
        if lookup.api_key:
            return lookup.api_key
        return next((value for name in self.names if (value := lookup.env(name))), None)

    def apply(self, request: HttpRequest, secret: str) -> None:
        """Set the header."""
        request.headers[self.header] = f"{self.scheme} {secret}" if self.scheme else secret
        request.secrets = (*request.secrets, secret)

    def hint(self) -> str:
        """Say which variable to set."""
        return f"Set {' or '.join(self.names)}, or pass api_key=..." if self.names else super().hint()


class Bearer(ApiKey):
    """`Authorization: Bearer <key>`."""

    def __init__(self, env: str | tuple[str, ...] = ()) -> None:
        super().__init__("authorization", env, "Bearer")


class Query(ApiKey):
    """A key in the query, e.g. `?key=<key>`."""

    def __init__(self, parameter: str, env: str | tuple[str, ...] = ()) -> None:
        super().__init__("", env)
        self.parameter = parameter

    def apply(self, request: HttpRequest, secret: str) -> None:
        """Append the parameter to the URL."""
        encoded = quote(secret, safe="")
        request.url += f"{'&' if '?' in request.url else '?'}{self.parameter}={encoded}"
        request.secrets = (*request.secrets, secret, encoded)


class Body(ApiKey):
    """A key in the JSON body, e.g. `{"key": <key>, ...}`. A request without a body gets one."""

    def __init__(self, field: str, env: str | tuple[str, ...] = ()) -> None:
        super().__init__("", env)
        self.field = field

    def apply(self, request: HttpRequest, secret: str) -> None:
        """Put the field first into the body, which is encoded by now. Raises PluginError where it is no JSON object."""
        content = request.content if request.content is not None else b"{}"
        if not isinstance(content, bytes) or content[:1] != b"{":
            raise PluginError(f"The key goes into a JSON object, and the body of {request!r} is none")
        begin, rest = msgspec.json.encode({self.field: secret})[:-1], content[1:]
        request.content = begin + rest if rest == b"}" else b"%b,%b" % (begin, rest)
        request.headers.setdefault("content-type", "application/json")
        request.secrets = (*request.secrets, secret)


class AnyOf(Auth):
    """Several ways, the first that finds a secret is taken. `by_prefix` chooses by how the user's key begins."""

    def __init__(self, *ways: ApiKey, by_prefix: Mapping[str, ApiKey] | None = None) -> None:
        self.ways = ways
        self.by_prefix = by_prefix or {}
        self.header = ways[0].header

    def each(self) -> tuple[Auth, ...]:
        """Return the ways."""
        return (*self.ways, *self.by_prefix.values())

    def choose(self, lookup: Lookup) -> ApiKey | None:
        """Return the way to use."""
        for way in self.ways:
            secret = way.secret(lookup)
            if secret:
                return next((other for start, other in self.by_prefix.items() if secret.startswith(start)), way)
        return None

    def secret(self, lookup: Lookup) -> str | None:
        """Return the first secret found."""
        return next((secret for way in self.ways if (secret := way.secret(lookup))), None)

    def hint(self) -> str:
        """Say which variables to set."""
        names = [name for way in self.ways for name in way.names]
        return f"Set {' or '.join(names)}, or pass api_key=..."


class Signer(Auth):
    """The base of signatures over the whole request, which may need I/O for a token: `sign` is a flow."""

    def sign(self, request: HttpRequest, lookup: Lookup) -> Flow[None]:
        """Sign the finished request in place. Raises AuthenticationError where it cannot."""
        raise NotImplementedError(f"{type(self).__name__} must implement sign()")


def sign(auth: Auth, request: HttpRequest, lookup: Lookup, provider: str) -> None:
    """Put the key into the request. Raises AuthenticationError that says which variable to set.

    A Signer is left to core, which runs its flow.
    """
    for each in auth.each():
        if each.header in request.headers:
            request.secrets = (*request.secrets, request.headers[each.header].removeprefix("Bearer "))
            return
    if isinstance(auth, Signer):
        return
    way: Auth | None = auth.choose(lookup) if isinstance(auth, AnyOf) else auth
    secret = way.secret(lookup) if way is not None else None
    if way is None or secret is None:
        raise AuthenticationError(f"No API key for {provider!r}. {auth.hint()}", provider=provider)
    way.apply(request, _cleaned(secret, provider))


def _cleaned(secret: str, provider: str) -> str:
    """Take off the line break that keys read from files end in. Raises AuthenticationError where no header holds it."""
    if secret.isascii() and secret.isprintable() and " " not in secret:
        return secret
    secret = secret.strip()
    if not (secret.isascii() and secret.isprintable()):
        raise AuthenticationError(
            f"The API key for {provider!r} has a character that no HTTP header can hold. Was it copied whole?",
            provider=provider,
        )
    return secret
