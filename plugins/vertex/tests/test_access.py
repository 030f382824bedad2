"""How calls are signed and where they go: credentials, tokens, keys, projects, locations."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

import pytest
from local_server import LocalServer

from polyport import Client
from polyport.errors import APIConnectionError, AuthenticationError, BadRequestError
from polyport.testing import Wire

google_auth = pytest.importorskip("google.auth", reason="polyport-vertex[google] is not installed")
crypt = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")

ASK = [{"role": "user", "content": "Hello"}]
HI = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}], "modelVersion": "m"}
MODEL = "vertex_ai/gemini-2.5-flash"
HOST = "https://aiplatform.googleapis.com/v1beta1"


class TokenServer:
    """A real server in this process that stands for Google's token endpoint."""

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                outer.asked.append(parse_qs(self.rfile.read(length).decode()))
                answer = {"access_token": f"token-{len(outer.asked)}", "expires_in": 3600, "token_type": "Bearer"}
                if outer.status != 200:
                    answer = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
                self.send_response(outer.status)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = LocalServer(Handler)
        self.url = f"{self.server.address}/token"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        """Stop the server."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    """Google's token endpoint."""
    server = TokenServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def private_key() -> str:
    """A service account's private key."""
    from cryptography.hazmat.primitives import serialization

    key = crypt.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.fixture
def account(tokens: TokenServer, private_key: str) -> dict[str, Any]:
    """A service account's JSON."""
    return {
        "type": "service_account",
        "project_id": "from-account",
        "private_key_id": "1",
        "private_key": private_key,
        "client_email": "me@from-account.iam.gserviceaccount.com",
        "token_uri": tokens.url,
    }


def client(wire: Wire, env: dict[str, str] | None = None, **options: Any) -> Client:
    """Return a client over a wire that sees no environment but `env`."""
    return Client(http=wire, num_retries=0, secrets=(env or {}).get, **options)


