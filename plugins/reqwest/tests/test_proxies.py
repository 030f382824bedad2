"""Proxies: one for everything, or what the environment says."""

from __future__ import annotations

import contextlib
import select
import socket

import pytest
from plugins.reqwest.tests.conftest import post

from polyport.errors import APIConnectionError, PolyportError

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
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    transport = side.open(proxy=f"http://user:{PASSWORD}@127.0.0.1:{port}")
    with pytest.raises(APIConnectionError, match="Connection refused") as raised:
        side.send(transport, post("http://nowhere.invalid/v1"))
    assert PASSWORD not in f"{raised.value!r}{raised.value.__cause__!r}"


@pytest.mark.parametrize("proxy", ["user:{}@nonsense", "gopher://user:{}@nonsense", "http://user:{}@nonsense:port"])
def test_what_is_no_proxy_says_so(side, proxy):
    """Without its password; and nothing goes out without a proxy instead."""
    with pytest.raises(PolyportError, match=r"proxy 'nonsense.*' cannot be used: it is not a URL") as raised:
        side.send(side.open(proxy=proxy.format(PASSWORD)), post("http://nowhere.invalid/"))
    assert PASSWORD not in f"{raised.value!r}{raised.value.__cause__!r}"
