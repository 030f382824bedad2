"""Is it alive, is it ready: for load balancers and orchestrators, without a key and without asking any provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from polyport_gateway import replies

ALIVE = frozenset({"/health/liveliness", "/health/liveness", "/livez"})
READY = frozenset({"/health/readiness", "/health", "/readyz"})


async def answer(
    path: str, ready: Iterable[Callable[[], Awaitable[str | None]]], *, draining: bool
) -> tuple[int, bytes] | None:
    """Return status and body; None for an address that does not ask for health.

    Alive is a process that answers. Ready is one that takes more work: not one that is on its way out, and none that
    one of `ready` has a reason against.
    """
    if path in ALIVE:
        return 200, _body({"status": "alive"})
    if path not in READY:
        return None
    if draining:
        return 503, _body({"status": "draining"})
    reasons = [reason for ask in ready if (reason := await ask()) is not None]
    return (503, _body({"status": "not ready", "reasons": reasons})) if reasons else (200, _body({"status": "ready"}))


def _body(told: Mapping[str, Any]) -> bytes:
    return replies.encode(told)
