"""Azure OpenAI and Microsoft Foundry. https://learn.microsoft.com/en-us/azure/ai-foundry/openai/reference"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from polyport.auth import Auth
from polyport.dialects.openai import Batches, Files, OpenAICompatible, Quirks, Responses, Speech, Videos
from polyport.errors import APIError, BadRequestError
from polyport.flow import HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import Setting
from polyport_azure import address
from polyport_azure.entra import PROVIDER, TOKEN, TOKEN_ENV, AzureAuth, TokenProvider
from polyport_azure.errors import refine
from polyport_azure.images import AzureImages
from polyport_openai.audio import OpenAITranscriptions

if TYPE_CHECKING:
    from polyport.border import Call

__all__ = ["Azure", "AzureAuth"]

#: Deployments that are named for a model that refuses `max_tokens`: "gpt-5-mini", "team-o3".
REASONING = r"(.*[-_.])?(o\d|gpt-?[5-9]|codex)"

EXAMPLE = "https://RESOURCE.openai.azure.com"

QUIRKS = Quirks(
    limit=REASONING,
    kept=frozenset({"context"}),  # what "on your data" found
    beside=frozenset({"content_filter_results", "content_filter_offsets"}),
    defaults={"speak": {"voice": "alloy"}},
)


class Azure(OpenAICompatible, Responses, AzureImages, OpenAITranscriptions, Speech, Videos, Files, Batches):
    """OpenAI's wire at a resource of one's own. A model is the name of a deployment."""

    auth: ClassVar[Auth] = AzureAuth()
    base_env = ("AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT")
    request_id_headers = ("apim-request-id", "x-request-id", "x-ms-request-id")
    settings = (Setting("azure_ad_token", (TOKEN, PROVIDER), TOKEN_ENV),)
    quirks = QUIRKS

    def __init__(self, name: str = "", *, token_provider: TokenProvider | None = None) -> None:
        super().__init__(name)
        self.auth = AzureAuth(token_provider)  # type: ignore[misc]  # tokens belong to one client

    def address(self, base: str, path: str, call: Call) -> str:
        """Return where a path is: on the v1 surface, at a deployment, or at the resource under a dated version."""
        if not base:
            raise BadRequestError(f"Which resource? Set {self.base_env[0]}, or pass api_base={EXAMPLE!r}")
        usual = next((value for name in address.VERSION_ENV if (value := call.env(name))), None)
        return address.place(base, path, call.request.model, call.options.api_version, usual)

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Narrow by Azure's and OpenAI's error codes."""
        return refine(error, body)
