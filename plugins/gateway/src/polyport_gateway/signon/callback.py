"""Signing in at a provider of OpenID Connect, over HTTP: the browser is sent there, and comes back.

GET /auth/oidc/{id}/start?next=/ui/...   to the provider
GET /auth/oidc/{id}/callback             back from it: a session, and on to `next`

What the browser carries is in a cookie of its own for each attempt, sealed, and counts once. Who comes back with a
state that this browser did not begin with is not signed in: nobody can be led into somebody else's session.
"""

from __future__ import annotations

import hmac
import html
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from polyport.errors import BadRequestError
from polyport_gateway.gate import GateError
from polyport_gateway.signon import credential
from polyport_gateway.signon.people import Person
from polyport_gateway.signon.sessions import Sessions

if TYPE_CHECKING:  # it needs an extra
    from polyport_gateway.signon.oidc import Oidc

#: Seconds that somebody may take at the provider.
LASTS = 600
COOKIE = "polyport_signin"
#: Where people go who do not say where.
HOME = "/ui/"
#: An address of this gateway, and no other's: browsers take // and /\ for the beginning of a host.
OWN = re.compile(r"/(?![/\\])[!-\[\]-~]{0,500}")
PURPOSE = "oidc"

Query = Mapping[str, str]


def query_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """Return what an address asks; of a name that is there twice, nothing counts."""
    found = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=50)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def next_of(query: Query) -> str:
    """Return where somebody goes who has signed in. Raises BadRequestError for another site's address."""
    found = query.get("next") or HOME
    if not OWN.fullmatch(found) or urlsplit(found).netloc:
        raise BadRequestError("next is a path of this gateway, such as /ui/.")
    return found


class Attempt(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One try to sign in, which a browser carries to the provider and back. `until` is in seconds since 1970."""

    provider: str
    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    next: str
    until: int


class Callback:
    """The two steps, over the sessions that seal what the browser carries. `clock` is in seconds since 1970."""

    def __init__(self, sessions: Sessions, clock: Callable[[], float] = time.time) -> None:
        self._sessions, self._clock = sessions, clock

    async def start(self, oidc: Oidc, scope: Mapping[str, Any], base: str) -> tuple[str, str]:
        """Return where the browser is to go, and the cookie that it is to bring back."""
        attempt = Attempt(
            provider=oidc.rules.id,
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            redirect_uri=f"{base}/auth/oidc/{oidc.rules.id}/callback",
            next=next_of(query_of(scope)),
            until=int(self._clock()) + LASTS,
        )
        url = await oidc.begin(attempt)
        sealed = self._sessions.seal(PURPOSE, attempt)
        return url, credential.set_cookie(scope, _named(attempt.state), sealed, LASTS, "Lax")

    async def finish(self, oidc: Oidc, scope: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[Person, Attempt]:
        """Return who came back, and what was attempted. Raises GateError."""
        query = query_of(scope)
        attempt = self._attempt(oidc, scope, headers, query.get("state", ""))
        if not await self._sessions.once(f"oidc {attempt.state}", attempt.until):
            raise _over()
        if query.get("iss", oidc.rules.issuer) != oidc.rules.issuer:  # https://www.rfc-editor.org/rfc/rfc9207
            raise GateError(401, "wrong_issuer", "Another provider than the one that was asked has answered.")
        if "error" in query or not query.get("code"):
            raise GateError(401, "not_signed_in", "The provider did not sign you in.")
        return await oidc.finish(attempt, query["code"]), attempt

    def _attempt(self, oidc: Oidc, scope: Mapping[str, Any], headers: Mapping[str, str], state: str) -> Attempt:
        sealed = credential.cookie(headers, credential.cookie_name(scope, _named(state))) if state else None
        attempt = self._sessions.unseal(PURPOSE, sealed, Attempt) if sealed else None
        if (
            attempt is None
            or not hmac.compare_digest(attempt.state.encode(), state.encode(errors="replace"))
            or attempt.provider != oidc.rules.id
            or attempt.until <= self._clock()
        ):
            raise _over()
        return attempt


def gone(scope: Mapping[str, Any]) -> str:
    """Return the header that takes an attempt's cookie away."""
    return credential.set_cookie(scope, _named(query_of(scope).get("state", "")), "", 0, "Lax")


def _named(state: str) -> str:
    """Return an attempt's cookie: people sign in from two tabs at a time."""
    return f"{COOKIE}_{re.sub('[^A-Za-z0-9_-]', '', state)[:8]}"


def _over() -> GateError:
    return GateError(401, "sign_in_over", "This sign-in is over, or was begun elsewhere: begin anew.")


def page(message: str) -> bytes:
    """Return a page that says why somebody was not signed in."""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<title>Not signed in</title><h1>Not signed in</h1>"
        f"<p>{html.escape(message)}</p><p><a href='{HOME}'>Back</a></p></html>"
    ).encode()
