"""The gateway speaks TLS by a certificate that it is given: official clients trust it, a renewed one is shown."""

from __future__ import annotations

import datetime
import ipaddress
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from polyport.errors import BadRequestError
from polyport_gateway import config as configs, tls

from .conftest import CHAT, KEY, WORDS, config_for

openai = pytest.importorskip("openai", reason="an official client is asked to trust it")
x509 = pytest.importorskip("cryptography.x509", reason="certificates are made with cryptography")
READY = Path(__file__).parent.parent / "deploy" / "ready.py"


class Authority:
    """Who vouches for certificates; its own is `file`."""

    def __init__(self, folder: Path) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        self._pem = serialization
        self._make_key = lambda: ec.generate_private_key(ec.SECP256R1())
        self._key = self._make_key()
        self._name = self._named("A test's authority")
        self.file = folder / "authority.pem"
        self.file.write_bytes(self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0)))

    @staticmethod
    def _named(name: str) -> Any:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])

    def _signed(self, subject: Any, key: Any, *more: Any) -> bytes:
        from cryptography.hazmat.primitives import hashes

        now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
        made = x509.CertificateBuilder(
            self._name, subject, key.public_key(), x509.random_serial_number(), now - day, now + day
        )
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        made = made.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        for extension in more:
            made = made.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        signed: bytes = made.sign(self._key, hashes.SHA256()).public_bytes(self._pem.Encoding.PEM)
        return signed

    def certify(self, folder: Path, name: str, password: str | None = None) -> tuple[Path, Path]:
        """Put a certificate for this machine and its key into a folder, in place of what is there."""
        key = self._make_key()
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        hidden = self._pem.NoEncryption()
        if password is not None:
            hidden = self._pem.BestAvailableEncryption(password.encode())
        private = key.private_bytes(self._pem.Encoding.PEM, self._pem.PrivateFormat.PKCS8, hidden)
        for file, data in (
            (folder / "tls.key", private),
            (folder / "tls.crt", self._signed(self._named(name), key, here)),
        ):
            fresh = file.with_suffix(".new")
            fresh.write_bytes(data)
            fresh.replace(file)
        return folder / "tls.crt", folder / "tls.key"

    @property
    def trust(self) -> ssl.SSLContext:
        """What clients check a certificate by."""
        return ssl.create_default_context(cafile=str(self.file))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the certificates of these tests."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Path:
    """Where a configuration and its certificate lie."""
    made = tmp_path_factory.mktemp("tls")
    authority.certify(made, "first", password="open sesame")
    return made


@pytest.fixture(scope="module")
def gateway(upstream, start, folder):
    """A gateway whose configuration names a certificate, beside it."""
    named = {"ssl_certfile_path": "tls.crt", "ssl_keyfile_path": "tls.key", "ssl_keyfile_password": "open sesame"}
    given = config_for(upstream)
    given["general_settings"] |= named | {"max_request_size_mb": 0.1}
    (folder / "config.yaml").write_text(yaml.safe_dump(given))
    return start(folder / "config.yaml")


def name_shown(gateway: Any, authority: Authority) -> str:
    """Return whose certificate a new connection is shown."""
    port = int(gateway.url.rpartition(":")[2])
    plain = socket.create_connection(("127.0.0.1", port), 60)
    with authority.trust.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
        return dict(pair[0] for pair in secure.getpeercert()["subject"])["commonName"]


def test_the_official_client_is_answered_by_tls(well, gateway, authority):
    """Whole and streamed, by who trusts the authority."""
    assert gateway.url.startswith("https://")
    assert gateway.says("admin pages on https://")
    with (
        httpx.Client(verify=authority.trust, timeout=60) as http,
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, http_client=http, max_retries=0) as client,
    ):
        assert client.chat.completions.create(**CHAT).choices[0].message.content == "".join(WORDS)
        pieces = list(client.chat.completions.create(**CHAT, stream=True))
    assert "".join(one.choices[0].delta.content or "" for one in pieces if one.choices) == "".join(WORDS)


