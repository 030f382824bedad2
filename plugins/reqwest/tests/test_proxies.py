"""Proxies: one for everything, or what the environment says."""

from __future__ import annotations

import contextlib
import select
import socket

import pytest
from local_server import free_port
from plugins.reqwest.tests.conftest import post

from polyport.errors import APIConnectionError, PolyportError, Timeout
from polyport.flow import TimeoutSpec

PASSWORD = "secret-of-the-proxy"
BASIC = "Basic dXNlcjpzZWNyZXQtb2YtdGhlLXByb3h5"


def forward(asked) -> None:
    """Be a proxy: answer what is asked in absolute form, open a tunnel for CONNECT."""
    if asked.method != "CONNECT":
        return asked.reply(f"proxied {asked.method} {asked.path}".encode())
    host, port = asked.path.split(":")
    with socket.create_connection((host, int(port))) as far, contextlib.suppress(OSError):
        asked.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        ends = {asked.connection: far, far: asked.connection}
        while True:
            for end in select.select(list(ends), [], [])[0]:
                data = end.recv(65536)
                if not data:
                    return asked.hang_up()
                ends[end].sendall(data)


def test_http_goes_through_the_proxy_in_absolute_form(side, serve):
    """With the proxy's own credentials, and none of the host's name looked up here."""
    proxy = serve(forward)
    transport = side.open(proxy=f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}")
    reply = side.send(transport, post("http://nowhere.invalid/v1?a=b"))
    assert reply.content == b"proxied POST http://nowhere.invalid/v1?a=b"
    assert proxy.seen[0].headers["proxy-authorization"] == BASIC


def test_https_goes_through_a_tunnel(side, serve, tls):
    """The proxy sees the host's name and nothing of the request; the tunnel is kept."""
    server, proxy = serve(lambda asked: asked.reply(b"far"), tls), serve(forward)
    transport = side.open(proxy=f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}", verify=False)
    for _ in range(2):
        assert side.send(transport, post(f"https://localhost:{server.port}/v1")).content == b"far"
    assert [(asked.method, asked.path) for asked in proxy.seen] == [("CONNECT", f"localhost:{server.port}")]
    assert proxy.seen[0].headers["proxy-authorization"] == BASIC
    assert "proxy-authorization" not in server.seen[0].headers


def test_a_proxy_may_speak_tls_itself(side, serve, tls):
    """http goes through it in absolute form, https in TLS within TLS."""
    server, proxy = serve(lambda asked: asked.reply(b"far" * 100_000), tls), serve(forward, tls)
    transport = side.open(proxy=f"https://user:{PASSWORD}@127.0.0.1:{proxy.port}", verify=False)
    assert side.send(transport, post("http://nowhere.invalid/v1")).content == b"proxied POST http://nowhere.invalid/v1"
    for _ in range(2):
        assert (
            side.send(transport, post(f"https://localhost:{server.port}/v1", b"x" * 100_000)).content
            == b"far" * 100_000
        )
    reply = side.send(transport, post(f"https://localhost:{server.port}/v1", stream=True))
    assert side.read_all(reply) == b"far" * 100_000
    assert [asked.method for asked in proxy.seen] == ["POST", "CONNECT"]
    assert {asked.headers["proxy-authorization"] for asked in proxy.seen} == {BASIC}
    assert server.connections == 1


class Socks:
    """The proxy's side of SOCKS 5, in place of HTTP: https://www.rfc-editor.org/rfc/rfc1928"""

    def __init__(self, *, login: bytes | None = None, refuses: int = 0) -> None:
        self.login, self.refuses = login, refuses
        self.asked: list[tuple[str, int]] = []

    def __call__(self, connection: socket.socket) -> None:
        method = 2 if self.login else 0
        _, count = connection.recv(2)
        if method not in connection.recv(count):
            return connection.sendall(b"\5\xff")
        connection.sendall(bytes([5, method]))
        if self.login:
            known = connection.recv(1000) == self.login
            connection.sendall(b"\1\0" if known else b"\1\1")
            if not known:
                return None
        *_, kind, size = connection.recv(5)
        assert kind == 3  # a name, for the proxy to look up
        self.asked.append((connection.recv(size).decode(), int.from_bytes(connection.recv(2), "big")))
        for byte in b"\5" + bytes([self.refuses]) + b"\0\3\7bound.x\0\1":
            connection.sendall(bytes([byte]))
        if self.refuses:
            return None
        port = self.asked[-1][1]
        with socket.create_connection(("127.0.0.1", port)) as far, contextlib.suppress(OSError):
            ends = {connection: far, far: connection}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return None
                    ends[end].sendall(data)


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("login", [None, b"\1\4user\x13" + PASSWORD.encode()], ids=["no login", "login"])
def test_a_proxy_may_speak_socks(side, serve, tls, login, secure):
    """SOCKS 5, with and without a user; it looks the name up, and passes on either scheme; the tunnel is kept."""
    server, proxy = serve(lambda asked: asked.reply(asked.path.encode()), tls if secure else None), serve(forward)
    proxy._converse = speaks = Socks(login=login)
    user = f"user:{PASSWORD}@" if login else ""
    transport = side.open(proxy=f"socks5h://{user}127.0.0.1:{proxy.port}", verify=False)
    for _ in range(2):
        url = f"{'https' if secure else 'http'}://localhost:{server.port}/v1"
        assert side.send(transport, post(url)).content == b"/v1"
    assert speaks.asked == [("localhost", server.port)]


