"""The list of models: GET /v1/models. https://docs.cohere.com/reference/list-models"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import Provider, decode
from polyport.types.models import Model, ModelList, ModelListRequest

#: The most models a page can have: all of them.
ALL_MODELS = 1000


class Models(Provider):
    """What a key may use."""

    @hookimpl
    def list_models(self, request: ModelListRequest) -> Flow[ModelList]:
        """Return the models, each with what else Cohere says of it in `extra`; `after` is the token of a page."""
        params = {"page_size": request.limit or ALL_MODELS, "page_token": request.after, **request.extra}
        return to_models((yield self.get("/v1/models", params=params)))


class _Named(msgspec.Struct):
    name: str


class _Page(msgspec.Struct):
    models: list[_Named]
    next_page_token: str | None = None


def to_models(reply: HttpReply) -> ModelList:
    """Return the list of a page; the token of the next is `extra["next_page_token"]`."""
    page: _Page = decode(reply, _Page)
    made = ModelList(has_more=bool(page.next_page_token))
    made.keep(reply.content, extra={"next_page_token": page.next_page_token} if page.next_page_token else {})
    made.data = [_model(value) for value in made.raw["models"]]
    return made


def _model(value: dict[str, Any]) -> Model:
    return Model(id=value["name"], owned_by="cohere").tell(value, "name")
