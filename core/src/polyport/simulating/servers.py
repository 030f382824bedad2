"""Simulated deployments: how fast each is, what it refuses, when it fails; and the provider whose flows call them.

    deployments:
      east: {first_token: {p50: 0.4, p99: 2}, tokens_per_second: {normal: [60, 10]}, rpm: 500}
      west: {latency: {p50: 1.2, p99: 9}, errors: {"500": 0.01, down: 0.001}, prices: {input: 2.5, output: 10}}
      "*":  {slots: 40}

Keys are ids of deployments, names of groups, or patterns of them; what several say is put together, the most exact
one last. The flows of a call are the real ones up to the wire: the border's errors, retries, limits and costs.
"""

from __future__ import annotations

import fnmatch
import heapq
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from polyport.drivers.simulation import Answer
from polyport.errors import APIConnectionError, BadRequestError
from polyport.flow import Flow, HttpReply, HttpRequest, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import Provider
from polyport.simulating import distributions
from polyport.simulating.distributions import Draw
from polyport.simulating.faults import LIMITS, SHARED, Fault
from polyport.simulating.traffic import Asked
from polyport.states import Limits, Window
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest, Choice, ChunkChoice, Delta, Message
from polyport.types.record import convert
from polyport.types.usage import Usage

#: The parameter that brings a call's own numbers to its deployment.
ASKED = "simulated"
#: Seconds until a refusal comes back, and until a connection is refused.
REFUSAL, NO_CONNECTION = 0.05, 0.01
#: After so long a connection is cut that never answered, where the caller waits for ever.
HANGS = 3600.0
#: Without `first_token`, the part of a whole `latency` after which a stream's first token comes.
FIRST_OF_LATENCY = 0.2
DEFAULT_FIRST = {"p50": 0.4, "p99": 2.0}
DEFAULT_SPEED = {"normal": [60.0, 12.0]}
#: Nobody is slower than this many tokens a second, so that no draw makes a call endless.
SLOWEST = 0.1


