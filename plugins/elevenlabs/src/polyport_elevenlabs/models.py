"""The list of models. https://elevenlabs.io/docs/api-reference/models/list"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import Provider, decode
from polyport.types.models import Model, ModelList, ModelListRequest


class Models(Provider):
    """GET /v1/models. It lists models that speak; those that transcribe are not among them."""

    @hookimpl
    def list_models(self, request: ModelListRequest) -> Flow[ModelList]:
        """List the models, each with whatever ElevenLabs says of it in `extra`."""
        request.refuse_pages()
        return to_models((yield self.get("/v1/models", params=request.extra)))


class _Model(msgspec.Struct):
    model_id: str
    name: str | None = None


def to_models(reply: HttpReply) -> ModelList:
    """Return the models that a reply lists."""
    found: list[_Model] = decode(reply, list[_Model])
    whole: list[dict[str, Any]] = msgspec.json.decode(reply.content)
    made = ModelList(data=[_model(model, said) for model, said in zip(found, whole, strict=True)], has_more=False)
    made.keep(reply.content, extra={})
    return made


def _model(found: _Model, said: dict[str, Any]) -> Model:
    model = Model(id=found.model_id, owned_by="elevenlabs", display_name=found.name)
    return model.tell(said, "model_id", "name")
