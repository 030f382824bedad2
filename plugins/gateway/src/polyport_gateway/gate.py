"""The gate: who may call what, and what it came to. The seam between the surfaces and the accounts.

A surface reads a request, asks `admit`, makes the call, and tells the admission how it ended, once and before the last
byte of the reply goes out. What stands behind a gate (keys, teams, limits, a ledger) is not the surfaces' matter.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Mapping, Sequence
from random import getrandbits
from time import time_ns
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from polyport.errors import PolyportError
from polyport.types.guard import Guarded
from polyport.types.record import Adaptation, Failure, Meta

if TYPE_CHECKING:
    from polyport.prices import Rates
    from polyport_gateway.begun import Begun, Seal
    from polyport_gateway.foreseen import Foreseen
    from polyport_gateway.policy import Policy


#: The id of the caller with the master key, where there are no accounts.
MASTER = "master"


class GateError(PolyportError):
    """A refusal. `code` is a word for programs (invalid_api_key, rate_limit_exceeded); `retry_after` is in seconds.

    `message` goes to the caller as it is: it must not quote a key.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status
        self.code = code
        self.retry_after = retry_after
        self.headers = dict(headers or {})


def storage_refused(address: str) -> GateError:
    """Return the refusal of an address in cloud storage."""
    return GateError(
        403,
        "storage_not_allowed",
        f"{address[:200]!r} would be read with this gateway's own identity, which is not yours to use: "
        "allowed_storage says where you may have files read.",
    )


def new_id() -> str:
    """Return a name for a request, which begins with its time: indexes of the ledger grow at their ends by it."""
    return "%032x" % (time_ns() << 64 | getrandbits(64))


class Asked(msgspec.Struct, frozen=True):
    """One request, as a gate sees it.

    `path` is the route without /v1 and with its names in braces: /responses/{response_id}. `operation` is the SDK's
    function ("completion"), or "" for what is none. `token` is what came as Authorization: Bearer, x-api-key,
    x-goog-api-key or api-key. `client` is the peer's address. `size` is the body's, in bytes; `fields` the parameters
    of the call, not to be changed; `price` is what it costs, in nano-dollars, where that is known before.
    """

    request_id: str
    method: str
    path: str
    surface: str
    operation: str = ""
    token: str | None = None
    client: str | None = None
    model: str | None = None
    stream: bool = False
    size: int = 0
    user: str | None = None
    headers: Mapping[str, str] = {}
    fields: Mapping[str, Any] = {}
    price: int | None = None

    def __repr__(self) -> str:
        return f"<Asked {self.request_id} {self.method} {self.path} {self.model or ''}>"


class Outcome(msgspec.Struct, frozen=True):
    """How a request ended. Times are in seconds, `nano` in billionths of a USD, None where no price is known.

    `usage` are disjoint buckets of tokens. `status` is the HTTP status that the caller got, 499 for one that left.
    `estimated`: the provider told no usage. `error` is the class of what went wrong, `code` a gate's word for it,
    `message` what it said, without keys. `upstream_id` is the provider's name of the request; `failures` the attempts
    that led to nothing; `kept` the id of a response that the provider keeps.
    """

    request_id: str
    status: int
    latency: float
    usage: Mapping[str, int] = {}
    nano: int | None = None
    estimated: bool = False
    error: str = ""
    code: str = ""
    message: str = ""
    model: str = ""
    provider: str = ""
    deployment: str | None = None
    attempts: int = 0
    cache_hit: bool = False
    first_byte: float | None = None
    upstream_id: str | None = None
    adaptations: Sequence[Adaptation] = ()
    guardrails: Sequence[Guarded] = ()
    failures: Sequence[Failure] = ()
    kept: str = ""


class Caller(msgspec.Struct, kw_only=True, frozen=True):
    """Who calls. `id` is no secret; `team` is "" for who is in none."""

    id: str
    team: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = {}


class Start(msgspec.Struct, kw_only=True, frozen=True):
    """A batch that is about to start: where, and what it asks for; `asks` is None where its `file` has been seen.

    `model_of` and `rates_of` return the name here, and the prices, of a model that its requests name; `may_use` says
    whether the caller may ask for it.
    """

    provider: str
    deployment: str
    model_of: Callable[[str], str]
    rates_of: Callable[[str], Rates | None]
    may_use: Callable[[str], bool] = lambda _: True
    file: str = ""
    asks: Foreseen | None = None


