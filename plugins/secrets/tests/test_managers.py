"""Each manager against a server on this machine that speaks its documented wire, through the vendor's own client."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from local_server import LocalServer

import polyport_secrets
from polyport import plugins
from polyport.errors import BadRequestError, PluginError
from polyport_secrets.managers import Manager, make

SECRET = "s3cr3t-of-the-vault"


class Place(LocalServer):
    """A server; `answer` is what it does with (method, path, headers, body)."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.url = self.address
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer: Callable[[str, str, dict[str, str], bytes], tuple[int, dict[str, str], Any]] = (
            lambda *_: (500, {}, {})
        )  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    server: Place

    def log_message(self, *args: object) -> None: ...

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, body))
        status, more, told = self.server.answer(self.command, self.path, headers, body)
        data = json.dumps(told).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **more}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815  as http.server calls them


@pytest.fixture
def place() -> Iterator[Place]:
    """The server."""
    server = Place()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


# --- AWS ---


def aws(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], Any]:
    """GetSecretValue."""
    assert headers["x-amz-target"] == "secretsmanager.GetSecretValue"
    assert "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/" in headers["authorization"]
    asked = json.loads(body)["SecretId"]
    if asked == "litellm/OPENAI_API_KEY":
        return 200, {}, {"Name": asked, "SecretString": SECRET}
    if asked == "binary":
        return 200, {}, {"Name": asked, "SecretBinary": base64.b64encode(SECRET.encode()).decode()}
    if asked == "all":
        return 200, {}, {"Name": asked, "SecretString": json.dumps({"OPENAI_API_KEY": SECRET, "PORT": 1})}
    if asked == "forbidden":
        return 400, {}, {"__type": "AccessDeniedException", "Message": f"no {SECRET} for you"}
    return 400, {}, {"__type": "ResourceNotFoundException", "Message": "none"}


@pytest.fixture
def on_aws(place: Place, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Manager]:
    """Makes managers of AWS."""
    place.answer = aws
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalr")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return lambda **more: make("aws", region="eu-central-1", endpoint=place.url, **more)


def test_aws(on_aws: Callable[..., Manager]) -> None:
    """A secret, a binary one, one of several in one, and one that is not there."""
    assert on_aws(prefix="litellm/")("OPENAI_API_KEY") == SECRET
    assert on_aws()("binary") == SECRET
    assert on_aws(primary="all")("OPENAI_API_KEY") == SECRET
    assert on_aws(primary="all")("PORT") == "1"
    assert on_aws(primary="all")("OTHER") is None
    assert on_aws()("nothing") is None
    assert on_aws(only=frozenset({"OTHER"}), prefix="litellm/")("OPENAI_API_KEY") is None
    with pytest.raises(PluginError, match="must be a JSON object"):
        on_aws(primary="binary")("x")


def test_what_may_not_be_read_is_told_without_a_value(on_aws: Callable[..., Manager]) -> None:
    """The name and the class of the error; nothing of what the vendor's client quotes."""
    with pytest.raises(PluginError, match=r"AWS Secrets Manager could not be asked for 'forbidden'") as caught:
        on_aws()("forbidden")
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


# --- Google ---


