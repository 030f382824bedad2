"""The httpx transport: connections, the user's own clients, proxies, TLS, bodies."""

from __future__ import annotations

import asyncio
import http
import io
import select
import shutil
import socket
import ssl
import subprocess
import threading
import time
from email import message_from_bytes
from email.policy import HTTP
from pathlib import Path

import httpx
import pytest
from core.tests.conftest import ASK, DONE, KEY, PATIENCE, ROLE, Fake, completion, event, wire

from polyport.errors import APIConnectionError, BadRequestError, PolyportError
from polyport.flow import HttpRequest
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.transport import KEEP_ALIVE, Httpx, TransportOptions, proxy_for
from polyport.transport.stock import AsyncHttpxTransport, HttpxTransport, _Lanes
from polyport.types.chat import ChatCompletion
from polyport.types.upload import Upload

OK = completion("ok")


def replying(exchange) -> None:
    """Answer at once."""
    exchange.reply(OK)


# --- connections ---


def test_calls_one_after_another_share_a_connection(client, serve):
    """Blocking, and on one event loop."""
    server = serve(replying)
    one = client(server.url)
    for _ in range(5):
        one.completion("fake/m", ASK)
    assert server.connections == 1

    async def main() -> None:
        for _ in range(5):
            await one.acompletion("fake/m", ASK)

    asyncio.run(main())
    assert server.connections == 2
    assert len(server.seen) == 10


def test_an_error_reply_keeps_its_connection(mode, client, serve):
    """A 429 is no reason for a new handshake."""
    statuses = iter([429, 500, 200])
    server = serve(lambda exchange: exchange.reply(OK, next(statuses), retry_after_ms="1"))
    assert mode.chat(client(server.url)).meta.attempts == 3
    assert server.connections == 1


def test_sixty_four_calls_at_once_take_sixty_four_connections_and_keep_them(client, serve):
    """Each its own, never one pool for all; the next round finds them open."""
    barrier = threading.Barrier(64, timeout=PATIENCE)

    def answer(exchange) -> None:
        barrier.wait()
        exchange.reply(OK)

    server = serve(answer)

    async def main() -> None:
        one = client(server.url)
        for _ in range(2):
            await asyncio.gather(*(one.acompletion("fake/m", ASK) for _ in range(64)))

    asyncio.run(main())
    assert server.connections == 64
    assert len(server.seen) == 128


def test_the_connection_used_last_is_used_next(client, serve):
    """So that the others may grow old and be closed."""
    barrier = threading.Barrier(3, timeout=PATIENCE)
    together = [True]

    def answer(exchange) -> None:
        if together[0]:
            barrier.wait()
        exchange.reply(OK)

    server = serve(answer)

    async def main() -> None:
        one = client(server.url)
        await asyncio.gather(*(one.acompletion("fake/m", ASK) for _ in range(3)))
        together[0] = False
        for _ in range(4):
            await one.acompletion("fake/m", ASK)

    asyncio.run(main())
    assert len({exchange.number for exchange in server.seen[3:]}) == 1


def test_idle_connections_are_closed_after_their_time():
    """The old ones go when a younger one comes back, wherever they lead; after the end, none is kept."""
    lanes = _Lanes(TransportOptions())
    old, stranger, young = object(), object(), object()
    for origin, lane in (("http://a", old), ("http://b", stranger)):
        assert lanes.give(origin, lane) == []
        lanes._idle[origin][0] = (time.monotonic() - KEEP_ALIVE - 1, lane)
    lanes._swept -= 60
    assert lanes.give("http://a", young) == [old, stranger]
    assert [*lanes._idle] == ["http://a"]
    assert lanes.take("http://a", httpx.HTTPTransport) is young
    assert lanes.drain() == []
    assert lanes.give("http://a", young) == [young]


def test_a_host_that_is_not_asked_again_is_let_go(serve):
    """Its connection ends after its time: on an event loop by itself, else with the next call to anybody."""
    stranger, other = serve(replying), serve(replying)

    def ask(server) -> HttpRequest:
        return HttpRequest(method="POST", url=f"{server.url}/chat", content=b"{}")

    async def main() -> None:
        transport = AsyncHttpxTransport(TransportOptions(), 0.2)
        for _ in range(2):
            await transport.send(ask(stranger))
            assert await asyncio.to_thread(stranger.until, lambda: stranger.open == 0)
        await transport.aclose()

    asyncio.run(main())
    assert stranger.connections == 2
    transport = HttpxTransport(TransportOptions(), 0.2)
    transport.send(ask(stranger))

    def gone() -> bool:
        transport.send(ask(other))
        return stranger.open == 0

    assert stranger.until(gone)
    transport.close()


