"""Tokens that somebody else signed: JWTs, and the public keys that prove them.

The keys are fetched when they are first needed, again when a token names one that is not there (rotation), and else
every five minutes, so that one that was withdrawn is not believed for long; while their server is away, those that are
known go on for an hour. PyJWT does the cryptography.
https://www.rfc-editor.org/rfc/rfc7517 https://www.rfc-editor.org/rfc/rfc8725 https://pyjwt.readthedocs.io/en/stable/
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from polyport.errors import BadRequestError
from polyport_gateway.gate import GateError
from polyport_gateway.signon.settings import ALGORITHMS

#: Seconds after which keys are fetched again; after which they are no longer taken; between two fetches at least; and
#: between two that fail while there are keys: requests wait for a fetch, and must not wait for a server that is away.
FRESH, USABLE, PAUSE, AWAY = 300.0, 3600.0, 1.0, 15.0
#: Seconds by which clocks may differ.
LEEWAY = 30
#: Characters of the longest token.
LONGEST = 16_384

#: Kinds of public keys -> what writes them as a JWK.
WRITERS: dict[type[Any], Callable[[Any], Any]] = {
    rsa.RSAPublicKey: jwt.algorithms.RSAAlgorithm.to_jwk,
    ec.EllipticCurvePublicKey: jwt.algorithms.ECAlgorithm.to_jwk,
    ed25519.Ed25519PublicKey: jwt.algorithms.OKPAlgorithm.to_jwk,
}

Fetch = Callable[[], Awaitable[dict[str, Any]]]


class TokenError(GateError):
    """A token that proves nothing. The message says why, and quotes nothing of it."""

    def __init__(self, why: str) -> None:
        super().__init__(401, "invalid_token", f"The token is not taken: {why}.")


class Keys:
    """The public keys of one issuer. `fetch` returns its JWK set; `fixed` are keys that are known without.

    They are fetched again after `fresh` seconds, and taken for `usable` seconds if they cannot be.
    """

    def __init__(
        self, fetch: Fetch | None = None, fixed: Sequence[dict[str, Any]] = (), *, fresh: float = FRESH,
        usable: float = USABLE,
    ) -> None:  # fmt: skip
        self._fetch, self._keys, self._fresh, self._usable = fetch, _usable(fixed), fresh, usable
        self._fetched = self._tried = float("-inf")
        self._failed = False
        self._fetching = asyncio.Lock()

    async def verify(
        self, token: str, *, issuer: str | None, audience: str | Sequence[str] | None, algorithms: Sequence[str],
        require: Sequence[str] = ("exp",),
    ) -> dict[str, Any]:  # fmt: skip
        """Return the claims of a token. Raises TokenError, and GateError (503) where no key can be fetched."""
        return (await self.prove(token, issuer=issuer, audience=audience, algorithms=algorithms, require=require))[0]

    async def prove(
        self, token: str, *, issuer: str | None, audience: str | Sequence[str] | None, algorithms: Sequence[str],
        require: Sequence[str] = ("exp",),
    ) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
        """Return the claims of a token, and the key that proves them; errors as `verify`."""
        header = _header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in algorithms or algorithm not in ALGORITHMS:
            raise TokenError("its signature is of a kind that is not allowed here")
        if "crit" in header:
            raise TokenError("it needs extensions that are not known here")
        why: Exception | None = None
        for key in await self._find(kid, str(algorithm)):
            try:
                return _decode(token, key, str(algorithm), issuer, audience, require), key
            except jwt.InvalidSignatureError as error:
                why = error
        raise TokenError("its signature is wrong, or of a key that is not known") from why

    async def still(self, key: dict[str, Any]) -> bool:
        """Whether a key that proved something is one of these now. Raises GateError where none can be fetched."""
        await self._refresh(self._fresh)
        return key in self._keys

    async def _find(self, kid: object, algorithm: str) -> list[dict[str, Any]]:
        await self._refresh(self._fresh)
        found = self._named(kid, algorithm)
        if not found and self._fetch is not None:
            await self._refresh(PAUSE)
            found = self._named(kid, algorithm)
        return found

    def _named(self, kid: object, algorithm: str) -> list[dict[str, Any]]:
        return [
            key
            for key in self._keys
            if key["kty"] == ALGORITHMS[algorithm]
            and key.get("alg", algorithm) == algorithm
            and (kid is None or key.get("kid", kid) == kid)
        ]

    async def _refresh(self, age: float) -> None:
        """Fetch the keys if they are older than this; one request does, others wait for it."""
        if self._fetch is None or time.monotonic() - self._fetched < age:
            return
        async with self._fetching:
            now = time.monotonic()
            known = now - self._fetched <= self._usable
            pause = AWAY if self._failed and known else PAUSE
            if now - self._fetched < age or now - self._tried < pause:
                if not known:
                    raise _away()
                return
            try:
                given = await self._fetch()
            except GateError:
                self._tried, self._failed = time.monotonic(), True
                if not known:
                    raise
                return
            keys = given.get("keys")
            self._keys = _usable(keys if isinstance(keys, list) else [])
            self._fetched, self._tried, self._failed = now, now, False


def _away() -> GateError:
    return GateError(503, "issuer_unavailable", "The keys of the token's issuer cannot be had now.", retry_after=5)


def _usable(keys: Sequence[Any]) -> list[dict[str, Any]]:
    """Return public keys for signatures; a secret one among them would prove nothing."""
    kinds = set(ALGORITHMS.values())
    return [
        key
        for key in keys
        if isinstance(key, dict) and key.get("kty") in kinds and key.get("use", "sig") == "sig" and "d" not in key
    ]  # fmt: skip


def _header(token: str) -> dict[str, Any]:
    if len(token) > LONGEST:
        raise TokenError("it is too long")
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError) as error:
        raise TokenError("it is no JWT") from error


def unverified(token: str) -> dict[str, Any]:
    """Return what a token says, without any proof: for choosing who is to prove it. Raises TokenError."""
    _header(token)
    try:
        found = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError) as error:
        raise TokenError("it is no JWT") from error
    return dict(found)


def _decode(
    token: str, key: dict[str, Any], algorithm: str, issuer: str | None, audience: Any, require: Sequence[str]
) -> dict[str, Any]:
    options: Any = {"require": [*require], "verify_aud": audience is not None, "verify_iss": issuer is not None}
    try:
        made = jwt.PyJWK(key, algorithm)
        found: dict[str, Any] = jwt.decode(
            token, made, algorithms=[algorithm], issuer=issuer, audience=audience, leeway=LEEWAY, options=options
        )
    except jwt.InvalidSignatureError:
        raise
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise TokenError(_why(error)) from error
    return found


#: What is said of each thing that may be wrong with a token.
WHY: dict[type[Exception], str] = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it does not hold yet",
    jwt.InvalidIssuerError: "another issuer made it",
    jwt.InvalidAudienceError: "it is for another audience",
    jwt.MissingRequiredClaimError: "a claim that it needs is missing",
}


def _why(error: Exception) -> str:
    return next((said for kind, said in WHY.items() if isinstance(error, kind)), "it cannot be read")


def claim(claims: dict[str, Any], path: str | None) -> Any:
    """Return a claim by its name, or by a path of names with dots between them; None where it is not there."""
    if path is None:
        return None
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def texts(value: Any) -> list[str]:
    """Return a claim that is a text, or a list of texts, as a list; a text may have several, apart by spaces."""
    if isinstance(value, str):
        return value.split()
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def jwk_of(pem: str, where: str) -> dict[str, Any]:
    """Return a public key as a JWK. Raises BadRequestError."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadRequestError(f"{where}.public_key is no public key in PEM.") from error
    writer = next((write for kind, write in WRITERS.items() if isinstance(key, kind)), None)
    if writer is None:
        raise BadRequestError(f"{where}.public_key is of a kind that signs no JWT: take RSA, EC or Ed25519.")
    return dict(msgspec.json.decode(writer(key)))
