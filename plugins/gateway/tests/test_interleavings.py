"""Limits under every interleaving of reserving, settling and dying that hypothesis finds, in memory and in Redis.

A model of what was taken and what was spent says, of each reservation, whether it may be let in; and at every step
that nothing is spent, held or in flight beyond what the limits allow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

pytest.importorskip("redis", reason="pip install polyport-gateway[redis]")

from polyport_gateway.limits import Limit, Limits, MemoryLimits, Refusal, Reservation
from polyport_gateway.shared import SharedLimits, Taken

from .services import Redis, redis

KEY = Limit(about=(("key", "k"),), rpm=8, tpm=120, parallel=4, budget=1000)
TEAM = Limit(about=(("team", "t"),), rpm=14, parallel=6, budget=1600, soft=900)
MEMBER = Limit(about=(("team", "t"), ("user", "u")), tpm=200, budget=700)
#: Who calls: with which limits.
CALLERS = ([KEY], [KEY, TEAM], [TEAM, MEMBER], [KEY, TEAM, MEMBER], [MEMBER])
ALL = (KEY, TEAM, MEMBER)


async def nothing(about: Mapping[str, str], since: float | None) -> int:
    """Nothing was spent before."""
    return 0


class Account:
    """What the model knows of a limit."""

    def __init__(self) -> None:
        self.busy = self.held = self.spent = self.requests = self.tokens = 0

    def refuses(self, limit: Limit, tokens: int, nano: int) -> str:
        """Return which limit does not hold."""
        budget = limit.budget
        checks = (
            ("parallel", limit.parallel is not None and self.busy >= limit.parallel),
            ("rpm", limit.rpm is not None and self.requests + 1 > limit.rpm),
            ("tpm", limit.tpm is not None and self.tokens + tokens > limit.tpm),
            ("budget", budget is not None and (self.spent >= budget or self.spent + self.held + nano > budget)),
        )
        return next((name for name, broken in checks if broken), "")


class Interleaving(RuleBasedStateMachine):
    """Calls of several callers, within one minute."""

    taken = Bundle("taken")
    limits: Limits

    @initialize()
    def begin(self) -> None:
        """Nobody has called yet."""
        self.runner = asyncio.Runner()
        self.limits = self.make()
        self.accounts = {limit.account: Account() for limit in ALL}
        self.told: list[str] = []

    def make(self) -> Limits:
        """Return limits that know nothing yet."""
        return MemoryLimits(nothing)

    @rule(target=taken, who=st.sampled_from(CALLERS), tokens=st.integers(0, 60), nano=st.integers(0, 500))
    def reserve(self, who: list[Limit], tokens: int, nano: int) -> Reservation | None:
        """A call is let in exactly when all of its limits hold; of one that is not, nothing stays."""
        refused = next((kind for one in who if (kind := self.accounts[one.account].refuses(one, tokens, nano))), "")
        found = self.runner.run(self.limits.reserve(who, tokens, nano, time.time()))
        if isinstance(found, Refusal):
            assert found.kind == refused
            return None
        assert not refused
        for one in who:
            account = self.accounts[one.account]
            account.busy += 1
            account.requests += 1
            account.held += nano
            account.tokens += tokens
        return found

    @rule(one=consumes(taken), used=st.none() | st.integers(0, 80), nano=st.integers(0, 600))
    def settle(self, one: Reservation | None, used: int | None, nano: int) -> None:
        """What was used stands in the place of what was taken, also where it is more."""
        if one is None:
            return
        crossed = {limit.account for limit in self.runner.run(self.limits.settle(one, used, nano, time.time()))}
        for limit in one.limits:
            account = self.accounts[limit.account]
            before, after = account.spent, account.spent + nano
            assert (limit.account in crossed) == (limit.soft is not None and before < limit.soft <= after)
            account.busy, account.held, account.spent = account.busy - 1, account.held - one.nano, after
            account.tokens += 0 if used is None else used - one.tokens
        self.told += crossed

    @invariant()
    def holds(self) -> None:
        """Nothing is held that nobody holds, and what is known is what the model knows."""
        if not hasattr(self, "limits"):
            return
        for limit in ALL:
            account, seen = self.accounts[limit.account], self.look(limit)
            if seen is not None:
                assert seen == (account.busy, account.held, account.spent)
        assert len(self.told) == len(set(self.told))

    def look(self, limit: Limit) -> tuple[int, int, int] | None:
        """Return calls in flight, what is held and what was spent; None where nobody has called yet."""
        assert isinstance(self.limits, MemoryLimits)
        found = self.limits._accounts.get(limit.account)
        return None if found is None else (found.busy, found.reserved, found.spent)

    def teardown(self) -> None:
        """Let go."""
        if hasattr(self, "limits"):
            self.runner.run(self.limits.aclose())
            self.runner.close()


class InRedis(Interleaving):
    """The same in Redis, where processes may also die: then their leases run out."""

    server: ClassVar[Redis]
    number: ClassVar[int] = 0

    def make(self) -> Limits:
        """Return limits that know nothing yet."""
        InRedis.number += 1
        self.prefix = f"machine-{InRedis.number}"
        return SharedLimits(self.server.url, nothing, prefix=self.prefix, timeout=30)

    @rule(one=consumes(Interleaving.taken), nano=st.integers(0, 600))
    def die(self, one: Reservation | None, nano: int) -> None:
        """Nobody settles: the lease ends, what was held is free again; and settling it then changes nothing."""
        if one is None:
            return
        self.runner.run(self._end(one))
        for limit in one.limits:
            account = self.accounts[limit.account]
            account.busy, account.held = account.busy - 1, account.held - one.nano
        assert isinstance(one, Taken)
        self.runner.run(self._touch())
        assert self.runner.run(self.limits.settle(one, 0, nano, time.time())) == []

    @rule()
    def forget(self) -> None:
        """A process that begins anew, and knows nothing, goes by the same accounts."""
        self.runner.run(self.limits.aclose())
        self.limits = SharedLimits(self.server.url, nothing, prefix=self.prefix, timeout=30)

    async def _end(self, one: Reservation) -> None:
        """Have a reservation's leases end now."""
        assert isinstance(self.limits, SharedLimits)
        for limit in one.limits:
            _, leases = self.limits._keys(limit)
            await self.limits._client.zadd(leases, {f"{one.id}|{one.nano}": 0})

    async def _touch(self) -> None:
        """Have each account looked at, by somebody for whom it holds nothing: that gives back what has ended."""
        for limit in ALL:
            look = Limit(about=limit.about, parallel=0)
            assert isinstance(await self.limits.reserve([look], 0, 0, time.time()), Refusal)

    def look(self, limit: Limit) -> tuple[int, int, int] | None:
        """Return calls in flight, what is held and what was spent."""
        found: tuple[int, int, int] | None = self.runner.run(self._look(limit))
        return found

    async def _look(self, limit: Limit) -> tuple[int, int, int] | None:
        assert isinstance(self.limits, SharedLimits)
        client: Any = self.limits._client
        counts, leases = self.limits._keys(limit)
        found = {name.decode(): value for name, value in (await client.hgetall(counts)).items()}
        if "spent" not in found:
            return None
        return await client.zcard(leases), int(found.get("held", 0)), int(found["spent"])


QUIET = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


def test_no_interleaving_in_memory_breaks_a_limit() -> None:
    """Hundreds of calls in every order."""
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Interleaving, settings=settings(QUIET, max_examples=60, stateful_step_count=40))


@pytest.fixture
def server() -> Iterator[Redis]:
    """A running Redis."""
    with ExitStack() as stack:
        yield stack.enter_context(redis(Path(mkdtemp())))


def test_no_interleaving_in_redis_breaks_a_limit(server: Redis) -> None:
    """Nor with processes that die, and come back."""
    from hypothesis.stateful import run_state_machine_as_test

    InRedis.server = server
    run_state_machine_as_test(InRedis, settings=settings(QUIET, max_examples=25, stateful_step_count=30))
