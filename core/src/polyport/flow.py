"""Flows, the effects they yield, and the streams they return.

A flow is a generator: it yields effects, is sent their results, and returns a typed value. It does no I/O and
knows nothing of threads or event loops, so one flow serves sync code, async code and simulations. A driver
(`polyport.drivers`) performs the effects. A flow that is not wanted any more has an exception (not an Exception)
thrown in; it may yield effects to let go of what it holds, and must let the exception pass.

Effects and what is sent back for them:

    HttpRequest -> HttpReply     raises APIConnectionError or Timeout; an error status is a reply, not an error
    Read        -> bytes | None  the next piece of an open body; None at its end
    Close       -> None          lets go of an open body
    Sleep       -> None          after so many seconds
    Now         -> float         seconds on the driver's monotonic clock
    Call        -> Any           a function that blocks, or its awaitable twin
    All         -> list          every flow's result, in order; the first error closes the others
    First       -> Any           the first flow to succeed; the others are closed
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import msgspec

T = TypeVar("T")
C = TypeVar("C")
D = TypeVar("D")


class TimeoutSpec(msgspec.Struct, frozen=True):
    """How long to wait, in seconds; None is for ever.

    `connect` bounds opening the connection, `read` each wait for a piece of the reply, `total` one attempt from
    its start to the end of the reply (of a stream: to its headers). Blocking calls look at the clock between pieces.
    """

    connect: float | None = 10.0
    read: float | None = 600.0
    total: float | None = 600.0

    @classmethod
    def of(cls, value: float | TimeoutSpec | None) -> TimeoutSpec:
        """Read what users write: seconds for everything, a TimeoutSpec, or None for no limit."""
        if isinstance(value, TimeoutSpec):
            return value
        return cls(value, value, value)


DEFAULT_TIMEOUT = TimeoutSpec()


class Body(Protocol):
    """A request body that is sent in pieces; iterating it twice gives the same bytes."""

    length: int | None

    def __iter__(self) -> Iterator[bytes]: ...


class HttpRequest(msgspec.Struct, kw_only=True):
    """An HTTP request to a provider, as a value.

    A provider fills in `method`, `url` (absolute, or a path below the provider's base URL), `params` (the
    query), and one of `json`, `form` (multipart fields, see `polyport.wire.multipart`) or `content`. Core makes
    `url` absolute, encodes the body into `content`, signs, and only then a driver sees it. Header names are
    lower case. `secrets` are the values that a repr must hide. `expect` marks error statuses that the flow
    wants to see as replies, and of a stream with their bodies open. `unsigned` goes to somebody else (an image's host):
    neither the key nor the user's headers and query go with it; core fills in, for those, `limit` (the most bytes that
    the flow should read) and `address`: an IP address that a transport connects to in place of looking the host up,
    the host staying what TLS and the Host header name. A transport that goes through a proxy leaves it to the proxy.
    """

    method: str
    url: str
    headers: dict[str, str] = {}
    params: dict[str, str] | None = None
    json: Any = msgspec.UNSET
    form: Sequence[tuple[str, Any]] | None = None
    content: bytes | Body | None = None
    stream: bool = False
    timeout: TimeoutSpec = DEFAULT_TIMEOUT
    secrets: tuple[str, ...] = ()
    expect: tuple[int, ...] = ()
    unsigned: bool = False
    limit: int | None = None
    address: str | None = None

    def __repr__(self) -> str:
        size = len(self.content) if isinstance(self.content, bytes) else self.content and "in pieces"
        return f"<HttpRequest {self.method} {hide(self.url, self.secrets)} body={size or 0}>"


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with every secret in it replaced by `***`."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text


class Source(Protocol):
    """An open body under a synchronous driver: `read` gives the next piece, None at the end."""

    def read(self) -> Any:
        """Return the next piece, or None at the end."""

    def close(self) -> None:
        """Let go of the connection; calling it twice is fine."""


class AsyncSource(Protocol):
    """An open body under an asynchronous driver."""

    async def read(self) -> Any:
        """Return the next piece, or None at the end."""

    async def aclose(self) -> None:
        """Let go of the connection; calling it twice is fine."""


class Items:
    """A stream that is made in this process: pieces from a blocking iterator (tokens of a local model)."""

    def __init__(self, iterator: Iterable[Any]) -> None:
        self.iterator = iter(iterator)
        self._lock = threading.Lock()

    def read(self) -> Any:
        """Return the next item, or None at the end. Blocks: an async driver calls it in a worker thread."""
        with self._lock:
            return next(self.iterator, None)

    def close(self) -> None:
        """Close the iterator, so that a generator's `finally` blocks run. Waits for a `read` in another thread."""
        close = getattr(self.iterator, "close", None)
        if close is not None:
            with self._lock:
                close()


