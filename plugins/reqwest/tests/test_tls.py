"""TLS: whom to trust, and who we are."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from plugins.reqwest.tests.conftest import post

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


def test_a_context_of_the_users_own_is_used(side, serve, tls, certificates):
    """As it is."""
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    assert said(side, post(serve(lambda asked: asked.reply(), tls).url), verify=context) == b"ok"
    assert context.sslsocket_class is ssl.SSLSocket


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


@pytest.mark.parametrize(
    "cert",
    ["both.pem", ("client.pem", "client.key"), ("client.pem", "client-ec.key")],
    ids=["one file", "two files", "a key in EC form"],
)
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
        ({"verify": "{tls}/missing.pem"}, r"cannot be read .*missing.pem.*No such file"),
        ({"verify": "{tls}/client.key"}, r"cannot be read .*client.key"),
        ({"verify": "{tls}/empty"}, r"No PEM certificate in .*empty"),
        ({"cert": "{tls}/client.pem"}, r"cannot be read .*client.pem"),
        ({"cert": ("{tls}/client.key", "{tls}/client.key")}, r"cannot be read .*client.key"),
        ({"cert": ("{tls}/client.pem", "{tls}/missing.key")}, r"cannot be read .*missing.key.*No such file"),
    ],
    ids=["no CA file", "no CA in it", "none in the folder", "no key", "no certificate", "no key file"],
)
def test_tls_files_that_cannot_be_used_say_why(side, certificates, options, words):
    """When the transport is opened, before anything is sent."""

    def fill(value):
        if isinstance(value, tuple):
            return tuple(fill(one) for one in value)
        return value.format(tls=certificates) if isinstance(value, str) else value

    with pytest.raises(PolyportError, match=words):
        side.open(**{name: fill(value) for name, value in options.items()})