class Behaviour(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a deployment is like, as configurations write it. Times are in seconds.

    A call takes `latency`; or, without it, `first_token` and then its tokens at `tokens_per_second`. A stream's first
    token comes after `first_token`. `jitter` 0.2 makes that up to a fifth longer or shorter. More than `slots` calls at
    a time wait for one another. `rpm`, `tpm` and `parallel` are its own limits: beyond them it answers 429 with a
    Retry-After. `errors` are shares of the requests by status ("500"), or by down, hang and cut, as in `faults`.
    `prices` are those of `polyport.catalog`, in USD per million tokens.
    """

    latency: Any = None
    first_token: Any = None
    tokens_per_second: Any = None
    jitter: float = 0.0
    slots: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
    errors: dict[str, float] = {}
    prices: dict[str, Any] | None = None


def behaviours(given: Mapping[str, Any], names: Sequence[str], path: str) -> Behaviour:
    """Return what several entries say of a deployment of these names, its id first: patterns, then group, then id."""
    found: dict[str, Any] = {}
    exact = [name for name in reversed(names) if name in given]
    globs = [key for key in given if key not in names and any(fnmatch.fnmatchcase(name, key) for name in names)]
    for key in [*sorted(globs, key=len), *exact]:
        if not isinstance(given[key], Mapping):
            raise BadRequestError(f"{path}[{key!r}] must say what the deployment is like, not {given[key]!r}")
        convert(given[key], Behaviour, f"{path}[{key!r}]")
        found.update(given[key])
    made: Behaviour = convert(found, Behaviour, f"{path}[{names[0]!r}]")
    return made


class Server:
    """One simulated deployment: what it does with each request."""

    def __init__(
        self,
        id: str,
        behaviour: Behaviour,
        faults: Sequence[Fault],
        seed: int,
        *,
        path: str = "$",
        folder: Path | None = None,
    ) -> None:
        self.id = id
        self.behaviour = behaviour
        self._random = Random(f"{id} {seed}")  # noqa: S311  a simulation, no secret
        self._faults = [*_own_errors(behaviour, path), *faults]
        self._first = distributions.read(behaviour.first_token or DEFAULT_FIRST, f"{path}.first_token", folder)
        self._speed = distributions.read(
            behaviour.tokens_per_second or DEFAULT_SPEED, f"{path}.tokens_per_second", folder
        )
        self._whole: Draw | None = None
        if behaviour.latency is not None:
            self._whole = distributions.read(behaviour.latency, f"{path}.latency", folder)
        self._limits = Limits(behaviour.rpm, behaviour.tpm, behaviour.parallel)
        self._counts = any(getattr(behaviour, name) is not None for name in LIMITS) or any(
            fault.kind in LIMITS for fault in faults
        )
        self._requests, self._tokens = Window(), Window()
        self._running: list[float] = []
        self._slots = [0.0] * (behaviour.slots or 0)

    def answer(self, asked: Asked, stream: bool, now: float, patience: float | None = None) -> Answer:
        """Return what becomes of a request; of a stream, nobody waits for a piece for longer than `patience`."""
        held = [fault for fault in self._faults if fault.holds(now)] if self._faults else ()
        for fault in held:
            if (fault.kind in SHARED or fault.kind == "status") and fault.kind != "cut" and self._met(fault):
                return _failure(fault)
        if self._counts:
            wait = self._over_limit(asked, held, now)
            if wait is not None:
                return _refusal(429, max(1, math.ceil(wait)), "Rate limit reached")
        first, rest = self._times(asked, held, stream)
        if self._slots:
            first += self._queued(now, first + rest)
        if self._counts:
            self._count(asked, now, first + rest)
        if not stream:
            return Answer(first + rest, OK)
        cut = any(fault.kind == "cut" and self._met(fault) for fault in held)
        return Answer(first, OK, pieces=_pieces(asked, rest, self._random.random() if cut else None, patience))

    def _met(self, fault: Fault) -> bool:
        return fault.share >= 1 or self._random.random() < fault.share

    def _times(self, asked: Asked, held: Sequence[Fault], stream: bool) -> tuple[float, float]:
        """Return the seconds to the first token, and from there to the last."""
        random, whole = self._random, self._whole
        if whole is None:
            first = self._first(random)
            rest = asked.output / max(SLOWEST, self._speed(random))
        else:
            total = whole(random)
            first = total * FIRST_OF_LATENCY
            if stream and self.behaviour.first_token is not None:
                first = min(total, self._first(random))
            rest = total - first
        factor, more, jitter = 1.0, 0.0, self.behaviour.jitter
        for fault in held:
            if fault.kind == "slow*":
                factor *= fault.value
            elif fault.kind == "slow+":
                more += fault.value
            elif fault.kind == "jitter":
                jitter = max(jitter, fault.value)
        if jitter:
            factor *= max(0.0, 1 + jitter * (2 * random.random() - 1))
        return first * factor + more, rest * factor

    def _queued(self, now: float, seconds: float) -> float:
        """Return how long a request waits for a slot, and keep the slot for as long as it will take."""
        start = max(now, self._slots[0])
        heapq.heapreplace(self._slots, start + seconds)
        return start - now

    # --- its own limits ---

    def _over_limit(self, asked: Asked, held: Sequence[Fault], now: float) -> float | None:
        """Return after how many seconds it would take the request; None where it takes it now."""
        rpm, tpm, parallel = self._limits.rpm, self._limits.tpm, self._limits.parallel
        for fault in held:
            if fault.kind == "rpm":
                rpm = int(fault.value)
            elif fault.kind == "tpm":
                tpm = int(fault.value)
            elif fault.kind == "parallel":
                parallel = int(fault.value)
        while self._running and self._running[0] <= now:
            heapq.heappop(self._running)
        if parallel is not None and len(self._running) >= parallel:
            return self._running[0] - now if self._running else 1.0
        if rpm is not None and self._requests.read(now) + 1 > rpm:
            return self._requests.free_at(max(0, rpm - 1), now)
        tokens = asked.prompt + asked.output
        if tpm is not None and self._tokens.read(now) + tokens > tpm:
            return self._tokens.free_at(max(0, tpm - tokens), now)
        return None

    def _count(self, asked: Asked, now: float, seconds: float) -> None:
        self._requests.add(1, now)
        self._tokens.add(asked.prompt + asked.output, now)
        heapq.heappush(self._running, now + seconds)


def _own_errors(behaviour: Behaviour, path: str) -> list[Fault]:
    """Return a deployment's own error rates, as faults that always hold."""
    found = []
    for name, share in behaviour.errors.items():
        if name not in SHARED and not (name.isdigit() and 400 <= int(name) <= 599):
            raise BadRequestError(f"{path}.errors[{name!r}] is no error: a status from 400 to 599, {', '.join(SHARED)}")
        if not 0 <= share <= 1:
            raise BadRequestError(f"{path}.errors[{name!r}] is a share, from 0 to 1, not {share:g}")
        kind, value = ("status", float(name)) if name.isdigit() else (name, 0.0)
        found.append(Fault("*", kind, value, share))
    return found


# --- answers ---

OK = HttpReply(status=200)


def _failure(fault: Fault) -> Answer:
    if fault.kind == "down":
        return Answer(NO_CONNECTION, error=APIConnectionError("Connection refused"))
    if fault.kind == "hang":
        return Answer(HANGS, error=APIConnectionError("The connection was closed without an answer"))
    status = int(fault.value)
    return _refusal(status, 1 if status == 429 else None, "Failed")


def _refusal(status: int, retry_after: int | None, message: str) -> Answer:
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    content = msgspec.json.encode({"error": {"message": f"{message} (simulated)"}})
    return Answer(REFUSAL, HttpReply(status=status, headers=headers, content=content))


def _pieces(asked: Asked, rest: float, cut: float | None, patience: float | None) -> Sequence[tuple[float, Any]]:
    """Return a stream: its first token, and everything else, with the usage, when its last token is there.

    Tokens in between are told only where the wait from the first to the last would be taken for a stall.
    """
    if cut is not None:
        return (0.0, FIRST), (rest * cut, APIConnectionError("The stream was cut off"))
    last = ChatCompletionChunk(id="simulated", choices=[ENDED], usage=_usage(asked))
    if patience is None or rest <= patience:
        return (0.0, FIRST), (rest, last)
    count = math.ceil(2 * rest / patience)
    return [(0.0, FIRST), *[(rest / count, FIRST)] * (count - 1), (rest / count, last)]


def _usage(asked: Asked) -> Usage:
    return Usage(prompt_tokens=asked.prompt, completion_tokens=asked.output, total_tokens=asked.prompt + asked.output)


FIRST = ChatCompletionChunk(id="simulated", choices=[ChunkChoice(delta=Delta(role="assistant", content="word"))])
ENDED = ChunkChoice(delta=Delta(content=" words"), finish_reason="stop")
TOLD = [Choice(message=Message(content="words"), finish_reason="stop")]


class SimulatedProvider(Provider):
    """Answers chat for any prefix; its requests name a deployment in place of an address, and nothing is encoded."""

    @hookimpl
    def chat(self, request: ChatRequest) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        """Ask the deployment that the router chose."""
        asked: Asked = request.extra[ASKED]
        stream = bool(request.stream)
        name = request.options.api_base or f"{self.name}/{request.model}"
        reply = yield HttpRequest(method="POST", url=name, json=asked, stream=stream, unsigned=True)
        if stream:
            return Streaming(reply, Raw())
        return ChatCompletion(id="simulated", model=request.model, choices=TOLD, usage=_usage(asked))
