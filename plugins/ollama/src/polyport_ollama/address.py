"""Where Ollama is. https://docs.ollama.com/faq#how-can-i-expose-ollama-on-my-network"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urlsplit

from polyport.provider import join
from polyport.types.record import Request

PORT = 11434
#: What a server listens on when it listens on every address; nobody can call there.
EVERYWHERE = re.compile(r"//(0\.0\.0\.0|\[::\])(?=[:/]|$)")


def speaks_openai(request: Request) -> bool:
    """Whether the user's `api_base` is that of OpenAI's API, which Ollama and proxies before it have too."""
    return (request.options.api_base or "").rstrip("/").endswith("/v1")


@lru_cache(maxsize=512)
def place(base: str, path: str) -> str:
    """Return the URL of a path. The base may lack scheme and port, and may name /api or /v1 already."""
    base = base.strip().rstrip("/")
    if base and "://" not in base:
        base = _completed(base)
    base = EVERYWHERE.sub("//127.0.0.1", base)
    if path.startswith("/api/"):
        base = re.sub(r"/(api|v1)$", "", base)
    return join(base, path)


def _completed(host: str) -> str:
    """Return a host written as `box`, `box:80` or `:80` as a URL."""
    host, slash, path = host.partition("/")
    if host.startswith(":"):
        host = f"127.0.0.1{host}"
    port = "" if urlsplit(f"//{host}").port else f":{PORT}"
    return f"http://{host}{port}{slash}{path}"
