"""What the tests share: a server on 127.0.0.1 that does as told, certificates, and both sides of the transport."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import select
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from polyport.flow import HttpReply, HttpRequest, TimeoutSpec
from polyport.transport import KEEP_ALIVE, TransportOptions
from polyport_reqwest import AsyncReqwestTransport, ReqwestTransport

#: How long, in seconds, is waited for what must come: nothing takes so long that works, however busy the machine is.
PATIENCE = 60.0
#: Side -> what makes its event loop; None is asyncio's own.
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop] | None] = {"sync": None, "asyncio": None}
if importlib.util.find_spec("uvloop"):
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop


class Asked:
    """One request that the server received, and the means to answer it, well or badly."""

    def __init__(self, server: Server, connection: socket.socket, head: bytes, rest: bytes) -> None:
        self.server, self.connection, self.rest = server, connection, rest
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = first.split(" ")
        self.header_lines = [tuple(line.split(": ", 1)) for line in lines]
        self.headers = {name.lower(): value for name, value in self.header_lines}
        self.body = b""

    def receive_body(self) -> None:
        """Read the body, whichever way it is framed."""
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self._until(b"\r\n"), 16):
                self.body += self._take(size)
                self._take(2)
            self._take(2)
        else:
            self.body = self._take(int(self.headers.get("content-length", "0")))

    def send(self, data: bytes) -> None:
        """Put bytes on the wire."""
        self.connection.sendall(data)

    def reply(self, body: bytes = b"ok", status: int = 200, *headers: str) -> None:
        """Answer completely."""
        lines = "".join(f"{line}\r\n" for line in headers)
        self.send(f"HTTP/1.1 {status} Said\r\n{lines}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body)

    def begin(self, status: int = 200) -> None:
        """Begin a chunked answer."""
        self.send(b"HTTP/1.1 %d OK\r\ntransfer-encoding: chunked\r\n\r\n" % status)

    def piece(self, *data: bytes) -> None:
        """Send chunks."""
        for one in data:
            self.send(b"%x\r\n%s\r\n" % (len(one), one))

    def end(self) -> None:
        """End a chunked answer."""
        self.send(b"0\r\n\r\n")

    def hang_up(self) -> None:
        """Close the connection properly."""
        self.connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Break the connection: the peer gets a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def wait_gone(self) -> bool:
        """Wait until the client has closed its side; False if it never does."""
        if not select.select([self.connection], [], [], PATIENCE)[0]:
            return False
        with contextlib.suppress(OSError):
            return self.connection.recv(1) == b""
        return True

    def _take(self, size: int) -> bytes:
        while len(self.rest) < size:
            self.rest += self._more()
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.rest:
            self.rest += self._more()
        data, _, self.rest = self.rest.partition(mark)
        return data

    def _more(self) -> bytes:
        data = self.connection.recv(65536)
        if not data:
            raise ConnectionError
        return data


class Server:
    """Serves each connection in a thread; `answer` is called with every request. `url` is its base."""

    def __init__(self, answer: Callable[[Asked], object], tls: ssl.SSLContext | None, body_first: bool) -> None:
        self.answer, self.tls, self.body_first = answer, tls, body_first
        self.seen: list[Asked] = []
        self.connections = self.open = 0
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._live: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def until(self, holds: Callable[[], bool]) -> bool:
        """Wait until the condition holds; False if it never does."""
        with self._changed:
            return self._changed.wait_for(holds, PATIENCE)

    def stop(self) -> None:
        """Close everything and wait for the threads."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for connection in list(self._live):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        self._count(1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with contextlib.suppress(OSError):
                if self.tls:
                    connection = self.tls.wrap_socket(connection, server_side=True)
                self._live.add(connection)
                self._converse(connection)
        finally:
            self._live.discard(connection)
            connection.close()
            self._count(-1)

    def _converse(self, connection: socket.socket) -> None:
        rest = b""
        while connection.fileno() >= 0:
            while b"\r\n\r\n" not in rest:
                data = connection.recv(65536)
                if not data:
                    return
                rest += data
            head, _, rest = rest.partition(b"\r\n\r\n")
            asked = Asked(self, connection, head, rest)
            if self.body_first:
                asked.receive_body()
            with self._changed:
                self.seen.append(asked)
                self._changed.notify_all()
            self.answer(asked)
            rest = asked.rest

    def _count(self, change: int) -> None:
        with self._changed:
            self.connections += change > 0
            self.open += change
            self._changed.notify_all()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers that end with the test."""
    servers: list[Server] = []

    def start(answer: Callable[[Asked], object], tls: ssl.SSLContext | None = None, body_first: bool = True) -> Server:
        servers.append(Server(answer, tls, body_first))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


class Side:
    """One side of the transport behind blocking methods, so that one test says what both must do, on any loop."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._runner = asyncio.Runner(loop_factory=LOOPS[name])
        self._opened: list[Any] = []

    def open(self, keep_alive: float = KEEP_ALIVE, **options: Any) -> Any:
        """Return a transport that is closed at the test's end."""
        kind = ReqwestTransport if self.name == "sync" else AsyncReqwestTransport
        self._opened.append(kind(TransportOptions(**options), keep_alive))
        return self._opened[-1]

    def send(self, transport: Any, request: HttpRequest) -> HttpReply:
        """Send a request."""
        return self._done(transport.send(request))

    def read(self, reply: HttpReply) -> bytes | None:
        """Read the next piece of an open body."""
        return self._done(reply.source.read())

    def read_all(self, reply: HttpReply) -> bytes:
        """Read an open body to its end."""
        pieces = []
        while (piece := self.read(reply)) is not None:
            pieces.append(piece)
        return b"".join(pieces)

    def close(self, reply: HttpReply) -> None:
        """Let go of an open body."""
        self._done(reply.source.close() if self.name == "sync" else reply.source.aclose())

    def idle(self, seconds: float) -> None:
        """Let time go by, on an event loop where there is one."""
        time.sleep(seconds) if self.name == "sync" else self._runner.run(asyncio.sleep(seconds))

    def close_transport(self, transport: Any) -> None:
        """Close a transport."""
        self._done(transport.close() if self.name == "sync" else transport.aclose())

    def end(self) -> None:
        """Close all that was opened."""
        for transport in self._opened:
            self.close_transport(transport)
        self._runner.close()

    def _done(self, result: Any) -> Any:
        return result if self.name == "sync" else self._runner.run(result)