def test_a_connection_that_the_server_closed_is_not_used(mode, client, serve):
    """It is noticed before anything is sent on it."""
    server = serve(lambda exchange: [exchange.reply(OK), exchange.hang_up()])

    def twice(one) -> None:
        one.completion("fake/m", ASK, num_retries=0)
        server.until(lambda: server.open == 0)
        one.completion("fake/m", ASK, num_retries=0)

    async def atwice(one) -> None:
        await one.acompletion("fake/m", ASK, num_retries=0)
        await asyncio.to_thread(server.until, lambda: server.open == 0)
        await one.acompletion("fake/m", ASK, num_retries=0)

    one = client(server.url)
    twice(one) if mode.name == "sync" else asyncio.run(atwice(one))
    assert server.connections == 2


def test_two_origins_have_connections_of_their_own(client, serve):
    """Scheme, host and port make an origin."""
    a, b = serve(replying), serve(replying)
    one = client()
    for server in (a, b, a, b):
        one.completion("fake/m", ASK, api_base=server.url)
    assert (a.connections, b.connections) == (1, 1)
    assert a.seen[0].headers["host"] == f"127.0.0.1:{a.port}"


def test_a_request_is_what_it_should_be(mode, client, serve):
    """Method, path, query, headers, body: nothing more, nothing twice."""
    server = serve(replying)
    mode.chat(
        client(server.url, headers={"X-Team": "a"}),
        temperature=0.5,
        extra_headers={"X-Call": "1", "User-Agent": "mine"},
        extra_query={"v": "1 2"},
        extra_body={"odd": [1]},
        unknown="kept",
    )
    sent = server.seen[0]
    assert (sent.method, sent.path) == ("POST", "/v1/chat/completions?v=1+2")
    assert {name.lower(): value for name, value in sent.header_lines} == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "mine",
        "x-team": "a",
        "x-call": "1",
        "content-type": "application/json",
        "authorization": f"Bearer {KEY}",
        "accept-encoding": "gzip, deflate",
        "content-length": str(len(sent.body)),
    }
    assert len(sent.header_lines) == len(sent.headers)
    assert sent.json == {"model": "m", "messages": ASK, "temperature": 0.5, "unknown": "kept", "odd": [1]}


def test_a_user_s_own_authorization_and_encoding_win(mode, client, serve):
    """`extra_headers` is the last word; the key is then not needed."""
    server = serve(replying)
    headers = {"Authorization": "Custom token", "Accept-Encoding": "identity", "Host": "virtual.example"}
    mode.chat(client(server.url, api_key=None), extra_headers=headers)
    assert server.seen[0].headers["authorization"] == "Custom token"
    assert server.seen[0].headers["accept-encoding"] == "identity"
    assert server.seen[0].headers["host"] == "virtual.example"
    assert len(server.seen[0].header_lines) == len(server.seen[0].headers)


