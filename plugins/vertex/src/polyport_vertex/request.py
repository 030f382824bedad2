"""Requests without what is not for their bodies."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from polyport.types.record import Request
from polyport_vertex.settings import VERTEX

R = TypeVar("R", bound=Request)


def stripped(request: R) -> R:
    """Return the same request without the keyword arguments that are settings; what is recorded on it is shared."""
    return replace(request, extra=VERTEX.extras(request))