class Admission(Protocol):
    """A request that was let in. `models` are the names it may ask for, None: all. `headers` go with the reply."""

    @property
    def caller(self) -> Caller:
        """Who calls."""

    @property
    def models(self) -> Collection[str] | None:
        """The names of models that the caller may use; None for all of them."""

    @property
    def aliases(self) -> Mapping[str, str]:
        """The caller's own names of models, and what they stand for."""

    @property
    def policy(self) -> Policy | None:
        """What holds for each of the caller's calls: guardrails that are always on, bounds; None for nothing."""

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """What is told with the reply, as ASGI has headers: x-ratelimit-..."""

    async def check(self, ids: Sequence[str]) -> None:
        """Raise GateError, 404, for something that a provider keeps and that is not the caller's."""

    async def reach(self, addresses: Sequence[str]) -> None:
        """Raise GateError, 403, for an address in cloud storage that is not the caller's to have read."""

    async def note(self, function: str, fields: Mapping[str, Any], result: Any, meta: Meta) -> Any:
        """Take note of what was made for the caller, and return what of the result it may see."""

    def own(self, kind: str, name: object, deployment: str = "", part_of: str = "") -> None:
        """Take note of something at a deployment's account: the caller's, or whose what it is part of is."""

    async def visible(self, ids: Sequence[str]) -> Collection[str]:
        """Return which of these things the caller may see."""

    async def places(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return, of things that are somebody's, the deployments at whose accounts they are; "" where nobody knows."""

    @property
    def budgeted(self) -> bool:
        """Whether a budget holds for this request."""

    async def hold(self, start: Start) -> None:
        """Hold what a batch may cost, until it is paid. Raises GateError where there is no budget for it."""

    async def let_go(self) -> None:
        """Give that back: the batch did not start."""

    async def afford(self, nano: int) -> None:
        """Raise GateError where a budget has no room for so much more, in nano-dollars, known only now."""

    async def look_once_more(self, batch: str) -> None:
        """Have a batch looked at, and paid if it is over, since it is about to be deleted."""

    async def pay(self, job: str, nano: int, usage: Mapping[str, int], meta: Meta) -> None:
        """Have who made a job pay what it cost, in nano-dollars, when it is over: once, however often it is told."""

    async def settle(self, outcome: Outcome) -> None:
        """Take note of how it ended: called exactly once, before the last byte of the reply goes out."""

    def settle_now(self, outcome: Outcome) -> bool:
        """Settle, where nothing must be waited for; else return False, and nothing was done: then `settle`."""


class Gate(Protocol):
    """Lets requests in."""

    async def identify(self, token: str | None, client: str | None = None, *, team: str = "") -> object:
        """Raise GateError for a key that is nobody's: asked before a large body is read, and then `admit` as well."""

    async def admit(self, asked: Asked) -> Admission:
        """Return the admission of a request. Raises GateError."""

    async def trace(self, admission: Admission, seal: Seal) -> Begun:
        """Return by what who was let in is known again, where what they begin goes on without a key."""

    async def resume(self, begun: Begun, seal: Seal, path: str, client: str | None) -> None:
        """Raise GateError where who began something may not go on with it."""

    def admit_now(self, asked: Asked) -> Admission | None:
        """Admit, where nothing must be waited for; else return None, and nothing was done: then `admit`."""

    async def aclose(self) -> None:
        """Write down what is still to be written."""


class Free:
    """An admission without limits and accounts."""

    models: Collection[str] | None = None
    aliases: Mapping[str, str] = {}
    policy: Policy | None = None
    headers: Sequence[tuple[bytes, bytes]] = ()
    budgeted = False

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    async def check(self, ids: Sequence[str]) -> None:
        """Everything is everybody's."""

    async def reach(self, addresses: Sequence[str]) -> None:
        """Who has the master key may have anything read; in a gateway that is open to all, nobody."""
        if addresses and self.caller.id != MASTER:
            raise storage_refused(addresses[0])

    async def note(self, function: str, fields: Mapping[str, Any], result: Any, meta: Meta) -> Any:
        """Everything is everybody's."""
        return result

    def own(self, kind: str, name: object, deployment: str = "", part_of: str = "") -> None:
        """Everything is everybody's."""

    async def visible(self, ids: Sequence[str]) -> Collection[str]:
        """Everything is everybody's."""
        return ids

    async def places(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Nothing is kept."""
        return {}

    async def hold(self, start: Start) -> None:
        """Nothing is held."""

    async def let_go(self) -> None:
        """Nothing was held."""

    async def afford(self, nano: int) -> None:
        """Nothing is held."""

    async def look_once_more(self, batch: str) -> None:
        """Nothing is paid."""

    async def pay(self, job: str, nano: int, usage: Mapping[str, int], meta: Meta) -> None:
        """Nothing is paid."""

    async def settle(self, outcome: Outcome) -> None:
        """Nothing is kept."""

    def settle_now(self, outcome: Outcome) -> bool:
        """Nothing is kept."""
        return True


class MasterKey:
    """A gate that knows one key; without a key it is open."""

    def __init__(self, key: str | None = None) -> None:
        self._key = None if key is None else key.encode()
        self._admission = Free(Caller(id=MASTER if key else "anyone"))

    async def identify(self, token: str | None, client: str | None = None, *, team: str = "") -> Caller:
        """Return who has the key; without a key, that is everybody. Without accounts there are no teams to name."""
        return self._identify(token)

    def _identify(self, token: str | None) -> Caller:
        if self._key is None:
            return self._admission.caller
        if token is None:
            raise GateError(
                401, "missing_api_key", "This gateway needs a key: send it as `Authorization: Bearer <key>`."
            )
        if not hmac.compare_digest(token.encode(errors="replace"), self._key):
            raise GateError(401, "invalid_api_key", "The key is not one of this gateway's.")
        return self._admission.caller

    async def trace(self, admission: Admission, seal: Seal) -> Begun:
        """Nobody has to be known again: there is one key."""
        return ()

    async def resume(self, begun: Begun, seal: Seal, path: str, client: str | None) -> None:
        """Who began it may go on."""

    async def admit(self, asked: Asked) -> Free:
        """Let in who has the key, or everybody where there is none."""
        return self.admit_now(asked)

    def admit_now(self, asked: Asked) -> Free:
        """Let in who has the key, or everybody where there is none."""
        self._identify(asked.token)
        return self._admission

    async def aclose(self) -> None:
        """Nothing is kept."""
