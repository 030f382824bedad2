"""What is peculiar to OpenAI's image models."""

from __future__ import annotations

from typing import Any

from polyport.dialects.openai import Images
from polyport.types.image import ImageEditRequest, ImageRequest, ImageVariationRequest


class OpenAIImages(Images):
    """Images; the GPT image models always answer in base64 and refuse to be asked for it.

    https://platform.openai.com/docs/api-reference/images/create#images-create-response_format
    """

    def image_body(self, request: ImageRequest | ImageEditRequest | ImageVariationRequest, hook: str) -> dict[str, Any]:
        """Return the parameters without the files, and without a `response_format` that the model does not take."""
        body = super().image_body(request, hook)
        if "gpt-image" in request.model or request.model.startswith("chatgpt-image"):
            asked = body.pop("response_format", None)
            if asked not in (None, "b64_json"):
                request.unsupported("response_format", f"{request.model} answers in base64 only")
        return body
