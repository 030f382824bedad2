"""The router's state in Redis: limits, busy counts, latencies and rests that all processes share.

A call in flight counts until it is settled, or until its lease runs out: those of a process that was killed count no
longer than that. While Redis is away, each process goes by a state of its own, and says so once; calls that began
with Redis and end without it are settled when it is back.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeAlias

from redis.exceptions import ConnectionError as Unconnected, NoScriptError, TimeoutError as Late

from polyport.flow import Call, Flow
from polyport.states import Limits, MemoryState, Outcome, Refusal, Standing, Ticket
from polyport_redis.connections import Connections
from polyport_redis.scripts import DIGESTS, LOOK, SETTLE, TAKE

log = logging.getLogger("polyport.router")
#: What says that Redis is away, not that it was asked wrongly.
AWAY = (Unconnected, Late, OSError)
#: After so many seconds without Redis it is asked again.
RETRY_AFTER = 2.0
#: A call counts as in flight for at most so many seconds.
LEASE = 900.0
#: How many calls that ended without Redis are remembered, to be settled when it is back.
OWED = 10_000

#: A script, the id of the deployment that it is about, and its arguments.
Script: TypeAlias = tuple[str, str, tuple[Any, ...]]


class RedisState:
    """A state in one Redis. `prefix` parts routers that share a Redis and nothing else; times are in seconds."""

    def __init__(
        self,
        *,
        url: str | None = None,
        host: str | None = None,
        port: int | None = None,
        password: str | None = None,
        prefix: str = "polyport",
        timeout: float = 2.0,
        lease: float = LEASE,
        retry_after: float = RETRY_AFTER,
    ) -> None:
        self.connections = Connections(
            url=url, host=host or "127.0.0.1", port=port or 6379, password=password, timeout=timeout
        )
        self._prefix, self._lease, self._retry_after = prefix, lease, retry_after
        self._local = MemoryState()
        self._owed: deque[Script] = deque(maxlen=OWED)
        self._lock = threading.Lock()
        self._away_until: float | None = None

    # --- the state ---

    def look(self, ids: Sequence[str], now: float) -> Flow[list[Standing]]:
        """Return how deployments stand, for all processes; without Redis, for this one."""
        found = yield from self._ask([(LOOK, one, ()) for one in ids], now)
        if found is None:
            return (yield from self._local.look(ids, now))
        return [_standing(row) for row in found]

    def take(self, id: str, limits: Limits, tokens: int, now: float) -> Flow[Ticket | Refusal]:
        """Count a call in, or say what stands against it."""
        lease = uuid.uuid4().hex
        given = [_text(limit) for limit in (limits.rpm, limits.tpm, limits.parallel)]
        found = yield from self._ask([(TAKE, id, (*given, tokens, lease, self._lease))], now)
        if found is None:
            return (yield from self._local.take(id, limits, tokens, now))
        limit, value = found[0]
        if limit:
            return Refusal(limit.decode(), None if value is None else float(value))
        return Ticket(id, tokens, int(value), lease)

    def settle(self, ticket: Ticket, outcome: Outcome, now: float) -> Flow[None]:
        """Count the call out, where it was counted in."""
        if not ticket.lease:
            yield from self._local.settle(ticket, outcome, now)
            return
        taken = (ticket.lease, ticket.tokens, ticket.second)
        told = (_text(outcome.tokens), _text(outcome.latency), int(outcome.failed), outcome.cool, outcome.allowed)
        script: Script = (SETTLE, ticket.id, (*taken, *told))
        if (yield from self._ask([script], now)) is None:
            self._owed.append(script)

    def forget(self, ids: Sequence[str]) -> Flow[None]:
        """Forget deployments, for all processes."""
        yield from self._local.forget(ids)
        connections, names = self.connections, [key for one in ids for key in self._keys(one)]

        async def unlink() -> Any:
            return await (await connections.aclient()).unlink(*names)

        try:
            yield Call(lambda: connections.client().unlink(*names), unlink)
        except AWAY as error:
            log.warning("The router's Redis is away (%s): what it knows of %s goes in an hour", error, ", ".join(ids))

    def close(self) -> None:
        """Close the connections of blocking code."""
        self.connections.close()

    async def aclose(self) -> None:
        """Close those, and the running event loop's."""
        await self.connections.aclose()

    # --- Redis, or not ---

    def _ask(self, scripts: list[Script], now: float) -> Flow[list[Any] | None]:
        """Run scripts in one round trip; None while Redis is away."""
        owed: list[Script] = []
        with self._lock:
            if self._away_until is not None:
                if now < self._away_until:
                    return None
                self._away_until = now + self._retry_after  # this call asks whether it is back, and no other
                owed = [*self._owed]
        try:
            answers = yield from self._run([*owed, *scripts])
        except AWAY as error:
            self._note_away(error, now)
            return None
        if owed or self._away_until is not None:
            self._note_back(len(owed))
        return answers[len(owed) :]

    def _note_away(self, error: BaseException, now: float) -> None:
        with self._lock:
            first, self._away_until = self._away_until is None, now + self._retry_after
        if first:
            log.warning("The router's Redis is away (%s): this process goes by what it knows itself", error)

    def _note_back(self, settled: int) -> None:
        with self._lock:
            first, self._away_until = self._away_until is not None, None
            for _ in range(min(settled, len(self._owed))):
                self._owed.popleft()
        if first:
            log.warning("The router's Redis is back: limits and rests are shared again")

    # --- running scripts ---

    def _run(self, scripts: list[Script]) -> Flow[list[Any]]:
        """Return the scripts' answers. Those that this Redis does not know are loaded, and only they run again."""
        answers: list[Any] = yield self._pipeline(scripts, load=False)
        unknown = [place for place, one in enumerate(answers) if isinstance(one, NoScriptError)]
        if unknown:
            again: list[Any] = yield self._pipeline([scripts[place] for place in unknown], load=True)
            for place, answer in zip(unknown, again, strict=True):
                answers[place] = answer
        for one in answers:
            if isinstance(one, Exception):
                raise one
        return answers

    def _pipeline(self, scripts: list[Script], *, load: bool) -> Call:
        connections = self.connections

        def queue(pipeline: Any) -> Any:
            for script in dict.fromkeys(script for script, _, _ in scripts) if load else ():
                pipeline.script_load(script)
            for script, one, arguments in scripts:
                pipeline.evalsha(DIGESTS[script], 2, *self._keys(one), *arguments)
            return pipeline

        def ask() -> Any:
            with connections.client().pipeline(transaction=False) as pipeline:
                return queue(pipeline).execute(raise_on_error=False)[-len(scripts) :]

        async def aask() -> Any:
            async with (await connections.aclient()).pipeline(transaction=False) as pipeline:
                return (await queue(pipeline).execute(raise_on_error=False))[-len(scripts) :]

        return Call(ask, aask)

    def _keys(self, id: str) -> tuple[str, str]:
        """Return a deployment's keys; the braces keep them on one node of a cluster."""
        return f"{self._prefix}:{{{id}}}:counts", f"{self._prefix}:{{{id}}}:busy"


def _text(value: float | None) -> str:
    return "" if value is None else repr(value)


def _standing(row: list[Any]) -> Standing:
    busy, requests, tokens, failures, latency, age, cooling = row
    told = None if latency is None else float(latency)
    return Standing(int(busy), int(requests), int(tokens), int(failures), told, float(age), float(cooling))