@pytest.fixture(params=LOOPS)
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """Both sides, the asynchronous one on each event loop, one after the other."""
    made = Side(request.param)
    yield made
    made.end()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own proxies or certificates."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, and certificates that it signed for a server and a client: ca.pem, server.pem, server.key ..."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)

    names = {
        "server": "DNS:localhost,DNS:files.invalid,IP:127.0.0.1",
        "client": "DNS:client",
        "elsewhere": "DNS:elsewhere.invalid",
    }
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    openssl(f"req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca")
    for name, hosts in names.items():
        (folder / "names").write_text(f"subjectAltName={hosts}\n")
        openssl(f"req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        signed = f"-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {name}.pem"
        openssl(f"x509 -req -in {name}.csr {signed}")
    openssl("ec -in client.key -out client-ec.key")
    (folder / "empty").mkdir()
    (folder / "both.pem").write_text((folder / "client.key").read_text() + (folder / "client.pem").read_text())
    return folder


@pytest.fixture
def tls(certificates: Path) -> ssl.SSLContext:
    """The server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    return context


def post(url: str, content: Any = b"{}", **more: Any) -> HttpRequest:
    """A POST with a JSON body."""
    headers = {"content-type": "application/json", **more.pop("headers", {})}
    timeout = more.pop("timeout", TimeoutSpec.of(20))
    return HttpRequest(method="POST", url=url, headers=headers, content=content, timeout=timeout, **more)


def wait_for(holds: Callable[[], object]) -> bool:
    """Wait until something holds; False if it never does."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
