"""AWS Signature Version 4, with nothing but hashlib and hmac.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote, urlsplit

import msgspec

ALGORITHM = "AWS4-HMAC-SHA256"
#: The digest of a body that is not signed, which S3 allows over TLS.
UNSIGNED = "UNSIGNED-PAYLOAD"
#: The header that S3 wants the body's digest in.
DIGEST = "x-amz-content-sha256"
#: Headers that whatever is on the way may change: they are not signed. botocore leaves out the same.
UNSAFE = frozenset({
    "authorization", "baggage", "connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization",
    "te", "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "user-agent", "x-amzn-trace-id",
})  # fmt: skip
PORTS = {"http": 80, "https": 443}


class Keys(msgspec.Struct, frozen=True):
    """What signs. Its repr shows nothing of it."""

    id: str
    secret: str
    token: str | None = None

    def __repr__(self) -> str:
        return "<Keys ***>"


class Scope(msgspec.Struct, frozen=True):
    """What a signature is good for: a day, a region, a service."""

    moment: datetime
    region: str
    service: str

    def written(self) -> tuple[str, str]:
        """Return (the moment as `x-amz-date` has it, the scope as signatures have it)."""
        moment = self.moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        return moment, f"{moment[:8]}/{self.region}/{self.service}/aws4_request"


def sign(method: str, url: str, headers: Mapping[str, str], digest: str, keys: Keys, scope: Scope) -> dict[str, str]:
    """Return the headers that sign a request: date, session token, signature. `digest` is the body's SHA-256, in hex.

    The URL's path and query are encoded as they are sent. S3 signs the path as it is, every other service encodes it
    once more.
    """
    moment, place = scope.written()
    added = {"x-amz-date": moment}
    if keys.token:
        added["x-amz-security-token"] = keys.token
    signed = _signed(url, {**headers, **added})
    names = ";".join(sorted(signed))
    canonical = _canonical(method, url, signed, digest, scope.service)
    text = "\n".join([ALGORITHM, moment, place, sha256(canonical.encode()).hexdigest()])
    signature = hmac.digest(_key(keys, place), text.encode(), "sha256").hex()
    added["authorization"] = f"{ALGORITHM} Credential={keys.id}/{place}, SignedHeaders={names}, Signature={signature}"
    return added


def digest_of(content: bytes) -> str:
    """Return a body's digest."""
    return sha256(content).hexdigest()


def _signed(url: str, headers: Mapping[str, str]) -> dict[str, str]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.port is not None and parts.port != PORTS.get(parts.scheme):
        host = f"{host}:{parts.port}"
    kept = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    return {"host": host, **{name: value for name, value in kept.items() if name not in UNSAFE}}


def _canonical(method: str, url: str, signed: Mapping[str, str], digest: str, service: str) -> str:
    parts = urlsplit(url)
    path = parts.path or "/"
    query = "&".join("=".join(pair) for pair in sorted(_pairs(parts.query)))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    place = path if service == "s3" else quote(path, safe="/~")
    return "\n".join([method, place, query, lines, ";".join(sorted(signed)), digest])


def _pairs(query: str) -> list[tuple[str, str]]:
    found = [pair.partition("=") for pair in query.split("&") if pair]
    return [(name, value) for name, _, value in found]


def _key(keys: Keys, place: str) -> bytes:
    key = f"AWS4{keys.secret}".encode()
    for part in place.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
