"""How requests to AWS are signed: with a key of Bedrock's, with access keys, or with what botocore finds.

https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from polyport.auth import Lookup, Signer
from polyport.border import Call as Asked
from polyport.errors import AuthenticationError
from polyport.flow import Call, Flow, HttpRequest
from polyport_bedrock.places import home_of, region_of, settle
from polyport_bedrock.settings import CHAIN, KEYS, KEYS_ENV
from polyport_bedrock.sigv4 import DIGEST, UNSIGNED, Keys, Scope, digest_of, sign

if TYPE_CHECKING:
    from polyport_bedrock.credentials import Chain

BEARER_ENV = "AWS_BEARER_TOKEN_BEDROCK"
#: Arguments that ask for botocore's chain.
ASKS = ("aws_profile_name", "aws_role_name", "aws_web_identity_token")


class AwsAuth(Signer):
    """Signs with what is there, in this order: access keys, a profile or a role among the arguments; `api_key`;
    AWS_BEARER_TOKEN_BEDROCK; access keys in the environment; what botocore's credential chain finds.

    S3 knows no keys of Bedrock's: requests to it are signed with one of the other ways.
    """

    def __init__(self) -> None:
        self._chains: dict[tuple[tuple[str, str], ...], Chain] = {}
        self._lock = threading.Lock()

    def sign(self, request: HttpRequest, lookup: Lookup) -> Flow[None]:
        """Put a key or a signature into the headers, and a profile's region into a host that nobody named one for."""
        assert isinstance(lookup, Asked)
        token = request.headers.get("authorization") or self._bearer(request, lookup)
        if token is not None:
            request.headers["authorization"] = token
            request.secrets = (*request.secrets, token.removeprefix("Bearer "))
            return
        keys, region = yield from self._keys(lookup)
        _sign(request, lookup, keys, region)

    def hint(self) -> str:
        """Say what a user without credentials can do."""
        return (
            f"Set {BEARER_ENV} or pass api_key=... (a key of Bedrock's; S3 does not take it), set {KEYS_ENV[0]} and "
            f"{KEYS_ENV[1]} or pass {KEYS[0]}=... and {KEYS[1]}=..., or sign in to a profile with the AWS CLI"
        )

    def _bearer(self, request: HttpRequest, call: Asked) -> str | None:
        given = call.request.extra
        if DIGEST in request.headers or any(given.get(name) for name in (KEYS[0], *ASKS)):
            return None
        key = call.api_key or call.env(BEARER_ENV)
        return f"Bearer {key.strip()}" if key else None

    def _keys(self, call: Asked) -> Flow[tuple[Keys, str | None]]:
        given = call.request.extra
        chained = any(given.get(name) for name in ASKS)
        static = _static(given.get, KEYS)
        if static is None and not chained:
            static = _static(call.env, KEYS_ENV)
        if static is not None and not given.get("aws_role_name"):
            return static, None
        source = {name: str(given[name]) for name in (*CHAIN, *KEYS) if given.get(name)}
        source["region"] = region_of(call, "bedrock") or ""
        chain: Chain | None = self._chains.get(tuple(source.items()))
        if chain is None or not chain.fresh:
            chain = yield Call(lambda: self._refreshed(source))
            assert chain is not None
        return chain.keys(), chain.region

    def _refreshed(self, source: Mapping[str, str]) -> Chain:
        """Return credentials that are good. Blocks: it reads files, and may ask AWS for them."""
        try:
            from polyport_bedrock.credentials import Chain
        except ModuleNotFoundError as error:
            raise AuthenticationError(
                f"No credentials for AWS. {self.hint()}; profiles, roles and AWS' own machines need botocore: "
                "pip install 'polyport-bedrock[aws]'"
            ) from error
        key = tuple(source.items())
        with self._lock:
            chain = self._chains.get(key) or Chain(source, self.hint())
            chain.keys()
            self._chains[key] = chain
        return chain


def _static(find: Any, names: tuple[str, ...]) -> Keys | None:
    key, secret, token = (find(name) for name in names)
    if not key:
        return None
    if not secret:
        raise AuthenticationError(f"{names[0]} is set and {names[1]} is not: a signature needs both.")
    return Keys(str(key).strip(), str(secret).strip(), str(token).strip() if token else None)


def _sign(request: HttpRequest, call: Asked, keys: Keys, region: str | None) -> None:
    service = "s3" if DIGEST in request.headers else "bedrock"
    where = region_of(call, service)
    if where is None and region is not None:
        settle(request, call, service, region)
    place, mark, query = request.url.partition("?")
    request.url = place + mark + query.replace("+", "%20")  # a signature knows one way to write a space
    digest = request.headers.get(DIGEST)
    if digest != UNSIGNED:
        digest = digest_of(_whole(request))
    if service == "s3":
        request.headers[DIGEST] = digest
    scope = Scope(datetime.now(UTC), where or region or home_of(call), service)
    request.headers.update(sign(request.method, request.url, request.headers, digest, keys, scope))
    request.secrets = (*request.secrets, *(value for value in (keys.secret, keys.token, call.api_key) if value))


def _whole(request: HttpRequest) -> bytes:
    content = request.content
    return content if isinstance(content, bytes) else b"".join(content or ())
