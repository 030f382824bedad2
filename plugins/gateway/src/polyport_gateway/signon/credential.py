"""Where a caller's credential stands in a request: a key in one of the headers that SDKs send, or a person's cookie.

A browser sends the cookie by itself, also with what another site makes it ask. So a request that may change something
counts with a cookie only where it carries the header `x-polyport-csrf`, too, whose value is made from the cookie: who
cannot read the one cannot know the other. https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from polyport_gateway.gate import GateError

#: Where a caller's key may stand, and what stands before it there.
KEYS = (("authorization", "bearer "), ("x-api-key", ""), ("x-goog-api-key", ""), ("api-key", ""))
CSRF = "x-polyport-csrf"
#: The header that names the team whose limits and budgets a call counts on, of several.
TEAM = "x-polyport-team"
#: Methods that change nothing. https://www.rfc-editor.org/rfc/rfc9110#section-9.2.1
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
COOKIE = "polyport_session"
#: Schemes that are encrypted.
SECURE = frozenset({"https", "wss"})


def of(headers: Mapping[str, str], scope: Mapping[str, Any]) -> str | None:
    """Return the key or session of a request, None for none. Raises GateError: 403 for a cookie without its header."""
    for name, before in KEYS:
        value = headers.get(name, "")
        if value and value[: len(before)].lower() == before:
            return value[len(before) :].strip()
    found = cookie(headers, cookie_name(scope, COOKIE)) if "cookie" in headers else None
    if found is None:
        return None
    given = headers.get(CSRF, "").encode(errors="replace")
    if scope.get("method") not in SAFE and not hmac.compare_digest(given, csrf_of(found).encode()):
        raise GateError(403, "csrf", f"With a session's cookie, this needs the header {CSRF} of GET /auth/session.")
    return found


def cookie(headers: Mapping[str, str], name: str) -> str | None:
    """Return the value of a cookie."""
    for pair in headers.get("cookie", "").split(";"):
        key, _, value = pair.partition("=")
        if key.strip() == name:
            return value.strip() or None
    return None


def cookie_name(scope: Mapping[str, Any], name: str) -> str:
    """Return a cookie's name: with https, one that neither another host nor http can set.

    https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes
    """
    return f"__Host-{name}" if scope.get("scheme") in SECURE else name


def set_cookie(scope: Mapping[str, Any], name: str, value: str, seconds: int, same_site: str) -> str:
    """Return a Set-Cookie header: for no script, and no longer than `seconds`; 0 takes the cookie away."""
    secure = "; Secure" if scope.get("scheme") in SECURE else ""
    named = cookie_name(scope, name)
    return f"{named}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}"


def csrf_of(session: str) -> str:
    """Return what a page must send beside a session's cookie. The cookie cannot be found out from it."""
    mark = hashlib.sha256(b"polyport csrf " + session.encode(errors="replace")).digest()
    return base64.urlsafe_b64encode(mark).rstrip(b"=").decode()
