"""Limits in Redis: accounts that all replicas share, reserved by one script, settled by another.

Amounts are whole nano-dollars; Lua counts them exactly up to 2^53, which is nine million dollars an account. A
reservation of a process that was killed is given back when its lease runs out. What was spent before is asked of the
ledger when Redis knows nothing of an account, as at first or after it has lost its memory.

While Redis is away, each process goes by limits of its own, and says so once; what was reserved in Redis and ends
without it is settled when it is back. https://redis.io/docs/latest/develop/programmability/eval-intro/
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Unconnected, NoScriptError, RedisError, TimeoutError as Late

from polyport.errors import BadRequestError, ServiceUnavailableError
from polyport.states import WINDOW
from polyport_gateway.limits import (
    Crossed,
    Held,
    Limit,
    MemoryLimits,
    Opened,
    Refusal,
    Reservation,
    Spent,
    nothing_opened,
    period,
    tightest,
)

log = logging.getLogger("polyport.gateway.limits")
#: What says that Redis is away, not that it was asked wrongly.
AWAY = (Unconnected, Late, OSError)
#: After so many seconds without Redis it is asked again.
RETRY_AFTER = 1.0
#: A reservation that nobody settles is given back after so many seconds.
LEASE = 900.0
#: What Redis keeps of an account that nobody uses, in seconds; after that the ledger is asked.
KEPT = 7 * 86_400
#: Accounts that one script is told of.
AT_ONCE = 500
#: How many settlements are remembered while Redis is away.
OWED = 100_000

#: Of each account two keys: a hash (r:SECOND and t:SECOND are counts, spent, start, held), and the set of its leases,
#: LEASE|NANO by when they end.
COMMON = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6
local second = math.floor(now)
local function whole(number) return string.format('%.0f', number) end
local function give_back(hash, nano)
    return redis.call('HINCRBY', hash, 'held', nano == '0' and '0' or '-' .. nano)
end
local function look(hash, leases)
    local one = {r = 0, t = 0, at = {r = {}, t = {}}}
    local flat = redis.call('HGETALL', hash)
    for i = 1, #flat, 2 do
        local kind, at = string.match(flat[i], '^(%a):(%d+)$')
        if kind == nil then
            one[flat[i]] = tonumber(flat[i + 1])
        elseif tonumber(at) < second - WINDOW then
            redis.call('HDEL', hash, flat[i])
        else
            one[kind] = one[kind] + tonumber(flat[i + 1])
            table.insert(one.at[kind], {tonumber(at), tonumber(flat[i + 1])})
        end
    end
    for _, lease in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', whole(now))) do
        redis.call('ZREM', leases, lease)
        one.held = give_back(hash, string.match(lease, '|(%d+)$'))
    end
    one.held = one.held or 0
    one.busy = redis.call('ZCARD', leases)
    return one
end
local function free(one, kind, room)
    local left, at = one[kind], now
    table.sort(one.at[kind], function(a, b) return a[1] < b[1] end)
    for _, entry in ipairs(one.at[kind]) do
        if left <= room then break end
        left, at = left - entry[2], entry[1] + WINDOW + 1
    end
    return tostring(math.max(0, at - now))
end
local function renew(one, hash, start)
    if start and one.start and start > one.start then
        one.start, one.spent = start, 0
        redis.call('HSET', hash, 'start', whole(start), 'spent', '0')
    end
end
""".replace("WINDOW", str(WINDOW))

#: ARGV: lease, its seconds, tokens, nano, seconds to keep; then of each account rpm, tpm, parallel, budget, duration,
#: start of its period ("" is none), and whether money is counted.
RESERVE = (
    COMMON
    + """
local tokens, nano, seen = tonumber(ARGV[3]), tonumber(ARGV[4]), {}
for i = 1, #KEYS / 2 do
    local hash, at = KEYS[2 * i - 1], 5 + 7 * (i - 1)
    local rpm, tpm, parallel = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    local budget, start = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 6])
    local one = look(hash, KEYS[2 * i])
    seen[i] = one
    if ARGV[at + 7] == '1' and (not one.spent or redis.call('HGET', hash, 'duration') ~= ARGV[at + 5]) then
        return {'unknown', i}
    end
    renew(one, hash, start)
    if parallel and one.busy >= parallel then return {'parallel', i, false} end
    if rpm and one.r + 1 > rpm then return {'rpm', i, rpm > 0 and free(one, 'r', rpm - 1)} end
    if tpm and one.t + tokens > tpm then return {'tpm', i, tokens <= tpm and free(one, 't', tpm - tokens)} end
    if budget and (one.spent >= budget or one.spent + one.held + nano > budget) then return {'budget', i, false} end
end
local told = {'', second}
for i = 1, #KEYS / 2 do
    local hash = KEYS[2 * i - 1]
    redis.call('HINCRBY', hash, 'r:' .. second, 1)
    redis.call('HINCRBY', hash, 't:' .. second, tokens)
    redis.call('HINCRBY', hash, 'held', ARGV[4])
    redis.call('ZADD', KEYS[2 * i], whole(now + tonumber(ARGV[2])), ARGV[1] .. '|' .. ARGV[4])
    redis.call('EXPIRE', hash, ARGV[5])
    redis.call('EXPIRE', KEYS[2 * i], ARGV[5])
    table.insert(told, seen[i].r + 1)
    table.insert(told, seen[i].t + tokens)
end
return told
"""
)

