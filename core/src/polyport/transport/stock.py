"""httpx as the way to providers.

httpcore's pool is quadratic in what is in flight, so no pool here ever sees more than one request: idle lanes,
each an httpx transport of one connection, wait per origin, and the one that was used last is taken first.
Below `httpx.Client` a call costs a quarter of what it costs above it; what is given up there (redirects,
cookies, environment proxies) core does itself where it is wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import lru_cache
from typing import Any, TypeVar

import httpx

from polyport.errors import APIConnectionError, BadRequestError, InvalidResponseError, PolyportError, Timeout
from polyport.flow import Body, HttpReply, HttpRequest
from polyport.transport.base import (
    KEEP_ALIVE,
    TransportOptions,
    bad_header,
    headers_hold,
    host_of,
    proxy_for,
    shorter,
    tls_context,
)

L = TypeVar("L", httpx.BaseTransport, httpx.AsyncBaseTransport)

DECODINGS = b"gzip, deflate"
#: Seconds between two looks for connections that have been idle for too long, at least.
SWEEP = 1.0


# --- what both sides share --------------------------------------------------------------------------------


@contextlib.contextmanager
def border(request: HttpRequest) -> Iterator[None]:
    """Turn httpx's errors into ours, the original chained."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise timed_out(error, request) from error
    except httpx.DecodingError as error:
        raise InvalidResponseError(f"The reply of {host_of(request.url)} cannot be decompressed: {error}") from error
    except httpx.LocalProtocolError as error:
        if not headers_hold(request):
            raise bad_header(request) from None  # httpx's message quotes the value
        raise BadRequestError(f"The request to {host_of(request.url)} cannot be sent: {error}") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise BadRequestError(f"The request to {host_of(request.url)} cannot be sent: {error}") from error
    except (httpx.TransportError, ssl.SSLError) as error:  # httpcore passes on an alert that comes late
        raise APIConnectionError(
            f"The connection to {host_of(request.url)} failed: {error or type(error).__name__}"
        ) from error


def timed_out(error: httpx.TimeoutException, request: HttpRequest) -> Timeout:
    """Say which limit was reached."""
    connecting = isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout)
    kind, seconds = ("connect", request.timeout.connect) if connecting else ("read", request.timeout.read)
    total = request.timeout.total
    if total is not None and (seconds is None or total < seconds):
        return _late(request)
    return Timeout(f"{host_of(request.url)} did not answer within {seconds} s ({kind} timeout)")


def _late(request: HttpRequest) -> Timeout:
    return Timeout(f"{host_of(request.url)} did not answer within {request.timeout.total} s (total timeout)")


@lru_cache(maxsize=512)
def _url(url: str) -> tuple[httpx.URL, str, bytes]:
    """Return the parsed URL, its origin and its Host header; parsing costs more than everything else here."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise BadRequestError(f"The address {url.partition('?')[0][:200]!r} is not a URL: {error}") from error
    return parsed, f"{parsed.scheme}://{parsed.netloc.decode()}", parsed.netloc


class _Upload(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A request body in pieces, for either side."""

    def __init__(self, body: Body) -> None:
        self.body = body

    def __iter__(self) -> Iterator[bytes]:
        left = self.body.length
        for piece in self.body:
            left = None if left is None else left - len(piece)
            if left is not None and left < 0:
                raise BadRequestError("A file grew while it was being sent.")
            yield piece
        if left:
            raise BadRequestError("A file became shorter while it was being sent.")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(self)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece


