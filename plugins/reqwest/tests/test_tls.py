"""TLS: whom to trust, who we are, and HTTP/2."""

from __future__ import annotations

import socket
import ssl
import struct
from pathlib import Path

import pytest
from plugins.reqwest.tests.conftest import post, wait_for

from polyport.errors import APIConnectionError, PolyportError


def said(side, request, **options) -> bytes:
    """Return what the server says through a transport with these options."""
    return side.send(side.open(**options), request).content


def test_a_ca_is_trusted_by_file_or_by_folder(side, serve, tls, certificates, tmp_path: Path):
    """`verify` names it; a name that the certificate has is needed, too."""
    server = serve(lambda asked: asked.reply(), tls)
    (tmp_path / "some.pem").write_bytes((certificates / "ca.pem").read_bytes())
    (tmp_path / "unrelated.txt").write_text("no certificate")
    for verify in (str(certificates / "ca.pem"), str(tmp_path)):
        for host in ("127.0.0.1", "localhost"):
            assert said(side, post(f"https://{host}:{server.port}/"), verify=verify) == b"ok"


def test_an_unknown_ca_is_not_trusted(side, serve, tls):
    """The usual roots do not know it."""
    server = serve(lambda asked: asked.reply(), tls)
    with pytest.raises(
        APIConnectionError, match=rf"127.0.0.1:{server.port} failed: TLS says CERTIFICATE_VERIFY_FAILED"
    ):
        said(side, post(server.url))
    assert server.seen == []


