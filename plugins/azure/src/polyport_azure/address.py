"""Where things are on Azure: the v1 surface, deployments under dated versions, and Foundry's `/models`.

https://learn.microsoft.com/en-us/azure/ai-foundry/openai/api-version-lifecycle and
https://learn.microsoft.com/en-us/azure/ai-foundry/openai/reference
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, quote

VERSION_ENV = ("AZURE_API_VERSION", "AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION")
#: The newest dated version that is no preview, for a base that names a deployment and no version.
STABLE = "2024-10-21"
#: What Foundry's inference endpoint asks for: https://learn.microsoft.com/en-us/rest/api/aifoundry/modelinference/
INFERENCE = "2024-05-01-preview"
#: What is at a deployment under a dated version, by the openai SDK 3.54.0; all else is at the resource.
DEPLOYED = frozenset(
    {
        "/completions",
        "/chat/completions",
        "/embeddings",
        "/audio/transcriptions",
        "/audio/translations",
        "/audio/speech",
        "/images/generations",
        "/images/edits",
    }
)
#: The surface that a base names; what stands behind it is the rest of a URL that was copied whole from the portal.
_SURFACE = re.compile(r"(?<=[^/:])(/openai/v1(?=/|$)|/openai/deployments/[^/]+|/openai(?=$|/responses)|/models(?=/|$))")


def place(base: str, path: str, model: str, asked: str | None = None, usual: str | None = None) -> str:
    """Return the URL of a path. The version is the one asked for, else the base's, else the environment's."""
    base, _, query = base.partition("?")
    asked = asked or next(iter(parse_qs(query).get("api-version", ())), None)
    version = asked or usual
    found = _SURFACE.search(base)
    surface = found[0] if found else ""
    root = base[: found.start()] if found else base.rstrip("/")
    if surface == "/models":
        return _dated(f"{root}{surface}{path}", asked or INFERENCE)
    deployment = surface if "/deployments/" in surface else ""
    if surface == "/openai/v1" or path.startswith("/videos") or (_is_v1(version) and not deployment):
        return _v1(root, path, version)
    dated = STABLE if version is None or _is_v1(version) else version
    if path not in DEPLOYED:
        return _dated(f"{root}/openai{path}", dated)
    return _dated(f"{root}{deployment or '/openai/deployments/' + quote(model, safe='')}{path}", dated)


def _is_v1(version: str | None) -> bool:
    return version in (None, "v1", "latest", "preview")


def _v1(root: str, path: str, version: str | None) -> str:
    """Return where a path is on the surface that has no versions but its preview."""
    url = f"{root}/openai/v1{path}"
    return _dated(url, "preview") if version == "preview" else url


def _dated(url: str, version: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}api-version={quote(version, safe='')}"
