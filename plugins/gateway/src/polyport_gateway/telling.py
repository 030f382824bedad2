"""What a caller is told of limits: why a request is refused, and how much is left."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from polyport.states import WINDOW
from polyport.types.bill import NANO
from polyport_gateway.gate import GateError
from polyport_gateway.limits import Limit, Refusal, Reservation

#: What is said of a limit that does not hold.
SAID = {
    "rpm": "{whose} may make {limit.rpm} requests a minute",
    "tpm": "{whose} may use {limit.tpm} tokens a minute, and this request may need {tokens}",
    "parallel": "{whose} may make {limit.parallel} requests at a time",
    "budget": "The budget of {whose} does not hold this request",
}
#: Kind of limit -> its word in headers.
WORDS = {"rpm": "requests", "tpm": "tokens"}
#: The headers of a limit, as OpenAI names them -> as Anthropic does; those that say when it begins anew.
PARTS = (b"limit", b"remaining", b"reset")
REQUESTS = (b"x-ratelimit-limit-requests", b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests")
TOKENS = (b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens")
ANTHROPIC = {
    name: b"anthropic-ratelimit-%s-%s" % (word, part)
    for word, names in ((b"requests", REQUESTS), (b"tokens", TOKENS))
    for name, part in zip(names, PARTS, strict=True)
}
RESETS = frozenset({REQUESTS[2], TOKENS[2]})


def refused(refusal: Refusal, tokens: int) -> GateError:
    """Return a refusal as it goes to the caller: a budget as 400, since SDKs send a 429 again and again."""
    limit = refusal.limit
    whose = "the " + (" on the ".join(f"{kind} {name}" for kind, name in limit.about) or "gateway")
    message = SAID[refusal.kind].format(whose=whose, limit=limit, tokens=tokens)
    message = message[:1].upper() + message[1:]
    wait = refusal.seconds
    if refusal.kind == "budget":
        amount = f"{(limit.budget or 0) / NANO:.9f}".rstrip("0").rstrip(".")
        again = "ask for a larger one" if wait is None else f"it begins anew in {wait:.0f} s"
        return GateError(400, "budget_exceeded", f"{message}: ${amount} is all there is; {again}.")
    again = "send it in smaller parts" if refusal.kind == "tpm" and wait is None else "wait, then try again"
    wait = 1.0 if wait is None and refusal.kind == "parallel" else wait
    headers = _full(limit, refusal.kind, wait)
    return GateError(429, "rate_limit_exceeded", f"{message}: {again}.", retry_after=wait, headers=headers)


def _full(limit: Limit, kind: str, wait: float | None) -> dict[str, str]:
    """Return the headers of a limit that is used up."""
    word = WORDS.get(kind)
    if word is None:
        return {}
    reset = {} if wait is None else {f"x-ratelimit-reset-{word}": _length(wait)}
    return {f"x-ratelimit-limit-{word}": str(getattr(limit, kind)), f"x-ratelimit-remaining-{word}": "0", **reset}


def told(taken: Reservation, surface: str, clock: Callable[[], float]) -> list[tuple[bytes, bytes]]:
    """Return headers that tell how much is left of the tightest limits, by the names that a surface's SDK knows.

    What was taken now is free again after a minute, and then the limit stands where it began. `clock` is in seconds
    since 1970. https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
    https://docs.anthropic.com/en/api/rate-limits#response-headers
    """
    found: list[tuple[bytes, bytes]] = []
    for names, room in ((REQUESTS, taken.requests), (TOKENS, taken.tokens_left)):
        if room is not None:
            limit, left = room
            found += _limit(names, limit)
            found.append((names[1], b"%d" % left if left > 0 else b"0"))
    if surface == "anthropic" and found:
        end = datetime.fromtimestamp(clock() + WINDOW, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        found += [(ANTHROPIC[name], end if name in RESETS else value) for name, value in found]
    return found


@lru_cache(1024)
def _limit(names: tuple[bytes, bytes, bytes], limit: int) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of a limit that are the same with every reply."""
    return (names[0], b"%d" % limit), (names[2], _length(WINDOW).encode())


def _length(seconds: float) -> str:
    """Return a length of time as OpenAI writes it: 1s, 6m0s."""
    whole = math.ceil(seconds)
    return f"{whole // 60}m{whole % 60}s" if whole >= 60 else f"{whole}s"