def test_a_certificate_for_another_name_is_not_trusted(side, serve, tls, certificates):
    """However good its CA."""
    tls.load_cert_chain(certificates / "elsewhere.pem", certificates / "elsewhere.key")
    server = serve(lambda asked: asked.reply(), tls)
    with pytest.raises(APIConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        said(side, post(server.url), verify=str(certificates / "ca.pem"))


def test_verification_can_be_turned_off(side, serve, tls):
    """For a test server, at one's own risk."""
    assert said(side, post(serve(lambda asked: asked.reply(), tls).url), verify=False) == b"ok"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_environment_names_a_ca(side, serve, tls, certificates, monkeypatch, tmp_path, name):
    """As for httpx, and only where the environment is trusted."""
    (tmp_path / "ca.pem").write_bytes((certificates / "ca.pem").read_bytes())
    monkeypatch.setenv(name, str(tmp_path / "ca.pem" if name == "SSL_CERT_FILE" else tmp_path))
    server = serve(lambda asked: asked.reply(), tls)
    assert said(side, post(server.url)) == b"ok"
    with pytest.raises(APIConnectionError):
        said(side, post(server.url), trust_env=False)


def test_tls_connections_are_kept(side, serve, tls):
    """A handshake costs more than a call."""
    server = serve(lambda asked: asked.reply(), tls)
    transport = side.open(verify=False)
    for _ in range(3):
        assert side.send(transport, post(server.url)).content == b"ok"
    assert server.connections == 1


def test_a_server_without_tls_is_named_as_such(side, serve):
    """https where http was meant."""
    server = serve(lambda asked: None)
    server._converse = lambda connection: [connection.recv(1000), connection.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")]
    with pytest.raises(APIConnectionError, match="TLS says WRONG_VERSION_NUMBER"):
        said(side, post(f"https://127.0.0.1:{server.port}/"))


# --- who we are ---


@pytest.fixture
def mutual(tls, certificates) -> ssl.SSLContext:
    """A server that wants to know who asks."""
    tls.load_verify_locations(certificates / "ca.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    return tls


@pytest.mark.parametrize("cert", ["both.pem", ("client.pem", "client.key")], ids=["one file", "two files"])
def test_a_certificate_shows_who_we_are(side, serve, mutual, certificates, cert):
    """In one PEM with its key, or two."""
    server = serve(lambda asked: asked.reply(str(asked.connection.getpeercert()["subject"]).encode()), mutual)
    given = str(certificates / cert) if isinstance(cert, str) else tuple(str(certificates / name) for name in cert)
    assert b"'client'" in said(side, post(server.url), verify=str(certificates / "ca.pem"), cert=given)


def test_a_server_may_want_a_certificate(side, serve, mutual, certificates):
    """Without one it refuses."""
    server = serve(lambda asked: asked.reply(), mutual)
    with pytest.raises(APIConnectionError, match=r"TLS says .*CERTIFICATE_REQUIRED|reset|closed"):
        said(side, post(server.url), verify=str(certificates / "ca.pem"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"verify": "{tls}/missing.pem"}, r"missing.pem' cannot be read: No such file"),
        ({"verify": "{tls}/client.key"}, r"No PEM certificate in .*client.key"),
        ({"cert": "{tls}/client.pem"}, r"No PEM private key in .*client.pem"),
        ({"cert": ("{tls}/client.key", "{tls}/client.key")}, r"No PEM certificate in .*client.key"),
        ({"cert": ("{tls}/client.pem", "{tls}/client-ec.key")}, r"EC form, .* openssl pkcs8 -topk8 -nocrypt -in "),
        ({"cert": ("{tls}/client.pem", "{tls}/missing.key")}, r"missing.key' cannot be read"),
        ({"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}, r'SSLContext. .*transport="httpx"'),
    ],
    ids=["no CA file", "no CA in it", "no key", "no certificate", "another form", "no key file", "SSLContext"],
)
def test_tls_files_that_cannot_be_used_say_why(side, certificates, options, words):
    """When the transport is opened, before anything is sent."""

    def fill(value):
        if isinstance(value, tuple):
            return tuple(fill(one) for one in value)
        return value.format(tls=certificates) if isinstance(value, str) else value

    with pytest.raises(PolyportError, match=words):
        side.open(**{name: fill(value) for name, value in options.items()})


# --- HTTP/2, https://www.rfc-editor.org/rfc/rfc9113 ---

DATA, HEADERS, RESET, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
ACK = END_STREAM = 1
END_HEADERS = 4
STATUS_200 = b"\x88"  # entry 8 of HPACK's static table, https://www.rfc-editor.org/rfc/rfc7541#appendix-A


class Http2:
    """The server's side of one HTTP/2 connection: every request is answered with `pieces`, as DATA frames."""

    def __init__(self, *pieces: bytes, finish: bool = True) -> None:
        self.pieces, self.finish = pieces, finish
        self.protocols: list[str | None] = []
        self.reset = False
        self.bodies: dict[int, bytes] = {}

    def __call__(self, connection: ssl.SSLSocket) -> None:
        self.protocols.append(connection.selected_alpn_protocol())
        assert self._take(connection, 24) == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        self._frame(connection, SETTINGS, 0, 0)
        while True:
            size = int.from_bytes(self._take(connection, 3), "big")
            kind, flags, stream = struct.unpack(">BBI", self._take(connection, 6))
            payload = self._take(connection, size)
            if kind == SETTINGS and not flags & ACK:
                self._frame(connection, SETTINGS, ACK, 0)
            elif kind == PING and not flags & ACK:
                self._frame(connection, PING, ACK, 0, payload)
            elif kind == RESET:
                self.reset = True
            elif kind in (HEADERS, DATA):
                self.bodies[stream] = self.bodies.get(stream, b"") + (payload if kind == DATA else b"")
                if kind == DATA and payload:
                    self._frame(connection, WINDOW_UPDATE, 0, 0, size.to_bytes(4, "big"))
                    self._frame(connection, WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))
                if flags & END_STREAM:
                    self._answer(connection, stream)

    def _answer(self, connection: ssl.SSLSocket, stream: int) -> None:
        self._frame(connection, HEADERS, END_HEADERS, stream, STATUS_200)
        for piece in self.pieces:
            self._frame(connection, DATA, 0, stream, piece)
        if self.finish:
            self._frame(connection, DATA, END_STREAM, stream)

    def _frame(self, connection: ssl.SSLSocket, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        connection.sendall(len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload)

    def _take(self, connection: ssl.SSLSocket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = connection.recv(size - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data


class OnlyHttp2:
    """TLS that refuses who does not offer HTTP/2, https://www.rfc-editor.org/rfc/rfc7301#section-3.2"""

    NO_APPLICATION_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"

    def __init__(self, tls: ssl.SSLContext) -> None:
        tls.set_alpn_protocols(["h2"])
        self.tls = tls

    def wrap_socket(self, connection: socket.socket, server_side: bool) -> ssl.SSLSocket:
        if b"\x02h2" not in connection.recv(4096, socket.MSG_PEEK):
            connection.sendall(self.NO_APPLICATION_PROTOCOL)
            connection.recv(4096)
            raise ConnectionError
        return self.tls.wrap_socket(connection, server_side=server_side)


def test_http_2_is_spoken_where_the_server_speaks_nothing_else(side, serve, tls):
    """Calls and streams, on one connection."""
    speaks = Http2(b"a", b"b")
    server = serve(lambda asked: None, OnlyHttp2(tls))
    server._converse = speaks
    transport = side.open(verify=False)
    assert side.send(transport, post(server.url, b"{}")).content == b"ab"
    reply = side.send(transport, post(server.url, b"{}" * 700_000, stream=True))
    assert side.read_all(reply) == b"ab"
    assert speaks.protocols == ["h2"]
    assert list(speaks.bodies.values()) == [b"{}", b"{}" * 700_000]


def test_closing_an_http_2_stream_resets_it(side, serve, tls):
    """And keeps the connection for the others."""
    speaks = Http2(b"first", finish=False)
    server = serve(lambda asked: None, OnlyHttp2(tls))
    server._converse = speaks
    reply = side.send(side.open(verify=False), post(server.url, stream=True))
    assert side.read(reply) == b"first"
    side.close(reply)
    assert wait_for(lambda: speaks.reset)
    assert server.open == 1
