"""The list of engines. https://platform.stability.ai/docs/api-reference#tag/Engines"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import Provider, decode
from polyport.types.models import Model, ModelList, ModelListRequest


class Models(Provider):
    """GET /v1/engines/list. It lists the engines of version 1 only; the services of version 2 have no list."""

    @hookimpl
    def list_models(self, request: ModelListRequest) -> Flow[ModelList]:
        """List the engines that the key may use."""
        request.refuse_pages()
        return to_models((yield self.get("/v1/engines/list", params=request.extra)))


class _Engine(msgspec.Struct):
    id: str
    name: str | None = None


def to_models(reply: HttpReply) -> ModelList:
    """Return the engines that a reply lists, each with whatever else is said of it in `extra`."""
    found: list[_Engine] = decode(reply, list[_Engine])
    whole: list[dict[str, Any]] = msgspec.json.decode(reply.content)
    made = ModelList(data=[_model(engine, said) for engine, said in zip(found, whole, strict=True)], has_more=False)
    made.keep(reply.content, extra={})
    return made


def _model(found: _Engine, said: dict[str, Any]) -> Model:
    return Model(id=found.id, owned_by="stability", display_name=found.name).tell(said, "id", "name")
