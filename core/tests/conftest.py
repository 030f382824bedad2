"""What the core's tests share: a server on 127.0.0.1 that does as told, a provider, and both ways to call."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

import polyport
from polyport.auth import Bearer
from polyport.dialects.openai import Files, OpenAICompatible

KEY = "sk-never-to-be-seen-0123456789"
ASK = [{"role": "user", "content": "hello"}]

#: How long, in seconds, is waited for what must come: nothing takes so long that works, however busy the machine is.
PATIENCE = 60.0


def completion(text: str = "hi", **more: Any) -> dict[str, Any]:
    """A chat completion as it stands on the wire."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **more}


def event(text: str | None = None, **choice: Any) -> bytes:
    """A chat chunk as it stands on the wire."""
    delta = {} if text is None else {"content": text}
    chunk = {"id": "c1", "object": "chat.completion.chunk", "model": "m"}
    return b"data: " + json.dumps({**chunk, "choices": [{"index": 0, "delta": delta, **choice}]}).encode() + b"\n\n"


ROLE = b'data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
DONE = event(finish_reason="stop") + b"data: [DONE]\n\n"


class Fake(OpenAICompatible, Files):
    """Speaks OpenAI's dialect to wherever `api_base` says."""

    auth = Bearer(env="FAKE_API_KEY")
    base_url = "http://fake.invalid/v1"