def _build(request: HttpRequest, lanes: _Lanes | None = None) -> tuple[httpx.Request, str]:
    """Return httpx's request, and where it goes: its origin, and the address there where it has one."""
    url, origin, host = _url(request.url)
    more: dict[str, Any] = {}
    if request.address is not None and (lanes is None or proxy_for(origin, lanes.options) is None):
        more["sni_hostname"] = url.raw_host.decode()
        url, origin = url.copy_with(host=request.address), f"{origin}/{request.address}"
    content = request.content
    given = request.headers
    headers: list[tuple[bytes, bytes]] = [] if "host" in given else [(b"host", host)]
    try:
        headers += [(name.encode("ascii"), value.encode("utf-8")) for name, value in given.items()]
    except (UnicodeError, AttributeError):
        raise bad_header(request) from None
    if "accept-encoding" not in given:
        headers.append((b"accept-encoding", DECODINGS))
    if content is None or isinstance(content, bytes):
        stream: Any = httpx.ByteStream(content or b"")
        length: int | None = len(content or b"")
    else:
        stream, length = _Upload(content), content.length
    if content is not None or request.method not in ("GET", "DELETE", "HEAD"):
        headers.append((b"transfer-encoding", b"chunked") if length is None else (b"content-length", b"%d" % length))
    limits = request.timeout
    connect, read = shorter(limits.connect, limits.total), shorter(limits.read, limits.total)
    waits = {"connect": connect, "read": read, "write": read, "pool": connect}
    more["timeout"] = waits
    return httpx.Request(request.method, url, headers=headers, stream=stream, extensions=more), origin


def _headers(response: httpx.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in response.headers.raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


class _Lanes:
    """Idle transports of one connection each, by where they go: last in, first out."""

    def __init__(self, options: TransportOptions, keep_alive: float = KEEP_ALIVE) -> None:
        self.options, self.keep_alive = options, keep_alive
        self._lock = threading.Lock()
        self._swept = time.monotonic()
        self._tls: ssl.SSLContext | None = None
        self._idle: dict[str, deque[tuple[float, Any]]] = {}
        self._closed = False

    def take(self, origin: str, kind: type[L]) -> L:
        """Return an idle lane to the origin, or a new one."""
        with self._lock:
            idle = self._idle.get(origin)
            if idle:
                lane: L = idle.pop()[1]
                return lane
        opened: L = self._open(origin, kind)
        return opened

    def give(self, origin: str, lane: Any) -> list[Any]:
        """Take a lane back. Returns those to close: now and then the ones idle too long, this one after the end."""
        now = time.monotonic()
        with self._lock:
            if self._closed:
                return [lane]
            self._idle.setdefault(origin, deque()).append((now, lane))
            return self._old(now) if now - self._swept >= SWEEP else []

    def old(self) -> list[Any]:
        """Give away the lanes that have been idle for too long, wherever they go."""
        with self._lock:
            return self._old(time.monotonic())

    def _old(self, now: float) -> list[Any]:
        self._swept = now
        found = []
        for origin, idle in list(self._idle.items()):
            while idle and now - idle[0][0] > self.keep_alive:
                found.append(idle.popleft()[1])
            if not idle:
                del self._idle[origin]
        return found

    @property
    def resting(self) -> bool:
        """Whether there is an idle lane, anywhere."""
        return any(self._idle.values())

    def drain(self) -> list[Any]:
        """Give every idle lane away; from now on, those given back are not kept."""
        with self._lock:
            self._closed = True
            found = [lane for idle in self._idle.values() for _, lane in idle]
            self._idle.clear()
            return found

    def _open(self, origin: str, kind: type[Any]) -> Any:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=self.keep_alive)
        proxy = proxy_for(origin, self.options)
        try:
            return kind(verify=self._context(origin, proxy), limits=limits, proxy=proxy, trust_env=False)
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise PolyportError(f"The proxy {host_of(proxy or '')} cannot be used: {error}") from error

    def _context(self, origin: str, proxy: str | None) -> ssl.SSLContext:
        if origin.startswith("http:") and not (proxy or "").startswith("https:"):
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used; loading the real one takes 20 ms
        if self._tls is None:
            self._tls = tls_context(self.options)
        return self._tls


# --- blocking ---------------------------------------------------------------------------------------------


class HttpxTransport:
    """The blocking side. A connection that was idle for `keep_alive` seconds is closed when any call is over."""

    def __init__(self, options: TransportOptions, keep_alive: float = KEEP_ALIVE) -> None:
        self._lanes = _Lanes(options, keep_alive)

    def send(self, request: HttpRequest) -> HttpReply:
        """Return the reply. Raises APIConnectionError or Timeout."""
        started = time.monotonic()
        built, origin = _build(request, self._lanes)
        lane = self._lanes.take(origin, httpx.HTTPTransport)
        try:
            with border(request):
                response = lane.handle_request(built)
        except BaseException:
            lane.close()
            raise
        return answer(SyncBody(response, request, lambda: self._give(origin, lane)), response, request, started)

    def _give(self, origin: str, lane: httpx.BaseTransport) -> None:
        for spare in self._lanes.give(origin, lane):
            spare.close()

    def close(self) -> None:
        """Close the idle connections; those in use close when their reply is done."""
        for lane in self._lanes.drain():
            lane.close()


