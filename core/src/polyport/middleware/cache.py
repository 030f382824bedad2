"""The cache's layer: look, else ask and keep.

A hit is told by `meta.cache_hit`, with `cost` 0.0 and `attempts` 0; `provider` and `model` are those that had answered,
`usage` is the answer's own. Kept are whole answers and streams that came to their end, never errors; not what a
fallback gave in the place of the model that was asked, nor what is stored or goes on at the provider (`store=True`,
background responses).

A chat's answer also serves who asks for a stream, as one chunk. The reverse would have to make up usage and fields that
a stream does not bring, so a stream serves streams. Of other operations the two have keys of their own.

Whoever asks for what is already on its way waits for that answer; not for a stream, which its reader may never end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from polyport.border import Call, Next
from polyport.caching import controls, entries, items, keys, streams
from polyport.caching.border import Shelf
from polyport.caching.controls import Controls
from polyport.caching.entries import STREAM, WHOLE, Entry, Piece, Unreadable
from polyport.caching.flights import Flights
from polyport.caching.similar import Flows, Likeness, Similar
from polyport.flow import Call as Blocking, Flow, Streaming

if TYPE_CHECKING:
    from polyport.caching import Cache

#: Operation -> parameters that leave something behind at the provider, or read what changes there.
STATEFUL: Mapping[str, tuple[str, ...]] = {
    "chat": ("store",),
    "respond": ("store", "background", "conversation"),
}
#: Images that came as addresses are kept so many seconds: addresses die, the soonest after an hour.
#: https://platform.openai.com/docs/api-reference/images/object
ADDRESSES_LAST = 1800.0


class CacheLayer:
    """The middleware `(call, proceed) -> Flow` of one cache. `client` is asked for a semantic cache's vectors."""

    def __init__(self, cache: Cache, client: Flows | None = None) -> None:
        self.cache = cache
        self._shelf = Shelf(cache.name, cache.store, cache.counts)
        self._flights = Flights()
        self._similar: Similar | None = None
        if client is not None and cache.semantic:
            self._similar = Similar(self._shelf, client, cache.embedding_model, cache.similarity_threshold)

    def __call__(self, call: Call, proceed: Next) -> Flow[Any]:
        """Wrap a call. One that is not cached is handed on as it is."""
        cache = self.cache
        asked = cache.standing
        if call.options.cache is not None:
            asked = controls.read(call.options.cache, asked)
        wanted = cache.mode == "default_on" if asked.use is None else asked.use
        if not wanted or call.operation.function not in cache.functions or not (asked.read or asked.write):
            return proceed(call)
        hook = call.operation.hook
        if hook in STATEFUL and any(getattr(call.request, name) for name in STATEFUL[hook]):
            return proceed(call)
        if hook == "embed":
            return items.cached(call, proceed, asked, self._shelf)
        return self._cached(call, proceed, asked)

    def _cached(self, call: Call, proceed: Next, asked: Controls) -> Flow[Any]:
        try:
            text = (yield Blocking(lambda: keys.canonical(call))) if keys.has_files(call) else keys.canonical(call)
            likeness = None if self._similar is None else self._similar.likeness(call, asked.namespace)
        except entries.UNWRITABLE:
            self._shelf.counts.add("not_stored")
            return (yield from proceed(call))
        key = keys.prefix(asked.namespace) + keys.digest(text)
        if asked.read:
            found = yield from self._look(key, call, asked, likeness)
            if found is not None:
                return self._serve(*found, call)
            self._shelf.counts.add("misses")
            if asked.write and not streams.is_asked_for(call):
                return (yield from self._ask_once(key, call, proceed, asked, likeness))
        result, _ = yield from self._ask(key, call, proceed, asked, likeness)
        return result

    # --- looking ---

    def _look(self, key: str, call: Call, asked: Controls, likeness: Likeness | None) -> Flow[tuple[Entry, Any] | None]:
        """Return (entry, answer) of what was asked before, or of what is near enough to it."""
        found = self._read((yield from self._shelf.get(key, asked.max_age)), call)
        if found is None and likeness is not None and self._similar is not None:
            found = self._read((yield from self._similar.find(likeness, asked.max_age)), call)
            if found is not None:
                self._shelf.counts.add("similar")
        return found

    def _read(self, value: bytes | None, call: Call) -> tuple[Entry, Any] | None:
        """Return (entry, answer) of bytes; None where they cannot be read, or do not serve this call."""
        if value is None:
            return None
        streaming = streams.is_asked_for(call)
        try:
            entry = entries.read(value)
            if entry.form == STREAM and not (streaming and entry.asked == streams.options_of(call)):
                return None
            base = entries.base_of(call.operation, entry.form)
            values = [entries.value_of(piece, entry.shape, base) for piece in entry.pieces]
        except Unreadable as error:
            self._shelf.unreadable(error)
            return None
        if entry.form == STREAM:
            return entry, streams.replay(values, entry.content_type)
        if streaming:
            request: Any = call.request
            return entry, streams.replay(streams.chunks_of(values[0], request.wants_usage))
        return entry, values[0]

    def _serve(self, entry: Entry, answer: Any, call: Call) -> Any:
        """Return an answer as a hit."""
        entries.tell(entry, call)
        self._shelf.counts.hit(entry.cost)
        return answer

    # --- asking ---

    def _ask_once(self, key: str, call: Call, proceed: Next, asked: Controls, likeness: Likeness | None) -> Flow[Any]:
        """Ask, unless the same is being asked: then wait for that. Where it brings nothing, ask all the same."""
        flight, is_first = self._flights.join(key)
        if not is_first:
            found = self._read((yield from flight.wait()), call)
            if found is not None:
                self._shelf.counts.add("waited")
                return self._serve(*found, call)
            result, _ = yield from self._ask(key, call, proceed, asked, likeness)
            return result
        try:
            result, flight.value = yield from self._ask(key, call, proceed, asked, likeness)
        finally:
            self._flights.land(key, flight)
        return result

    def _ask(
        self, key: str, call: Call, proceed: Next, asked: Controls, likeness: Likeness | None
    ) -> Flow[tuple[Any, bytes | None]]:
        """Return the answer, and the entry that was made of it; a stream's is made when it has ended."""
        result = yield from proceed(call)
        if not asked.write:
            return result, None
        if isinstance(result, Streaming):
            return self._record(result, key, call, asked, likeness), None
        value = self._write(result, call)
        if value is not None:
            yield from self._keep(key, value, _ttl(result, asked.ttl), likeness)
        return result, value

    # --- keeping ---

    def _write(self, result: Any, call: Call) -> bytes | None:
        """Return a whole answer's entry; None for one that is not to be kept."""
        if entries.is_by_the_asked(call) and _is_final(result):
            try:
                shape, piece = entries.piece(result, call.operation.response)
                return self._bounded(entries.write(_entry(WHOLE, shape, [piece], call)))
            except entries.UNWRITABLE:
                pass
        self._shelf.counts.add("not_stored")
        return None

    def _record(
        self, stream: Streaming[Any], key: str, call: Call, asked: Controls, likeness: Likeness | None
    ) -> Streaming[Any]:
        """Return the same stream, which is kept when it has come to its end."""
        recorder = streams.Recorder(call.operation.chunk, self.cache.max_entry_bytes)

        def keep(error: BaseException | None) -> Flow[None]:
            shape = recorder.shape
            whole = error is None and recorder.complete and streams.is_final(recorder.last)
            if not whole or shape is None or not entries.is_by_the_asked(call):
                self._shelf.counts.add("not_stored")
                return
            more = {"content_type": stream.headers.get("content-type"), "asked": streams.options_of(call)}
            value = self._bounded(entries.write(_entry(STREAM, shape, recorder.pieces, call, **more)))
            if value is not None:
                yield from self._keep(key, value, asked.ttl, likeness)

        return stream.through(recorder).epilogue(keep)

    def _bounded(self, value: bytes) -> bytes | None:
        if len(value) <= self.cache.max_entry_bytes:
            return value
        self._shelf.counts.add("not_stored")
        return None

    def _keep(self, key: str, value: bytes, ttl: float | None, likeness: Likeness | None) -> Flow[None]:
        """Put an entry on the shelf, and what leads to it."""
        done = yield from self._shelf.put({key: value}, ttl)
        if done and likeness is not None and self._similar is not None:
            yield from self._similar.remember(likeness, key, ttl)


def _entry(form: str, shape: str, pieces: list[Piece], call: Call, **more: Any) -> Entry:
    meta = call.meta
    return Entry(form, shape, pieces, meta.provider, meta.model, meta.cost, [*meta.adaptations], **more)


def _is_final(result: Any) -> bool:
    """Whether a whole answer is one: a chat with a choice, a response that is complete and not stored."""
    if hasattr(result, "choices"):
        return bool(result.choices)
    if getattr(result, "object", None) == "response":
        return result.status in (None, "completed") and result.extra.get("store") is not True
    return True


def _ttl(result: Any, ttl: float | None) -> float | None:
    """Return how long to keep an answer, in seconds: images that are addresses are not kept as long as others."""
    data = getattr(result, "data", None)
    if isinstance(data, list) and any(getattr(one, "url", None) for one in data):
        return ADDRESSES_LAST if ttl is None else min(ttl, ADDRESSES_LAST)
    return ttl