def test_interim_replies_are_passed_over(mode, client, serve):
    """100 Continue and 103 Early Hints come before the reply."""
    server = serve(
        lambda e: [e.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"), e.reply(OK)]
    )
    assert mode.chat(client(server.url)).text == "ok"


# --- the user's own httpx ---


def test_a_mock_transport_serves_both_sides(mode, client):
    """What tests of users' programs need."""
    one = client(http=wire(lambda request: httpx.Response(200, json=completion(request.url.path))))
    assert mode.chat(one).text == "/v1/chat/completions"


def test_an_httpx_client_is_used_as_it_is(client, serve):
    """With its headers, cookies and hooks; ours go before; it stays open, and redirects are left to us."""
    server = serve(replying)
    seen: list[str] = []
    hooks = {"request": [lambda request: seen.append(str(request.url))]}
    settings = {"headers": {"x-corp": "1", "user-agent": "theirs"}, "cookies": {"c": "2"}, "follow_redirects": True}
    with httpx.Client(**settings, event_hooks=hooks) as own:
        one = client(server.url, http=own)
        assert one.completion("fake/m", ASK).text == "ok"
        one.close()
        assert not own.is_closed
    sent = server.seen[0].headers
    assert (sent["x-corp"], sent["cookie"]) == ("1", "c=2")
    assert sent["user-agent"].startswith("polyport/")
    assert seen == [f"{server.url}/chat/completions"]

    async def main() -> None:
        async with httpx.AsyncClient(**settings) as aown:
            other = client(server.url, http=aown)
            assert (await other.acompletion("fake/m", ASK)).text == "ok"
            await other.aclose()
            assert not aown.is_closed

    asyncio.run(main())
    assert server.seen[1].headers["cookie"] == "c=2"


def test_an_httpx_client_does_not_carry_the_key_to_another_host(client, serve):
    """Even where it was told to follow redirects."""
    other = serve(lambda exchange: exchange.reply({"data": []}))
    server = serve(lambda exchange: exchange.reply(b"", 302, location=f"{other.url}/models"))
    with httpx.Client(follow_redirects=True) as own:
        client(server.url, http=own).list_models(provider="fake")
    assert "authorization" not in other.seen[0].headers


def test_streams_through_the_user_s_client_are_closed(mode, client, serve):
    """Left early, its connection closes too."""
    server = serve(lambda e: [e.begin(), e.piece(ROLE, event("a"), event("b")), e.wait_gone()])
    if mode.name == "sync":
        with httpx.Client() as own:
            assert mode.stream(client(server.url, http=own), take=2) == "a"
            assert server.until(lambda: server.seen[0].gone)
        return

    async def main() -> None:
        async with httpx.AsyncClient() as own:
            async with await client(server.url, http=own).acompletion("fake/m", ASK, stream=True) as stream:
                await anext(stream)
            assert await asyncio.to_thread(server.until, lambda: server.seen[0].gone)

    asyncio.run(main())


def test_a_transport_of_the_user_s_is_used_below_httpx_client(client, serve):
    """A BaseTransport, or an AsyncBaseTransport."""
    server = serve(replying)
    with httpx.HTTPTransport(retries=1) as own:
        assert client(server.url, http=own).completion("fake/m", ASK).text == "ok"

    async def main() -> None:
        async with httpx.AsyncHTTPTransport() as aown:
            assert (await client(server.url, http=aown).acompletion("fake/m", ASK)).text == "ok"

    asyncio.run(main())


def test_the_wrong_side_is_a_clear_error(client):
    """An AsyncClient cannot serve blocking calls, nor a Client asynchronous ones."""
    with pytest.raises(PolyportError, match=r"Client\(http=AsyncClient\) cannot serve blocking calls: give an"):
        client(http=httpx.AsyncClient()).completion("fake/m", ASK)
    with pytest.raises(PolyportError, match=r"Client\(http=Client\) cannot serve asynchronous calls"):
        asyncio.run(client(http=httpx.Client()).acompletion("fake/m", ASK))
    with pytest.raises(PolyportError, match=r"Client\(http=str\) cannot serve blocking calls"):
        client(http="http://proxy").completion("fake/m", ASK)


def test_a_closed_httpx_client_is_a_clear_error(mode, client):
    """Not a RuntimeError from below."""
    own: httpx.Client | httpx.AsyncClient = httpx.Client() if mode.name == "sync" else httpx.AsyncClient()
    own.close() if isinstance(own, httpx.Client) else asyncio.run(own.aclose())
    with pytest.raises(PolyportError, match="given as http= is closed"):
        mode.chat(client("http://127.0.0.1:9", http=own))


# --- proxies ---


class Proxy:
    """A forward proxy: absolute URLs for http, CONNECT for https. `seen` are the first lines it got."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.heads: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as file:
            head = file.readline()
            self.seen.append(head.split(b" HTTP")[0])
            method, target, _ = head.split(b" ")
            rest = b"".join(iter(file.readline, b"\r\n"))
            self.heads.append(rest)
            address = target if method == b"CONNECT" else target.split(b"/")[2]
            host, _, port = address.partition(b":")
            with socket.create_connection((host.decode(), int(port))) as upstream:
                if method == b"CONNECT":
                    connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                else:
                    path = b"/" + target.split(b"/", 3)[3]
                    length = int(rest.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    upstream.sendall(b" ".join([method, path, b"HTTP/1.1\r\n"]) + rest + b"\r\n" + file.read(length))
                self._pump(connection, upstream)

    @staticmethod
    def _pump(a: socket.socket, b: socket.socket) -> None:
        while True:
            for one in select.select([a, b], [], [], 5)[0]:
                try:
                    data = one.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                (b if one is a else a).sendall(data)

    def stop(self) -> None:
        """Close it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(6)


@pytest.fixture
def proxy():
    """A proxy on 127.0.0.1."""
    one = Proxy()
    yield one
    one.stop()


def test_a_proxy_given_as_an_argument_is_used(mode, client, serve, proxy):
    """With its user and password; the key stays in the request."""
    server = serve(replying)
    with_password = proxy.url.replace("http://", "http://me:secret@")
    one = client(server.url, proxy=with_password)
    assert mode.chat(one).text == "ok"
    one.close()
    assert proxy.seen == [f"POST {server.url}/chat/completions".encode()]
    assert b"Proxy-Authorization: Basic bWU6c2VjcmV0" in proxy.heads[0]


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_used(mode, client, serve, proxy, monkeypatch, variable):
    """With or without its scheme, unless `trust_env=False` or NO_PROXY says otherwise."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, proxy.url.removeprefix("http://") if variable == "http_proxy" else proxy.url)
    server = serve(replying)
    one = client(server.url)
    mode.chat(one)
    one.close()
    assert len(proxy.seen) == 1
    one = client(server.url, trust_env=False)
    mode.chat(one)
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    one = client(server.url)
    mode.chat(one)
    assert len(proxy.seen) == 1
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("url", "no_proxy", "proxied"),
    [
        ("https://api.example.com/v1", "", True),
        ("https://api.example.com/v1", "*", False),
        ("https://api.example.com/v1", "example.com", False),
        ("https://api.example.com/v1", ".example.com", False),
        ("https://api.example.org/v1", "example.com", True),
        ("http://10.0.0.1:8000/v1", "10.0.0.1:8000", False),
        ("http://10.0.0.1:9000/v1", "10.0.0.1:8000", True),
        ("http://user:pass@10.0.0.1:8000/v1", "10.0.0.1", False),
    ],
)
def test_no_proxy_is_read_as_usual(monkeypatch, url, no_proxy, proxied):
    """Hosts, domains, host and port, everything."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("https_proxy", "http://p:1")
    monkeypatch.setenv("http_proxy", "http://p:1")
    monkeypatch.setenv("no_proxy", no_proxy)
    assert (proxy_for(url, TransportOptions()) is not None) == proxied
    assert proxy_for(url, TransportOptions(proxy="http://mine:2")) == "http://mine:2"


# --- TLS ---


@pytest.fixture(scope="session")
def tls(tmp_path_factory) -> Path:
    """A folder with `ca.pem`, and `server.pem` and `client.pem` that it signed."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is not installed")
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem",
            "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    (folder / "ext").write_text(
        "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:files.invalid\nauthorityKeyIdentifier=keyid\n"
    )
    for name in ("server", "client"):
        openssl("req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", "ext", "-out", f"{name}.crt")  # fmt: skip
        (folder / f"{name}.pem").write_bytes(
            (folder / f"{name}.crt").read_bytes() + (folder / f"{name}.key").read_bytes()
        )
    return folder


def server_side(tls: Path, *, ask: bool = False) -> ssl.SSLContext:
    """The server's TLS settings; with `ask` it demands a client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "server.pem")
    if ask:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(tls / "ca.pem")
    return context


def test_a_certificate_nobody_vouches_for_is_refused(mode, client, serve, tls):
    """By default."""
    server = serve(replying, server_side(tls))
    with pytest.raises(APIConnectionError, match="certificate verify failed"):
        mode.chat(client(server.url), num_retries=0)
    assert server.seen == []


def test_a_ca_of_one_s_own_is_trusted(mode, client, serve, tls):
    """As a file, or as an SSLContext; `verify=False` trusts anybody; so does SSL_CERT_FILE what it names."""
    server = serve(replying, server_side(tls))
    for verify in (str(tls / "ca.pem"), ssl.create_default_context(cafile=tls / "ca.pem"), False):
        assert mode.chat(client(server.url, verify=verify)).text == "ok"
    assert server.connections == 3


def test_the_environment_s_ca_is_trusted(mode, client, serve, tls, monkeypatch):
    """SSL_CERT_FILE, unless `trust_env=False`."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls / "ca.pem"))
    server = serve(replying, server_side(tls))
    assert mode.chat(client(server.url)).text == "ok"
    with pytest.raises(APIConnectionError):
        mode.chat(client(server.url, trust_env=False), num_retries=0)


def test_a_client_certificate_is_shown(mode, client, serve, tls):
    """As one PEM, or as certificate and key."""
    server = serve(replying, server_side(tls, ask=True))
    verify = str(tls / "ca.pem")
    assert mode.chat(client(server.url, verify=verify, cert=str(tls / "client.pem"))).text == "ok"
    pair = (str(tls / "client.crt"), str(tls / "client.key"))
    assert mode.chat(client(server.url, verify=verify, cert=pair)).text == "ok"
    with pytest.raises(APIConnectionError):
        mode.chat(client(server.url, verify=verify), num_retries=0)


def test_tls_goes_through_a_proxy(mode, client, serve, tls, proxy):
    """By CONNECT: the proxy sees a host, no more."""
    server = serve(replying, server_side(tls))
    one = client(server.url, proxy=proxy.url, verify=str(tls / "ca.pem"))
    assert mode.chat(one).text == "ok"
    one.close()
    assert proxy.seen == [f"CONNECT 127.0.0.1:{server.port}".encode()]
    assert KEY.encode() not in b"".join(proxy.heads)


# --- requests that are kept to one address ---


def send(mode, options: TransportOptions, *requests: HttpRequest) -> list[bytes]:
    """Send requests one after another, and return what came."""
    if mode.name == "sync":
        blocking = Httpx().open(options)
        try:
            return [blocking.send(request).content for request in requests]
        finally:
            blocking.close()

    async def main() -> list[bytes]:
        transport = Httpx().open_async(options)
        try:
            return [(await transport.send(request)).content for request in requests]
        finally:
            await transport.aclose()

    return asyncio.run(main())


def kept(url: str) -> HttpRequest:
    """A request for a host that no name server knows, kept to 127.0.0.1."""
    return HttpRequest(method="GET", url=url, address="127.0.0.1")


def test_the_address_is_connected_to_and_the_host_stays_the_host(mode, serve):
    """The name is not looked up, and the server is told it. What was connected to by name serves no such request."""
    server = serve(replying)
    by_name = HttpRequest(method="GET", url=f"http://127.0.0.1:{server.port}/")
    url = f"http://files.invalid:{server.port}/a"
    send(mode, TransportOptions(), by_name, kept(by_name.url), kept(url), kept(url))
    assert server.connections == 3
    assert server.seen[-1].headers["host"] == f"files.invalid:{server.port}"


def test_tls_is_with_the_host_of_such_a_request(mode, serve, tls):
    """Its certificate has to name the host, not the address."""
    server = serve(replying, server_side(tls))
    options = TransportOptions(verify=str(tls / "ca.pem"))
    assert send(mode, options, kept(f"https://files.invalid:{server.port}/"))
    with pytest.raises(APIConnectionError, match=r"not valid for 'others\.invalid'"):
        send(mode, options, kept(f"https://others.invalid:{server.port}/"))


def test_a_proxy_is_told_the_name_of_such_a_host(mode, serve, tls, proxy):
    """It looks it up and connects: an address would not pass rules that speak of names."""
    server = serve(replying, server_side(tls))
    options = TransportOptions(proxy=proxy.url, verify=str(tls / "ca.pem"))
    assert send(mode, options, kept(f"https://localhost:{server.port}/"))
    assert proxy.seen == [f"CONNECT localhost:{server.port}".encode()]


# --- bodies ---


CONTENT = bytes(range(256)) * 3000  # several pieces


def parts_of(exchange) -> dict[str, tuple[dict[str, str], bytes]]:
    """Read a multipart body with the standard library: name -> (disposition, content)."""
    head = f"content-type: {exchange.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + exchange.body, policy=HTTP)
    found = {}
    for part in message.iter_parts():
        params = dict(part["content-disposition"].params)
        params["type"] = part.get_content_type()
        found[params["name"]] = (params, part.get_payload(decode=True))
    return found


@pytest.mark.parametrize("kind", ["bytes", "path", "file", "unseekable", "pair"])
def test_an_upload_sends_its_exact_bytes_again_on_retry(mode, client, serve, tmp_path, kind):
    """From memory, from disk in pieces, from an open file where it stands, from a pipe read once."""
    path = tmp_path / "data.bin"
    path.write_bytes(b"skipped" + CONTENT if kind == "file" else CONTENT)
    opened = path.open("rb")
    opened.seek(7)

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    file = {"bytes": CONTENT, "path": path, "file": opened, "unseekable": Pipe(CONTENT), "pair": ("d.bin", path)}[kind]
    statuses = iter([500, 503, 200])
    server = serve(lambda exchange: exchange.reply({"id": "file-1"}, next(statuses), retry_after_ms="1"))
    with opened:
        found = mode.call(client(server.url), "create_file", file=file, purpose="user_data", provider="fake")
    assert found.id == "file-1"
    assert [parts_of(exchange)["file"][1] for exchange in server.seen] == [CONTENT] * 3
    assert all(int(exchange.headers["content-length"]) == len(exchange.body) for exchange in server.seen)
    assert parts_of(server.seen[0])["purpose"][1] == b"user_data"
    names = {"path": "data.bin", "file": "data.bin", "pair": "d.bin"}
    assert parts_of(server.seen[0])["file"][0]["filename"] == names.get(kind, "file")


@pytest.mark.parametrize(("after", "match"), [(b"short", "became shorter"), (CONTENT * 2, "grew")])
def test_a_file_that_changes_while_it_is_sent_is_an_error(mode, client, serve, tmp_path, after, match):
    """Its announced length cannot be kept to."""
    path = tmp_path / "data.bin"
    path.write_bytes(CONTENT)

    class Changing(Upload):
        @property
        def length(self) -> int:
            size = super().length
            path.write_bytes(after)
            return size

    server = serve(lambda exchange: exchange.reply({"id": "x"}))
    with pytest.raises(BadRequestError, match=match):
        mode.call(client(server.url), "create_file", file=Changing("a", path), purpose="x", provider="fake")
    assert server.until(lambda: server.open == 0)


def test_a_file_that_vanishes_before_it_is_sent_is_named(mode, client, serve, tmp_path):
    """It was there when the call was made."""
    path = tmp_path / "data.bin"
    path.write_bytes(CONTENT)
    server = serve(lambda exchange: exchange.reply({"id": "x"}))

    def remove(call, proceed):
        path.unlink()
        return (yield from proceed(call))

    with pytest.raises(PolyportError, match=r"Cannot read the file .*data\.bin"):
        mode.call(client(server.url, middleware=[remove]), "create_file", file=path, purpose="x", provider="fake")


def test_a_large_download_comes_whole(mode, client, serve):
    """Chunked or by length, to the byte."""

    def answer(exchange) -> None:
        if "/a/" in exchange.path:
            exchange.reply(CONTENT)
        else:
            exchange.begin(kind="x/y")
            exchange.piece(*([b"z" * 99_999] * 5))
            exchange.end()

    server = serve(answer)
    one = client(server.url)
    assert mode.call(one, "file_content", file_id="a", provider="fake").content == CONTENT
    assert mode.call(one, "file_content", file_id="b", provider="fake").content == b"z" * 499_995


def test_an_unusual_flow_of_requests_shares_a_call(mode, client, serve):
    """A provider may send several requests, and expect an error status."""

    class Polling(Fake):
        @hookimpl
        def chat(self, request):
            job = self.post("/jobs", json={"model": request.model})
            job.expect = (409,)
            reply = yield job
            assert reply.status == 409
            return decode((yield self.get("/jobs/1")), ChatCompletion)

    server = serve(lambda e: e.reply({"busy": 1}, http.HTTPStatus.CONFLICT) if e.method == "POST" else e.reply(OK))
    assert mode.chat(client(server.url, providers={"p": Polling}), "p/m").text == "ok"
    assert [(e.method, e.path) for e in server.seen] == [("POST", "/v1/jobs"), ("GET", "/v1/jobs/1")]
    assert server.connections == 1


def test_a_stream_with_an_error_status_keeps_its_connection(mode, client, serve):
    """The error's body is read to its end."""

    def answer(exchange) -> None:
        if len(server.seen) == 1:
            exchange.reply(b"busy", 503, retry_after_ms="1")
        else:
            exchange.events(ROLE, event("x"), DONE)

    server = serve(answer)
    assert mode.stream(client(server.url)) == "x"
    assert server.connections == 1
