"""What the tests of signing on share: a gateway in this process, and a provider of OpenID Connect over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.server
import json
import secrets
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from local_server import LocalServer

from polyport_gateway import config
from polyport_gateway.assembly import app_of
from polyport_gateway.keeper import Keeper

MASTER_KEY = "sk-master-1234"
HELLO = {"model": "gpt", "messages": [{"role": "user", "content": "Hello?"}]}
Test = Callable[[httpx.AsyncClient, Keeper], Awaitable[None]]


def run(
    folder: Path, test: Test, *, url: str = "http://127.0.0.1:9/v1", base: str = "http://gateway", **more: Any
) -> None:
    """Run a test on a gateway in this process, as a browser that nobody is signed in with."""
    params = {"model": "openai/gpt-4o", "api_base": url, "api_key": "sk-upstream-secret"}
    general = {"master_key": MASTER_KEY, "database_url": f"sqlite:///{folder / 'gateway.db'}", **more}
    given = {"model_list": [{"model_name": "gpt", "litellm_params": params}], "general_settings": general}

    async def main() -> None:
        app = app_of(config.read(given), data=folder)
        transport = httpx.ASGITransport(app, client=("10.0.0.1", 1))
        try:
            async with httpx.AsyncClient(transport=transport, base_url=base) as client:
                assert isinstance(app.gate, Keeper)
                await app.gate.start()
                await test(client, app.gate)
        finally:
            await app.aclose()

    asyncio.run(main())


CLIENT, SECRET = "polyport:1", "client secret/+1"


class Provider(LocalServer):
    """It signs in whoever comes, and can be made to misbehave.

    `claims` are said of who signs in; `forge` makes a token, or garbage, of claims.
    """

    def __init__(self) -> None:
        super().__init__(Handler)
        self.keys: dict[str, Any] = {"k1": rsa.generate_private_key(65537, 2048)}
        self.kid = "k1"
        self.claims: dict[str, Any] = {}
        self.about: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.forge: Callable[[dict[str, Any]], str] = self.sign
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.ways = ["client_secret_basic"]
        self.down = False
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def new_key(self, kid: str, kind: str = "RSA") -> None:
        """Sign with another key from now on; the old one is no longer shown."""
        made = rsa.generate_private_key(65537, 2048) if kind == "RSA" else ec.generate_private_key(ec.SECP256R1())
        self.keys, self.kid = {kid: made}, kid

    def jwks(self) -> dict[str, Any]:
        found = []
        for kid, key in self.keys.items():
            algorithm = (
                jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
            )
            found.append({**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"})
        return {"keys": found}

    def sign(self, claims: dict[str, Any], **options: Any) -> str:
        """Return an honest token."""
        key = self.keys[self.kid]
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(claims, key, **{"algorithm": algorithm, "headers": {"kid": self.kid}, **options})

    def token_of(self, nonce: str) -> str:
        now = int(time.time())
        honest = {"iss": self.issuer, "aud": CLIENT, "sub": "s-1", "iat": now, "exp": now + 300, "nonce": nonce,
                  "email": "anna@example.com", "email_verified": True, "name": "Anna"}  # fmt: skip
        claims = {name: value for name, value in (honest | self.claims).items() if value is not None}
        return self.forge(claims)

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the specifications say."""

    server: Provider

    def log_message(self, *args: object) -> None: ...

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
        self.server.asked.append(path)
        issuer = self.server.issuer
        if self.server.down:
            return self.reply(500, {})
        if path == "/.well-known/openid-configuration":
            return self.reply(200, {
                "issuer": issuer, "authorization_endpoint": f"{issuer}/authorize", "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{issuer}/jwks", "userinfo_endpoint": f"{issuer}/userinfo",
                "token_endpoint_auth_methods_supported": self.server.ways, **self.server.about,
            })  # fmt: skip
        if path == "/jwks":
            return self.reply(200, self.server.jwks())
        if path == "/userinfo" and self.headers.get("authorization") == "Bearer access-1":
            return self.reply(200, {"sub": "s-1", **self.server.userinfo})
        if path == "/authorize" and query["response_type"] == "code" and query["code_challenge_method"] == "S256":
            code = secrets.token_urlsafe(8)
            self.server.codes[code] = query
            self.send_response(302)
            self.send_header(
                "location", f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"
            )
            self.send_header("content-length", "0")
            return self.end_headers()
        return self.reply(404, {})

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        form = {name: values[0] for name, values in parse_qs(self.body().decode()).items()}
        begun = self.server.codes.pop(form["code"], None)
        verifier = hashlib.sha256(form["code_verifier"].encode()).digest()
        if (
            begun is None
            or self.client(form) != (CLIENT, SECRET)
            or form["redirect_uri"] != begun["redirect_uri"]
            or base64.urlsafe_b64encode(verifier).decode().rstrip("=") != begun["code_challenge"]
        ):
            return self.reply(400, {"error": "invalid_grant"})
        token = self.server.token_of(begun["nonce"])
        return self.reply(200, {"access_token": "access-1", "token_type": "Bearer", "id_token": token})

    def client(self, form: dict[str, str]) -> tuple[str, ...]:
        kind, _, value = self.headers.get("authorization", "").partition(" ")
        if kind == "Basic" and self.server.ways == ["client_secret_basic"]:
            return tuple(map(unquote, base64.b64decode(value).decode().split(":")))
        return form["client_id"], form.get("client_secret", "")

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def reply(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