def test_google(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service account signs in, and reads the latest version."""

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], Any]:
        if path == "/token":
            return 200, {}, {"access_token": "ya29.token", "expires_in": 3600, "token_type": "Bearer"}
        assert headers["authorization"] == "Bearer ya29.token"
        if path == "/v1/projects/my-project/secrets/OPENAI_API_KEY/versions/latest:access":
            return 200, {}, {"name": path, "payload": {"data": base64.b64encode(SECRET.encode()).decode()}}
        if path.startswith("/v1/projects/my-project/secrets/forbidden"):
            return 403, {}, {"error": {"code": 403, "message": SECRET}}
        return 404, {}, {"error": {"code": 404}}

    place.answer = answer
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account", "project_id": "my-project", "private_key_id": "1", "private_key": key.decode(),
        "client_email": "me@my-project.iam.gserviceaccount.com", "client_id": "1", "token_uri": f"{place.url}/token",
    }  # fmt: skip
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    manager = make("google", endpoint=place.url)
    assert manager("OPENAI_API_KEY") == SECRET
    assert manager("OTHER") is None
    with pytest.raises(PluginError, match=r"'forbidden' \(HTTPError\)") as caught:
        manager("forbidden")
    assert SECRET not in str(caught.value)


# --- Azure ---


def over_tls(place: Place, folder: Path) -> str:
    """Have a server speak TLS, with a certificate of its own in cert.pem, and return its address."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    place.socket = context.wrap_socket(place.socket, server_side=True)
    return place.url.replace("http:", "https:")


class Token:
    """A credential that has a token."""

    def get_token(self, *scopes: str, **more: Any) -> AccessToken:
        return AccessToken("entra-token", int(time.time()) + 3600)


def test_azure(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vault's challenge is answered, over TLS; a name's underscores are asked for as hyphens."""
    url = over_tls(place, tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], Any]:
        if headers.get("authorization") != "Bearer entra-token":
            where = (
                'Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"'
            )
            return 401, {"www-authenticate": where}, {"error": {"code": "Unauthorized"}}
        if path.startswith("/secrets/OPENAI-API-KEY/"):
            return 200, {}, {"value": SECRET, "id": f"{place.url}/secrets/OPENAI-API-KEY/1", "attributes": {}}
        return 404, {}, {"error": {"code": "SecretNotFound", "message": "none"}}

    place.answer = answer
    manager = make("azure", url=url, credential=Token(), verify_resource=False)
    assert manager("OPENAI_API_KEY") == SECRET
    assert manager("OTHER") is None


# --- Vault ---


def test_vault_by_token_and_by_role(place: Place) -> None:
    """Both versions of the engine, a namespace, a path; a role that signs in again when its token is over."""
    tokens = iter(["first", "second"])
    valid: list[str] = ["static"]

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], Any]:
        if path == "/v1/auth/approle/login":
            assert json.loads(body) == {"role_id": "r", "secret_id": "s"}
            valid[:] = [next(tokens)]
            return 200, {}, {"auth": {"client_token": valid[0]}}
        if headers.get("x-vault-token") not in valid:
            return 403, {}, {"errors": ["permission denied"]}
        if path == "/v1/secret/data/polyport/OPENAI_API_KEY":
            return 200, {}, {"data": {"data": {"key": SECRET}, "metadata": {"version": 1}}}
        if path == "/v1/old/OPENAI_API_KEY":
            assert headers["x-vault-namespace"] == "team"
            return 200, {}, {"data": {"value": SECRET, "note": "x"}}
        if path == "/v1/secret/data/polyport/two":
            return 200, {}, {"data": {"data": {"a": SECRET, "b": SECRET}, "metadata": {}}}
        return 404, {}, {"errors": []}

    place.answer = answer
    manager = make("vault", url=place.url, token="static", path="polyport")
    assert manager("OPENAI_API_KEY") == SECRET
    assert manager("OTHER") is None
    with pytest.raises(PluginError, match=r"'two' \(ValueError\)"):
        manager("two")
    assert make("vault", url=place.url, token="static", namespace="team", mount="old", kv=1)("OPENAI_API_KEY") == SECRET
    by_role = make("vault", url=place.url, role_id="r", secret_id="s", path="polyport", ttl=0)
    assert by_role("OPENAI_API_KEY") == SECRET
    valid[:] = []
    assert by_role("OTHER") is None
    assert valid == ["second"]


# --- what all have in common ---


def test_a_secret_is_remembered_and_asked_for_anew_in_the_background() -> None:
    """No call waits for it; and one whose manager is away stays what it was."""
    now, values = [0.0], iter(["first", "second"])
    asked = threading.Event()

    def fetch(name: str) -> str:
        try:
            return next(values)
        except StopIteration:
            raise OSError(SECRET) from None
        finally:
            asked.set()

    manager = Manager("The place", fetch, ttl=10, clock=lambda: now[0])
    assert [manager("x"), manager("x")] == ["first", "first"]
    for expected in ("second", "second"):
        now[0] += 11
        asked.clear()
        manager("x")
        assert asked.wait(60)
        end = time.monotonic() + 10
        while manager("x") != expected and time.monotonic() < end:
            time.sleep(0.01)
        assert manager("x") == expected


def test_what_does_not_exist_is_named() -> None:
    """A manager, and a setting of one."""
    with pytest.raises(BadRequestError, match=r"No secret manager 'azur'\. There are aws, google, azure, vault"):
        make("azur")
    with pytest.raises(BadRequestError, match=r"vault: .*unexpected keyword argument 'adress'"):
        make("vault", adress="x")


def test_polyport_finds_it_by_the_environment(
    place: Place, on_aws: Callable[..., Manager], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the entry point, only where a manager is named, and after the environment itself."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", place.url)
    monkeypatch.delenv(polyport_secrets.VARIABLE, raising=False)
    assert plugins.secret("binary") is None
    monkeypatch.setenv(polyport_secrets.VARIABLE, "aws")
    assert plugins.secret("binary") == SECRET
    monkeypatch.setenv("binary", "nearer")
    assert plugins.secret("binary") == "nearer"
