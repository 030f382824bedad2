"""Images: Imagen and Gemini make them, Imagen's own editing models change them under a mask.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/imagen-api-edit
"""

from __future__ import annotations

import base64
from typing import Any

from polyport.flow import Flow
from polyport.hookspecs import hookimpl
from polyport.types.image import ImageEditRequest, ImageResponse
from polyport.types.upload import Upload
from polyport_gemini.images import Images, is_imagen, to_imagen_body, to_images
from polyport_vertex.settings import VERTEX


class VertexImages(Images):
    """Pictures made and changed."""

    @hookimpl
    def edit_image(self, request: ImageEditRequest) -> Flow[ImageResponse]:
        """Change pictures: with Imagen where the mask says, with Gemini where the prompt says."""
        if not is_imagen(request.model):
            return (yield from super().edit_image(request))
        return to_images((yield self.ask(request, "predict", to_edit_body(request))))


def to_edit_body(request: ImageEditRequest) -> dict[str, Any]:
    """Return the body of a `predict` that changes a picture."""
    body = to_imagen_body(request, VERTEX)
    references = [
        {"referenceType": "REFERENCE_TYPE_RAW", "referenceId": number, "referenceImage": _picture(upload)}
        for number, upload in enumerate(request.images, 1)
    ]
    if request.mask_upload is not None:
        references.append(
            {
                "referenceType": "REFERENCE_TYPE_MASK",
                "referenceId": len(references) + 1,
                "referenceImage": _picture(request.mask_upload),
                "maskImageConfig": {"maskMode": "MASK_MODE_USER_PROVIDED"},
            }
        )
        body["parameters"].setdefault("editMode", "EDIT_MODE_INPAINT_INSERTION")
    body["instances"][0]["referenceImages"] = references
    return body


def _picture(upload: Upload) -> dict[str, str]:
    return {"bytesBase64Encoded": base64.b64encode(upload.read()).decode()}