AnySource: TypeAlias = Source | AsyncSource | Items


class HttpReply(msgspec.Struct, kw_only=True):
    """A provider's reply. Header names are lower case, repeated headers joined by ", ".

    `content` is the whole body, decompressed; for `stream=True` requests that succeeded, or failed in a way that was
    expected, it is empty and `source` is the open body.
    """

    status: int
    headers: Mapping[str, str] = {}
    content: bytes = b""
    source: AnySource | None = None


class Read(msgspec.Struct, frozen=True):
    """Read the next piece of an open body."""

    source: AnySource


class Close(msgspec.Struct, frozen=True):
    """Let go of an open body."""

    source: AnySource


class Sleep(msgspec.Struct, frozen=True):
    """Wait for `seconds`."""

    seconds: float


class Now(msgspec.Struct, frozen=True):
    """Ask the driver's monotonic clock, in seconds."""


NOW = Now()


class Call(msgspec.Struct, frozen=True):
    """Call a library that does its own I/O or computing.

    `blocking` takes no arguments; an async driver runs it in a worker thread, or awaits `awaitable()` instead
    where there is such a twin.
    """

    blocking: Callable[[], Any]
    awaitable: Callable[[], Awaitable[Any]] | None = None


Effect: TypeAlias = "HttpRequest | Read | Close | Sleep | Now | Call | All | First"
Flow: TypeAlias = Generator[Any, Any, T]


class All(msgspec.Struct, frozen=True):
    """Run flows side by side and give all their results, in order."""

    flows: Sequence[Flow[Any]]


class First(msgspec.Struct, frozen=True):
    """Run flows side by side and give the first success; the losers are closed. Raises the last error if all fail."""

    flows: Sequence[Flow[Any]]


class Decoder(Protocol[C]):
    """Turns the pieces of a stream into chunks without doing I/O. The cuts between pieces may be anywhere."""

    def feed(self, data: Any) -> list[C]:
        """Take the next piece and return the chunks it completed."""

    def close(self) -> list[C]:
        """Return what is left at the end. Raises APIConnectionError when the stream was cut off."""


class Raw:
    """The decoder for streams whose pieces are already what the reader wants: audio bytes, finished chunks."""

    def feed(self, data: Any) -> list[Any]:
        """Return the piece itself."""
        return [data]

    def close(self) -> list[Any]:
        """Nothing is ever held back."""
        return []


#: The wire of which an operation's own shape is.
OWN = "own"


class Passed(msgspec.Struct, frozen=True):
    """Events of a stream on their way through: `data` as it came, whole events; `chunk` is what one of them says.

    Most events only bring more of the answer, and nobody has to read them; `chunk` is there for one that tells what
    layers want to know: what was used, why it ended.
    """

    data: bytes
    chunk: Any = None

    def is_content(self) -> bool:
        """Whether a reader has seen something of the answer after this."""
        tell = getattr(self.chunk, "is_content", None)
        return True if tell is None else bool(tell())