class Exchange:
    """One request that the server received, and the means to answer it, well or badly."""

    def __init__(self, connection: socket.socket, number: int, head: bytes, body: bytes) -> None:
        self.connection, self.number, self.body = connection, number, body
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = first.split(" ", 2)
        self.header_lines = [tuple(line.split(": ", 1)) for line in lines]
        self.headers = {name.lower(): value for name, value in self.header_lines}
        self.over = False
        self.gone: float | None = None

    @property
    def json(self) -> Any:
        """The request's body, decoded."""
        return json.loads(self.body)

    def send(self, data: bytes) -> None:
        """Put bytes on the wire."""
        try:
            self.connection.sendall(data)
        except OSError:
            self.gone = time.monotonic()
            raise

    def reply(self, body: Any = b"", status: int = 200, **headers: str) -> None:
        """Answer completely; what is not bytes goes out as JSON."""
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        self.send(f"HTTP/1.1 {status} X\r\n{head}content-length: {len(content)}\r\n\r\n".encode() + content)

    def begin(self, status: int = 200, kind: str = "text/event-stream") -> None:
        """Begin a chunked answer."""
        self.send(f"HTTP/1.1 {status} OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())

    def piece(self, *data: bytes) -> None:
        """Send chunks."""
        for one in data:
            self.send(b"%x\r\n%s\r\n" % (len(one), one))

    def end(self) -> None:
        """End a chunked answer."""
        self.send(b"0\r\n\r\n")

    def events(self, *data: bytes) -> None:
        """Answer with a whole stream of events."""
        self.begin()
        self.piece(*data)
        self.end()

    def hang_up(self) -> None:
        """Close the connection properly."""
        self.over = True

    def reset(self) -> None:
        """Break the connection: the peer gets a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.over = True

    def wait_gone(self, seconds: float = PATIENCE) -> bool:
        """Wait until the client has closed its side."""
        self.over = True
        limit = time.monotonic() + seconds
        while (left := limit - time.monotonic()) > 0:
            if select.select([self.connection], [], [], left)[0]:
                try:
                    gone = not self.connection.recv(4096)
                except OSError:
                    gone = True
                if gone:
                    self.gone = time.monotonic()
                    return True
        return False


class Server:
    """Answers each request by `answer(exchange)`, one thread a connection. `seen` are the requests, in order."""

    def __init__(self, answer: Callable[[Exchange], None], tls: ssl.SSLContext | None = None) -> None:
        self.answer, self.tls = answer, tls
        self.seen: list[Exchange] = []
        self.failures: list[BaseException] = []
        self.connections = 0
        self.open = 0
        self._stopped = False
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self._listener.getsockname()[1]
        self.origin = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.url = f"{self.origin}/v1"
        self._start(self._accept)

    def _start(self, run: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self._stopped:
                connection.close()
                return
            self.connections += 1
            self._start(self._serve, connection, self.connections)

    def _serve(self, connection: socket.socket, number: int) -> None:
        with self._lock:
            self.open += 1
            self._sockets.add(connection)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                with self._lock:
                    self._sockets.discard(connection)
                connection = self.tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._sockets.add(connection)
            self._requests(connection, number)
        except OSError:
            pass
        except Exception as error:  # noqa: BLE001  reported at the end of the test
            self.failures.append(error)
        finally:
            with self._lock:
                self.open -= 1
                self._sockets.discard(connection)
            connection.close()

    def _requests(self, connection: socket.socket, number: int) -> None:
        with connection.makefile("rb") as file:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = file.readline()
                    if not line:
                        return
                    head += line
                exchange = Exchange(connection, number, head[:-4], self._body(file, head))
                self.seen.append(exchange)
                self.answer(exchange)
                if exchange.over:
                    return

    @staticmethod
    def _body(file: Any, head: bytes) -> bytes:
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            body = b""
            while size := int(file.readline(), 16):
                body += file.read(size)
                file.readline()
            file.readline()
            return body
        start = lower.find(b"\r\ncontent-length:")
        return file.read(int(lower[start + 17 :].split(b"\r\n")[0])) if start >= 0 else b""

    def until(self, condition: Callable[[], Any], seconds: float = PATIENCE) -> bool:
        """Wait until something is so."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if condition():
                return True
            time.sleep(0.002)
        return bool(condition())

    def stop(self) -> None:
        """Close everything."""
        self._stopped = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sockets = list(self._sockets)
        for connection in sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        assert not self.failures, self.failures


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers: `serve(answer)`; they stop with the test."""
    servers: list[Server] = []

    def start(answer: Callable[[Exchange], None], tls: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(answer, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def client() -> Iterator[Callable[..., polyport.Client]]:
    """Make clients that know the provider `fake`: `client(server.url)`; they are closed with the test."""
    clients: list[polyport.Client] = []

    def make(api_base: str | None = None, **settings: Any) -> polyport.Client:
        settings.setdefault("providers", {"fake": Fake})
        settings.setdefault("api_key", KEY)
        if "http" not in settings:
            settings.setdefault("transport", "httpx")
        clients.append(polyport.Client(api_base=api_base, **settings))
        return clients[-1]

    yield make
    for one in clients:
        one.close()


def tapping(seen: list[str]) -> Callable[..., Any]:
    """A middleware that notes what of a stream its reader has got."""

    def layer(call: Any, proceed: Any) -> Any:
        stream = yield from proceed(call)
        return stream.tap(lambda chunk: seen.append(chunk.choices[0].delta.content or ""))

    return layer


def wire(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.MockTransport:
    """A wire without sockets, for either side."""
    return httpx.MockTransport(answer)


class Blocking:
    """Calls through the plain functions."""

    name = "sync"

    def call(self, client: polyport.Client, function: str, *args: Any, **params: Any) -> Any:
        """Call and return the result."""
        return getattr(client, function)(*args, **params)

    def chat(self, client: polyport.Client, model: str = "fake/m", messages: Any = ASK, **params: Any) -> Any:
        """Ask, and return the completion."""
        return client.completion(model, messages, **params)

    def stream(self, client: polyport.Client, take: int | None = None, leave: str = "close", **params: Any) -> str:
        """Ask for a stream, and return the text of `take` chunks; then leave it in one of the ways there are."""
        texts: list[str] = []
        if leave == "with":
            with client.completion("fake/m", ASK, stream=True, **params) as stream:
                _read(stream, take, texts)
        elif leave == "break":
            _read(client.completion("fake/m", ASK, stream=True, **params), take, texts)
            gc.collect()
        else:
            stream = client.completion("fake/m", ASK, stream=True, **params)
            try:
                _read(stream, take, texts)
            finally:
                if leave == "close":
                    stream.close()
                del stream
        return "".join(texts)


def _read(stream: Any, take: int | None, texts: list[str]) -> None:
    if take == 0:
        return
    for chunk in stream:
        texts.append(_text(chunk))
        if len(texts) == take:
            break


def _text(chunk: Any) -> str:
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


class Asynchronous:
    """Calls through the functions that begin with a, each on an event loop of its own."""

    name = "async"

    def call(self, client: polyport.Client, function: str, *args: Any, **params: Any) -> Any:
        """Call and return the result."""
        return asyncio.run(getattr(client, f"a{function}")(*args, **params))

    def chat(self, client: polyport.Client, model: str = "fake/m", messages: Any = ASK, **params: Any) -> Any:
        """Ask, and return the completion."""
        return asyncio.run(client.acompletion(model, messages, **params))

    def stream(self, client: polyport.Client, take: int | None = None, leave: str = "close", **params: Any) -> str:
        """Ask for a stream, and return the text of `take` chunks; then leave it in one of the ways there are."""
        return asyncio.run(self._stream(client, take, leave, params))

    async def _stream(self, client: polyport.Client, take: int | None, leave: str, params: dict[str, Any]) -> str:
        texts: list[str] = []
        if leave == "with":
            async with await client.acompletion("fake/m", ASK, stream=True, **params) as stream:
                await _aread(stream, take, texts)
        elif leave == "break":
            await _aread(await client.acompletion("fake/m", ASK, stream=True, **params), take, texts)
            gc.collect()
            await asyncio.sleep(0.05)
        else:
            stream = await client.acompletion("fake/m", ASK, stream=True, **params)
            try:
                await _aread(stream, take, texts)
            finally:
                if leave == "close":
                    await stream.aclose()
                del stream
            await asyncio.sleep(0.05 if leave == "del" else 0)
        return "".join(texts)


async def _aread(stream: Any, take: int | None, texts: list[str]) -> None:
    if take == 0:
        return
    async for chunk in stream:
        texts.append(_text(chunk))
        if len(texts) == take:
            break


@pytest.fixture(params=[Blocking(), Asynchronous()], ids=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> Blocking | Asynchronous:
    """Both ways to call."""
    return request.param
