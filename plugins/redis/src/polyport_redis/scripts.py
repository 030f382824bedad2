"""The scripts of the router's state: each one atomic, by Redis's own clock.

Everything about one deployment is in one hash, counted by the second, and its calls in flight are in one sorted set,
each until its lease runs out. https://redis.io/docs/latest/develop/programmability/eval-intro/
"""

from __future__ import annotations

import hashlib

from polyport.states import WEIGHT, WINDOW

#: KEYS: the hash, the sorted set. Fields of the hash: r:, t:, f: and a second are counts; lat, at, cool are as named.
#: Counts of over a minute ago are taken away in passing.
COMMON = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6
local second = math.floor(now)
local sums, seconds, rest = {r = 0, t = 0, f = 0}, {r = {}, t = {}, f = {}}, {}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
    local kind, at = string.match(flat[i], '^(%a):(%d+)$')
    if kind == nil then
        rest[flat[i]] = tonumber(flat[i + 1])
    elseif tonumber(at) < second - WINDOW then
        redis.call('HDEL', KEYS[1], flat[i])
    else
        local count = tonumber(flat[i + 1])
        sums[kind] = sums[kind] + count
        table.insert(seconds[kind], {tonumber(at), count})
    end
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local busy = redis.call('ZCARD', KEYS[2])
local function free(kind, room)
    local left, at = sums[kind], now
    table.sort(seconds[kind], function(a, b) return a[1] < b[1] end)
    for _, entry in ipairs(seconds[kind]) do
        if left <= room then break end
        left, at = left - entry[2], entry[1] + WINDOW + 1
    end
    return tostring(math.max(0, at - now))
end
local function precise(number) return string.format('%.17g', number) end
local function keep()
    redis.call('EXPIRE', KEYS[1], 3600)
    redis.call('EXPIRE', KEYS[2], 3600)
end
""".replace("WINDOW", str(WINDOW))

LOOK = (
    COMMON
    + """
local cooling = math.max(0, (rest.cool or 0) - now)
local age = rest.at and now - rest.at or 0
return {busy, sums.r, sums.t, sums.f, rest.lat and precise(rest.lat) or false, precise(age), precise(cooling)}
"""
)

#: ARGV: rpm, tpm, parallel ("" is no limit), tokens, the lease's name and seconds.
TAKE = (
    COMMON
    + """
local rpm, tpm, parallel = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local tokens = tonumber(ARGV[4])
if (rest.cool or 0) > now then return {'cooling', precise(rest.cool - now)} end
if parallel and busy >= parallel then return {'parallel', false} end
if rpm and sums.r + 1 > rpm then return {'rpm', free('r', rpm - 1)} end
if tpm and sums.t + tokens > tpm then return {'tpm', free('t', math.max(0, tpm - tokens))} end
redis.call('HINCRBY', KEYS[1], 'r:' .. second, 1)
redis.call('HINCRBY', KEYS[1], 't:' .. second, tokens)
redis.call('ZADD', KEYS[2], precise(now + tonumber(ARGV[6])), ARGV[5])
keep()
return {'', second}
"""
)

#: ARGV: the lease, tokens taken, its second, tokens used (""), latency (""), failed, cool, allowed. Settling what was
#: settled already does nothing.
SETTLE = (
    COMMON
    + """
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return 0 end
local used = tonumber(ARGV[4])
if used then
    local more = used - tonumber(ARGV[2])
    if more > 0 then
        redis.call('HINCRBY', KEYS[1], 't:' .. second, more)
    elseif more < 0 and redis.call('HEXISTS', KEYS[1], 't:' .. ARGV[3]) == 1 then
        redis.call('HINCRBY', KEYS[1], 't:' .. ARGV[3], more)
    end
end
if ARGV[6] == '1' then
    redis.call('HINCRBY', KEYS[1], 'f:' .. second, 1)
    if tonumber(ARGV[7]) > 0 and sums.f + 1 > tonumber(ARGV[8]) then
        redis.call('HSET', KEYS[1], 'cool', precise(math.max(rest.cool or 0, now + tonumber(ARGV[7]))))
        for _, entry in ipairs(seconds.f) do redis.call('HDEL', KEYS[1], 'f:' .. entry[1]) end
        redis.call('HDEL', KEYS[1], 'f:' .. second)
    end
end
local latency = tonumber(ARGV[5])
if latency then
    local old = rest.lat
    if old and now - rest.at <= WINDOW then latency = old + WEIGHT * (latency - old) end
    redis.call('HSET', KEYS[1], 'lat', precise(latency), 'at', precise(now))
end
keep()
return 1
""".replace("WINDOW", str(WINDOW)).replace("WEIGHT", str(WEIGHT))
)

DIGESTS = {script: hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest() for script in (LOOK, TAKE, SETTLE)}
