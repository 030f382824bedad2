"""HTTP/1.1 between uvicorn's server and an ASGI application, at half the cost of uvicorn's own protocol.

    uvicorn.Config(app, http=Protocol)

bytes -> httptools -> a Cycle for each request -> the application, in a task of its own -> bytes. Replies go out in the
order of the requests, a head together with the first of its body. uvicorn keeps sockets, signals, lifespan, TLS, the
end of the process, and WebSockets: a connection that asks for one is handed to its protocol for them.
https://asgi.readthedocs.io/en/latest/specs/www.html https://www.rfc-editor.org/rfc/rfc9112
"""

from __future__ import annotations

import asyncio
import http
import logging
from collections import deque
from typing import Any
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.utils import get_client_addr, get_local_addr, get_path_with_query_string, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from polyport_gateway.cycle import STATUS, Cycle, Message

log = logging.getLogger("uvicorn.error")
access = logging.getLogger("uvicorn.access")

#: Bytes of a request's body that wait for the application before reading pauses.
HIGH_WATER = 65_536
#: Bytes of a request's address and headers; one read may be that much longer before it is noticed.
MAX_HEAD, MAX_READ = 65_536, 262_144
#: Seconds in which a head has to arrive, and the next piece of a body that the application waits for.
HEAD_WITHIN, PIECE_WITHIN = 30, 60
#: Seconds without progress after which a peer that does not read is cut off.
WRITE_WITHIN = 60.0
#: Seconds that is listened to who still sends while its connection ends.
LINGER = 5


class Refused(Exception):
    """A request that gets no further: its status is the reply."""


class Shared:
    """What the connections of one server have in common, and the clock that closes idle ones."""

    def __init__(
        self, config: uvicorn.Config, state: ServerState, app_state: dict[str, Any], write_within: float
    ) -> None:
        if not config.loaded:
            config.load()
        self.write_within = write_within
        self.config, self.state, self.app_state = config, state, app_state
        self.app = config.loaded_app
        self.limit = config.limit_concurrency
        self.access_log = access.hasHandlers()
        self.loop = asyncio.get_running_loop()
        self._clock: asyncio.TimerHandle | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._lines = b""

    def default_lines(self) -> bytes:
        """Return the headers of every reply, which uvicorn renews with each second."""
        headers = self.state.default_headers
        if headers is not self._headers:
            self._headers, self._lines = headers, b"".join([b"%b: %b\r\n" % header for header in headers])
        return self._lines

    def plain(self, status: int, scope: Message | None = None) -> bytes:
        """Return a reply of one line to a request, after which the connection ends."""
        text = http.HTTPStatus(status).phrase.encode()
        head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(text)
        if scope is not None:
            if self.access_log:
                self.note(scope, status)
            text = b"" if scope["method"] == "HEAD" else text
        return STATUS[status] + self.default_lines() + head + text

    def note(self, scope: Any, status: int) -> None:
        """Write a line of the access log."""
        place, version = get_path_with_query_string(scope), scope["http_version"]
        access.info('%s - "%s %s HTTP/%s" %d', get_client_addr(scope), scope["method"], place, version, status)

    def full(self, limit: int) -> bool:
        """Whether there are more connections or requests than shall be."""
        return max(len(self.state.connections), len(self.state.tasks)) >= limit

    def watch(self) -> None:
        """Look once a second for connections whose time is over, as long as there are any."""
        if self._clock is None:
            self._clock = self.loop.call_later(1, self._tick)

    def _tick(self) -> None:
        self._clock = None
        for connection in tuple(self.state.connections):
            if isinstance(connection, Protocol):
                connection.tick()
        if self.state.connections:
            self.watch()