@pytest.mark.parametrize(
    ("socks", "user", "words"),
    [
        (Socks(refuses=5), "", "the proxy cannot connect: connection refused"),
        (Socks(login=b"other"), f"user:{PASSWORD}@", "does not accept the user name and the password"),
        (Socks(login=b"other"), "", "wants a user name and a password"),
        (lambda connection: None, "", "the proxy closed it|reset"),
    ],
    ids=["refuses", "wrong login", "no login", "hangs up"],
)
def test_a_socks_proxy_that_refuses_is_a_failed_connection(side, serve, socks, user, words):
    """Nothing of its password is said."""
    proxy = serve(forward)
    proxy._converse = socks
    with pytest.raises(APIConnectionError, match=words) as raised:
        side.send(side.open(proxy=f"socks5://{user}127.0.0.1:{proxy.port}"), post("http://nowhere.invalid/"))
    assert PASSWORD not in f"{raised.value!r}{raised.value.__cause__!r}"


def test_waiting_for_a_proxy_is_connecting(side, serve):
    """One that accepts and says nothing."""
    proxy = serve(lambda asked: asked.wait_gone())
    transport = side.open(proxy=proxy.url)
    with pytest.raises(Timeout, match=r"nowhere.invalid did not answer within 0.3 s \(connect timeout\)"):
        side.send(transport, post("https://nowhere.invalid/", timeout=TimeoutSpec(connect=0.3)))
    assert proxy.until(lambda: proxy.open == 0)


def test_the_environment_names_proxies(side, serve, monkeypatch):
    """By scheme, but for the hosts of NO_PROXY; unless it is not to be trusted."""
    server, proxy = serve(lambda asked: asked.reply(b"direct")), serve(forward)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("no_proxy", "localhost")
    near, far = f"http://localhost:{server.port}/", f"http://127.0.0.1:{server.port}/"
    transport = side.open()
    assert side.send(transport, post(near)).content == b"direct"
    assert side.send(transport, post(far)).content == f"proxied POST {far}".encode()
    assert side.send(side.open(trust_env=False), post(far)).content == b"direct"
    assert side.send(side.open(proxy=f"http://127.0.0.1:{proxy.port}"), post(near)).content.startswith(b"proxied")


def test_a_stream_through_a_proxy_is_closed(side, serve):
    """All the way."""
    proxy = serve(lambda asked: [asked.begin(), asked.piece(b"a"), asked.wait_gone(), asked.hang_up()])
    transport = side.open(proxy=proxy.url)
    reply = side.send(transport, post("http://nowhere.invalid/", stream=True))
    assert side.read(reply) == b"a"
    side.close(reply)
    assert proxy.until(lambda: proxy.open == 0)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda asked: asked.reply(b"", 407), "user name and a password"),
        (lambda asked: asked.hang_up(), "proxy|closed|tunnel|eof"),
    ],
    ids=["407", "hangs up"],
)
def test_a_proxy_that_refuses_is_a_failed_connection(side, serve, answer, words):
    """Nothing of its password is said."""
    proxy = serve(answer)
    transport = side.open(proxy=f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}")
    with pytest.raises(APIConnectionError, match=words) as raised:
        side.send(transport, post("https://nowhere.invalid/v1"))
    assert "nowhere.invalid" in raised.value.message
    assert PASSWORD not in f"{raised.value!r}{raised.value.__cause__!r}"


def test_a_proxy_that_is_not_there(side):
    """The message says what went wrong on the way to the host."""
    port = free_port()
    transport = side.open(proxy=f"http://user:{PASSWORD}@127.0.0.1:{port}")
    with pytest.raises(APIConnectionError, match="Connection refused") as raised:
        side.send(transport, post("http://nowhere.invalid/v1"))
    assert PASSWORD not in f"{raised.value!r}{raised.value.__cause__!r}"


@pytest.mark.parametrize(
    "proxy",
    ["user:{}@nonsense", "gopher://user:{}@nonsense", "socks4://user:{}@nonsense", "http://user:{}@nonsense:port"],
)
def test_what_is_no_proxy_says_so(side, proxy):
    """Without its password; and nothing goes out without a proxy instead."""
    with pytest.raises(PolyportError, match=r"proxy 'nonsense.*' cannot be used: it is not a URL") as raised:
        side.send(side.open(proxy=proxy.format(PASSWORD)), post("http://nowhere.invalid/"))
    assert PASSWORD not in f"{raised.value!r}{raised.value.__cause__!r}"
