"""A server that signs: what it says of itself, where its keys are, and how it is asked.

https://openid.net/specs/openid-connect-discovery-1_0.html https://www.rfc-editor.org/rfc/rfc8414
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from polyport.errors import BadRequestError
from polyport_gateway.gate import GateError
from polyport_gateway.signon import settings

log = logging.getLogger("polyport.gateway.signon")

#: Seconds for which what an issuer says of itself is taken as it is.
FRESH = 3600.0
#: Bytes that its answer may have.
LIMIT = 1024 * 1024


class Issuer:
    """One server, by the name that it has for us, and its own. `timeout` is in seconds."""

    def __init__(self, name: str, issuer: str, http: httpx.AsyncClient, timeout: float) -> None:
        self.name, self.issuer, self._http, self._timeout = name, issuer, http, timeout
        self._found: tuple[float, Mapping[str, Any]] | None = None

    async def keys(self) -> dict[str, Any]:
        """Return its JWK set. Raises GateError: 502."""
        return await self.keys_at(await self.endpoint("jwks_uri"))

    async def keys_at(self, address: str) -> dict[str, Any]:
        """Return a JWK set by its address. Raises GateError: 502."""
        status, found = await self.ask("GET", address)
        if status != 200:
            raise self.failed(f"its keys are answered with {status}")
        return found

    async def endpoint(self, name: str) -> str:
        """Return one of its addresses. Raises GateError: 502."""
        found = (await self.about()).get(name)
        try:
            settings.check_address(str(found), name)
        except BadRequestError as error:
            raise self.failed(f"{name} is no address with https://") from error
        return str(found)

    async def about(self) -> Mapping[str, Any]:
        """Return what it says of itself; what it said before, where it is away. Raises GateError: 502."""
        now = time.monotonic()
        if self._found is not None and now - self._found[0] < FRESH:
            return self._found[1]
        try:
            found = await self._discover()
        except GateError:
            if self._found is None:
                raise
            return self._found[1]
        self._found = now, found
        return found

    async def _discover(self) -> dict[str, Any]:
        address = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        status, found = await self.ask("GET", address)
        if status != 200:
            raise self.failed(f"{address} is answered with {status}")
        if found.get("issuer") != self.issuer:
            raise self.failed("it calls itself by another name: write its `issuer` in the configuration as it is")
        return found

    async def ask(self, method: str, address: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """Return status and body of an answer. Raises GateError: 502."""
        try:
            async with self._http.stream(method, address, timeout=self._timeout, **options) as reply:
                data = b""
                async for piece in reply.aiter_bytes():
                    data += piece
                    if len(data) > LIMIT:
                        raise self.failed("its answer is too long")
            found = msgspec.json.decode(data) if data else {}
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self.failed(f"its answer cannot be had ({type(error).__name__})") from error
        return reply.status_code, found if isinstance(found, dict) else {}

    def failed(self, why: str) -> GateError:
        """Return what is told of its failure, which is noted."""
        log.warning("the identity provider %s failed: %s", self.name, why)
        return GateError(502, "provider_failed", f"The identity provider {self.name} failed: {why}.")
