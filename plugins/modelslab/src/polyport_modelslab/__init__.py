"""ModelsLab: community models (v6) and those of other makers that it hosts (v7). https://docs.modelslab.com

The key is a field of every body; work that takes long is asked after at an address that the first answer gives.
"""

from __future__ import annotations

from typing import Any, ClassVar

from polyport.auth import Auth, Body
from polyport.errors import APIError
from polyport.flow import HttpReply
from polyport.hookspecs import hookimpl
from polyport_modelslab import errors
from polyport_modelslab.images import Images
from polyport_modelslab.speech import Speech
from polyport_modelslab.video import Videos

__all__ = ["ModelsLab"]


class ModelsLab(Images, Speech, Videos):
    """ModelsLab's API."""

    auth: ClassVar[Auth] = Body("key", env=("MODELSLAB_API_KEY", "MODELS_LAB_API_KEY"))
    base_url = "https://modelslab.com/api"
    base_env = ("MODELSLAB_API_BASE",)

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Tell a refusal by policy, an overlong prompt and an empty purse from other errors."""
        return errors.refine(error)
