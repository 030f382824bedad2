"""What Cohere's SDKs can ask that nobody here answers, and why: they are told so by name, with 501.

https://docs.cohere.com/reference/about
"""

from __future__ import annotations

from collections.abc import Iterator

GENERATE = "Cohere took it out of its interface: use /v2/chat, or /v1/completions."
SUMMARIZE = "Cohere took it out of its interface: ask a chat for a summary."
USAGE = "How much the data sets of the gateway's account have, all callers' together, is nobody's of them to know."

#: Methods, address, reason.
UNSERVED: tuple[tuple[str, str, str], ...] = (
    ("POST", "/v1/generate", GENERATE),
    ("POST", "/v1/summarize", SUMMARIZE),
    ("GET", "/v1/datasets/usage", USAGE),
)


def unserved() -> Iterator[tuple[str, str, str]]:
    """Yield the method, the address and the reason of each."""
    for methods, path, why in UNSERVED:
        for method in methods.split():
            yield method, path, why
