"""What every capability of the dialect needs of its provider: where a model's methods are, and which door it is."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote

from polyport.flow import HttpRequest
from polyport.provider import Provider
from polyport.types.record import Request
from polyport_gemini.door import GEMINI_API, Door


class ContentWire(Provider):
    """A provider that speaks Gemini's dialect. `door` says how its host differs, `model_path` where models are."""

    door: ClassVar[Door] = GEMINI_API

    def model_path(self, request: Request, model: str = "") -> str:
        """Return the path of a model, without the method."""
        name = model or request.model
        return f"/{version(request)}/{quote(name if '/' in name else f'models/{name}')}"

    def ask(self, request: Request, method: str, body: Any, *, stream: bool | None = None) -> HttpRequest:
        """Return a call of a model's method, to be yielded."""
        params = {"alt": "sse"} if stream else None
        return self.post(f"{self.model_path(request)}:{method}", json=body, params=params, stream=stream)


def version(request: Request) -> str:
    """Return the API version: the user's, or the one that has everything."""
    return request.options.api_version or "v1beta"
