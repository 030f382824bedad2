"""Addresses of the operator's own that lead elsewhere: general_settings.pass_through_endpoints.

    pass_through_endpoints:
      - path: /bria                                   # what callers ask for
        target: https://engine.prod.bria-api.com      # where that goes
        headers: {api_token: os.environ/BRIA_KEY}     # what is sent along; of `Bearer os.environ/KEY` the name alone
        auth: true                                    # false: for everybody, and in no ledger
        include_subpath: true                         # /bria/v1/... as well
        forward_headers: false                        # true: the caller's own headers, but no credentials of ours
        methods: [POST]
        default_query_params: {version: "2"}          # unless the caller says otherwise
        cost_per_request: 0.02                        # USD of each that was answered

What passes is in the ledger with its cost, and held by keys' limits and budgets: by `cost_per_request`, or by what the
target tells in `x-litellm-response-cost` and `x-litellm-total-tokens`. Where a guardrail is always on, nothing passes
by it, unless the endpoint is `unguarded`. An endpoint takes the place of an address of the surfaces, but of none by
which the gateway is managed. https://docs.litellm.ai/docs/proxy/pass_through
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from polyport.errors import BadRequestError

#: Headers that are one connection's own. https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
HOPS = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade"}
)  # fmt: skip
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PLACE = "$.general_settings.pass_through_endpoints"
REFERENCE = re.compile(r"os\.environ/([A-Za-z_]\w*)")
#: First words of addresses by which the gateway is managed, watched and signed in to.
OWN = frozenset({
    "key", "user", "team", "project", "customer", "budget", "spend", "audit", "auth", "config", "health", "metrics",
    "ui", "openapi.json", "passthrough", "realtime", "livez", "readyz",
})  # fmt: skip
#: Names of LiteLLM's that mean nothing here.
IDLE = frozenset({"id", "is_from_config", "merge_query_params", "display_name", "description"})


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One address, and where it leads."""

    path: str
    target: str
    headers: dict[str, str] = {}
    auth: bool | None = None
    include_subpath: bool = False
    forward_headers: bool = False
    methods: tuple[str, ...] = ()
    default_query_params: dict[str, str | int | float | bool] = {}
    cost_per_request: Annotated[float, msgspec.Meta(ge=0, le=1e6)] | None = None
    unguarded: bool = False

    def __repr__(self) -> str:
        return f"<Endpoint {self.path}>"


class Forwards:
    """The endpoints of one configuration."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._exact = {one.path: one for one in endpoints}
        below = [one for one in self._exact.values() if one.include_subpath]
        self._below = sorted(below, key=lambda one: -len(one.path))

    def find(self, path: str) -> tuple[Endpoint, str] | None:
        """Return the endpoint of an address, and what of the address is below it."""
        found = self._exact.get(path) or self._exact.get(path.rstrip("/"))
        if found is not None:
            return found, ""
        for one in self._below:
            if path.startswith(f"{one.path}/"):
                return one, path[len(one.path) :]
        return None


def read(given: Any, secrets: Callable[[str], str | None], notes: list[str]) -> Forwards | None:
    """Return the endpoints that are written, None for none. Raises BadRequestError naming the place."""
    if not given:
        return None
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise BadRequestError(f"{PLACE} must be a list of {{path: ..., target: ...}}")
    found: dict[str, Endpoint] = {}
    for place, one in enumerate(given):
        endpoint = _endpoint(one, f"{PLACE}[{place}]", secrets, notes)
        if endpoint.path in found:
            raise BadRequestError(f"{PLACE}[{place}].path is {endpoint.path!r} a second time")
        found[endpoint.path] = endpoint
    return Forwards(found.values())


def _endpoint(given: Any, path: str, secrets: Callable[[str], str | None], notes: list[str]) -> Endpoint:
    if not isinstance(given, Mapping):
        raise BadRequestError(f"{path} must be {{path: ..., target: ...}}")
    said = {name: value for name, value in given.items() if value is not None and name not in IDLE}
    if said.pop("guardrails", None):
        notes.append(f"{path}.guardrails see nothing of what passes here: while one is always on, nothing does")
        said["unguarded"] = False
    if "query_params" in said:
        said.setdefault("default_query_params", said.pop("query_params"))
    try:
        made: Endpoint = msgspec.convert(said, Endpoint)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"{path}: {error}{_known(error)}") from error
    place = f"/{made.path.strip('/')}"
    if place == "/" or place[1:].partition("/")[0] in OWN or "*" in place or "{" in place:
        why = "name one, without * and {}" if place == "/" or set("*{") & set(place) else "that is the gateway's own"
        raise BadRequestError(f"{path}.path is {made.path!r}: {why}")
    target = _filled(made.target, f"{path}.target", secrets)
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.fragment:
        raise BadRequestError(f"{path}.target begins with https:// or http:// and a host, and has no name and password")
    methods = tuple(method.upper() for method in made.methods)
    if set(methods) - METHODS:
        raise BadRequestError(
            f"{path}.methods has {min(set(methods) - METHODS)!r}; there are {', '.join(sorted(METHODS))}"
        )
    if made.auth is None:
        notes.append(f"{path} wants a key, as `auth` says nothing: auth: false lets everybody ask")
    headers = {n.lower(): _filled(v, f"{path}.headers.{n}", secrets) for n, v in made.headers.items()}
    for name, value in headers.items():
        if name in HOPS or not re.fullmatch(r"[a-z0-9!#$%&'*+.^_`|~-]+", name) or not value.isprintable():
            raise BadRequestError(f"{path}.headers.{name} is no header that can be sent")
    public, secret = headers.pop("langfuse_public_key", None), headers.pop("langfuse_secret_key", None)
    if public is not None and secret is not None:  # Langfuse's API takes them so
        pair = base64.b64encode(f"{public}:{secret}".encode()).decode()
        headers["authorization"] = f"Basic {pair}"
    return msgspec.structs.replace(made, path=place, target=target, headers=headers, methods=methods)


def _known(error: msgspec.ValidationError) -> str:
    """Return what there is, where a name is unknown."""
    names = ", ".join(Endpoint.__struct_fields__)
    return f"; there are {names}" if "unknown field" in str(error) else ""


def _filled(text: str, path: str, secrets: Callable[[str], str | None]) -> str:
    """Return a text with what its references stand for. Raises BadRequestError."""

    def one(match: re.Match[str]) -> str:
        found = secrets(match[1])
        if found is None:
            raise BadRequestError(f"{path} asks for {match[1]}, which is not set")
        return found

    return REFERENCE.sub(one, text)
