"""Requests that are kept to one address of their host, whatever its name stands for meanwhile."""

from __future__ import annotations

import pytest

from polyport.errors import APIConnectionError
from polyport.flow import HttpRequest, TimeoutSpec


def get(url: str, **more) -> HttpRequest:
    """A GET that is kept to 127.0.0.1, for a host that no name server knows."""
    return HttpRequest(method="GET", url=url, address="127.0.0.1", timeout=TimeoutSpec.of(20), **more)


def test_the_address_is_connected_to_and_the_host_stays_the_host(side, serve):
    """The name is not looked up, and the server is told it."""
    server = serve(lambda asked: asked.reply())
    reply = side.send(side.open(), get(f"http://files.invalid:{server.port}/a"))
    assert reply.content == b"ok"
    assert server.seen[0].headers["host"] == f"files.invalid:{server.port}"


def test_tls_is_with_the_host(side, serve, tls, certificates):
    """Its certificate has to name the host, not the address."""
    server = serve(lambda asked: asked.reply(), tls)
    transport = side.open(verify=str(certificates / "ca.pem"))
    assert side.send(transport, get(f"https://files.invalid:{server.port}/")).content == b"ok"
    with pytest.raises(APIConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        side.send(transport, get(f"https://others.invalid:{server.port}/"))


def test_connections_to_an_address_are_for_that_alone(side, serve):
    """What was connected to by name, or at another address, does not serve a request that is kept to one."""
    server = serve(lambda asked: asked.reply())
    transport = side.open()
    url = f"http://localhost:{server.port}/"
    plain = HttpRequest(method="GET", url=url, timeout=TimeoutSpec.of(20))
    for request in (plain, get(url), get(url), plain):
        side.send(transport, request)
    assert server.connections == 2


def test_a_proxy_is_told_the_name(side, serve):
    """It looks it up and connects: an address would not pass rules that speak of names."""
    proxy = serve(lambda asked: asked.reply())
    transport = side.open(proxy=proxy.url)
    assert side.send(transport, get("http://files.invalid/a")).content == b"ok"
    assert proxy.seen[0].path == "http://files.invalid/a"


def test_an_expected_error_of_a_stream_comes_open(side, serve):
    """So that its body is read only as far as somebody wants to."""

    def endless(asked) -> None:
        asked.begin(404)
        asked.piece(b"a")
        asked.wait_gone()

    reply = side.send(side.open(), get(serve(endless).url, stream=True, expect=(404,)))
    assert (reply.status, side.read(reply)) == (404, b"a")
    side.close(reply)
