"""Answers a request that is refused before it is anybody's: in the words of the surface that it was meant for."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from polyport_gateway import replies
from polyport_gateway.gate import GateError
from polyport_gateway.surface import Surface, problem_of
from polyport_gateway.surfaces import ANTHROPIC, OPENAI, Finds

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def tell(error: GateError, scope: Scope, send: Send, routes: Finds) -> None:
    """Send the whole answer."""
    problem = problem_of(error, uuid.uuid4().hex)
    body = replies.encode(_surface(scope, routes).problem(problem))
    told = [("content-type", replies.JSON), ("content-length", len(body)), *problem.headers.items()]
    headers = replies.to_headers([*told, ("x-polyport-request-id", problem.request_id)])
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _surface(scope: Scope, routes: Finds) -> Surface:
    try:
        surface = routes.find(scope["method"], scope["path"])[0].surface
    except GateError:
        surface = OPENAI
    anthropic = any(name == b"anthropic-version" for name, _ in scope["headers"])
    return ANTHROPIC if surface is OPENAI and anthropic else surface
