"""A request to an address of the operator's own, which leads elsewhere: see `endpoints`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec

from polyport.budgets import nano
from polyport.flow import Flow, HttpReply, HttpRequest
from polyport_gateway.app import ASGI
from polyport_gateway.asked import Receive
from polyport_gateway.endpoints import HOPS, METHODS, Endpoint
from polyport_gateway.exchange import Scope, Send, Watch
from polyport_gateway.gate import Caller, Free, GateError, Outcome
from polyport_gateway.passthrough import KEPT_BACK, PREFIXES_KEPT_BACK, WORD, Passage, Spool, safe
from polyport_gateway.signon import credential
from polyport_gateway.surfaces import OPENAI, Route

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

#: Headers of the caller that always go along: what its body is, and what it can read.
ALWAYS = frozenset({"content-type", "accept"})
#: Headers that the transport writes itself, or are one connection's own.
WIRE = HOPS | {"host", "content-length", "accept-encoding", "expect"}
#: What a target tells of what it cost. https://docs.litellm.ai/docs/proxy/pass_through_cost_tracking
COST, TOKENS = "x-litellm-response-cost", "x-litellm-total-tokens"


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the part: see `polyport_gateway.assembly`. It has no word of its own."""
    app = gateway.app

    async def serve(endpoint: Endpoint, below: str, scope: Scope, receive: Receive, send: Send) -> None:
        running = app.running
        with running:
            one = Forward(running, app.gate, scope, receive, send, app.taps)
            one.endpoint, one.below = endpoint, below
            run = one.run(There(endpoint))
            await (run if app.tracing is None else app.tracing(scope, run))

    app.forward = serve
    return {}


class There:
    """The route of a request that is forwarded; see `polyport_gateway.surfaces.Finds`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route. Raises GateError."""
        allowed = self._endpoint.methods or METHODS
        if method not in allowed:
            told = ", ".join(sorted(allowed))
            raise GateError(405, "method_not_allowed", f"{path[:200]} takes {told}", headers={"allow": told})
        return Route(method=method, path=path, surface=OPENAI, own=WORD), {}


class Forward(Passage):
    """One request that is forwarded."""

    endpoint: Endpoint
    below = ""
    _replied: HttpReply | None = None

    async def _answer(self, route: Route, names: dict[str, str]) -> None:
        below = safe(self.below) if self.below else ""
        wants = self.endpoint.auth is not False
        if wants:
            team = self._headers.get(credential.TEAM, "")
            await self._gate.identify(credential.of(self._headers, self._scope), self._client(), team=team)
        with ExitStack() as stack:
            content, told = await self._content(None, stack)
            cost = self.endpoint.cost_per_request
            asked = self._asking(
                route,
                WORD,
                {**(told or {}), "max_tokens": 0},
                path=route.path.removeprefix("/v1"),
                stream=(told or {}).get("stream"),
                price=None if cost is None else nano(cost),
            )
            if wants:
                await self._admit(asked)
            else:
                self._asked, self._admission = asked, Free(Caller(id="anyone"))
            if not self.endpoint.unguarded:
                self._running.refuse_guarded(self._admission_of(), "what passes through")
            self._demand(told, content)
            watch = Watch(self._leave, self._receive)
            try:
                await self._pass(self._aimed(route.method, below, content), None)
            finally:
                watch.stop()

    def _aimed(self, method: str, path: str, content: bytes | Spool | None) -> HttpRequest:
        """Return the request to the target."""
        endpoint = self.endpoint
        address, _, own = endpoint.target.partition("?")
        given = parse_qsl(self._scope["query_string"].decode("latin-1"), keep_blank_values=True)
        names = {name for name, _ in given}
        defaults = {name: _text(value) for name, value in endpoint.default_query_params.items()}
        query = [
            *parse_qsl(own, keep_blank_values=True),
            *((name, value) for name, value in defaults.items() if name not in names),
            *given,
        ]
        url = f"{address.rstrip('/') if path else address}{quote(path, safe='/:@!$&()*+,;=~')}"
        secrets = [part for value in endpoint.headers.values() for part in (value, value.rpartition(" ")[2])]
        return HttpRequest(
            method=method,
            url=url + (f"?{urlencode(query)}" if query else ""),
            headers={**self._passed(), **endpoint.headers},
            content=content,
            stream=method != "HEAD",
            secrets=tuple(sorted((one for one in secrets if len(one) >= 8), key=len, reverse=True)),
        )

    def _passed(self) -> dict[str, str]:
        """Return the caller's headers that go along: where no key of ours is wanted, theirs may be the target's."""
        endpoint, theirs = self.endpoint, self.endpoint.auth is False
        connection = {name.strip().lower() for name in self._headers.get("connection", "").split(",")}
        kept_back = connection | (
            HOPS | {"host", "content-length", "accept-encoding", "expect"} if theirs else KEPT_BACK
        )
        if not endpoint.forward_headers:
            return {name: value for name, value in self._headers.items() if name in ALWAYS and name not in kept_back}
        return {
            name: value
            for name, value in self._headers.items()
            if name not in kept_back and not name.startswith(PREFIXES_KEPT_BACK)
        }

    def _exchange(self, request: HttpRequest) -> Flow[HttpReply]:
        reply: HttpReply = yield request
        self._replied = reply
        return reply

    def _outcome(self, status: int, error: BaseException | None) -> Outcome:
        """Return how it ended, with what it cost: what the target says, else what the operator does."""
        made = super()._outcome(status, error)
        answered = self._replied is not None and self._replied.status < 300
        if self._replied is None:
            return made
        cost = _amount(self._replied.headers.get(COST))
        said = self.endpoint.cost_per_request
        if cost is None:
            cost = nano(said) if said is not None and answered else 0
        tokens = _amount(self._replied.headers.get(TOKENS), 1)
        return msgspec.structs.replace(
            made,
            nano=cost,
            usage={"input": tokens} if tokens else {},
            provider=urlsplit(self.endpoint.target).hostname or "",
            attempts=1,
            first_byte=self._first,
        )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _amount(told: str | None, unit: int = 1_000_000_000) -> int | None:
    """Return a number that a target tells, in so many parts of it; None for none, and for what is no amount."""
    try:
        found = None if told is None else float(told)
    except ValueError:
        return None
    return round(found * unit) if found is not None and 0 <= found < 1e6 * 1_000_000_000 / unit else None
