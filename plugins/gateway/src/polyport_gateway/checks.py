"""How each deployment is: what its calls say of it, and what it answers when it is asked something small.

GET  /health/models         each deployment's state, the last minutes' counts, and its last check
POST /health/models/check   ask now: all, or those of {"model": group} or {"id": deployment}

With `general_settings.background_health_checks` one process asks in rounds, `health_check_interval` seconds apart; what
has answered a caller within that time is not asked. A check goes past the router: it uses up no limit and sends no
deployment to rest. It costs a token or so, which the ledger has under the operation `health_check`. `model_info` may
say for a deployment: `mode`, `health_check_model` (for a pattern), `health_check_timeout`, `health_check_max_tokens`,
`disable_background_health_check`. https://docs.litellm.ai/docs/proxy/health
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from polyport import catalog
from polyport.errors import BadRequestError, NotFoundError, PolyportError
from polyport.flow import NOW, Flow
from polyport.router.deployments import Deployment
from polyport.states import Standing
from polyport.types.record import Result
from polyport_gateway import showing
from polyport_gateway.app import ASGI
from polyport_gateway.console import ADMINS, READERS, Console, Page
from polyport_gateway.entries import WRITTEN
from polyport_gateway.estimate import rates_at
from polyport_gateway.identity import Principal
from polyport_gateway.lines import Entry, clean
from polyport_gateway.recent import Recent
from polyport_gateway.running import Running
from polyport_gateway.upkeep import Upkeep

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

log = logging.getLogger("polyport.gateway.checks")
#: What a deployment of a mode is asked. Modes that are not here cost too much to be asked for nothing.
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("completion", {"messages": [{"role": "user", "content": "ping"}]}),
    "completion": ("text_completion", {"prompt": "ping"}),
    "responses": ("responses", {"input": "ping"}),
    "embedding": ("embedding", {"input": "ping"}),
    "rerank": ("rerank", {"query": "ping", "documents": ["ping"]}),
    "moderation": ("moderation", {"input": "ping"}),
}
#: The least that an answer may have; some models take no less than the second.
FEWEST = (1, 16)
#: What bounds an answer, by function.
BOUNDS = {"completion": "max_tokens", "text_completion": "max_tokens", "responses": "max_output_tokens"}
#: Seconds between two rounds, of one check, and that one look at the store and at the deployments holds.
INTERVAL, TIMEOUT, HOLDS = 300.0, 30.0, 1.0
#: Checks at a time.
AT_A_TIME = 4
RESULTS, LOCK = "health.json", "health.lock"


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a check came to. `ok` is None for a deployment that is not asked: `error` says why."""

    at: float
    ok: bool | None
    seconds: float = 0.0
    operation: str = ""
    error: str | None = None


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the part."""
    health = Health(gateway)
    gateway.app.taps.append(health.recent.tap)
    gateway.app.starting.append(health.start)
    gateway.app.closing.append(health.aclose)
    gateway.app.ready += [health.store_away, health.nothing_usable]
    pages = {
        "GET /health/models": Page(READERS, health.models),
        "POST /health/models/check": Page(ADMINS, health.check),
    }
    return {"health": Console(gateway, pages)}


class Health:
    """Knows how a gateway's deployments are."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.recent = Recent()
        self._results = _Results(gateway.data / RESULTS)
        self._upkeep = Upkeep()
        #: When the last round began, by the monotonic clock.
        self._last = float("-inf")
        self._lock: int | None = None
        self._held: dict[str, tuple[float, str | None]] = {}

    @property
    def _running(self) -> Running:
        return self._gateway.app.running

    # --- is it ready ---

    async def store_away(self) -> str | None:
        """Say so where the database cannot be asked, and nobody is let in without it."""
        keeper = self._gateway.keeper
        if keeper is None or keeper.allow:
            return None
        return await self._hold("store", self._ask_store())

    async def _ask_store(self) -> str | None:
        assert self._gateway.keeper is not None
        try:
            async with asyncio.timeout(2.0):
                await self._gateway.keeper.start()
                await self._gateway.keeper.store.revision()
        except (PolyportError, TimeoutError):
            return "the database cannot be asked, and on_store_failure is deny"
        return None

    async def nothing_usable(self) -> str | None:
        """Say so where every deployment rests after failures."""
        return await self._hold("deployments", self._ask_state())

    async def _ask_state(self) -> str | None:
        standings = await self._standings(self._running)
        if standings and all(one.cooling > 0 for one in standings):
            return "every deployment rests after failures"
        return None

    async def _hold(self, name: str, asking: Any) -> str | None:
        """Ask at most once in HOLDS seconds, however often probes come."""
        at, held = self._held.get(name, (float("-inf"), None))
        if time.monotonic() - at < HOLDS:
            asking.close()
            return held
        reason: str | None = await asking
        self._held[name] = (time.monotonic(), reason)
        return reason

    # --- how they are ---

    async def models(self, by: Principal, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all deployments, or those of `model`. Counts are this process's own."""
        running = self._running
        chosen = _chosen(running, given, ("model", "id"))
        standings = await self._standings(running, chosen)
        results = await self._results.read()
        now = time.time()
        told = [self._told(running, one, standing, results.get(one.id), now)
                for one, standing in zip(chosen, standings, strict=True)]  # fmt: skip
        general = self._gateway.config.general
        return {"deployments": told, "checked_every": interval_of(general.background_health_checks,
                                                                   general.health_check_interval)}  # fmt: skip

    def _told(
        self, running: Running, one: Deployment, standing: Standing, checked: Checked | None, now: float
    ) -> dict[str, Any]:
        provider, model = running.router.place_of(one)
        return {
            "id": one.id,
            "group": one.group,
            "provider": provider,
            "model": model,
            "mode": mode_of(running, one),
            "state": state_of(one, standing),
            "cooling_until": now + standing.cooling if standing.cooling > 0 else None,
            "busy": standing.busy,
            "last_minute": {
                "requests": standing.requests, "tokens": standing.tokens, "failures": standing.failures,
            },
            "limits": {"rpm": one.limits.rpm, "tpm": one.limits.tpm, "parallel": one.limits.parallel},
            "latency": standing.latency,
            "price": price_of(running, one),
            "recent": self.recent.of(one.id),
            "check": None if checked is None else msgspec.structs.asdict(checked),
        }  # fmt: skip

    async def _standings(self, running: Running, some: Iterable[Deployment] | None = None) -> list[Standing]:
        ids = [one.id for one in (running.router.groups.all() if some is None else some)]

        def look() -> Flow[list[Standing]]:
            now: float = yield NOW
            return (yield from running.router.state.look(ids, now))

        try:
            return await running.router.client.arun(look())
        except PolyportError as error:  # the state they share is away: calls go on, and nothing is known of others
            log.warning("how deployments stand cannot be looked up: %s", error)
            return [Standing() for _ in ids]

    # --- asking them ---

    async def check(self, by: Principal, given: Mapping[str, Any]) -> dict[str, Any]:
        """Ask deployments now, and return how they are."""
        await self._round(self._running, _chosen(self._running, given, ("model", "id")))
        return await self.models(by, given)

    async def start(self) -> None:
        """Ask in rounds, from now on and whenever the configuration says so."""
        self._upkeep.start((1.0, self._rounds))

    async def aclose(self) -> None:
        """Ask no more."""
        await self._upkeep.aclose()
        if self._lock is not None:
            os.close(self._lock)

    async def _rounds(self) -> None:
        while True:
            general = self._gateway.config.general
            interval = interval_of(general.background_health_checks, general.health_check_interval)
            now = time.monotonic()
            if interval is not None and now - self._last >= interval and await asyncio.to_thread(self._mine):
                self._last = now
                await self._round(self._running, self._due(self._running, interval))
            await asyncio.sleep(min(1.0, interval or 1.0))

    def _mine(self) -> bool:
        """Whether this process is the one of its gateway that asks; it is until it ends."""
        if self._lock is None:
            path = self._gateway.data / LOCK
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return False
            self._lock = file
        return True

    def _due(self, running: Running, interval: float) -> list[Deployment]:
        since = time.time() - interval
        return [
            one
            for one in running.router.groups.all()
            if not one.info.get("disable_background_health_check") and (self.recent.succeeded_at(one.id) or 0) < since
        ]

    async def _round(self, running: Running, chosen: Iterable[Deployment]) -> None:
        slots = asyncio.Semaphore(AT_A_TIME)

        async def ask(one: Deployment) -> tuple[str, Checked]:
            async with slots:
                return one.id, await self._ask(running, one)

        with running:  # a reload lets it finish
            found = await asyncio.gather(*(ask(one) for one in chosen))
        await self._results.keep(dict(found), {one.id for one in running.router.groups.all()})

    async def _ask(self, running: Running, one: Deployment) -> Checked:
        mode = mode_of(running, one)
        if mode not in ASKED:
            return Checked(at=time.time(), ok=None, error=f"asking a deployment of the mode {mode} costs too much")
        model = one.info.get("health_check_model") or one.model
        if "*" in model:
            return Checked(at=time.time(), ok=None, error="a pattern: say which by model_info.health_check_model")
        function, fields = ASKED[mode]
        began = time.monotonic()
        result: Result | None = None
        try:
            result = await self._answer(running, one, model, function, fields)
            error = None
        except PolyportError as failed:
            error = showing.text(f"{type(failed).__name__}: {failed}"[:500], self._gateway.config.source, one.options)
        seconds = time.monotonic() - began
        self._record(running, one, result, error, seconds)
        return Checked(at=time.time(), ok=error is None, seconds=seconds, operation=function, error=error)

    async def _answer(
        self, running: Running, one: Deployment, model: str, function: str, fields: Mapping[str, Any]
    ) -> Result:
        """Ask for as little as the model takes. Raises what the provider's answer is, if it is an error."""
        given = {**one.extra, **one.options, **fields, "num_retries": 0, "cache": {"no-cache": True, "no-store": True}}
        given["timeout"] = float(one.info.get("health_check_timeout") or TIMEOUT)
        bound = BOUNDS.get(function)
        own = one.info.get("health_check_max_tokens")
        call = getattr(running.router.client, f"a{function}")
        fewest = (int(own),) if own else FEWEST
        for count in fewest if bound else (0,):
            try:
                found: Result = await call(model, **{**given, **({bound: count} if bound else {})})
            except BadRequestError:
                if not bound or count == fewest[-1]:
                    raise
            else:
                return found
        raise AssertionError("unreachable")

    def _record(
        self, running: Running, one: Deployment, result: Result | None, error: str | None, seconds: float
    ) -> None:
        """Put what it cost into the ledger."""
        keeper = self._gateway.keeper
        if keeper is None or result is None:
            return
        usage = result.usage_buckets
        written = sum(count for bucket, count in usage.items() if bucket in WRITTEN)
        provider, model = running.router.place_of(one)
        cost = result.meta.cost
        entry = Entry(
            id=f"check-{uuid.uuid4().hex}", at=time.time(), model=clean(one.group), provider=provider,
            upstream=clean(model), deployment=one.id, operation="health_check", usage=usage,
            prompt=sum(usage.values()) - written, completion=written,
            nano=0 if cost is None else round(cost * 1_000_000_000), seconds=seconds, attempts=1,
        )  # fmt: skip
        try:
            keeper.ledger.record(entry)
        except OSError as failed:
            log.error("a health check is not in the ledger: %s", failed)


class _Results:
    """The last check of each deployment, in a file that a gateway's processes share."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._decode = msgspec.json.Decoder(dict[str, Checked]).decode

    async def read(self) -> dict[str, Checked]:
        return await asyncio.to_thread(self._read)

    async def keep(self, found: Mapping[str, Checked], known: set[str]) -> None:
        await asyncio.to_thread(self._keep, found, known)

    def _read(self) -> dict[str, Checked]:
        try:
            return self._decode(self._path.read_bytes())
        except (OSError, msgspec.MsgspecError):
            return {}

    def _keep(self, found: Mapping[str, Checked], known: set[str]) -> None:
        both = {**self._read(), **found}
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(msgspec.json.encode({name: one for name, one in both.items() if name in known}))
            os.replace(new, self._path)
        except OSError as error:
            log.error("the results of health checks cannot be kept: %s", error)


def interval_of(on: bool | None, seconds: float | None) -> float | None:
    """Return the seconds between two rounds; None where there are none."""
    if on is False or (on is None and seconds is None):
        return None
    return INTERVAL if seconds is None else seconds


def state_of(one: Deployment, standing: Standing) -> str:
    """Return a word: resting (after failures), full (a limit is reached), failing (of late), ok."""
    limits = one.limits
    full = (
        (limits.parallel is not None and standing.busy >= limits.parallel)
        or (limits.rpm is not None and standing.requests >= limits.rpm)
        or (limits.tpm is not None and standing.tokens >= limits.tpm)
    )
    words = (("resting", standing.cooling > 0), ("full", full), ("failing", standing.failures > 0))
    return next((word for word, holds in words if holds), "ok")


def price_of(running: Running, one: Deployment) -> dict[str, Any] | None:
    """Return what a million tokens cost in USD, read (`input`) and written (`output`); None where nobody knows."""
    rates = rates_at(running.router, one)
    if rates is None or "input" not in rates.prices:
        return None
    return {"input": rates.prices["input"], "output": rates.prices.get("output")}


def mode_of(running: Running, one: Deployment) -> str:
    """Return what a deployment is for: as it says itself, as its model is known, else chat where its provider chats."""
    said = one.info.get("mode")
    if isinstance(said, str):
        return said
    provider, model = running.router.place_of(one)
    try:
        known = catalog.info(provider, model).mode
    except NotFoundError:
        known = None
    return known or ("chat" if "chat" in running.router.client.providers.get(provider).answers else "unknown")


def _chosen(running: Running, given: Mapping[str, Any], known: tuple[str, ...]) -> list[Deployment]:
    """Return the deployments that are meant. Raises BadRequestError or NotFoundError."""
    for name, value in given.items():
        if name not in known or not isinstance(value, str):
            raise BadRequestError(f"This takes {' and '.join(known)}, as texts; what is {str(name)[:60]!r}?")
    found = running.router.groups.of(given["model"]) if "model" in given else running.router.groups.all()
    if "id" in given:
        found = [one for one in found if one.id == given["id"]]
        if not found:
            raise NotFoundError(f"There is no deployment {given['id'][:60]!r}.")
    return found
