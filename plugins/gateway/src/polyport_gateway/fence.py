"""The fence: what the whole gateway lets nobody ask, whatever their key is good for.

general_settings:
  allowed_ips: [10.0.0.0/8, 192.168.1.1]               # who is elsewhere is refused; of a proxy see trusted_proxies
  allowed_routes: [/chat/completions, "/files/*"]      # all else is refused
  admin_only_routes: [/key/generate, "/passthrough/*"] # those are for keys with the role admin

Routes are written without /v1, `*` standing for anything and `{file_id}` for one part; LiteLLM's names of groups of
them are known. Probes (/health, /livez ...) are answered before, for load balancers have no key and come from anywhere.
https://docs.litellm.ai/docs/proxy/public_routes https://docs.litellm.ai/docs/proxy/ip_address
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import MutableMapping, Sequence
from typing import Any

from polyport.errors import BadRequestError
from polyport.operations import OPERATIONS
from polyport_gateway import cohere_resources
from polyport_gateway.asked import Headers
from polyport_gateway.gate import Gate, GateError
from polyport_gateway.identity import address_of
from polyport_gateway.resources import ROWS
from polyport_gateway.signon import credential

Scope = MutableMapping[str, Any]
VERSION = re.compile(r"/v\d+(alpha|beta)?(?=/)")
#: The routes of models, Gemini's among them, which end with what is to be done.
CALLS = (
    *sorted({operation.path for operation in OPERATIONS}),
    *sorted({row.path for row in ROWS}),
    *sorted({VERSION.sub("", row.path) for row in cohere_resources.ROWS}),
    *("/upload/*", "/cachedContents*", "/fileSearchStores*", "/tunedModels*", "/files*", "/batches*"),
    *(
        "/video/generations",
        "/models/*",
        "/messages/batches",
        "/messages/batches/*",
        "/chat",
        "/embed",
        "/tokenize",
        "/detokenize",
        "/check-api-key",
    ),
)
#: LiteLLM's names of groups of routes -> what is in them here.
GROUPS: dict[str, Sequence[str]] = {
    "LiteLLMRoutes.public_routes": ("/", "/ui", "/ui/*", "/auth/*", "/openapi.json"),
    "LiteLLMRoutes.openai_routes": CALLS,
    "LiteLLMRoutes.llm_api_routes": (*CALLS, "/realtime", "/ws/*", "/passthrough/*"),
    "LiteLLMRoutes.management_routes": tuple(
        f"/{kind}/*" for kind in ("key", "user", "team", "project", "customer", "budget", "spend", "audit")
    ),
}


class Fence:
    """What stands before every route."""

    def __init__(self, ips: Sequence[str], routes: Sequence[str], admins: Sequence[str]) -> None:
        """Read what the configuration says. Raises BadRequestError naming the place."""
        self._networks = [_network(one) for one in ips]
        self._routes = _patterns("allowed_routes", routes)
        self._admins = _patterns("admin_only_routes", admins)

    def __bool__(self) -> bool:
        return bool(self._networks or self._routes or self._admins)

    async def refusal(self, gate: Gate, scope: Scope) -> GateError | None:
        """Return why a request is held back; None for one that may go on."""
        try:
            await self._check(gate, scope)
        except GateError as error:
            return error
        return None

    async def _check(self, gate: Gate, scope: Scope) -> None:
        peer = scope.get("client")
        client = peer[0] if peer else None
        if self._networks and not self._is_near(client):
            raise GateError(403, "address_not_allowed", "This gateway may not be used from here.")
        path = VERSION.sub("", scope["path"], count=1).rstrip("/") or "/"
        if self._routes is not None and not self._routes.fullmatch(path):
            raise GateError(403, "route_not_allowed", f"{path[:200]} is not among the routes of this gateway.")
        if self._admins is not None and self._admins.fullmatch(path):
            who = await gate.identify(credential.of(Headers(scope["headers"]), scope), client)
            if getattr(who, "role", "admin") != "admin":
                raise GateError(403, "route_not_allowed", f"{path[:200]} is for keys with the role admin.")

    def _is_near(self, client: str | None) -> bool:
        address = address_of(client)
        return address is not None and any(address in network for network in self._networks)


# --- reading ---


def _network(given: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(given, strict=False)
    except ValueError as error:
        raise BadRequestError(
            f"$.general_settings.allowed_ips has {given!r}: write addresses or networks, such as 10.0.0.0/8"
        ) from error


def _patterns(place: str, given: Sequence[str]) -> re.Pattern[str] | None:
    """Return what the routes are that are named; None where none is."""
    found: list[str] = []
    for one in given:
        if one.startswith("LiteLLMRoutes.") and one not in GROUPS:
            raise BadRequestError(f"$.general_settings.{place} has {one!r}: the groups known are {', '.join(GROUPS)}")
        found += GROUPS.get(one, [one])
    return re.compile("|".join(map(_pattern, found))) if found else None


def _pattern(route: str) -> str:
    path = VERSION.sub("", f"/{route.lstrip('/')}", count=1).rstrip("/") or "/"
    parts = re.split(r"(\{\w+\}|\*)", path)
    return "".join(
        ".*" if part == "*" else ".+" if part == "{model}" else r"[^/]+" if place % 2 else re.escape(part)
        for place, part in enumerate(parts)
    )