#: ARGV: lease, nano that was reserved, tokens that were, their second, tokens used (""), nano used, seconds to keep;
#: then of each account the start of its period and its soft budget. What was settled already, or whose lease has run
#: out, counts no more: a call that takes longer than a lease is in the ledger alone.
SETTLE = (
    COMMON
    + """
local used, nano, crossed = tonumber(ARGV[5]), tonumber(ARGV[6]), {}
for i = 1, #KEYS / 2 do
    local hash, at = KEYS[2 * i - 1], 7 + 2 * (i - 1)
    local start, soft = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    if redis.call('ZREM', KEYS[2 * i], ARGV[1] .. '|' .. ARGV[2]) == 1 then
        give_back(hash, ARGV[2])
        local one = look(hash, KEYS[2 * i])
        renew(one, hash, start)
        if one.spent then
            if soft and one.spent < soft and one.spent + nano >= soft then table.insert(crossed, i) end
            redis.call('HINCRBY', hash, 'spent', ARGV[6])
        end
        local more = used and used - tonumber(ARGV[3]) or 0
        if more > 0 then
            redis.call('HINCRBY', hash, 't:' .. second, more)
        elseif more < 0 and redis.call('HEXISTS', hash, 't:' .. ARGV[4]) == 1 then
            redis.call('HINCRBY', hash, 't:' .. ARGV[4], more)
        end
        redis.call('EXPIRE', hash, ARGV[7])
    end
end
return crossed
"""
)

#: ARGV: what was spent, the start of the period, its duration, seconds to keep. The first one to say so is believed.
KNOW = """
if redis.call('HEXISTS', KEYS[1], 'spent') == 0 or redis.call('HGET', KEYS[1], 'duration') ~= ARGV[3] then
    redis.call('HSET', KEYS[1], 'spent', ARGV[1], 'duration', ARGV[3])
    if ARGV[2] == '' then redis.call('HDEL', KEYS[1], 'start') else redis.call('HSET', KEYS[1], 'start', ARGV[2]) end
    redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return 1
"""

#: ARGV: what was spent. Accounts that nobody knows of stay so.
CHARGE = """
for i = 1, #KEYS do
    if redis.call('HEXISTS', KEYS[i], 'spent') == 1 then redis.call('HINCRBY', KEYS[i], 'spent', ARGV[1]) end
end
return 1
"""

#: ARGV: the number of the change, then what batches hold of each account, which is a part of `held`. Accounts that
#: nobody knows of stay so, and those that know something newer know it still.
HOLD = """
for i = 1, #KEYS do
    local told = redis.call('HMGET', KEYS[i], 'spent', 'opened', 'version')
    if told[1] and tonumber(told[3] or 0) <= tonumber(ARGV[1]) then
        local more = tonumber(ARGV[i + 1]) - tonumber(told[2] or 0)
        redis.call('HINCRBY', KEYS[i], 'held', string.format('%.0f', more))
        redis.call('HSET', KEYS[i], 'opened', ARGV[i + 1], 'version', ARGV[1])
    end
end
return 1
"""

#: ARGV: of each account its budget, its duration and the start of its period. Returns what RESERVE would.
FULL = (
    COMMON
    + """
for i = 1, #KEYS / 2 do
    local hash, at = KEYS[2 * i - 1], 3 * (i - 1)
    local budget = tonumber(ARGV[at + 1])
    local one = look(hash, KEYS[2 * i])
    if not one.spent or redis.call('HGET', hash, 'duration') ~= ARGV[at + 2] then return {'unknown', i} end
    renew(one, hash, tonumber(ARGV[at + 3]))
    if one.spent >= budget or one.spent + one.held > budget then return {'budget', i} end
end
return {''}
"""
)

SCRIPTS = (RESERVE, SETTLE, KNOW, CHARGE, HOLD, FULL)
DIGESTS = {one: hashlib.sha1(one.encode(), usedforsecurity=False).hexdigest() for one in SCRIPTS}


class Taken(Reservation):
    """A reservation in Redis."""


