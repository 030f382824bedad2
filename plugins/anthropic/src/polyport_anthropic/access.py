"""How calls present themselves: the API version, betas, and the ways to sign.

https://platform.claude.com/docs/en/api/versioning and /api/beta-headers
"""

from __future__ import annotations

from typing import Any

from polyport.auth import AnyOf, ApiKey, Bearer
from polyport.flow import HttpRequest
from polyport.types.record import Request
from polyport_anthropic.chat import SAMPLING

#: The version whose traffic this plugin was checked against, and the one before it.
VERSION = "2026-10-21"
OLD_VERSION = "2023-06-01"
#: What unlocks `Authorization: Bearer` for a token that OAuth issued.
OAUTH_BETA = "oauth-2025-04-20"
#: What the older version wants for the Files API; the newer one has it as it is.
FILES_BETA = "files-api-2025-04-14"
BETA = "anthropic-beta"


class OAuthToken(Bearer):
    """A token of OAuth's (`sk-ant-oat...`), which goes into `Authorization` and needs a beta."""

    def apply(self, request: HttpRequest, secret: str) -> None:
        """Sign, and unlock that way of signing."""
        super().apply(request, secret)
        named = [request.headers[BETA]] if request.headers.get(BETA) else []
        if OAUTH_BETA not in ",".join(named):
            request.headers[BETA] = ",".join([*named, OAUTH_BETA])


KEY = "ANTHROPIC_API_KEY"
TOKEN = "ANTHROPIC_AUTH_TOKEN"  # noqa: S105  the name of a variable
AUTH = AnyOf(
    ApiKey(header="x-api-key", env=KEY),
    Bearer(env=TOKEN),
    by_prefix={"sk-ant-oat": OAuthToken(env=(KEY, TOKEN))},
)


def headers(request: Request, body: Any = None, *, beta: str | None = None) -> dict[str, str]:
    """Return the version and beta headers of a call.

    `api_version` decides. Without it the newest version is taken that takes the body: sampling parameters, which
    models up to 4.6 have, exist in the older one only. `beta` is what the older version needs for this call.
    """
    version = request.options.api_version or (OLD_VERSION if samples(body) else VERSION)
    given = getattr(request, "betas", None) or request.extra.get("betas") or []
    betas = [given] if isinstance(given, str) else list(given)
    if beta is not None and version == OLD_VERSION and beta not in betas:
        betas.append(beta)
    return {"anthropic-version": version, **({BETA: ",".join(betas)} if betas else {})}


def samples(body: Any) -> bool:
    """Whether a body, or a request of a batch's body, has sampling parameters."""
    if not isinstance(body, dict):
        return False
    inner = [entry.get("params") for entry in body.get("requests", ())]
    return any(name in body for name in SAMPLING) or any(samples(params) for params in inner)


def settle(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Return the body without sampling parameters where the user chose an API version that has none."""
    version = request.options.api_version
    if version is None or version < VERSION:
        return body
    for name in SAMPLING:
        if name in body:
            request.unsupported(name, f"API version {version} has no sampling parameters; {OLD_VERSION} has")
    return {name: value for name, value in body.items() if name not in SAMPLING}
