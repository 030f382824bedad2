"""What Google's SDKs can ask that nobody here answers, and why: they are told so by name, with 501.

https://ai.google.dev/gemini-api/docs/interactions
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

MANAGED = "agents at Google's act, keep and spend by themselves: no ledger is told of it, and no guardrail sees it"
#: The first word of the address below its version -> why.
UNSERVED: Mapping[str, str] = {
    "interactions": "they stay with Google and may go on in the background, and what they spend then is told to who "
    "looks, if anybody does; calls of models are at models/{model}:generateContent, and sessions by WebSocket",
    "agents": MANAGED,
    "environments": MANAGED,
    "triggers": MANAGED,
    "decisions": MANAGED,
    "voices": "a voice that was made is the whole account's, and Google bills what speaks with it past the prices here",
    "credentials": "they are Google's keys to other services",
    "webhooks": "Google would call an address of the caller's, past the gateway",
    "auth_tokens": "a token for browsers opens Google's own address, past keys, limits and the ledger",
}
#: Words that are OpenAI's at /v1.
OPENAIS = frozenset({"agents", "decisions"})


def nowhere() -> Iterator[tuple[re.Pattern[str], str, str]]:
    """Yield the addresses of each word, the word, and why."""
    for word, why in UNSERVED.items():
        version = "/v1(?:beta|alpha)" if word in OPENAIS else "/v1(?:beta|alpha)?"
        yield re.compile(rf"{version}/{word}(?:/.+)?"), word, why
