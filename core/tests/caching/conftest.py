"""A cached client over a simulated wire, and stores that fail on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from core.tests.conftest import DONE, ROLE, Fake, completion, event

from polyport import Client
from polyport.caching import Cache, Store
from polyport.caching.memory import Memory
from polyport.dialects.openai import Images, Moderations, Quirks, Rerank, Responses, Speech, Transcriptions
from polyport.testing import Sent, Wire

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


#: A streamed answer, as it stands on the wire.
STREAM = ROLE + event("Hel") + event("lo") + DONE


class Everything(Fake, Images, Moderations, Rerank, Responses, Speech, Transcriptions):
    """Has every operation that can be cached."""

    quirks = Quirks(unsupported={"chat": {"logit_bias": "it is not known here"}})


def vector_of(text: str) -> list[float]:
    """A vector that says how often a text has each of three letters: texts with the same letters are alike."""
    return [float(text.count(letter)) + 0.01 for letter in "aeo"]


def answer(sent: Sent) -> Any:
    """Answer a chat with the number of words asked, and an embedding with a vector for each input."""
    body = sent.json
    if "input" in body:
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [{"index": i, "object": "embedding", "embedding": vector_of(text)} for i, text in enumerate(texts)]
        return {"object": "list", "model": "vectors-1", "data": data[::-1], "usage": {"prompt_tokens": len(texts)}}
    if body.get("stream"):
        return STREAM
    return completion(f"{len(str(body))} letters", usage=USAGE, citations=["https://example.com"])


class Away(Store):
    """A store in memory that fails while `error` is set; `asked` counts what reached it."""

    def __init__(self) -> None:
        self.inner = Memory()
        self.error: Exception | None = None
        self.asked = 0

    def _reach(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error

    def get(self, key: str) -> Any:
        self._reach()
        return (yield from self.inner.get(key))

    def set(self, key: str, value: bytes, ttl: float | None) -> Any:
        self._reach()
        return (yield from self.inner.set(key, value, ttl))


Cached = Callable[..., tuple[Client, Wire]]


@pytest.fixture
def cached(client: Callable[..., Client]) -> Cached:
    """`cached(cache, answers)`: a client with the cache's layer over a wire with these answers."""

    def make(cache: Cache, answers: Sequence[Any] | Callable[[Sent], Any] = answer, **settings: Any) -> Any:
        wire = Wire(answers)
        return client(http=wire, providers={"fake": Everything}, cache=cache, **settings), wire

    return make
