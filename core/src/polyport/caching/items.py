"""Embeddings, whose inputs are cached one by one: only those that are not there are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from polyport.border import Call, Next
from polyport.caching import entries, keys
from polyport.caching.border import Shelf
from polyport.caching.controls import Controls
from polyport.caching.entries import WHOLE, Entry, Piece, Unreadable
from polyport.flow import Flow
from polyport.types.embed import Embedding, EmbeddingResponse, EmbedRequest
from polyport.types.usage import Usage


class Vector(msgspec.Struct, array_like=True, frozen=True):
    """One input's vector, and the name that the provider gave its model."""

    embedding: list[float] | str
    model: str


_decode = msgspec.msgpack.Decoder(Vector).decode


def cached(call: Call, proceed: Next, asked: Controls, shelf: Shelf) -> Flow[Any]:
    """Answer from the shelf, or ask for what is missing. `usage` counts what was asked for now."""
    request: Any = call.request
    items = request.texts
    try:
        digests = keys.item_digests(keys.canonical(call), items)
    except entries.UNWRITABLE:
        shelf.counts.add("not_stored")
        return (yield from proceed(call))
    names = [keys.prefix(asked.namespace) + digest for digest in digests]
    found = (yield from _look(names, asked, shelf)) if asked.read else {}
    missing = {name: item for name, item in zip(names, items, strict=True) if name not in found}
    if found and not missing:
        return _all(call, names, found, shelf)
    shelf.counts.add("misses", len(missing))
    if not found:
        result = yield from proceed(call)
        yield from _keep(names, result, call, asked, shelf)
        return result
    result = yield from proceed(replace(call, request=_for(request, [*missing.values()])))
    made = yield from _keep([*missing], result, call, asked, shelf)
    if len(made) != len(missing):  # not one vector an input: what belongs to which cannot be known
        return (yield from proceed(call))
    vectors = {name: vector for name, (_, vector) in found.items()} | made
    for entry, _ in found.values():
        shelf.counts.hit(entry.cost)
    result.data = _numbered(vectors[name] for name in names)
    return result


def _look(names: list[str], asked: Controls, shelf: Shelf) -> Flow[dict[str, tuple[Entry, Vector]]]:
    unique = [*dict.fromkeys(names)]
    values = yield from shelf.get_many(unique, asked.max_age)
    found: dict[str, tuple[Entry, Vector]] = {}
    for name, value in zip(unique, values, strict=True):
        if value is not None:
            try:
                entry = entries.read(value)
                found[name] = entry, _decode(entry.pieces[0].data)
            except (Unreadable, msgspec.MsgspecError, IndexError) as error:
                shelf.unreadable(error)
    return found


def _all(call: Call, names: list[str], found: Mapping[str, tuple[Entry, Vector]], shelf: Shelf) -> EmbeddingResponse:
    for entry, _ in found.values():
        shelf.counts.hit(entry.cost)
    entry, vector = found[names[0]]
    entries.tell(entry, call)
    return EmbeddingResponse(data=_numbered(found[name][1] for name in names), model=vector.model, usage=Usage())


def _keep(names: list[str], result: Any, call: Call, asked: Controls, shelf: Shelf) -> Flow[dict[str, Vector]]:
    """Keep the vectors of an answer, and return them by key; none where they are not as many as the keys."""
    if not isinstance(result, EmbeddingResponse) or len(result.data) != len(names):
        shelf.counts.add("not_stored")
        return {}
    data = sorted(result.data, key=lambda one: one.index)
    made = {name: Vector(one.embedding, result.model) for name, one in zip(names, data, strict=True)}
    if asked.write and entries.is_by_the_asked(call):
        cost = None if call.meta.cost is None else call.meta.cost / len(made)
        yield from shelf.put({name: _entry(vector, call, cost) for name, vector in made.items()}, asked.ttl)
    return made


def _entry(vector: Vector, call: Call, cost: float | None) -> bytes:
    meta = call.meta
    pieces = [Piece(entries.encode(vector))]
    return entries.write(Entry(WHOLE, "", pieces, meta.provider, meta.model, cost, [*meta.adaptations]))


def _numbered(vectors: Any) -> list[Embedding]:
    return [Embedding(index=index, embedding=vector.embedding) for index, vector in enumerate(vectors)]


def _for(request: EmbedRequest, items: list[Any]) -> EmbedRequest:
    """Return the same request for other inputs."""
    return replace(request, input=items)