class Streaming(Generic[C]):
    """How a flow hands back a stream: where the pieces come from, and how they become chunks.

    Middleware adds `tap` (sees every chunk), `map` (replaces it) and `epilogue` (a flow run exactly once: at the
    end, after an error, or when the reader walks away; it is given the error or None). A driver turns a Streaming
    into the iterator that the user gets. Where `passes` is true, its chunks are `Passed`.
    """

    __slots__ = ("_epilogues", "_maps", "_pending", "decoder", "ended", "finished", "headers", "passes", "source")

    def __init__(self, source: HttpReply | AnySource, decoder: Decoder[C]) -> None:
        if isinstance(source, HttpReply):
            self.headers: Mapping[str, str] = source.headers
            self.source: AnySource = source.source or Items([source.content])
        else:
            self.headers, self.source = {}, source
        self.decoder = decoder
        self.finished = False
        self.ended = False
        self.passes = False
        self._pending: list[C] = []
        self._maps: list[Callable[[C], C]] = []
        self._epilogues: list[Callable[[BaseException | None], Flow[None]]] = []

    def tap(self, see: Callable[[C], object]) -> Streaming[C]:
        """Call `see` with every chunk on its way out."""

        def pass_on(chunk: C) -> C:
            see(chunk)
            return chunk

        return self.map(pass_on)

    def map(self, change: Callable[[C], C]) -> Streaming[C]:
        """Replace every chunk by `change(chunk)`; changes apply in the order they were added."""
        self._maps.append(change)
        self._pending = [change(chunk) for chunk in self._pending]
        return self

    def epilogue(self, flow: Callable[[BaseException | None], Flow[None]]) -> Streaming[C]:
        """Run `flow(error_or_None)` once when the stream is over, however it ends."""
        self._epilogues.append(flow)
        return self

    def relay(self, wire: str = OWN) -> Streaming[Any]:
        """Let the events through as they come, as `Passed`, where the decoder knows how; else change nothing.

        A decoder knows how that has a `relay()` which returns a Decoder[Passed], and whose `wire` is the one wanted:
        by default the operation's own, so that what comes can go out in its place; or another by its name ("gemini").
        To be called before anything is added or read.
        """
        offered = getattr(self.decoder, "relay", None) if getattr(self.decoder, "wire", OWN) == wire else None
        relay = None if offered is None or self._maps or self._pending else offered()
        if relay is not None:
            self.decoder, self.passes = relay, True
        return self

    def through(self, decoder: Decoder[D]) -> Streaming[D]:
        """Return the stream of what `decoder` makes of these chunks; from here on, only that one is to be read.

        Everything added to this stream so far stays in force: changes apply before `decoder` sees a chunk, and
        the epilogues run when the new stream is over.
        """
        made: Streaming[D] = Streaming(self.source, _Chained(self, decoder))
        made.headers = self.headers
        made._pending = [thing for chunk in self.take() for thing in decoder.feed(chunk)]
        if self.finished:
            made._pending += decoder.close()
            made.finished = True
        return made.epilogue(self.end)

    def feed(self, data: Any) -> list[C]:
        """Decode one piece into chunks, changed and seen by what middleware added. None is the end."""
        if data is None:
            self.finished = True
            chunks = self.decoder.close()
        else:
            chunks = self.decoder.feed(data)
        for change in self._maps:
            chunks = [change(chunk) for chunk in chunks]
        return chunks

    def take(self) -> list[C]:
        """Return and forget the chunks that were decoded ahead of the reader."""
        pending, self._pending = self._pending, []
        return pending

    def pull(self) -> Flow[list[C]]:
        """Return the next chunks; an empty list only at the end."""
        if self._pending:
            return self.take()
        while not self.finished:
            chunks = self.feed((yield Read(self.source)))
            if chunks:
                return chunks
        return []

    def prime(self, is_content: Callable[[C], bool]) -> Flow[None]:
        """Decode ahead until there is a chunk that is content, so that an error before it can still fall back."""
        ahead = self._pending
        while not self.finished and not any(is_content(chunk) for chunk in ahead):
            ahead += self.feed((yield Read(self.source)))

    def end(self, error: BaseException | None) -> Flow[None]:
        """Close the source and run the epilogues, the innermost layer's first; running it twice does nothing more."""
        if self.ended:
            return
        self.ended = self.finished = True
        source, epilogues = self.source, self._epilogues
        self._epilogues = []
        try:
            yield Close(source)
        finally:
            yield from _run_all(epilogues, error)


def _run_all(epilogues: list[Callable[[BaseException | None], Flow[None]]], error: BaseException | None) -> Flow[None]:
    """Run every epilogue in the order they were added, also when one of them raises."""
    if epilogues:
        try:
            yield from epilogues.pop(0)(error)
        finally:
            yield from _run_all(epilogues, error)


class _Chained(Generic[C, D]):
    """The decoder of `Streaming.through`: one stream's chunks are the pieces of the next."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, inner: Streaming[C], outer: Decoder[D]) -> None:
        self._inner = inner
        self._outer = outer

    def feed(self, data: Any) -> list[D]:
        """Return what the outer decoder makes of the chunks this piece completed."""
        feed = self._outer.feed
        return [thing for chunk in self._inner.feed(data) for thing in feed(chunk)]

    def close(self) -> list[D]:
        """End both, the inner one first: what it still held is fed to the outer one."""
        return [*self.feed(None), *self._outer.close()]