def test_a_service_account_signs_and_brings_its_project(account, tokens):
    """Credentials as a dict: a token is asked for once, is used until it expires, and the project is the account's."""
    wire = Wire(HI)
    with client(wire) as asking:
        for _ in range(2):
            asking.completion(MODEL, ASK, vertex_credentials=account)
    first, second = wire.requests
    path = f"{HOST}/projects/from-account/locations/global/publishers/google/models/gemini-2.5-flash:generateContent"
    assert first.url == second.url == path
    assert first.headers["authorization"] == second.headers["authorization"] == "Bearer token-1"
    assert len(tokens.asked) == 1
    assert first.json == {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


@pytest.mark.parametrize("way", ["api_key", "path", "variable"])
def test_where_credentials_come_from(account, tokens, tmp_path, way):
    """JSON as the key, a file as the key, and JSON in a variable."""
    text = json.dumps(account)
    (tmp_path / "account.json").write_text(text)
    options = {"api_key": {"api_key": text}, "path": {"api_key": str(tmp_path / "account.json")}}.get(way, {})
    env = {"VERTEXAI_CREDENTIALS": text} if way == "variable" else {}
    wire = Wire(HI)
    with client(wire, env, **options) as asking:
        asking.completion(MODEL, ASK)
    assert wire.requests[0].headers["authorization"] == "Bearer token-1"
    assert "/projects/from-account/" in wire.requests[0].url


def test_two_clients_share_no_tokens(account, tokens):
    """Tokens belong to the client that asked for them."""
    for _ in range(2):
        with client(Wire(HI)) as asking:
            asking.completion(MODEL, ASK, vertex_credentials=account)
    assert len(tokens.asked) == 2


def test_credentials_that_google_refuses(account, tokens):
    """A refusal says what Google said and what to do; neither key nor account is in it."""
    tokens.status = 400
    with client(Wire(HI)) as asking, pytest.raises(AuthenticationError, match="Invalid JWT Signature") as caught:
        asking.completion(MODEL, ASK, vertex_credentials=account)
    assert "PRIVATE KEY" not in str(caught.value)
    account["token_uri"] = "http://127.0.0.1:1/token"
    with client(Wire(HI)) as asking, pytest.raises(APIConnectionError, match="was not reached"):
        asking.completion(MODEL, ASK, vertex_credentials=account)


def test_credentials_that_cannot_be_read(tmp_path):
    """A missing file and JSON of another kind are named as such."""
    for key in (str(tmp_path / "no.json"), "{not json", '{"type": "sesame"}'):
        with client(Wire(HI), api_key=key) as asking, pytest.raises(AuthenticationError, match="Google's credentials"):
            asking.completion(MODEL, ASK)


def test_an_api_key_goes_to_express_mode():
    """A key without a project: no place in the URL; with one, the place stays."""
    wire = Wire(HI)
    with client(wire, {"VERTEX_API_KEY": "AQ.key"}) as asking:
        asking.completion(MODEL, ASK)
        asking.completion(MODEL, ASK, vertex_project="mine")
    express, placed = wire.requests
    assert express.url == f"{HOST}/publishers/google/models/gemini-2.5-flash:generateContent"
    assert express.headers["x-goog-api-key"] == "AQ.key"
    assert placed.url.startswith(f"{HOST}/projects/mine/locations/global/")


@pytest.mark.parametrize("settings", [{"vertex_project": "a"}, {"vertex_ai_project": "a"}])
@pytest.mark.parametrize("place", [{"vertex_location": "europe-west4"}, {"vertex_ai_location": "europe-west4"}])
def test_project_and_location_by_argument(settings, place):
    """Both spellings of both settings; a region has a host of its own, and none of it goes into the body."""
    wire = Wire(HI)
    with client(wire, api_key="ya29.token") as asking:
        asking.completion(MODEL, ASK, **settings, **place)
    (sent,) = wire.requests
    assert sent.url.startswith(
        "https://europe-west4-aiplatform.googleapis.com/v1beta1/projects/a/locations/europe-west4/"
    )
    assert sent.headers["authorization"] == "Bearer ya29.token"
    assert sent.json.keys() == {"contents"}


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("global", "aiplatform"),
        ("us", "aiplatform.us.rep"),
        ("eu", "aiplatform.eu.rep"),
        ("us-east5", "us-east5-aiplatform"),
    ],
)
def test_hosts_of_locations(location, host):
    """The host that a location is on, from the environment."""
    wire = Wire(HI)
    env = {"GOOGLE_CLOUD_PROJECT": "p", "VERTEXAI_LOCATION": location}
    with client(wire, env, api_key="ya29.token") as asking:
        asking.completion(MODEL, ASK)
    assert wire.requests[0].url.startswith(f"https://{host}.googleapis.com/v1beta1/projects/p/locations/{location}/")


def test_a_token_without_a_project_says_what_is_missing():
    """A bare token names no project, and an error says how to."""
    with client(Wire(HI), api_key="ya29.token") as asking, pytest.raises(BadRequestError, match="vertex_project="):
        asking.completion(MODEL, ASK)


def test_a_header_of_the_users_own_is_left_alone():
    """extra_headers with an authorization are the signature, and the rest of the address is still filled in."""
    wire = Wire(HI)
    with client(wire) as asking:
        asking.completion(MODEL, ASK, vertex_project="p", extra_headers={"Authorization": "Bearer mine"})
    assert wire.requests[0].headers["authorization"] == "Bearer mine"
    assert "/projects/p/" in wire.requests[0].url


def test_a_base_of_the_users_own():
    """api_base takes every request, those of regional models too."""
    wire = Wire({"predictions": [{"bytesBase64Encoded": "iVBO"}]})
    with client(wire, api_key="ya29.t", api_base="https://proxy.example") as asking:
        asking.image_generation("A cat", "vertex_ai/imagen-4.0-generate-001", vertex_project="p")
    path = "/v1beta1/projects/p/locations/us-central1/publishers/google/models/imagen-4.0-generate-001:predict"
    assert wire.requests[0].url == f"https://proxy.example{path}"
