"""Cache: what is asked again is answered without asking again.

    polyport.cache = Cache(type="memory", ttl=3600)
    client = Client(cache=Cache(type="redis", host="127.0.0.1", namespace="team-a"))

keys.py      what makes two calls the same          controls.py  cache={...} of one call
entries.py   answers as bytes, and back             shapes.py    types of look-alikes' answers
store.py     the interface of what keeps them       memory.py, disk.py, sqlite_vec.py: three of them
border.py    a broken store breaks no call          flights.py   one request for many askers
streams.py   streams, kept and replayed             items.py     embeddings, one input a key
vectors.py, similar.py: the semantic cache          polyport.middleware.cache: the layer itself
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from polyport import plugins
from polyport.caching import keys
from polyport.caching.border import Counts
from polyport.caching.controls import Controls
from polyport.caching.store import Kept, Store, VectorStore
from polyport.errors import BadRequestError, PluginError
from polyport.flow import Call, Flow, Now

if TYPE_CHECKING:
    from polyport.caching.similar import Flows
    from polyport.middleware.cache import CacheLayer

__all__ = ["CALL_TYPES", "Cache", "Kept", "Store", "VectorStore"]

T = TypeVar("T")
CACHES = "polyport.caches"
MODES = ("default_on", "default_off")
#: The functions whose result is a function of what was asked.
CALL_TYPES = (
    "completion", "text_completion", "responses", "messages", "count_tokens", "embedding", "rerank", "moderation",
    "image_generation", "image_edit", "image_variation", "transcription", "translation", "speech",
)  # fmt: skip
#: Names that users know from elsewhere.
ALIASES = {"local": "memory", "redis-semantic": "redis"}
SEMANTIC = ("semantic", "redis-semantic")


class Cache:
    """Answers to calls, kept in `type`: "memory", "disk", "semantic", or an installed one ("redis", "s3").

    `ttl` is in seconds, None keeps until there is no room. `namespace` parts what must not be shared. With
    `mode="default_off"` only calls with `cache={"use-cache": True}` are cached. `supported_call_types` are functions
    of the SDK ("completion", "embedding"). An answer larger than `max_entry_bytes` is not kept.

    `type="semantic"` also answers what was asked in other words: where the last user text's vector, by
    `embedding_model`, is at least `similarity_threshold` near an earlier one and all else is equal. Its entries are in
    `store`: "memory", "disk", "sqlite-vec" (the disk's file, compared without reading it into memory), or an installed
    one that can compare vectors.

    Other settings go to the store: `max_bytes` and `max_entries` of memory and disk, `path` of disk, `host`, `port`,
    `password` of redis. A Store of your own may be given as `type`, or as `store`.
    """

    def __init__(
        self,
        type: str | Store = "memory",
        *,
        ttl: float | None = None,
        namespace: str = "",
        mode: str = "default_on",
        supported_call_types: Iterable[str] | None = None,
        max_entry_bytes: int = 16 * 1024 * 1024,
        embedding_model: str = "local/e5",
        similarity_threshold: float = 0.97,
        store: str | Store = "memory",
        host: str | None = None,
        port: int | None = None,
        password: str | None = None,
        path: str | None = None,
        max_bytes: int | None = None,
        max_entries: int | None = None,
        **settings: Any,
    ) -> None:
        if mode not in MODES:
            raise BadRequestError(f"mode must be {' or '.join(map(repr, MODES))}, not {mode!r}")
        if not 0 <= similarity_threshold <= 1:
            raise BadRequestError(f"similarity_threshold must be from 0 to 1, not {similarity_threshold!r}")
        if ttl is not None and not ttl >= 0:
            raise BadRequestError(f"ttl must be seconds, 0 or more, not {ttl!r}")
        given = {"host": host, "port": port, "password": password, "path": path,
                 "max_bytes": max_bytes, "max_entries": max_entries, **settings}  # fmt: skip
        self.semantic = type in SEMANTIC
        chosen = store if type == "semantic" else type
        self.name = ALIASES.get(chosen, chosen) if isinstance(chosen, str) else chosen.__class__.__name__
        self.store = open_store(chosen, {name: value for name, value in given.items() if value is not None})
        if self.semantic and not isinstance(self.store, VectorStore):
            raise BadRequestError(f"The {self.name} cache cannot compare vectors, as a semantic cache must")
        self.mode = mode
        self.functions = _functions(supported_call_types)
        self.max_entry_bytes = max_entry_bytes
        self.embedding_model = embedding_model
        self.similarity_threshold = similarity_threshold
        self.standing = Controls(write=ttl != 0, ttl=ttl, namespace=namespace)
        self.counts = Counts()
        self._layer: CacheLayer | None = None

    @property
    def layer(self) -> CacheLayer:
        """The middleware of a cache that needs no vectors. Raises BadRequestError of a semantic one."""
        if self.semantic:
            raise BadRequestError("A semantic cache asks a client for vectors: Client(cache=...), or layer_for(client)")
        if self._layer is None:
            self._layer = self.layer_for(None)
        return self._layer

    def layer_for(self, client: Flows | None) -> CacheLayer:
        """Return the middleware that asks `client` for vectors, where any are needed."""
        from polyport.middleware.cache import CacheLayer

        return CacheLayer(self, client)

    @property
    def stats(self) -> dict[str, float]:
        """What happened so far: hits, misses, stored, errors ..., and `saved` in USD, by this cache in this process."""
        return self.counts.read()

    def clear(self, namespace: str | None = None) -> None:
        """Forget everything in a namespace; in all of them where it is None."""
        _run(self.store.clear(_prefix(namespace)))

    async def aclear(self, namespace: str | None = None) -> None:
        """`clear`, asynchronously."""
        await _arun(self.store.clear(_prefix(namespace)))

    def close(self) -> None:
        """Let go of files and connections."""
        self.store.close()

    async def aclose(self) -> None:
        """`close`, with the connections of the running event loop."""
        await self.store.aclose()

    def __repr__(self) -> str:
        return f"<Cache {'semantic ' if self.semantic else ''}{self.name}>"


def _prefix(namespace: str | None) -> str:
    return "" if namespace is None else keys.prefix(namespace)


def _functions(given: Iterable[str] | None) -> frozenset[str]:
    """Return functions by their names, or their twins'. Raises BadRequestError that lists them."""
    if given is None:
        return frozenset(CALL_TYPES)
    names = {name if name in CALL_TYPES else name.removeprefix("a") for name in given}
    wrong = sorted(names.difference(CALL_TYPES))
    if wrong:
        raise BadRequestError(
            f"Calls of {', '.join(map(repr, wrong))} are not cached; there are {', '.join(CALL_TYPES)}"
        )
    return frozenset(names)


# --- stores ---


def _memory() -> Callable[..., Store]:
    from polyport.caching.memory import Memory

    return Memory


def _disk() -> Callable[..., Store]:
    from polyport.caching.disk import Disk

    return Disk


def _sqlite_vec() -> Callable[..., Store]:
    from polyport.caching.sqlite_vec import SqliteVec

    return SqliteVec


BUILT_IN: Mapping[str, Callable[[], Callable[..., Store]]] = {
    "memory": _memory,
    "disk": _disk,
    "sqlite-vec": _sqlite_vec,
}


def open_store(given: str | Store, settings: Mapping[str, Any]) -> Store:
    """Return a store by name. Raises PluginError where there is none, BadRequestError for settings it does not have."""
    if isinstance(given, Store):
        if settings:
            raise BadRequestError(f"{', '.join(settings)} cannot be set of a store that is open already")
        return given
    name = ALIASES.get(given, given)
    factory = _factory(name)
    try:
        inspect.signature(factory).bind(**settings)
    except TypeError as error:
        there = ", ".join(inspect.signature(factory).parameters)
        raise BadRequestError(f"The {name} cache cannot be opened so: {error}. Its settings are {there}.") from error
    made = factory(**settings)
    if not isinstance(made, Store):
        raise PluginError(f"The cache {name!r} made {made!r}; it must be a polyport.caching.Store")
    return made


def _factory(name: str) -> Callable[..., Any]:
    if name in BUILT_IN:
        return BUILT_IN[name]()
    entry = plugins.find(CACHES, name)
    if entry is None:
        there = sorted({*BUILT_IN, "semantic", *(entry.name for entry in plugins.entries(CACHES))})
        raise PluginError(
            f"No cache {name!r} is installed. Installed: {', '.join(there)}. Try: pip install polyport-{name}"
        )
    factory: Callable[..., Any] = plugins.load(entry)
    return factory


# --- a store's flow, outside of a call ---


def _run(flow: Flow[T]) -> T:
    send: Any = None
    while True:
        try:
            effect = flow.send(send)
        except StopIteration as stop:
            result: T = stop.value
            return result
        send = effect.blocking() if isinstance(effect, Call) else _clock(effect)


async def _arun(flow: Flow[T]) -> T:
    send: Any = None
    while True:
        try:
            effect = flow.send(send)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if not isinstance(effect, Call):
            send = _clock(effect)
        elif effect.awaitable is not None:
            send = await effect.awaitable()
        else:
            send = await asyncio.to_thread(effect.blocking)


def _clock(effect: Any) -> float:
    if isinstance(effect, Now):
        return time.monotonic()
    raise PluginError(f"A store's flow may ask for Call and Now, not {type(effect).__name__}")
