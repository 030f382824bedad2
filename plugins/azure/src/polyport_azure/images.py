"""Images with Azure. https://learn.microsoft.com/en-us/azure/ai-foundry/openai/how-to/dall-e"""

from __future__ import annotations

from typing import Any

from polyport.dialects.openai import Edits, Generations
from polyport.types.image import ImageEditRequest, ImageRequest, ImageVariationRequest


class AzureImages(Generations, Edits):
    """Made and changed, not varied. Deployments that are named for a GPT image model answer in base64 only."""

    def image_body(self, request: ImageRequest | ImageEditRequest | ImageVariationRequest, hook: str) -> dict[str, Any]:
        """Return the parameters without the files."""
        body = super().image_body(request, hook)
        if "gpt-image" in request.model and body.pop("response_format", "b64_json") != "b64_json":
            request.unsupported("response_format", f"{request.model} answers in base64 only")
        return body