class SharedLimits:
    """Accounts in one Redis. `prefix` parts gateways that share a Redis and nothing else; times are in seconds."""

    def __init__(
        self,
        url: str,
        spent: Spent,
        *,
        prefix: str = "polyport",
        timeout: float = 1.0,
        lease: float = LEASE,
        retry_after: float = RETRY_AFTER,
    ) -> None:
        options: dict[str, Any] = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
        try:
            self._client: Any = redis.asyncio.Redis.from_url(url, retry=Retry(NoBackoff(), 1), **options)
        except ValueError as error:
            raise BadRequestError("redis_url is no URL of a Redis: write redis://host:6379/0") from error
        self._spent, self._prefix, self._lease, self._retry_after = spent, prefix, lease, retry_after
        self._local = MemoryLimits(spent)
        self.crossed: Crossed = lambda _: None
        self._local.crossed = self._crossed_here
        self.opened: Opened = nothing_opened
        self._local.opened = self._opened_here
        self._owed: deque[tuple[Taken, int | None, int]] = deque(maxlen=OWED)
        self._away_until: float | None = None
        self._settling: set[asyncio.Task[Any]] = set()

    async def reserve(self, limits: Sequence[Limit], tokens: int, nano: int, now: float) -> Reservation | Refusal:
        """Take of every account, or of none; without Redis, of this process's."""
        if not self._away():
            try:
                await self._pay()
                return await self._reserve(limits, tokens, nano, now)
            except AWAY as error:
                self._note_away(error)
            except RedisError as error:
                raise _broken(error) from error
        return await self._local.reserve(limits, tokens, nano, now)

    def reserve_now(self, limits: Sequence[Limit], tokens: int, nano: int, now: float) -> Held | Refusal | None:
        """Return None: Redis must be asked, or has to be looked for."""
        return None

    async def settle(self, taken: Reservation, tokens: int | None, nano: int, now: float) -> list[Limit]:
        """Put what was used in place of what was taken, also where the caller has left meanwhile."""
        if not isinstance(taken, Taken):
            return await self._local.settle(taken, tokens, nano, now)
        task = asyncio.create_task(self._settle_or_owe(taken, tokens, nano, now))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return await asyncio.shield(task)

    def settle_now(self, taken: Held, tokens: int | None, nano: int, now: float) -> list[Limit]:
        """Put what was used in place of what was taken of this process's."""
        return self._local.settle_now(taken, tokens, nano, now)

    async def charge(self, accounts: Sequence[str], nano: int) -> None:
        """Count money that was spent without a reservation; without Redis, where this process keeps its own."""
        await self._local.charge(accounts, nano)
        keys = [self._keys_of(name)[0] for name in accounts]
        if self._away_until is None and keys:
            try:
                await self._run(CHARGE, keys, nano)
            except AWAY as error:
                self._note_away(error)
            except RedisError as error:
                raise _broken(error) from error

    async def hold(self, amounts: Mapping[str, int], version: int) -> None:
        """Have accounts that are known know what batches hold of them; without Redis, this process's."""
        await self._local.hold(amounts, version)
        names = list(amounts)
        for start in range(0, len(names) if self._away_until is None else 0, AT_ONCE):
            some = names[start : start + AT_ONCE]
            try:
                await self._run(HOLD, [self._keys_of(one)[0] for one in some], version, *(amounts[one] for one in some))
            except AWAY as error:
                return self._note_away(error)
            except RedisError as error:
                raise _broken(error) from error
        return None

    async def full(self, limits: Sequence[Limit], now: float) -> Refusal | None:
        """Return a budget that does not have room for all that was spent and is held of it."""
        limits = [one for one in limits if one.budget is not None]
        if limits and not self._away():
            try:
                await self._pay()
                return await self._full(limits, now)
            except AWAY as error:
                self._note_away(error)
            except RedisError as error:
                raise _broken(error) from error
        return await self._local.full(limits, now)

    async def _full(self, limits: Sequence[Limit], now: float) -> Refusal | None:
        keys = [key for limit in limits for key in self._keys(limit)]
        told = [(_text(one.budget), one.duration, _text(period(one.duration, now)[0])) for one in limits]
        while True:
            word, *found = await self._run(FULL, keys, *(value for one in told for value in one))
            if not word:
                return None
            if word != b"unknown":
                return _refusal(limits[found[0] - 1], "budget", None, now)
            await self._know(limits[found[0] - 1], now)

    async def aclose(self) -> None:
        """Settle what is being settled, and close the connections."""
        await asyncio.gather(*self._settling)
        await self._client.aclose()

    # --- scripts ---

    async def _reserve(self, limits: Sequence[Limit], tokens: int, nano: int, now: float) -> Reservation | Refusal:
        lease = uuid.uuid4().hex
        keys = [key for limit in limits for key in self._keys(limit)]
        accounts = [one for limit in limits for one in _of_account(limit, now)]
        taken = Taken(lease, limits, tokens, nano, 0)
        try:
            while True:
                word, *found = await self._run(RESERVE, keys, lease, self._lease, tokens, nano, KEPT, *accounts)
                if word != b"unknown":
                    break
                await self._know(limits[found[0] - 1], now)
        except asyncio.CancelledError:  # perhaps it was taken: give it back
            self._owed.append((taken, 0, 0))
            raise
        if word:
            return _refusal(limits[found[0] - 1], word.decode(), found[1], now)
        taken.second = found[0]
        rooms = list(zip(limits, found[1::2], found[2::2], strict=True))
        taken.requests = tightest([(one.rpm, one.rpm - count) for one, count, _ in rooms if one.rpm is not None])
        taken.tokens_left = tightest([(one.tpm, one.tpm - count) for one, _, count in rooms if one.tpm is not None])
        return taken

    async def _know(self, limit: Limit, now: float) -> None:
        start = period(limit.duration, now)[0]
        spent = await self._spent(dict(limit.about), start)
        version, opened = await self.opened(dict(limit.about))
        await self._run(KNOW, self._keys(limit)[:1], spent, _text(start), limit.duration, KEPT)
        await self._run(HOLD, self._keys(limit)[:1], version, opened)
        if limit.soft is not None and spent >= limit.soft:
            self.crossed(limit)

    def _crossed_here(self, limit: Limit) -> None:
        self.crossed(limit)

    async def _opened_here(self, about: Mapping[str, str]) -> tuple[int, int]:
        return await self.opened(about)

    async def _settle_or_owe(self, taken: Taken, tokens: int | None, nano: int, now: float) -> list[Limit]:
        try:
            if self._away_until is None:
                return await self._settle(taken, tokens, nano, now)
        except AWAY as error:
            self._note_away(error)
        except RedisError as error:
            raise _broken(error) from error
        self._owed.append((taken, tokens, nano))
        return []

    async def _settle(self, taken: Taken, tokens: int | None, nano: int, now: float) -> list[Limit]:
        keys = [key for limit in taken.limits for key in self._keys(limit)]
        accounts = [one for limit in taken.limits for one in (_text(period(limit.duration, now)[0]), _text(limit.soft))]
        told = (taken.id, taken.nano, taken.tokens, taken.second, _text(tokens), nano, KEPT)
        crossed = await self._run(SETTLE, keys, *told, *accounts)
        return [taken.limits[place - 1] for place in crossed]

    async def _run(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:
        try:
            return await self._client.evalsha(DIGESTS[script], len(keys), *keys, *arguments)
        except NoScriptError:
            return await self._client.eval(script, len(keys), *keys, *arguments)

    def _keys(self, limit: Limit) -> tuple[str, str]:
        """Return an account's keys; the braces keep all accounts on one node, since one script takes of several."""
        return self._keys_of(limit.account)

    def _keys_of(self, account: str) -> tuple[str, str]:
        name = f"{{{self._prefix}}}:limits:{account}"
        return f"{name}:counts", f"{name}:leases"

    # --- Redis, or not ---

    @property
    def away(self) -> bool:
        """Whether Redis did not answer when it was asked last."""
        return self._away_until is not None

    def _away(self) -> bool:
        """Whether Redis is not to be asked now; one request in a while asks whether it is back."""
        if self._away_until is None:
            return False
        if time.monotonic() < self._away_until:
            return True
        self._away_until = time.monotonic() + self._retry_after
        return False

    async def _pay(self) -> None:
        """Settle what could not be settled while Redis was away."""
        while self._owed:
            owed = self._owed.popleft()
            try:
                await self._settle(*owed, time.time())
            except BaseException:
                self._owed.appendleft(owed)  # settling it twice counts once
                raise
        if self._away_until is not None:
            await self._client.ping()
            self._away_until = None
            log.warning("The limits' Redis is back: they are shared again")

    def _note_away(self, error: BaseException) -> None:
        if self._away_until is None:
            log.warning("The limits' Redis is away (%s): this process goes by its own", type(error).__name__)
        self._away_until = time.monotonic() + self._retry_after


def _of_account(limit: Limit, now: float) -> tuple[Any, ...]:
    start = period(limit.duration, now)[0]
    limits = (limit.rpm, limit.tpm, limit.parallel, limit.budget)
    return (*map(_text, limits), limit.duration, _text(start), int(limit.counts_money))


def _refusal(limit: Limit, kind: str, seconds: Any, now: float) -> Refusal:
    if kind == "budget":
        end = period(limit.duration, now)[1]
        return Refusal(limit, kind, None if end is None else end - now)
    return Refusal(limit, kind, None if seconds is None else float(seconds))


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _broken(error: RedisError) -> ServiceUnavailableError:
    return ServiceUnavailableError(f"The limits' Redis answers with an error ({type(error).__name__}). Try again.")