class GivenTransport:
    """The blocking side over an `httpx.Client` or transport that the user made and will close."""

    def __init__(self, given: httpx.Client | httpx.BaseTransport) -> None:
        self._given = given

    def send(self, request: HttpRequest) -> HttpReply:
        """Return the reply. Raises APIConnectionError or Timeout."""
        started = time.monotonic()
        built, _ = _build(request)
        with border(request):
            if isinstance(self._given, httpx.Client):
                response = self._given.send(as_of(self._given, built), stream=True, follow_redirects=False)
            else:
                response = self._given.handle_request(built)
        return answer(SyncBody(response, request, lambda: None), response, request, started)

    def close(self) -> None:
        """Leave it open: it is the user's."""


class SyncBody:
    """An open body: `read` gives the next piece, decompressed."""

    def __init__(self, response: httpx.Response, request: HttpRequest, done: Callable[[], None]) -> None:
        self._response = response
        self._request = request
        self._done: Callable[[], None] | None = done
        self._pieces: Iterator[bytes] = iter(response.iter_bytes() if _packed(response) else _sync_stream(response))

    def read(self) -> bytes | None:
        """Return the next piece, None at the end."""
        with border(self._request):
            piece = next(self._pieces, None)
        if piece is None:
            self.close()
        return piece

    def close(self) -> None:
        """Close the reply, and give its lane back."""
        done, self._done = self._done, None
        if done is not None:
            self._response.close()
            done()


def answer(body: SyncBody, response: httpx.Response, request: HttpRequest, started: float) -> HttpReply:
    """Return the reply: with its body open where it is a stream that succeeded, read otherwise."""
    headers, status = _headers(response), response.status_code
    if request.stream and (status < 300 or status in request.expect):
        return HttpReply(status=status, headers=headers, source=body)
    limit = None if request.timeout.total is None else started + request.timeout.total
    pieces = []
    try:
        while (piece := body.read()) is not None:
            pieces.append(piece)
            if limit is not None and time.monotonic() > limit:
                raise _late(request)
    finally:
        body.close()
    return HttpReply(status=status, headers=headers, content=pieces[0] if len(pieces) == 1 else b"".join(pieces))


def _packed(response: httpx.Response) -> bool:
    return "content-encoding" in response.headers


def _sync_stream(response: httpx.Response) -> httpx.SyncByteStream:
    if isinstance(response.stream, httpx.SyncByteStream):
        return response.stream
    raise PolyportError("The httpx transport given answers with async streams: use it through the a... functions.")


# --- asynchronous -----------------------------------------------------------------------------------------


class AsyncHttpxTransport:
    """The asynchronous side, for one event loop. A connection that was idle for `keep_alive` seconds is closed."""

    def __init__(self, options: TransportOptions, keep_alive: float = KEEP_ALIVE) -> None:
        self._lanes = _Lanes(options, keep_alive)
        self._clock: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.Task[None] | None = None

    async def send(self, request: HttpRequest) -> HttpReply:
        """Return the reply. Raises APIConnectionError or Timeout."""
        built, origin = _build(request, self._lanes)
        lane = self._lanes.take(origin, httpx.AsyncHTTPTransport)
        async with total(request):
            try:
                with border(request):
                    response = await lane.handle_async_request(built)
            except BaseException:
                await lane.aclose()
                raise
            return await aanswer(AsyncBody(response, request, lambda: self._give(origin, lane)), response, request)

    async def _give(self, origin: str, lane: httpx.AsyncBaseTransport) -> None:
        spares = self._lanes.give(origin, lane)
        if self._clock is None:
            self._wind()
        for spare in spares:
            await spare.aclose()

    def _wind(self) -> None:
        """Look for idle connections in a while: their hosts may never be asked again."""
        self._clock = asyncio.get_running_loop().call_later(self._lanes.keep_alive / 2 + SWEEP, self._look)

    def _look(self) -> None:
        self._sweeping = asyncio.ensure_future(self._sweep())

    async def _sweep(self) -> None:
        try:
            for spare in self._lanes.old():
                await spare.aclose()
        finally:
            self._clock = None
            if self._lanes.resting:
                self._wind()

    async def aclose(self) -> None:
        """Close the idle connections; those in use close when their reply is done."""
        if self._clock is not None:
            self._clock.cancel()
        if self._sweeping is not None:
            await self._sweeping
        for lane in self._lanes.drain():
            await lane.aclose()


