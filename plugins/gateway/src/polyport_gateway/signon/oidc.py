"""OpenID Connect: the authorization code flow with PKCE, as a client of one provider.

    url = await oidc.begin(attempt)                     # the browser goes there, and comes back with a code
    claims = await oidc.finish(attempt, code)

https://openid.net/specs/openid-connect-core-1_0.html https://www.rfc-editor.org/rfc/rfc7636
https://www.rfc-editor.org/rfc/rfc9700
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from polyport_gateway.gate import GateError
from polyport_gateway.signon.callback import Attempt
from polyport_gateway.signon.issuer import Issuer
from polyport_gateway.signon.jwks import Keys, TokenError, claim, texts
from polyport_gateway.signon.people import Person
from polyport_gateway.signon.settings import OidcRules

log = logging.getLogger("polyport.gateway.signon")


class Oidc:
    """One provider. `http` is shared by all of them."""

    def __init__(self, rules: OidcRules, http: httpx.AsyncClient) -> None:
        self.rules = rules
        self._issuer = Issuer(rules.id, rules.issuer, http, rules.timeout)
        self._keys = Keys(self._issuer.keys)

    async def begin(self, attempt: Attempt) -> str:
        """Return where the browser is to go. Raises GateError: 502."""
        endpoint = await self._issuer.endpoint("authorization_endpoint")
        asked = {
            "response_type": "code",
            "client_id": self.rules.client_id,
            "redirect_uri": attempt.redirect_uri,
            "scope": " ".join(self.rules.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def finish(self, attempt: Attempt, code: str) -> Person:
        """Return who came back with a code. Raises GateError: 401, 403, or 502 where the provider fails."""
        tokens = await self._exchange(attempt, code)
        claims = await self._keys.verify(
            str(tokens.get("id_token") or ""),
            issuer=self.rules.issuer,
            audience=self.rules.client_id,
            algorithms=self.rules.algorithms,
            require=("iss", "sub", "aud", "exp", "iat"),
        )
        self._check(claims, attempt)
        if self.rules.userinfo:
            claims = {**await self._userinfo(tokens, claims), **claims}
        return self._person(claims)

    def _check(self, claims: Mapping[str, Any], attempt: Attempt) -> None:
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), attempt.nonce.encode()):
            raise TokenError("it was made for another sign-in")
        others = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (others or "azp" in claims) and claims.get("azp") != self.rules.client_id:
            raise TokenError("it is for another audience")

    def _person(self, claims: dict[str, Any]) -> Person:
        rules = self.rules
        user_id, email = claim(claims, rules.user_id_claim), claim(claims, rules.email_claim)
        verified = claims.get("email_verified") in (True, "true") or not rules.require_verified_email
        if not isinstance(user_id, str) or not user_id:
            raise GateError(403, "no_user_id", f"The provider does not say {rules.user_id_claim!r} of you.")
        if not verified and (rules.user_id_claim == rules.email_claim or rules.allowed_domains):
            raise GateError(403, "email_not_verified", "The provider does not say that your e-mail address is yours.")
        return Person(
            provider=rules.id,
            subject=str(claims["sub"]),
            user_id=user_id,
            email=email if isinstance(email, str) and verified else "",
            name=str(claim(claims, rules.name_claim) or "")[:100],
            roles=texts(claim(claims, rules.role_claim)) if rules.role_claim else None,
            teams=_listed(claim(claims, rules.teams_claim)) if rules.teams_claim else None,
        )

    # --- asking the provider ---

    async def _exchange(self, attempt: Attempt, code: str) -> dict[str, Any]:
        """Return what a code is worth. https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3"""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": attempt.redirect_uri,
            "code_verifier": attempt.verifier,
            "client_id": self.rules.client_id,
        }
        ways = (await self._issuer.about()).get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        headers = {"accept": "application/json"}
        if self.rules.client_secret is not None and "client_secret_basic" in ways:
            pair = f"{quote(self.rules.client_id, safe='')}:{quote(self.rules.client_secret, safe='')}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        elif self.rules.client_secret is not None:
            form["client_secret"] = self.rules.client_secret
        endpoint = await self._issuer.endpoint("token_endpoint")
        status, found = await self._issuer.ask("POST", endpoint, data=form, headers=headers)
        if status != 200:
            log.warning("%s did not take a code: %d %s", self.rules.id, status, str(found.get("error"))[:60])
            raise GateError(401, "code_refused", "The provider did not confirm this sign-in: begin anew.")
        return found

    async def _userinfo(self, tokens: Mapping[str, Any], claims: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {tokens.get('access_token')}"}
        status, found = await self._issuer.ask("GET", await self._issuer.endpoint("userinfo_endpoint"), headers=headers)
        if status != 200 or found.get("sub") != claims["sub"]:
            raise GateError(502, "provider_failed", "The provider does not say who you are.")
        return found


def challenge(verifier: str) -> str:
    """Return what is shown of a secret that is told later."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _listed(value: Any) -> list[str]:
    """Return names of teams, which may have spaces in them."""
    return [value] if isinstance(value, str) else texts(value)
