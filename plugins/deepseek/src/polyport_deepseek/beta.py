"""The door to what is in beta: the same host, below /beta. https://api-docs.deepseek.com/guides/chat_prefix_completion"""

from __future__ import annotations

from polyport.types.record import Request


def below_beta(request: Request, path: str) -> str:
    """Return the path below /beta; of an `api_base` that names a version or /beta, what stands before it counts."""
    base = (request.options.api_base or "").rstrip("/")
    return f"{base.removesuffix('/beta').removesuffix('/v1')}/beta{path}"
