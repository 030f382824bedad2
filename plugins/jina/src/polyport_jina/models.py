"""The list of models: GET /models. https://api.jina.ai/v1/models"""

from __future__ import annotations

from polyport.dialects import openai
from polyport.flow import Flow
from polyport.hookspecs import hookimpl
from polyport.types.models import ModelList, ModelListRequest

#: What stands before the names in the list, and nowhere else.
OWNER = "jina-ai/"


class Models(openai.Models):
    """What a key may use."""

    @hookimpl
    def list_models(self, request: ModelListRequest) -> Flow[ModelList]:
        """Return the models under the names that calls take."""
        found = yield from super().list_models(request)
        for model in found.data:
            model.id = model.id.removeprefix(OWNER)
        return found
