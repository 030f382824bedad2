"""Stability AI's platform. https://platform.stability.ai/docs/api-reference"""

from __future__ import annotations

from typing import Any

from polyport.auth import Bearer
from polyport.errors import APIError
from polyport.flow import HttpReply
from polyport.hookspecs import hookimpl
from polyport_stability import errors
from polyport_stability.images import Images
from polyport_stability.models import Models

__all__ = ["Stability"]


class Stability(Images, Models):
    """Stable Image's services, Stable Diffusion 3, and the engines of version 1."""

    auth = Bearer(env=("STABILITY_API_KEY", "STABILITY_KEY"))
    base_url = "https://api.stability.ai"
    base_env = ("STABILITY_API_BASE",)

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Narrow by Stability's names of errors: a prompt or picture that is refused, credits that are spent."""
        return errors.refine(error, body)
