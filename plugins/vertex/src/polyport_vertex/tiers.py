"""Service tiers, which on Vertex AI are headers.

https://cloud.google.com/vertex-ai/generative-ai/docs/flex-paygo and /priority-paygo
"""

from __future__ import annotations

from polyport.types.chat import ChatRequest
from polyport.types.record import Request

TIERS = ("flex", "priority")
#: Values that ask for what happens anyway.
NEUTRAL = ("auto", "default", "standard")


def tier(request: Request) -> dict[str, str]:
    """Return the headers for a chat's service tier."""
    wanted = request.service_tier if isinstance(request, ChatRequest) else None
    if wanted is None or wanted in NEUTRAL:
        return {}
    if wanted not in TIERS:
        request.unsupported("service_tier", f"Vertex AI has no {wanted!r}, only {', '.join((*NEUTRAL, *TIERS))}")
        return {}
    return {"x-vertex-ai-llm-request-type": "shared", "x-vertex-ai-llm-shared-request-type": wanted}