def test_who_does_not_trust_the_authority_is_not_answered(gateway):
    """Nor who speaks plain HTTP."""
    with httpx.Client(timeout=60, trust_env=False) as http:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            http.get(f"{gateway.url}/health/liveliness")
        with pytest.raises(httpx.TransportError):
            http.get(f"{gateway.url}/health/liveliness".replace("https", "http"))


def test_who_sends_too_much_is_told_so_by_tls(gateway, authority):
    """The reply is read although not all was sent."""
    body = b'{"model": "gpt", "messages": [{"role": "user", "content": "%s"}]}' % (b"x" * 4_000_000)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    with httpx.Client(verify=authority.trust, timeout=60) as http:
        assert http.post(f"{gateway.url}/v1/chat/completions", content=body, headers=headers).status_code == 413


def test_the_password_is_shown_to_nobody(gateway, authority):
    """The configuration that is shown has the files, and hides it."""
    with httpx.Client(verify=authority.trust, timeout=60) as http:
        told = http.get(f"{gateway.url}/config", headers={"authorization": f"Bearer {KEY}"})
    assert told.json()["config"]["general_settings"]["ssl_certfile_path"] == "tls.crt"
    assert "open sesame" not in told.text


def test_the_images_health_check_asks_by_tls(gateway):
    """Whatever name the certificate has."""
    port = gateway.url.rpartition(":")[2]
    asked = [sys.executable, str(READY)]
    done = subprocess.run(
        asked, env={**os.environ, "POLYPORT_PORT": port}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_renewed_certificate_is_shown_without_a_restart(gateway, authority, folder):
    """By itself, soon; connections that are there go on, and what cannot be used is not shown."""
    pid = gateway.process.pid
    with httpx.Client(verify=authority.trust, timeout=60) as http:
        assert http.get(f"{gateway.url}/health/liveliness").status_code == 200
        authority.certify(folder, "second", password="open sesame")
        end = time.monotonic() + 60
        while name_shown(gateway, authority) != "second":
            assert time.monotonic() < end, gateway.said
            time.sleep(0.1)
        assert http.get(f"{gateway.url}/health/liveliness").status_code == 200
    authority.certify(folder, "third", password="another")
    gateway.process.send_signal(signal.SIGHUP)
    assert gateway.says("the certificate was not renewed, the old one is shown")
    assert name_shown(gateway, authority) == "second"
    assert gateway.process.pid == pid
    assert not any("sesame" in line or "another" in line for line in gateway.said)


def test_the_command_line_names_a_certificate_too(serve, authority, tmp_path, upstream):
    """And counts before the configuration; several workers show it."""
    certificate, key = authority.certify(tmp_path, "by the command line")
    given = config_for(upstream)
    given["general_settings"] |= {"ssl_certfile_path": "/nowhere/tls.crt"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(given))
    named = ["--ssl-certfile", str(certificate), "--ssl-keyfile", str(key)]
    gateway = serve("--config", str(tmp_path / "config.yaml"), *named, "--workers", "2")
    assert name_shown(gateway, authority) == "by the command line"


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"ssl_certfile_path": "missing.crt"}, "missing.crt cannot be read: No such file or directory"),
        ({"ssl_certfile_path": "tls.crt", "ssl_keyfile_path": "tls.crt"}, "tls.crt cannot be used: "),
        ({"ssl_certfile_path": "tls.crt", "ssl_keyfile_path": "other.key"}, "cannot be used: key values mismatch"),
        ({"ssl_keyfile_path": "tls.key"}, "ssl_keyfile_path is of no use without ssl_certfile_path"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_told_before_it_serves(authority, tmp_path, named, told):
    """By the names of its files, beside the configuration."""
    authority.certify(tmp_path, "other")
    (tmp_path / "tls.key").replace(tmp_path / "other.key")
    authority.certify(tmp_path, "one")
    models = [{"model_name": "m", "params": {"model": "openai/m"}}]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"model_list": models, "general_settings": named}))
    with pytest.raises(BadRequestError) as caught:
        tls.load(configs.load(tmp_path / "config.yaml").certificate())
    assert told in caught.value.message
    command = [sys.executable, "-c", "from polyport.cli import main; main()", "config", "check", "config.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