class AsyncGivenTransport:
    """The asynchronous side over an `httpx.AsyncClient` or transport that the user made and will close."""

    def __init__(self, given: httpx.AsyncClient | httpx.AsyncBaseTransport) -> None:
        self._given = given

    async def send(self, request: HttpRequest) -> HttpReply:
        """Return the reply. Raises APIConnectionError or Timeout."""
        built, _ = _build(request)
        async with total(request):
            with border(request):
                if isinstance(self._given, httpx.AsyncClient):
                    built = as_of(self._given, built)
                    response = await self._given.send(built, stream=True, follow_redirects=False)
                else:
                    response = await self._given.handle_async_request(built)
            return await aanswer(AsyncBody(response, request, _nothing), response, request)

    async def aclose(self) -> None:
        """Leave it open: it is the user's."""


class AsyncBody:
    """An open body: `read` gives the next piece, decompressed."""

    def __init__(self, response: httpx.Response, request: HttpRequest, done: Callable[[], Awaitable[None]]) -> None:
        self._response = response
        self._request = request
        self._done: Callable[[], Awaitable[None]] | None = done
        self._pieces = aiter(response.aiter_bytes() if _packed(response) else _async_stream(response))

    async def read(self) -> bytes | None:
        """Return the next piece, None at the end."""
        with border(self._request):
            piece = await anext(self._pieces, None)
        if piece is None:
            await self.aclose()
        return piece

    async def aclose(self) -> None:
        """Close the reply, and give its lane back."""
        if self._done is None:
            return
        await self._response.aclose()
        done, self._done = self._done, None  # only now: a close that is cancelled is taken up again
        if done is not None:
            await done()


async def aanswer(body: AsyncBody, response: httpx.Response, request: HttpRequest) -> HttpReply:
    """Return the reply: with its body open where it is a stream that succeeded, read otherwise."""
    headers, status = _headers(response), response.status_code
    if request.stream and (status < 300 or status in request.expect):
        return HttpReply(status=status, headers=headers, source=body)
    pieces = []
    try:
        while (piece := await body.read()) is not None:
            pieces.append(piece)
    finally:
        await body.aclose()
    return HttpReply(status=status, headers=headers, content=pieces[0] if len(pieces) == 1 else b"".join(pieces))


@contextlib.asynccontextmanager
async def total(request: HttpRequest) -> AsyncIterator[None]:
    """Bound what happens inside by the request's total timeout."""
    limit = request.timeout.total
    if limit is None:
        yield
        return
    try:
        async with asyncio.timeout(limit):
            yield
    except TimeoutError as error:
        raise _late(request) from error


def _async_stream(response: httpx.Response) -> httpx.AsyncByteStream:
    if isinstance(response.stream, httpx.AsyncByteStream):
        return response.stream
    raise PolyportError("The httpx transport given answers with blocking streams: use it through the plain functions.")


# --- the user's own ---------------------------------------------------------------------------------------


def as_of(client: httpx.Client | httpx.AsyncClient, request: httpx.Request) -> httpx.Request:
    """Add the headers and cookies that the user's client sends with everything; ours go before its."""
    if client.is_closed:
        raise PolyportError(f"The httpx.{type(client).__name__} given as http= is closed.")
    for name, value in client.headers.items():
        request.headers.setdefault(name, value)
    client.cookies.set_cookie_header(request)
    return request


async def _nothing() -> None:
    """A body of the user's own client has no lane to give back."""
