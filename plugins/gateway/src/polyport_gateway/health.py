"""Is it alive, is it ready: for load balancers and orchestrators, without a key and without asking any provider."""

from __future__ import annotations

from collections.abc import Mapping

from polyport_gateway import replies

ALIVE = frozenset({"/health/liveliness", "/health/liveness", "/livez"})
READY = frozenset({"/health/readiness", "/health", "/readyz"})


def answer(path: str, *, draining: bool) -> tuple[int, bytes] | None:
    """Return status and body; None for an address that does not ask for health.

    Alive is a process that answers. Ready is one that takes more work: not one that is on its way out.
    """
    if path in ALIVE:
        return 200, _body({"status": "alive"})
    if path in READY:
        return (503, _body({"status": "draining"})) if draining else (200, _body({"status": "ready"}))
    return None


def _body(told: Mapping[str, str]) -> bytes:
    return replies.encode(told)
