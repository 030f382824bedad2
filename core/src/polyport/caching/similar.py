"""What a semantic cache compares, and what it does not.

Compared is the text of the last message, the user's. Everything else is a hard partition, equal or apart: the
namespace, the model, the system prompt, earlier turns, pictures beside the text, tools and every other parameter; and
the numbers in the text, which vectors hardly tell apart ("convert 5 km to miles", "convert 6 km to miles").

How near is near enough depends on the embedding model. `local/e5` puts everything above 0.75; measured 2026-11-23,
texts that mean the same at 0.957 to 0.991, such as ask for something else in nearly the same words at 0.926 to 0.964.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from polyport.border import Call
from polyport.caching import keys
from polyport.caching.border import Border, Shelf
from polyport.caching.store import VectorStore
from polyport.caching.vectors import unit
from polyport.errors import InvalidResponseError
from polyport.flow import Flow

#: Operation -> the parameter whose last text is compared.
COMPARED: Mapping[str, str] = {
    "chat": "messages",
    "create_message": "messages",
    "respond": "input",
    "complete_text": "prompt",
}
TEXTS = frozenset({"text", "input_text"})
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
#: How many of the nearest vectors may turn out to lead to entries that are gone.
TRIES = 3


class Flows(Protocol):
    """What is asked for vectors: a Client, or a Router."""

    def flow(self, function: str, **fields: Any) -> Flow[Any]:
        """Return the flow of a call."""


class Likeness(msgspec.Struct):
    """One call's text, where it is compared, and its vector once it is known."""

    text: str
    partition: str
    vector: list[float] | None = None


class Similar:
    """Finds what was asked before in other words."""

    def __init__(self, shelf: Shelf, client: Flows, model: str, threshold: float) -> None:
        self._shelf = shelf
        self._client = client
        self._model = model
        self._threshold = threshold
        self._border = Border(f"embedding model of the {shelf.name}", shelf.counts)

    def likeness(self, call: Call, namespace: str) -> Likeness | None:
        """Return what of a call is compared; None where nothing is."""
        found = split(call)
        return None if found is None else Likeness(found[0], keys.prefix(namespace) + found[1])

    def find(self, likeness: Likeness, max_age: float | None) -> Flow[bytes | None]:
        """Return the entry of the nearest text, where it is near enough."""
        store = self._shelf.store
        yield from self._measure(likeness)
        vector = likeness.vector
        if vector is None or not isinstance(store, VectorStore):
            return None
        for _ in range(TRIES):
            nearest = yield from self._shelf.run(store.nearest(likeness.partition, vector), None)
            if nearest is None or nearest[1] < self._threshold:
                return None
            value = yield from self._shelf.get(nearest[0], None)
            if value is not None:
                return value if max_age is None else (yield from self._shelf.get(nearest[0], max_age))
            yield from self._shelf.run(store.forget(likeness.partition, nearest[0]), None)
        return None

    def remember(self, likeness: Likeness, key: str, ttl: float | None) -> Flow[None]:
        """Have a text lead to an entry."""
        store = self._shelf.store
        yield from self._measure(likeness)
        if likeness.vector is not None and isinstance(store, VectorStore):
            yield from self._shelf.run(store.remember(likeness.partition, key, likeness.vector, ttl), None)

    def _measure(self, likeness: Likeness) -> Flow[None]:
        if likeness.vector is None:
            likeness.vector = yield from self._border.run(self._embed(likeness.text), None)

    def _embed(self, text: str) -> Flow[list[float]]:
        made = yield from self._client.flow("embedding", model=self._model, input=text)
        vector = made.data[0].embedding
        if not isinstance(vector, list) or not vector:
            raise InvalidResponseError(f"{self._model} gave no vector of numbers")
        return unit(vector)


def split(call: Call) -> tuple[str, str] | None:
    """Return (text to compare, digest of the partition); None for a call that has no such text."""
    name = COMPARED.get(call.operation.hook)
    if name is None:
        return None
    found = _take(getattr(call.request, name))
    if found is None:
        return None
    text, rest = found
    numbers = " ".join(NUMBER.findall(text))
    return text, keys.digest(keys.canonical(call, **{name: rest}) + numbers.encode())


def _take(value: Any) -> tuple[str, Any] | None:
    """Take the last text out of a prompt or a list of messages, and return it with what is left."""
    if isinstance(value, str):
        return (value, None) if value.strip() else None
    last = value[-1] if isinstance(value, list) and value else None
    if not isinstance(last, dict) or last.get("role") != "user":
        return None
    found = _from_content(last.get("content"))
    if found is None or not found[0].strip():
        return None
    return found[0], [*value[:-1], {**last, "content": found[1]}]


def _from_content(content: Any) -> tuple[str, Any] | None:
    if isinstance(content, str):
        return content, None
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        return None
    texts = [index for index, part in enumerate(content) if part.get("type") in TEXTS]
    if len(texts) != 1 or not isinstance(content[texts[0]].get("text"), str):
        return None
    place = texts[0]
    return content[place]["text"], [*content[:place], {**content[place], "text": None}, *content[place + 1 :]]