class Protocol(asyncio.Protocol):
    """One connection. `cycle` is the request that is being answered, None between two."""

    __slots__ = (
        "_base", "_headers", "_heard", "_latest", "_left", "_parser", "_paused", "_pipeline", "_refused", "_stalled",
        "_unread", "_url", "_waiting", "cycle", "full", "gone", "shared", "transport",
    )  # fmt: skip

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        write_within: float = WRITE_WITHIN,
    ) -> None:
        known = vars(server_state)
        if "polyport" not in known:
            known["polyport"] = Shared(config, server_state, app_state, write_within)
        self.shared: Shared = known["polyport"]
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.cycle: Cycle | None = None
        self.full = self.gone = self._paused = False
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._url, self._headers = b"", list[tuple[bytes, bytes]]()
        self._heard = 0
        self._latest: Cycle | None = None
        self._pipeline: deque[Cycle] = deque()
        self._refused = 0
        #: Bytes that wait for the peer to read, when that was looked at last, and for how many seconds it is as many:
        #: who reads nothing is written to until its buffers are full, and then no more.
        self._unread = self._stalled = 0
        self._left = config.timeout_keep_alive
        self._waiting: list[asyncio.Future[None]] = []

    # --- the connection ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        self.transport = transport
        config = self.shared.config
        self._base: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": config.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": get_local_addr(transport),
            "client": get_remote_addr(transport),
            "scheme": "https" if is_ssl(transport) else "http",
            "root_path": config.root_path,
            **dict.fromkeys(("method", "path", "raw_path", "query_string", "headers", "state")),  # room for a request's
        }
        self.shared.state.connections.add(self)  # type: ignore[arg-type]
        self.shared.watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End: who waits for the peer is told."""
        self.gone = True
        self.shared.state.connections.discard(self)
        self._parser = self._latest = self.cycle = None
        self._pipeline.clear()
        self.wake()

    def shutdown(self) -> None:
        """Take no more requests: the server is about to stop."""
        if self.cycle is None:
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    def tick(self) -> None:
        """A second is over: end it where the time is up for what the peer has to send, or to read."""
        unread = self.transport.get_write_buffer_size()
        if unread:
            self._stalled = self._stalled + 1 if unread == self._unread else 0
            self._unread = unread
            if self._stalled >= self.shared.write_within:
                log.warning("A caller that does not read its reply is cut off.")
                self.transport.abort()
                return
        else:
            self._unread = self._stalled = 0
        if self.cycle is not None and not self.cycle.starved:
            return
        self._left -= 1
        if self._left < 0:
            if self.cycle is None:
                self.transport.close()
            else:
                self.cycle.cut(408)

    def pause_writing(self) -> None:
        """The peer does not read as fast as is written."""
        self.full = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self.full = False
        self._unread = 0
        self.wake()

    async def changed(self) -> None:
        """Wait until there may be something new."""
        waiter = self.shared.loop.create_future()
        self._waiting.append(waiter)
        await waiter

    def wake(self) -> None:
        """Have those look again who wait."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def read_on(self) -> None:
        """Read, unless requests wait already."""
        if self._paused and not self._pipeline and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()

    # --- what comes ---

    def data_received(self, data: bytes) -> None:
        """Read on in the request, or the requests."""
        if self._parser is None:
            return  # what is sent after the end is not looked at
        self._heard = len(data) + (self._heard if self._url or self._headers else 0)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as found:
            self._upgrade(data[found.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            if cause is not None and not isinstance(cause, (Refused, httptools.HttpParserError)):
                log.error("A fault of ours while a request was read", exc_info=cause)
            self._refuse(cause.args[0] if isinstance(cause, Refused) else 400)
        else:
            if self._heard > MAX_HEAD + MAX_READ and (self._url or self._headers):
                self._refuse(431)

    def on_url(self, url: bytes) -> None:
        """A piece of the address, which begins a request."""
        if not self._url:
            self._left = HEAD_WITHIN
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Have the application answer, after what was asked before. Raises Refused."""
        if self._heard > MAX_HEAD and self._head_size() > MAX_HEAD:
            raise Refused(431)
        parser = self._parser
        assert parser is not None
        version = parser.get_http_version()
        hosts = [name for name, _ in self._headers].count(b"host")
        if hosts != 1 and (hosts or version == "1.1"):
            raise Refused(400)  # https://www.rfc-editor.org/rfc/rfc9112#section-3.2
        if parser.should_upgrade():
            return  # `data_received` is told so when all is read
        headers, self._headers = self._headers, []
        raw, query = _address(self._url)
        path = raw.decode("ascii")
        self._url = b""
        shared = self.shared
        scope = self._base.copy()
        scope["method"] = parser.get_method().decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = raw
        scope["query_string"] = query
        scope["headers"] = headers
        scope["state"] = shared.app_state.copy()
        keep_alive = parser.should_keep_alive()
        if version != "1.1":
            if version != "1.0":
                raise Refused(505)
            scope["http_version"] = version
            keep_alive = False
        if shared.config.root_path:
            root = shared.config.root_path
            scope["path"], scope["raw_path"] = root + scope["path"], root.encode("ascii") + scope["raw_path"]
        self._left = PIECE_WITHIN
        cycle = self._latest = Cycle(self, scope, keep_alive)
        if self.cycle is None:
            self._start(cycle)
        else:
            self._pipeline.append(cycle)
            self._pause()

    def on_body(self, body: bytes) -> None:
        """A piece of the body; nobody asks for it any more when the reply is out."""
        cycle = self._latest
        if cycle is None or cycle.over:
            return
        cycle.body.append(body)
        cycle.size += len(body)
        cycle.news = True
        self._left = PIECE_WITHIN
        if cycle.size > HIGH_WATER:
            self._pause()
        if self._waiting:
            self.wake()

    def on_message_complete(self) -> None:
        """The request is whole. Its trailers are nobody's: they are no headers."""
        if self._url or self._latest is None:
            return  # an upgrade
        if self._headers:
            self._headers = []
        self._latest.more = False
        self._latest.news = True
        if self._waiting:
            self.wake()

    def _head_size(self) -> int:
        return len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._headers)

    def _start(self, cycle: Cycle) -> None:
        self.cycle = cycle
        shared = self.shared
        app = service_unavailable if shared.limit is not None and shared.full(shared.limit) else shared.app
        cycle.task = task = shared.loop.create_task(cycle.run(app))
        shared.state.tasks.add(task)

    def _refuse(self, status: int) -> None:
        """Say what is wrong with what came last, after what was asked before it was answered."""
        log.warning("Invalid HTTP request received.")
        self._parser = None
        self._refused = status
        latest = self._latest
        broken = latest is not None and latest.more  # it is the body of what came last
        if self.cycle is None:
            if not broken:
                self.transport.write(self.shared.plain(status))
            self.end()
        elif self._pipeline and broken:
            self._pipeline.pop()
        elif broken:
            self.cycle.cut(status)

    def _upgrade(self, rest: bytes) -> None:
        """Hand the connection to uvicorn's protocol for WebSockets; who asks for another goes on with this one."""
        assert self._parser is not None
        method, version = self._parser.get_method(), self._parser.get_http_version().encode()
        url, headers, self._url, self._headers = self._url, self._headers, b"", []
        wanted = [value.lower() for name, value in headers if name == b"upgrade"]
        sockets = self.shared.config.ws_protocol_class if wanted == [b"websocket"] else None
        if method == b"CONNECT" or (sockets is not None and self.cycle is not None):
            self._refuse(400)
            return
        if sockets is None:
            headers = [header for header in headers if header[0] != b"upgrade"]
        lines = [
            b"%b %b HTTP/%b\r\n" % (method, url, version),
            *(b"%b: %b\r\n" % header for header in headers),
            b"\r\n",
        ]
        self._parser = None
        if sockets is None:
            self._parser = httptools.HttpRequestParser(self)
            self.data_received(b"".join([*lines, rest]))
            return
        shared = self.shared
        shared.state.connections.discard(self)
        taker: Any = sockets(config=shared.config, server_state=shared.state, app_state=shared.app_state)  # type: ignore[call-arg]
        taker.connection_made(self.transport)
        taker.data_received(b"".join(lines))
        self.transport.set_protocol(taker)

    # --- what is over ---

    def answered(self, cycle: Cycle) -> None:
        """Go on with the next request."""
        self.shared.state.total_requests += 1
        self.cycle = None
        self._left = self.shared.config.timeout_keep_alive
        if self._waiting:
            self.wake()
        if not cycle.keep_alive:
            self.end()
        elif self._pipeline:
            self._start(self._pipeline.popleft())
        elif self._refused:
            self.transport.write(self.shared.plain(self._refused))
            self.end()
        self.read_on()

    def end(self) -> None:
        """Close. Who still sends is listened to for a moment: a reset would cost it the reply."""
        sends = self._refused or (self._latest is not None and self._latest.more)
        self._parser = self._latest = self.cycle = None
        self._pipeline.clear()
        self._refused = 0
        if sends and not self.transport.is_closing():
            if self.transport.can_write_eof():  # TLS cannot: who sends closes, or its time is over
                self.transport.write_eof()
            self._left = LINGER
            self.read_on()
        else:
            self.transport.close()


def _address(url: bytes) -> tuple[bytes, bytes]:
    """Return path and query of a request's target; as proxies are sent it, it has scheme and host. Raises."""
    if url[:1] == b"/" and b"#" not in url:
        path, _, query = url.partition(b"?")
        return path, query
    parsed = httptools.parse_url(url)
    return parsed.path or b"/", parsed.query or b""
